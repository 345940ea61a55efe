"""Recorded markets traded by the same core as live: hftbacktest matches, the core decides, and results say what they rest on."""
