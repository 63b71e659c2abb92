"""Readers of usage files, one module a format.

Which file is read and what its records mean does not belong here.
"""
