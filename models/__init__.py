"""Contracts of Meterhouse: what a usage event, a catalog, an account and a frame may look like.

Nothing here reads, writes, schedules or computes money, and nothing here imports dagster, duckdb or stripe.
"""
