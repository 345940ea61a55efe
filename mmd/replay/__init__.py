"""A recorded session lived again: the core rebuilt from its beginning, fed its journal, compared with what it sent, explained."""
