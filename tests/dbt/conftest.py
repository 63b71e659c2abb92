"""The parsed dbt project, for tests over its structure."""

import json
from pathlib import Path
from typing import Any

import pytest
from dbt.cli.main import dbtRunner

PROJECT = Path(__file__).parents[2] / "dbt_project"


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    target = tmp_path_factory.mktemp("manifest")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("METERHOUSE_WAREHOUSE_FILE", str(target / "unused.duckdb"))
        result = dbtRunner().invoke(
            ["parse", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", str(target),
             "--log-path", str(target), "--quiet"]
        )  # fmt: skip
    assert result.success, result.exception
    return json.loads((target / "manifest.json").read_text())
