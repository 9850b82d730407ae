"""The frame: help, versions, mistakes, streams and exit statuses."""

from __future__ import annotations

import importlib
import os
import pathlib
import re
import subprocess
import sys

import pytest

import rpcgen as package
from rpcgen import cli
from rpcgen.cli.console import Console
from rpcgen.runtime.sync import turns
from rpcgen.runtime.wire.choice import choice, codec_in_use
from tests.cli.command import COMMAND, FAULTY, ONE_LINE, environment, rpcgen, write

CASES: list[tuple[str, list[str], int, str, str]] = [
    # what is typed, exit status, standard output and standard error begin with
    ("nothing", [], 0, "rpcgen 0.1.0: typed remote calls", ""),
    ("help", ["--help"], 0, "rpcgen 0.1.0: typed remote calls", ""),
    ("help word", ["help"], 0, "rpcgen 0.1.0: typed remote calls", ""),
    ("help of a command", ["help", "compile"], 0, "Makes a Python module", ""),
    ("compile help", ["compile", "--help"], 0, "Makes a Python module", ""),
    ("check help", ["check", "x.idl", "-h"], 0, "Reports what is wrong", ""),
    ("init help", ["init", "-h"], 0, "Writes a first interface", ""),
    ("version", ["--version"], 0, f"rpcgen {package.__version__} ({codec_in_use()})\n", ""),
    (
        "unknown command",
        ["complie"],
        2,
        "",
        "rpcgen: there is no command 'complie'\n  = help: did you mean compile?\n",
    ),
    (
        "strange command",
        ["zzz"],
        2,
        "",
        "rpcgen: there is no command 'zzz'\n  = help: `rpcgen --help` lists what there is\n",
    ),
    (
        "unknown global option",
        ["--versoin"],
        2,
        "",
        "rpcgen: there is no option --versoin\n  = help: did you mean --version?\n",
    ),
    (
        "a file as command",
        ["good.idl"],
        2,
        "",
        "rpcgen: good.idl is a file, not a command\n  = help: rpcgen compile good.idl\n",
    ),
    (
        "unknown option",
        ["compile", "--ouput", "x"],
        2,
        "",
        "rpcgen compile: there is no option --ouput\n  = help: did you mean --output?\n",
    ),
    (
        "unknown option with a value",
        ["compile", "good.idl", "--inclde=x"],
        2,
        "",
        "rpcgen compile: there is no option --inclde\n  = help: did you mean --include?\n",
    ),
    (
        "unknown short option",
        ["compile", "-z"],
        2,
        "",
        "rpcgen compile: there is no option -z\n  = help: `rpcgen compile --help` says how it is used\n",
    ),
    ("an abbreviation", ["compile", "--out", "x"], 2, "", "rpcgen compile: there is no option --out\n"),
    (
        "no value",
        ["compile", "good.idl", "-o"],
        2,
        "",
        "rpcgen compile: -o/--output: expected one argument\n",
    ),
    (
        "wrong choice",
        ["compile", "--imports", "both"],
        2,
        "",
        "rpcgen compile: --imports: invalid choice: 'both'",
    ),
    (
        "no file",
        ["compile"],
        2,
        "",
        "rpcgen compile: no FILE is named\n"
        "  = help: name one: service.idl, say; `rpcgen init` writes a first one\n",
    ),
    ("two folders", ["init", "a", "b"], 2, "", "rpcgen init: there is no place for 'b'\n"),
    ("empty path", ["compile", ""], 2, "", "rpcgen compile: a path is empty\n"),
    ("empty output", ["compile", "good.idl", "-o", ""], 2, "", "rpcgen compile: a path is empty\n"),
    (
        "watch and check",
        ["compile", "good.idl", "--watch", "--check"],
        2,
        "",
        "rpcgen compile: --watch writes",
    ),
    (
        "templates missing",
        ["compile", "good.idl", "--templates", "none"],
        2,
        "",
        "rpcgen compile: the folder of templates, none, is not there\n",
    ),
    ("check", ["check", "good.idl"], 0, "", "no errors in good.idl\n"),
    ("check a folder", ["check", "folder"], 0, "", "no errors in 2 files\n"),
    ("check faults", ["check", "bad.idl"], 1, "bad.idl:1:26: error[E103]", ""),
    ("check a missing file", ["check", "none.idl"], 1, "none.idl", ""),
    ("check an empty folder", ["check", "empty"], 1, "empty", ""),
    ("compile", ["compile", "good.idl"], 0, "", "good.idl → good.py\n"),
    (
        "options after files",
        ["compile", "good.idl", "-o", "out", "folder/a.idl"],
        0,
        "",
        "good.idl → out/good.py\n",
    ),
    (
        "compile faults",
        ["compile", "good.idl", "bad.idl"],
        1,
        "bad.idl:1:26: error[E103]",
        "nothing was written\n",
    ),
    ("after --", ["check", "--", "good.idl"], 0, "", "no errors in good.idl\n"),
    (
        "a dash after --",
        ["check", "good.idl", "--", "-dash.idl"],
        1,
        "./-dash.idl: error[E003]: `-dash` cannot",
        "",
    ),
]


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "empty").mkdir()
    return write(
        tmp_path,
        {
            "good.idl": ONE_LINE,
            "-dash.idl": "int x()",
            "bad.idl": FAULTY,
            "folder/a.idl": ONE_LINE,
            "folder/b.idl": ONE_LINE,
        },
    )


@pytest.mark.parametrize(
    ("words", "status", "out", "log"), [pytest.param(*case[1:], id=case[0]) for case in CASES]
)
def test_exit_status_and_streams(
    folder: pathlib.Path, words: list[str], status: int, out: str, log: str
) -> None:
    ended = rpcgen(*words, cwd=folder)
    assert (ended.status, ended.out[: len(out)], ended.log[: len(log)]) == (status, out, log), ended
    assert (ended.out == "") == (out == ""), ended
    assert (ended.log == "") == (log == ""), ended
    assert "Traceback" not in ended.log


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_tells_every_option_and_no_other(command: str) -> None:
    module = importlib.import_module(f"rpcgen.cli.{command}")
    options = set(module.parser().options())
    hidden = {"-o", "--output", "--imports"} if command == "check" else set()
    usage = module.HELP.partition("Options:")[2].partition("Examples:")[0]
    told = set(re.findall(r"(?<![\w-])(--?[a-zA-Z][a-z-]*)", usage))
    assert told == options - hidden


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_fits_a_terminal(command: str) -> None:
    help = importlib.import_module(f"rpcgen.cli.{command}").HELP
    assert [line for line in (help + cli.HELP).splitlines() if len(line) > 100] == []


def test_help_imports_no_library(tmp_path: pathlib.Path) -> None:
    code = (
        "import sys; from rpcgen.cli import main; main(['--help']); main(['compile', '--help']);"
        "main(['comple']); print(sorted({'lark', 'jinja2', 'kazoo', 'asyncio', 'msgspec'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ended.stdout.endswith("[]\n")


def test_the_installed_command_is_the_same(folder: pathlib.Path) -> None:
    from importlib.metadata import entry_points

    entries = [found for found in entry_points(group="console_scripts") if found.name == "rpcgen"]
    if not entries:
        pytest.skip("the package is not installed here")
    assert entries[0].load() is cli.main


@pytest.mark.skipif(not choice().native, reason="nothing is in C here")
def test_the_version_says_that_a_part_in_c_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(turns, "calls", None)
    assert cli.main(["--version"]) == 0
    told = "C codec; calls in Python, as their part in C is not built"
    assert capsys.readouterr().out == f"rpcgen {package.__version__} ({told})\n"


def test_a_reader_that_leaves_changes_nothing(folder: pathlib.Path) -> None:
    """As in ``rpcgen check bad.idl | head -0``."""
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [*COMMAND, "check", "bad.idl"],
        cwd=folder,
        env=environment(),
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    assert (process.returncode, process.stderr) == (1, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_under_standard_output_is_said(folder: pathlib.Path) -> None:
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [*COMMAND, "check", "bad.idl"],
            cwd=folder,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert process.returncode == 2
    assert process.stderr == "rpcgen check: cannot write to standard output: No space left on device\n"


def test_closed_streams_are_no_error(folder: pathlib.Path) -> None:
    command = " ".join([*COMMAND, "check", "bad.idl", ">&-", "2>&-"])
    assert subprocess.run(["/bin/sh", "-c", command], cwd=folder, env=environment()).returncode == 1


def test_a_terminal_without_unicode(folder: pathlib.Path) -> None:
    write(folder, {"ü.idl": "float divide(1:int ä\n"})
    ended = rpcgen("compile", "good.idl", cwd=folder, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (ended.status, ended.log) == (0, "good.idl -> good.py\n")
    ended = rpcgen("check", "ü.idl", cwd=folder, PYTHONIOENCODING="ascii")
    assert ended.status == 1
    assert ended.out.startswith("\\xfc.idl:1:")


RUN = "import sys\nfrom rpcgen.cli import main\nsys.exit(main(sys.argv[1:]))\n"


@pytest.mark.parametrize(
    ("words", "variable", "traced"),
    [([], "", False), ([], "0", False), (["--traceback"], "", True), ([], "1", True)],
)
def test_an_internal_error_is_one_line(
    folder: pathlib.Path, words: list[str], variable: str, traced: bool
) -> None:
    code = (
        "import rpcgen.cli.inputs as i\ndef f(): raise ZeroDivisionError('x\\ny')\ni.read_config = f\n" + RUN
    )
    process = subprocess.run(
        [sys.executable, "-c", code, "check", "good.idl", *words],
        cwd=folder,
        env=environment(RPCGEN_TRACEBACK=variable),
        capture_output=True,
        text=True,
    )
    assert (process.returncode, process.stdout) == (2, "")
    assert ("Traceback (most recent call last)" in process.stderr) == traced
    line = process.stderr.splitlines()[-1]
    assert re.fullmatch(
        r"rpcgen check: internal error: ZeroDivisionError: x y \(<string>:2\); this is a fault of rpcgen: "
        r"please report it, with what --traceback shows beside it",
        line,
    )
    assert traced or len(process.stderr.splitlines()) == 1


def test_a_deleted_current_folder_is_said(tmp_path: pathlib.Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"import os; os.rmdir({str(gone)!r})\n" + RUN
    process = subprocess.run(
        [sys.executable, "-P", "-c", code, "check", "x.idl"],
        cwd=gone,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert process.returncode == 2, process.stderr
    assert "No such file or directory" in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize(
    ("asked", "terminal", "variables", "color"),
    [
        ("auto", True, {"TERM": "xterm"}, True),
        ("auto", False, {"TERM": "xterm"}, False),
        ("auto", True, {"TERM": "dumb"}, False),
        ("auto", True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        ("auto", True, {"TERM": "xterm", "NO_COLOR": ""}, True),
        ("always", False, {"TERM": "dumb", "NO_COLOR": "1"}, True),
        ("never", True, {"TERM": "xterm"}, False),
    ],
)
def test_when_findings_are_coloured(
    monkeypatch: pytest.MonkeyPatch, asked: str, terminal: bool, variables: dict[str, str], color: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert Console(asked).color is color


@pytest.mark.parametrize("color", [True, False])
def test_colour_reaches_the_findings(folder: pathlib.Path, color: bool) -> None:
    ended = rpcgen("check", "bad.idl", "--color", "always" if color else "auto", cwd=folder)
    assert ("\x1b[" in ended.out) == color
