"""An empty ledger and a Stripe for each test; a module that assigns these fixtures has them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_stripe import FakeStripe

from pipelines.home import Home
from pipelines.ledger import Ledger, open_ledger


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ledger") / "home"
    open_ledger(Home(root), "").close()
    return root


@pytest.fixture
def home(empty_home: Path, tmp_path: Path) -> Home:
    return Home(shutil.copytree(empty_home, tmp_path / "home"))


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    with open_ledger(home, "") as ledger:
        yield ledger


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    server = FakeStripe()
    server.customers |= {f"cus_c-{number}": 0 for number in range(1, 31)}
    yield server
    server.close()
    assert not server.violations
