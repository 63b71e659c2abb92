"""Real local servers for tests: a PostgreSQL cluster and an HTTP receiver. Tests do not belong here."""

import atexit
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

# Characters that an URL must quote: what only works by chance fails with them.
POSTGRES_PASSWORD = "gehe!m/@:%20 word"
_START_SECONDS = 60


def find_postgres() -> Path | None:
    """The folder of the newest PostgreSQL programs on this machine."""
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True
    )
    if found := shutil.which("initdb"):
        folders.append(Path(found).resolve().parent)
    return next((f for f in folders if (f / "initdb").exists() and (f / "postgres").exists()), None)


@dataclass(frozen=True)
class PostgresServer:
    """A running cluster of its own on 127.0.0.1."""

    port: int
    _numbers: Iterator[int] = field(default_factory=count)

    def url(self, database: str = "postgres", password: str = POSTGRES_PASSWORD) -> str:
        from sqlalchemy import URL

        url = URL.create("postgresql", "meterhouse", password, "127.0.0.1", self.port, database)
        return url.render_as_string(hide_password=False)

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="meterhouse",
            password=POSTGRES_PASSWORD,
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        )

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"ledger_{next(self._numbers)}"
        with self.connect() as connection:
            connection.execute(f"create database {name}")
        return self.url(name)


@contextmanager
def run_postgres() -> Iterator[PostgresServer]:
    """A new cluster in a temporary folder, gone afterwards. Skips where there is no PostgreSQL."""
    programs = find_postgres()
    if programs is None:
        pytest.skip("PostgreSQL is not installed on this machine: its half of the ledger's tests did not run")
    # PostgreSQL refuses to run as root.
    account = _unprivileged() if os.geteuid() == 0 else None
    as_account: dict[str, Any] = (
        {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
    )
    folder = Path(tempfile.mkdtemp(prefix="meterhouse-postgres-"))
    try:
        if account:
            os.chown(folder, account.pw_uid, account.pw_gid)
        word = folder / "password"
        word.write_text(POSTGRES_PASSWORD)
        word.chmod(0o644)
        data = folder / "data"
        options = ["--auth=scram-sha-256", "--username=meterhouse", f"--pwfile={word}", "--no-sync"]
        subprocess.run(
            [programs / "initdb", "-D", data, "--encoding=UTF8", "--locale=C", *options],
            check=True,
            capture_output=True,
            cwd=folder,
            **as_account,
        )
        port = free_port()
        settings = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        settings |= {"fsync": "off", "max_connections": 40, "timezone": "Asia/Kolkata"}
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [programs / "postgres", "-D", data, *flags], stdout=log, stderr=log, cwd=folder, **as_account
            )
            try:
                server = PostgresServer(port)
                _wait_for(server, process, folder / "log")
                yield server
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.skip("no account other than root, and PostgreSQL does not run as root")


def _wait_for(server: PostgresServer, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            server.connect().close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from None
            time.sleep(0.1)


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass(frozen=True)
class Request:
    """What arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """An HTTP server that answers as told and remembers what arrived.

    :param answers: status codes in turn, then 200; "hang" never answers, "drip" answers a byte now and then.
    """

    def __init__(self, *answers: int | str) -> None:
        self.requests: list[Request] = []
        self._answers = list(answers)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                answer = receiver._take(Request("POST", self.path, dict(self.headers), body))
                if answer == "hang":
                    receiver._closing.wait()
                elif answer == "drip":
                    try:
                        while not receiver._closing.wait(0.2):
                            self.wfile.write(b"H")
                    except OSError:
                        pass
                else:
                    self.send_response(int(answer))
                    if int(answer) in range(300, 400):
                        self.send_header("Location", "/elsewhere")
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def do_GET(self) -> None:
                receiver._take(Request("GET", self.path, dict(self.headers), b""))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, request: Request) -> int | str:
        with self._lock:
            self.requests.append(request)
            return self._answers.pop(0) if self._answers else 200


@cache
def _cluster() -> PostgresServer:
    running = ExitStack()
    atexit.register(running.close)
    return running.enter_context(run_postgres())


@pytest.fixture(scope="session")
def postgres_server() -> PostgresServer:
    """One cluster for all tests of this process, whichever files they are in."""
    return _cluster()


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest) -> str:
    """METERHOUSE_LEDGER_URL of an empty ledger: empty for SQLite, a new database for PostgreSQL."""
    if request.param == "sqlite":
        return ""
    return request.getfixturevalue("postgres_server").new_database()
