"""The warehouse: the dbt project, builds of it aside, what came of them.

What is in its tables is dbt's business.
"""
