"""A user's handlers and compiled modules, found by name; what is said when they are not."""

from __future__ import annotations

import pathlib
import sys
import typing

import features
import pytest
import service

from rpcgen.cli.errors import CommandError
from rpcgen.cli.handlers import bound
from tests.cli.command import write
from tests.cli.registry_command import run

WORK = """\
import json
from service import InvalidOperation

class Handlers:
    def divide(self, num1, num2):
        return num1 / num2

class Static:
    @staticmethod
    def divide(num1, num2):
        return num1 // num2

class Greedy(Handlers):
    def __init__(self, database):
        pass

class Few:
    divde = None

class Coroutines:
    async def divide(self, num1, num2): ...

class Rooms:
    inner = Handlers()

handlers = Handlers()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> typing.Iterator[pathlib.Path]:
    """The current folder, with modules in it; nothing of them stays."""
    files = {
        "work.py": WORK,
        "broken.py": "import json\n\njson.loads('{')\n",
        "wrong.py": "def f(:\n",
        "needy.py": "\nimport no_such_package\n",
        "empty.py": "",
        "parts/inner.py": WORK,
    }
    monkeypatch.chdir(write(tmp_path, files))
    monkeypatch.setattr(sys, "path", sys.path[:])
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("work:Handlers", 3.5),
        ("work:Static", 3),
        ("work:handlers", 3.5),
        ("work:Rooms.inner", 3.5),
        ("parts.inner:Handlers", 3.5),
    ],
)
def test_instances_and_classes_handle(name: str, result: float) -> None:
    (stub,) = bound(name, ["service"])
    assert isinstance(stub, service.ServerStub)
    ((_, handler),) = stub.methods
    assert handler(7, 2) == result


def test_stubs_are_named_and_several(folder: pathlib.Path) -> None:
    write(
        folder,
        {
            "all_of_it.py": "import service, common\nclass All:\n    divide = ping = version = staticmethod(print)\n"
        },
    )
    first, second = bound("all_of_it:All", ["service", "common:BaseServerStub"])
    assert isinstance(first, service.ServerStub)
    assert [protocol.name for protocol, _ in second.methods] == ["Base.ping", "Base.version"]


@pytest.mark.parametrize(
    ("handlers", "stub", "said"),
    [
        (
            "work",
            "service",
            "'work' names no handlers\n  = help: say what handles the methods in the module: work:H",
        ),
        (
            "work.py:Handlers",
            "service",
            "'work.py' is a file, not a module\n  = help: did you mean work?",
        ),
        (
            "wo rk:Handlers",
            "service",
            "'wo rk' cannot be a module\n  = help: one is named as in `import jobs.mail`",
        ),
        (
            "wrk:Handlers",
            "service",
            f"there is no module wrk: looked for in FOLDER, then where {sys.executable} looks\n"
            "  = help: run it in the folder of the module, or add that to PYTHONPATH",
        ),
        ("work.part:Handlers", "service", "there is no module work.part: looked for in FOLDER"),
        (
            "needy:Handlers",
            "service",
            "the module needy cannot be imported: ModuleNotFoundError: No module named 'no_such_package' "
            "(FOLDER/needy.py:2)",
        ),
        ("wrong:Handlers", "service", "the module wrong cannot be imported: SyntaxError: "),
        ("broken:Handlers", "service", "the module broken cannot be imported: JSONDecodeError: "),
        (
            "work:Handler",
            "service",
            "the module work (FOLDER/work.py) has no Handler\n  = help: did you mean Handlers?",
        ),
        (
            "work:Nothing",
            "service",
            "the module work (FOLDER/work.py) has no Nothing\n"
            "  = help: there are: Coroutines, Few, Greedy, Handlers, Rooms, Static, handlers",
        ),
        (
            "empty:Handlers",
            "service",
            "the module empty (FOLDER/empty.py) has no Handlers\n  = help: it defines nothing",
        ),
        (
            "work:Few",
            "service",
            "Few does not handle the service:\n  divide is missing (there is divde); its IDL is: float divide(",
        ),
        (
            "work:Greedy",
            "service",
            "work:Greedy cannot be made without arguments: TypeError: Greedy.__init__() missing 1 required "
            "positional argument: 'database'\n  = help: name an instance: MODULE:INSTANCE",
        ),
        ("work:Handlers", "srvice", "there is no module srvice: looked for in FOLDER"),
        (
            "work:Handlers",
            "work",
            "--stub work: the module work (FOLDER/work.py) has no server stub\n"
            "  = help: name the module that `rpcgen compile` made of an interface with methods",
        ),
        (
            "work:Handlers",
            "features:DirectryServerStub",
            f"--stub features:DirectryServerStub: the module features ({features.__file__}) has no "
            "DirectryServerStub\n  = help: did you mean DirectoryServerStub?",
        ),
        (
            "work:Handlers",
            "shop",
            "has no ServerStub\n  = help: name one of its services: --stub shop:CatalogueServerStub or "
            "--stub shop:OrdersServerStub",
        ),
    ],
)
def test_what_cannot_be_used_is_told(folder: pathlib.Path, handlers: str, stub: str, said: str) -> None:
    with pytest.raises(CommandError) as caught:
        bound(handlers, [stub])
    assert said.replace("FOLDER", str(folder)) in caught.value.lines()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "handlers are missing: MODULE:HANDLERS\n"),
        (["work:Handlers"], "--stub is missing\n  = help: name the module"),
        (
            ["work:Handlers", "zk://h", "--stub", "service"],
            "handlers come after the URL\n  = help: rpcgen worker zk://h work:Handlers\n",
        ),
        (["zk://h", "work:Handlers", "x", "--stub", "service"], "there is no place for 'x'\n"),
        (
            ["registry://h:1", "work:Handlers", "--stub", "service"],
            "registry://h:1: tasks are queued in ZooKeeper alone",
        ),
        (["zk://h:0", "work:Handlers", "--stub", "service"], "zk://h:0: 'h:0' is no host"),
        (["work:Handlers", "--stub", "service", "--concurrency", "0"], "concurrency is 1 or more"),
        (["work:Handlers", "--stub", "service", "--name", "a/b"], "'a/b' is no worker's name"),
        (["work:Handlers", "--stub", "service", "--grace", "-1"], "--grace: -1.0 is no number of seconds"),
        (["work:Handlers", "--stub", "service", "--stub", "service"], "ServerStub("),
        (
            ["work:Coroutines", "--stub", "service"],
            "Coroutines does not handle the service:\n  divide is a coroutine",
        ),
    ],
)
def test_wrong_words(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    ended = run(capsys, "worker", *words)
    assert (ended.status, ended.out) == (2, "")
    assert ended.log.startswith(f"rpcgen worker: {said}")
