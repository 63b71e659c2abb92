"""Proving and keeping a home as a whole. What a run does does not belong here."""
