"""The audited warehouse becomes the published file. What the marts contain is decided in dbt_project/."""
