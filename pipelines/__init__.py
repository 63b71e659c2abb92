"""What runs Meterhouse: reading usage files, checking documents, building with dbt, publishing.

Rating, aggregation and rounding do not belong here; they are SQL under ``dbt_project/``.
"""
