"""Dagster's part: assets, jobs, schedules, sensors, runs and the interface. No rule of business, no SQL."""
