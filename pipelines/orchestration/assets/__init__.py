"""Wiring of assets to the functions that do the work; each is a few lines. Logic does not belong here."""
