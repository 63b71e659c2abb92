"""What a run says of its tables beside their rows."""

import duckdb
import pytest

from pipelines.warehouse.measure import name_rows


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, ""),
        (1, "model m1, reason none"),
        (2, "model m1, reason none; model m2"),
        (3, "model m1, reason none; model m2; and 1 more"),
    ],
)
def test_rows_are_named_up_to_a_number_without_what_is_null(count: int, words: str) -> None:
    with duckdb.connect() as tables:
        query = f"select 'm' || n as model, if(n = 1, 'none', null) as reason from range(1, {count + 1}) as t(n) order by n"
        assert name_rows(tables, query, most=2) == words
