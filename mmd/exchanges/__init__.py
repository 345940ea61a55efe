"""Venues: the protocol every adapter speaks (`adapter`), and the adapters, one package or module each."""
