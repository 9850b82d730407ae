"""``rpcgen breaking``: sides of every kind, levels, baselines, and what it exits with."""

from __future__ import annotations

import contextlib
import json
import pathlib
import socket
import typing

import pytest

import rpcgen as package
from rpcgen import runtime as rpc
from rpcgen.cli.sides import files
from tests.cli.conftest import Run
from tests.support.waiting import until

OLD = "list<string> find(1: string query, 2: int limit = 20)\n"
NEW = "list<string> find(1: string query, 2: int limit = 50)\n"


@pytest.fixture
def sides(tmp_path: pathlib.Path) -> pathlib.Path:
    for side, text in (("old", OLD), ("new", NEW)):
        (tmp_path / side).mkdir()
        (tmp_path / side / "stock.idl").write_text(text)
    return tmp_path


@contextlib.contextmanager
def serving(path: pathlib.Path, **options: typing.Unpack[rpc.ThreadServerOptions]) -> typing.Iterator[str]:
    """Serves an interface; gives the server's URL."""

    class Handlers:
        def find(self, query: str, limit: int) -> list[str]:
            return []

    stub = package.load(path).ServerStub(Handlers())
    with rpc.ThreadServer("127.0.0.1", 0, stub, **options) as server:
        yield f"tcp://127.0.0.1:{server.address.port}"


def test_findings_are_on_standard_output(sides: pathlib.Path, run: Run) -> None:
    ended = run("breaking", "old", "new")
    assert ended.status == 1
    assert "new/stock.idl:1:43: error[B012]: the default of find(limit) is 50, not 20" in ended.out
    assert "old/stock.idl:1:43" in ended.out
    assert run("breaking", "old", "old").status == 0
    (found,) = map(json.loads, run("breaking", "old", "new", "--format", "json").out.splitlines())
    assert (found["code"], found["severity"], found["file"]) == ("B012", "error", "new/stock.idl")
    github = run("breaking", "old", "new", "--format", "github")
    assert github.out.startswith("::error file=new/stock.idl,line=1,")
    assert github.status == 1


def test_a_server_is_asked(sides: pathlib.Path, run: Run) -> None:
    with serving(sides / "old" / "stock.idl") as url:
        ended = run("breaking", url, "new/stock.idl")
        assert ended.status == 1
        assert "error[B012]" in ended.out
        assert f"{url}: 1 finding" in ended.log
        assert run("breaking", url, "old").status == 0


def test_every_server_of_a_registry_is_asked_and_those_that_break_are_named(
    sides: pathlib.Path, run: Run
) -> None:
    with serving(sides / "old" / "stock.idl") as one, serving(sides / "new" / "stock.idl") as other:
        url = f"static://{one.removeprefix('tcp://')},{other.removeprefix('tcp://')}"
        ended = run("breaking", url, "new")
        assert ended.status == 1
        assert f"{one}: 1 finding" in ended.log
        assert f"{other}: nothing breaks" in ended.log


@contextlib.contextmanager
def registry_server(kind: str, request: pytest.FixtureRequest) -> typing.Iterator[str]:
    """Gives the URL of a registry that nothing is registered in."""
    if kind == "zk":
        yield request.getfixturevalue("zk_url")
        return
    with rpc.RegistryServer("127.0.0.1", 0) as server:
        yield server.url


def until_registered(url: str, count: int) -> None:
    with rpc.open_registry(url) as registry:
        until(lambda: len(registry.contents().entries) == count)


@pytest.mark.xdist_group("zookeeper")
@pytest.mark.parametrize("kind", ["zk", "registry"])
def test_of_the_servers_in_a_registry_those_that_break_are_named(
    sides: pathlib.Path, run: Run, kind: str, request: pytest.FixtureRequest
) -> None:
    """Two run, of two versions. One that is registered and does not answer is named; the others are compared."""
    with registry_server(kind, request) as url:
        ended = run("breaking", url, "new")
        assert (ended.status, ended.out) == (2, "")
        assert f"no server is registered in {url}" in ended.log
        assert "= help: `rpcgen ls`" in ended.log
        with (
            serving(sides / "old" / "stock.idl", registry=url) as one,
            serving(sides / "new" / "stock.idl", registry=url) as other,
        ):
            until_registered(url, 2)
            ended = run("breaking", url, "new")
            assert ended.status == 1
            assert ended.out.count("error[B012]") == 1
            assert f"{one}: 1 finding\n" in ended.log
            assert f"{other}: nothing breaks\n" in ended.log
            assert run("breaking", "new", url).status == 1
            with rpc.open_registry(url) as registry, unanswered() as port:
                registry.register("", rpc.Instance("127.0.0.1", port))
                until_registered(url, 3)
                ended = run("breaking", url, "new", "--timeout", "1")
            assert ended.status == 2
            assert "error[B012]" in ended.out
            assert f"{one}: 1 finding\n" in ended.log
            assert f"not compared: tcp://127.0.0.1:{port}: " in ended.log


@contextlib.contextmanager
def unanswered() -> typing.Iterator[int]:
    """Gives a port where connections wait for ever."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def test_a_baseline_holds_back_what_is_known(sides: pathlib.Path, run: Run) -> None:
    words = ("breaking", "old", "new", "--baseline", "known.jsonl")
    assert run(*words, "--write-baseline").status == 0
    ended = run(*words)
    assert (ended.status, ended.out) == (0, "")
    (sides / "new" / "stock.idl").write_text(OLD)
    ended = run(*words)
    assert ended.status == 0
    assert "known.jsonl holds 1 finding in vain" in ended.log


def test_a_level_leaves_out_what_comes_after_it(sides: pathlib.Path, run: Run) -> None:
    (sides / "new" / "stock.idl").write_text("list<string> find(1: string text, 2: int limit = 20)\n")
    assert run("breaking", "old", "new", "--level", "wire").status == 0
    assert run("breaking", "old", "new", "--level", "json").status == 1
    (sides / "new" / "stock.idl").write_text(f"const int MOST = 1\n{OLD}")
    ended = run("breaking", "new", "old")
    assert (ended.status, "warning[B060]" in ended.out) == (0, True)
    assert run("breaking", "new", "old", "--level", "source").status == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["old"], "two versions are compared, not 1"),
        (["old", "nowhere.idl"], "nothing was compared"),
        (["old", "ftp://h"], "is nothing that can be compared"),
        (["tcp://127.0.0.1:1", "new"], "is it there, and a server of rpcgen?"),
        (["old", "new", "--write-baseline"], "--write-baseline needs --baseline FILE"),
        (["old", "new", "--baseline", "none"], "cannot read none"),
        (["git:HEAD", "new"], "a version of git is git:REV:PATH"),
        (["git:HEAD:old", "new"], "not a git repository"),
        (["", "new"], "a version has an empty name\n  = help: is a variable"),
        (["tasks+zk://127.0.0.1:1/rpc", "new", "--timeout", "0.2"], "zk://127.0.0.1:1/rpc"),
        (["zk://127.0.0.1:1/rpc", "new", "--timeout", "0.2"], "zk://127.0.0.1:1/rpc"),
        (["registry://127.0.0.1:1", "new", "--timeout", "0.2"], "\n  = help: start it, `rpcgen registry"),
        (["static://127.0.0.1:1", "new"], "is it there, and a server of rpcgen?"),
        (["new", "tasks+zk://h"], "queued tasks are of an old version"),
    ],
)
def test_what_cannot_be_done_is_said(sides: pathlib.Path, run: Run, words: list[str], said: str) -> None:
    ended = run("breaking", *words)
    assert ended.status == 2
    assert said in ended.log
    assert ended.log.startswith(("rpcgen breaking: ", "nowhere.idl: error"))


def test_a_server_may_want_a_token(sides: pathlib.Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is given as it is to `call`."""
    with serving(sides / "old" / "stock.idl", authenticate=rpc.Tokens({"secret": "ann"})) as url:
        ended = run("breaking", url, "new")
        assert (ended.status, "= help: --token TOKEN, or RPCGEN_TOKEN" in ended.log) == (2, True)
        assert run("breaking", url, "new", "--token", "secret").status == 1
        monkeypatch.setenv("RPCGEN_TOKEN", "secret")
        assert run("breaking", url, "new").status == 1


def test_a_description_is_taken_apart_into_its_files() -> None:
    """Includes are beside the file that names them, wherever they stood."""
    text = '// file: common.idl\nstruct A {}\n\n// file: stock.idl\ninclude "lib/common.idl"\n'
    assert files("tcp://h:1", text) == {
        "tcp://h:1/common.idl": "\nstruct A {}\n\n",
        "tcp://h:1/stock.idl": '\ninclude "common.idl"\n',
    }
    assert files("tcp://h:1", OLD) == {"tcp://h:1/interface.idl": OLD}


@pytest.mark.xdist_group("zookeeper")
def test_queued_calls_that_the_new_version_cannot_read_are_told(
    sides: pathlib.Path, run: Run, zk_url: str
) -> None:
    """They are decoded as its servers would; no worker need be there."""
    stock = package.load(sides / "old" / "stock.idl")
    (sides / "new" / "stock.idl").write_text("list<string> find(1: string query, reserved 2: int)\n")
    with rpc.TaskQueue(zk_url) as queue:
        tasks = [stock.TaskStub(queue).find("a"), stock.TaskStub(queue).find("b", 5)]
    ended = run("breaking", f"tasks+{zk_url}", "new")
    assert ended.status == 1
    assert f"{tasks[1].id}: error: find:" in ended.out
    assert tasks[0].id not in ended.out
    assert "2 tasks in the queue" in ended.log
    (found,) = map(
        json.loads,
        run("breaking", f"tasks+{zk_url}", "new", "--format", "json").out.splitlines(),
    )
    assert (found["task"], found["method"], found["severity"]) == (tasks[1].id, "find", "error")
    assert run("breaking", f"tasks+{zk_url}", "old").status == 0
