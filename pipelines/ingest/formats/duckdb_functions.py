"""A DuckDB per thread for functions that polars does not have: JSON and MD5. Nothing is stored in it."""

import threading

import duckdb
import polars as pl

_local = threading.local()


def query(sql: str, given: pl.Series) -> pl.DataFrame:
    """A query over ``given(line)``; rows come in the order of the series."""
    if not hasattr(_local, "connection"):
        _local.connection = duckdb.connect(config={"threads": 1})
    connection: duckdb.DuckDBPyConnection = _local.connection
    connection.register("given", given.rename("line").to_frame().to_arrow())
    try:
        return pl.DataFrame(connection.execute(sql).to_arrow_table())
    finally:
        connection.unregister("given")
