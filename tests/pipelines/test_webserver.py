"""What the interface refuses: requests that a page from elsewhere could have a visitor's browser send."""

import pytest

from pipelines.orchestration.webserver import LOOPBACK, refusal

OWN = {"host": "127.0.0.1:3000"}
JSON = {"content-type": "application/json"}
PAGE = {"accept": "text/html,application/xhtml+xml"}


def scope(method: str, path: str, **headers: str) -> dict:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    if method == "WEBSOCKET":
        return {"type": "websocket", "path": path, "headers": raw}
    return {"type": "http", "method": method, "path": path, "headers": raw}


def asked(method: str, path: str, names: frozenset[str] | None = LOOPBACK, **headers: str) -> str | None:
    return refusal(scope(method, path, **OWN | headers), names)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:3000", "localhost:3000", "LOCALHOST", "[::1]:3000"])
def test_its_own_pages_may_do_everything(host):
    assert asked("GET", "/", host=host) is None
    assert asked("GET", "/runs/1", host=host) is None
    assert asked("POST", "/graphql", host=host, content_type="application/json; charset=utf-8") is None
    assert asked("GET", "/graphql", host=host, accept=PAGE["accept"]) is None
    assert asked("WEBSOCKET", "/graphql", host=host, origin=f"http://{host}") is None
    assert asked("WEBSOCKET", "/graphql", host=host) is None


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:3000", "127.0.0.1.evil.example", "", "[", "localhost@evil.example"]
)
def test_a_name_that_only_leads_here_is_not_served(host):
    for method in ("GET", "POST", "WEBSOCKET"):
        assert "no name of this server" in asked(
            method, "/graphql", host=host, content_type="application/json"
        )
        assert "no name" not in (asked(method, "/graphql", names=None, host=host) or "")


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "text/plain; x=application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ],
)
@pytest.mark.parametrize(
    "path", ["/graphql", "/report_asset_materialization/ledger/issued_documents", "/report_asset_check/x"]
)
def test_what_a_browser_sends_unasked_changes_nothing(kind, path):
    assert asked("POST", path, content_type=kind)
    assert asked("POST", path, content_type=kind, names=None)
    assert asked("POST", path)


@pytest.mark.parametrize("path", ["/graphql", "/graphql/"])
def test_a_link_or_a_picture_changes_nothing(path):
    assert asked("GET", path) == "send queries by POST"
    assert asked("GET", path, accept="image/*", names=None) == "send queries by POST"


def test_a_page_from_elsewhere_gets_no_socket():
    for origin in ("http://evil.example", "http://127.0.0.1:8080", "null"):
        assert asked("WEBSOCKET", "/graphql", origin=origin)
        assert asked("WEBSOCKET", "/graphql", origin=origin, names=None)
