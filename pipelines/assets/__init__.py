"""Dagster wiring: every asset is a few lines around a pure function or dbt. Logic does not belong here."""
