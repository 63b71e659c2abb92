"""The lake: what was accepted, rejected and read, as Parquet that only grows, and proof that it is whole.

Which records a batch accepts (``pipelines.ingest``) and what dbt computes from them does not belong here.
"""
