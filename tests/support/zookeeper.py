"""Real ZooKeepers for tests: one, or an ensemble, that a test may kill, stop, freeze and wipe.

Each keeps its ports and data over restarts. A test that only needs *a* ZooKeeper takes the
fixture ``zk_url``: one server for all tests of a worker, a root of its own for each test. One
that harms it makes its own: ``with ZooKeeper(tmp_path) as zookeeper``. Both kinds of test say
``@pytest.mark.xdist_group("zookeeper")``, so that one worker at a time bears the load.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
import typing
import uuid

import pytest

PATIENCE = 60.0
"""Seconds that a server has to become ready: a failure beyond, never a measure."""

MISSING = """\
no ZooKeeper found. It is installed by
  Debian, Ubuntu:  make zookeeper   (apt-get; no daemon is started)
  macOS:           brew install zookeeper
  elsewhere:       unpack https://zookeeper.apache.org/releases.html, set ZOOKEEPER_HOME to it;
                   Java 8 or newer must be on PATH or at JAVA_HOME"""

_SETTINGS = {
    "tickTime": "200",
    "maxClientCnxns": "0",
    "minSessionTimeout": "400",
    "maxSessionTimeout": "60000",
    "admin.enableServer": "false",
    "4lw.commands.whitelist": "ruok,srvr,stat,cons,dump,wchs,mntr,isro",
}
_JAVA = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
_DEBIAN = pathlib.Path("/usr/share/java")
_BREW = ("/opt/homebrew/opt", "/usr/local/opt", "/home/linuxbrew/.linuxbrew/opt")


def find_java() -> str | None:
    """Gives the Java to run, from JAVA_HOME, PATH or Homebrew."""
    home = os.environ.get("JAVA_HOME")
    if home and os.access(f"{home}/bin/java", os.X_OK):
        return f"{home}/bin/java"
    brewed = (f"{prefix}/openjdk/bin/java" for prefix in _BREW)
    return shutil.which("java") or next((path for path in brewed if os.access(path, os.X_OK)), None)


def find_class_path() -> str | None:
    """Gives ZooKeeper's class path, from ZOOKEEPER_HOME, Debian's package or Homebrew."""
    homes = [os.environ.get("ZOOKEEPER_HOME", ""), *(f"{prefix}/zookeeper/libexec" for prefix in _BREW)]
    for home in map(pathlib.Path, filter(None, homes)):
        jars = [*home.glob("lib/*.jar"), *home.glob("*.jar")]
        if any(jar.name.startswith("zookeeper") for jar in jars):
            return os.pathsep.join(map(str, sorted(jars)))
    debian = [_DEBIAN / name for name in ("zookeeper.jar", "slf4j-simple.jar", "netty-codec.jar")]
    return os.pathsep.join(map(str, debian)) if debian[0].exists() else None


def require() -> tuple[str, str]:
    """Gives Java and the class path. Without them the test is skipped; in CI it fails."""
    java, class_path = find_java(), find_class_path()
    if java is None or class_path is None:
        if os.environ.get("CI"):
            pytest.fail(MISSING, pytrace=False)
        pytest.skip(MISSING)
    return java, class_path


class _Port:
    """A port that is a server's own, while it runs and while it does not.

    A socket that is bound and never listens keeps others from it; on Linux a server may bind
    beside it, because both allow the address to be used again.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]
        if sys.platform != "linux":
            self._socket.close()

    def close(self) -> None:
        self._socket.close()


class ZooKeeper:
    """A ZooKeeper server of the test's own, ready when ``with`` begins, gone when it ends.

    Args:
        folder: Where its data and its log are; the log stays there. None: a temporary one,
            which stays if ``with`` ends in an exception.
        settings: More lines of zoo.cfg, or others: ``{"maxClientCnxns": "3"}``.
        member: Of an ``Ensemble``, which says the rest.
    """

    def __init__(
        self,
        folder: pathlib.Path | None = None,
        *,
        settings: typing.Mapping[str, str] | None = None,
        member: int | None = None,
    ) -> None:
        self._command = require()
        self._is_temporary = folder is None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rpcgen-zookeeper-")) if folder is None else folder
        self.data = self.folder / "data"
        self.log = self.folder / "zookeeper.log"
        self._port = _Port()
        self._process: subprocess.Popen[bytes] | None = None
        self._settings = _SETTINGS | {"dataDir": str(self.data)}
        if member is None:
            self._settings |= {"clientPort": str(self.port), "clientPortAddress": "127.0.0.1"}
        self._settings |= dict(settings or {})
        self._secure: _Port | None = None
        if "ssl.keyStore.location" in self._settings:
            self._secure = _Port()
            self._settings |= {"secureClientPort": str(self._secure.number)}
            self._settings |= {"secureClientPortAddress": "127.0.0.1"}
        self._member = member

    @property
    def port(self) -> int:
        return self._port.number

    @property
    def secure_port(self) -> int:
        """The port for TLS, which ``ssl.keyStore.location`` among the settings asks for."""
        assert self._secure is not None
        return self._secure.number

    @property
    def hosts(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "it does not run"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def configure(self, **settings: str) -> None:
        """Sets lines of zoo.cfg; they count from the next start on."""
        self._settings |= settings

    def start(self, *, wait: bool = True) -> None:
        """Starts it, with the data that it had. Running already, it stays as it is."""
        if self.is_running:
            return
        self.data.mkdir(parents=True, exist_ok=True)
        if self._member is not None:
            (self.data / "myid").write_text(f"{self._member}\n")
        configuration = self.folder / "zoo.cfg"
        configuration.write_text("".join(f"{name}={value}\n" for name, value in self._settings.items()))
        java, class_path = self._command
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [java, *_JAVA, "-Dzookeeper.preAllocSize=1024", "-cp", class_path, main, str(configuration)],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if wait:
            self.wait()

    def wait(self) -> None:
        """Waits until it serves: ``srvr`` names its mode."""
        deadline = time.monotonic() + PATIENCE
        # A question that comes while it starts is never answered.
        while "Mode:" not in self.ask("srvr", timeout=0.3):
            if not self.is_running or time.monotonic() > deadline:
                state = "did not get ready" if self.is_running else "ended"
                tail = self.log.read_text(errors="replace")[-3000:]
                raise AssertionError(f"ZooKeeper {state}; the end of {self.log}:\n{tail}")
            time.sleep(0.02)

    def ask(self, word: str, timeout: float = 5.0) -> str:
        """Gives the answer to a four-letter word; ``""`` if there is none in so many seconds."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout) as connection:
                connection.sendall(word.encode())
                return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        except OSError:
            return ""

    def kill(self) -> None:
        """Ends it as a crash does (SIGKILL)."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ends it as an operator does (SIGTERM)."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Freezes it (SIGSTOP): connections are accepted, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def wipe(self) -> None:
        """Deletes its data; it must be down."""
        assert not self.is_running, "stop it before its data is wiped"
        shutil.rmtree(self.data, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:  # frozen: SIGTERM does not reach it
            process.kill()
            process.wait(20)

    def close(self, *, keep_log: bool = True) -> None:
        """Ends it and deletes its data. Again is harmless."""
        self.kill()
        self._port.close()
        if self._secure is not None:
            self._secure.close()
        self.wipe()
        if self._is_temporary and not keep_log:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> typing.Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.close(keep_log=error is not None)
        if error is not None:
            error.add_note(f"ZooKeeper's log: {self.log}")


class Ensemble:
    """Three ZooKeeper servers that are one, ready when ``with`` begins, gone when it ends.

    Args:
        folder: Where the data and logs of ``nodes`` are, by number from 1. None: as ``ZooKeeper``.
    """

    def __init__(self, folder: pathlib.Path | None = None, size: int = 3) -> None:
        numbers = range(1, size + 1)
        if folder is not None:
            for number in numbers:
                (folder / str(number)).mkdir(parents=True, exist_ok=True)
        self.nodes = [
            ZooKeeper(folder and folder / str(number), member=number, settings={"initLimit": "50"})
            for number in numbers
        ]
        self._ports = [_Port() for _ in range(2 * size)]
        members = {
            f"server.{number}": f"127.0.0.1:{quorum.number}:{election.number};127.0.0.1:{node.port}"
            for number, node, quorum, election in zip(
                numbers, self.nodes, self._ports[:size], self._ports[size:], strict=True
            )
        }
        for node in self.nodes:
            node.configure(syncLimit="5", standaloneEnabled="false", **members)

    @property
    def hosts(self) -> str:
        return ",".join(node.hosts for node in self.nodes)

    @property
    def leader(self) -> ZooKeeper:
        """The node that leads now; fails if none does."""
        return next(node for node in self.nodes if "Mode: leader" in node.ask("srvr"))

    def start(self) -> None:
        """Starts all that do not run, and waits until each serves."""
        for node in self.nodes:
            node.start(wait=False)
        for node in self.nodes:
            node.wait()

    def kill(self) -> None:
        """Ends all of them as a crash does."""
        for node in self.nodes:
            node.kill()

    def close(self, *, keep_log: bool = True) -> None:
        """Ends all of them and deletes their data. Again is harmless."""
        for node in self.nodes:
            node.close(keep_log=keep_log)
        for port in self._ports:
            port.close()

    def __enter__(self) -> typing.Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.close(keep_log=error is not None)
        if error is not None:
            error.add_note(f"ZooKeeper's logs: {', '.join(str(node.log) for node in self.nodes)}")


def expire(hosts: str, session: tuple[int, bytes]) -> None:
    """Ends a client's session as if its time were up: a second client takes it over and stops.

    Args:
        hosts: Of the ZooKeeper.
        session: The ``client_id`` of its ``KazooClient``.
    """
    import kazoo.client

    thief = kazoo.client.KazooClient(hosts, client_id=session)
    try:
        thief.start(PATIENCE)
    finally:
        thief.stop()
        thief.close()


@pytest.fixture(scope="session")
def zookeeper_of_worker(tmp_path_factory: pytest.TempPathFactory) -> typing.Iterator[ZooKeeper]:
    """The server that tests share which do it no harm."""
    with ZooKeeper(tmp_path_factory.mktemp("zookeeper")) as zookeeper:
        yield zookeeper


@pytest.fixture
def zk_url(zookeeper_of_worker: ZooKeeper) -> str:
    """The URL of a root of the test's own: ``zk://127.0.0.1:PORT/UUID``."""
    return f"zk://{zookeeper_of_worker.hosts}/{uuid.uuid4().hex}"


@contextlib.contextmanager
def client(hosts: str, **options: typing.Any) -> typing.Iterator[typing.Any]:
    """A connected ``KazooClient`` of the test's own: the operator, or a reader of another kind."""
    import kazoo.client

    options = {"connection_retry": {"max_tries": -1, "delay": 0.05, "max_delay": 0.5}} | options
    made = kazoo.client.KazooClient(hosts, **options)
    made.start(PATIENCE)
    try:
        yield made
    finally:
        made.stop()
        made.close()
