"""Measurements, side by side in one run. Not part of the tests; those say whether results are right."""
