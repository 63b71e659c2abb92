"""Realistic usage for a home without any. Nothing in the pipeline depends on it."""

from pipelines.simulate.usage import simulate_usage

__all__ = ["simulate_usage"]
