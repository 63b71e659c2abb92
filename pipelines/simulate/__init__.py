"""Realistic usage for a home without any. Nothing in the pipeline depends on it."""
