"""``rpcgen compile``: what is written where, and what ``--check`` and ``--diff`` say instead."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import typing

import pytest

from rpcgen.cli import main
from tests.cli.command import COMMAND, FAULTY, ONE_LINE, environment, rpcgen, write

COMMON = "struct Money { 1: long cents }\n"
SHOP = 'include "lib/common.idl"\ncommon.Money price(1: string sku)\n'


Run: typing.TypeAlias = typing.Callable[..., "tuple[int, str, str]"]


@pytest.fixture
def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process, in the test's folder: status, findings, log."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RPCGEN_TRACEBACK", raising=False)

    def go(*words: str) -> tuple[int, str, str]:
        status = main(words)
        said = capsys.readouterr()
        return status, said.out, said.err

    return go


def files(folder: pathlib.Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_file_compiles_beside_itself_whatever_the_current_folder(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"deep/service.idl": ONE_LINE})
    assert run("compile", "deep/service.idl") == (0, "", "deep/service.idl → deep/service.py\n")
    assert files(tmp_path) == {"deep/service.idl", "deep/service.py"}


def test_nothing_changed(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"service.idl": ONE_LINE, "other.idl": ONE_LINE})
    run("compile", "service.idl")
    before = (tmp_path / "service.py").stat()
    assert run("compile", "service.idl") == (0, "", "nothing changed: service.py is up to date\n")
    after = (tmp_path / "service.py").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert run("compile", "service.idl", "other.idl") == (0, "", "other.idl → other.py\n")
    assert run("compile", "service.idl", "other.idl") == (0, "", "nothing changed: 2 files are up to date\n")


def test_a_missing_output_folder_is_made(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"service.idl": ONE_LINE})
    assert run("compile", "service.idl", "-o", "a/b") == (0, "", "service.idl → a/b/service.py\n")


def test_includes_come_along_so_that_the_module_imports(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"shop.idl": SHOP, "lib/common.idl": COMMON})
    assert run("compile", "shop.idl", "-o", "out") == (
        0,
        "",
        "lib/common.idl → out/common.py\nshop.idl → out/shop.py\n",
    )
    subprocess.run(
        [sys.executable, "-c", "import shop; shop.common.Money(5)"], cwd=tmp_path / "out", check=True
    )


def test_includes_in_a_package_import_relatively(tmp_path: pathlib.Path, run: Run) -> None:
    write(
        tmp_path,
        {"shop.idl": SHOP, "lib/common.idl": COMMON, "app/out/__init__.py": "", "app/__init__.py": ""},
    )
    assert run("compile", "shop.idl", "-o", "app/out")[0] == 0
    subprocess.run([sys.executable, "-c", "import app.out.shop"], cwd=tmp_path, check=True)
    assert run("compile", "shop.idl", "-o", "app/out", "--imports", "absolute")[0] == 0
    subprocess.run([sys.executable, "-c", "import shop"], cwd=tmp_path / "app/out", check=True)


def test_a_file_named_twice_or_included_too_compiles_once(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"shop.idl": SHOP, "lib/common.idl": COMMON})
    (tmp_path / "link.idl").symlink_to("shop.idl")
    status, _, log = run("compile", "shop.idl", "./shop.idl", "lib/common.idl", "link.idl", "-o", "out")
    assert (status, log) == (0, "lib/common.idl → out/common.py\nshop.idl → out/shop.py\n")


def test_an_include_folder(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"shop.idl": SHOP.replace("lib/", ""), "vendor/common.idl": COMMON})
    assert run("compile", "shop.idl")[0] == 1
    status, _, log = run("compile", "shop.idl", "-I", "nowhere", "-I", "vendor")
    assert (status, log) == (0, "vendor/common.idl → common.py\nshop.idl → shop.py\n")


def test_two_files_for_one_module_are_refused(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"a/service.idl": ONE_LINE, "b/service.idl": ONE_LINE})
    status, out, log = run("compile", "a/service.idl", "b/service.idl", "-o", "out")
    assert (status, log) == (1, "nothing was written\n")
    assert out == (
        "out/service.py: error[E504]: a/service.idl and b/service.idl would both be written here\n"
        "  = help: compile them into different folders, or rename one\n"
    )
    assert run("compile", "a/service.idl", "b/service.idl")[0] == 0


def test_what_a_person_wrote_is_not_overwritten(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"service.idl": ONE_LINE, "service.py": "print('mine')\n"})
    status, out, log = run("compile", "service.idl")
    assert (status, log) == (1, "nothing was written\n")
    assert "service.py: error[E503]: the file was not generated by rpcgen" in out
    assert (tmp_path / "service.py").read_text() == "print('mine')\n"


def test_names_that_collide_are_findings(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"service.idl": "void f(1: int class, 2: int class_)\n"})
    for command in ("check", "compile"):
        status, out, _ = run(command, "service.idl")
        assert (status, out.count("service.idl:1:") > 0) == (1, True), out
    assert files(tmp_path) == {"service.idl"}


def test_a_fault_in_one_file_writes_none(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"good.idl": ONE_LINE, "bad.idl": FAULTY})
    status, out, log = run("compile", "good.idl", "bad.idl")
    assert (status, log) == (1, "nothing was written\n")
    assert out.count("error[") == 1
    assert not (tmp_path / "good.py").exists()


def test_a_fault_in_a_common_include_is_said_once(tmp_path: pathlib.Path, run: Run) -> None:
    write(
        tmp_path,
        {
            "a.idl": 'include "bad.idl"\n' + ONE_LINE,
            "b.idl": 'include "bad.idl"\n' + ONE_LINE,
            "bad.idl": FAULTY,
        },
    )
    assert run("check", "a.idl", "b.idl")[1].count("error[E103]") == 1


def test_error_formats(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"bad.idl": FAULTY})
    _, out, _ = run("check", "bad.idl", "--error-format", "json")
    (found,) = [json.loads(line) for line in out.splitlines()]
    assert found["code"] == "E103"
    _, out, _ = run("check", "bad.idl", "--error-format", "github")
    assert out.startswith("::error file=bad.idl,line=1,")


def test_configuration_gives_the_defaults(
    tmp_path: pathlib.Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        tmp_path,
        {
            "pyproject.toml": '[tool.rpcgen]\nfiles = ["idl"]\noutput = "out"\ninclude = ["vendor"]\n',
            "idl/shop.idl": SHOP.replace("lib/", ""),
            "vendor/common.idl": COMMON,
            "other.idl": ONE_LINE,
        },
    )
    assert run("compile") == (0, "", "vendor/common.idl → out/common.py\nidl/shop.idl → out/shop.py\n")
    assert run("check") == (0, "", "no errors in idl/shop.idl\n")
    assert run("compile", "other.idl") == (0, "", "other.idl → out/other.py\n")
    assert run("compile", "other.idl", "-o", "x") == (0, "", "other.idl → x/other.py\n")
    monkeypatch.chdir(tmp_path / "idl")
    assert run("compile", "--check")[0] == 1  # other.py of out is no file of the configuration


def test_check_is_quiet_when_all_is_up_to_date(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"shop.idl": SHOP, "lib/common.idl": COMMON})
    run("compile", "shop.idl", "-o", "out")
    assert run("compile", "shop.idl", "-o", "out", "--check") == (0, "", "")
    assert run("compile", "shop.idl", "-o", "out", "--diff") == (0, "", "")


def test_check_lists_each_difference_and_what_mends_it(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"idl/a.idl": ONE_LINE, "idl/b.idl": ONE_LINE, "idl/c.idl": ONE_LINE})
    assert run("compile", "idl", "-o", "out")[0] == 0
    (tmp_path / "idl/c.idl").unlink()
    (tmp_path / "out/b.py").unlink()
    write(tmp_path, {"idl/a.idl": "int other()\n", "out/mine.py": "# my own\n"})
    before = files(tmp_path)
    status, out, log = run("compile", "--check", "idl", "-o", "out")
    assert (status, log) == (1, "")
    assert out == (
        "out/a.py: error[E506]: the file is not what idl/a.idl gives\n"
        "  = help: rpcgen compile idl -o out\n"
        "\n"
        "out/b.py: error[E505]: the file is missing\n"
        "  = help: rpcgen compile idl -o out\n"
        "\n"
        "out/c.py: error[E507]: the file was generated from an interface file that is gone\n"
        "  = help: rm out/c.py\n"
    )
    assert files(tmp_path) == before
    _, out, _ = run("compile", "--check", "idl", "-o", "out", "--error-format", "json")
    assert [json.loads(line)["code"] for line in out.splitlines()] == ["E506", "E505", "E507"]


def test_check_of_one_file_leaves_its_neighbours_alone(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"idl/a.idl": ONE_LINE, "idl/b.idl": ONE_LINE})
    run("compile", "idl", "-o", "out")
    assert run("compile", "idl/a.idl", "-o", "out", "--check") == (0, "", "")


def test_diff_shows_and_writes_nothing(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"service.idl": ONE_LINE})
    status, out, log = run("compile", "service.idl", "--diff")
    assert (status, log, files(tmp_path)) == (0, "", {"service.idl"})
    assert out.startswith("--- /dev/null\n+++ service.py\n@@ -0,0 +1,")
    run("compile", "service.idl")
    before = (tmp_path / "service.py").read_bytes()
    write(tmp_path, {"service.idl": ONE_LINE.replace("=1", "=2")})
    status, out, _ = run("compile", "service.idl", "--diff")
    assert (status, out.startswith("--- service.py\n+++ service.py\n")) == (0, True)
    assert re.search(r"^\+.*num2.*2", out, re.MULTILINE)
    assert run("compile", "service.idl", "--diff", "--check")[0] == 1
    assert (tmp_path / "service.py").read_bytes() == before


@pytest.mark.parametrize("name", ["with space.idl", "a-b.idl", "class.idl", "ümlaut.idl", "service.txt"])
def test_odd_file_names_are_findings_or_modules(tmp_path: pathlib.Path, run: Run, name: str) -> None:
    write(tmp_path, {name: ONE_LINE})
    status, out, log = run("compile", "--", name)
    assert status == (0 if name == "ümlaut.idl" else 1), (out, log)


def test_a_file_name_that_is_not_utf_8(tmp_path: pathlib.Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.idl"
    with open(path, "w") as file:
        file.write(FAULTY)
    ended = subprocess.run(
        [*COMMAND, "check", b"\xff.idl"], cwd=tmp_path, env=environment(), capture_output=True
    )
    assert ended.returncode == 1
    assert b"Traceback" not in ended.stderr


def test_an_output_folder_that_cannot_be_written(
    tmp_path: pathlib.Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests may run as root, whom nothing is refused: the refusal is played."""

    def refuse(target: pathlib.Path, data: bytes) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(target))

    write(tmp_path, {"service.idl": ONE_LINE})
    monkeypatch.setattr("rpcgen.codegen.output.replace", refuse)
    assert run("compile", "service.idl", "-o", "out") == (
        2,
        "",
        "rpcgen compile: cannot write out/service.py: Permission denied\n",
    )


def test_a_read_only_file_stays(tmp_path: pathlib.Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"service.idl": ONE_LINE})
    run("compile", "service.idl")
    monkeypatch.setattr("rpcgen.cli.build.os.access", lambda path, mode: False)
    assert run("compile", "service.idl")[0] == 0
    before = (tmp_path / "service.py").read_bytes()
    write(tmp_path, {"service.idl": "int other()\n"})
    assert run("compile", "service.idl") == (
        2,
        "",
        "rpcgen compile: cannot write service.py: it is read-only\n",
    )
    assert (tmp_path / "service.py").read_bytes() == before


def test_an_unreadable_input_is_a_finding(
    tmp_path: pathlib.Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, flags: int, *rest: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    write(tmp_path, {"service.idl": ONE_LINE})
    monkeypatch.setattr("rpcgen.compiler.loader.os.open", refuse)
    status, out, _ = run("check", "service.idl")
    assert (status, out) == (1, "service.idl: error[E001]: cannot read service.idl: permission denied\n")


def test_an_output_folder_that_is_a_file(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"service.idl": ONE_LINE, "out": "a file"})
    status, out, log = run("compile", "service.idl", "-o", "out")
    assert (status, out) == (2, "")
    assert log.startswith("rpcgen compile: cannot write out")
    assert (tmp_path / "out").read_text() == "a file"


def test_a_target_that_is_a_folder(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"service.idl": ONE_LINE, "service.py/x": ""})
    assert run("compile", "service.idl") == (
        2,
        "",
        "rpcgen compile: cannot read service.py: Is a directory\n",
    )


def test_a_full_disk_leaves_the_old_file(tmp_path: pathlib.Path) -> None:
    """The limit of a file's size stands for the disk's."""
    import resource

    write(tmp_path, {"service.idl": ONE_LINE})
    assert rpcgen("compile", "service.idl", cwd=tmp_path).status == 0
    before = (tmp_path / "service.py").read_bytes()
    write(tmp_path, {"service.idl": "".join(f"int method{i}()\n" for i in range(100))})

    def small_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    process = subprocess.run(
        [*COMMAND, "compile", "service.idl"],
        cwd=tmp_path,
        env=environment(PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
        preexec_fn=small_disk,
    )
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr == "rpcgen compile: cannot write service.py: File too large\n"
    assert (tmp_path / "service.py").read_bytes() == before
    assert files(tmp_path) == {"service.idl", "service.py"}


def on_a_terminal(folder: pathlib.Path, *words: str, **changes: str) -> tuple[int, str]:
    """Runs the command with standard error on a terminal; gives its status and what came there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*COMMAND, *words], cwd=folder, env=environment(**changes), stderr=theirs)
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # a terminal that is closed at its other end
        while select.select([ours], [], [], 60)[0] and (data := os.read(ours, 4096)):
            said += data
    os.close(ours)
    return process.wait(60), said.decode()


def test_progress_is_shown_on_a_terminal_and_taken_back(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {"big.idl": "".join(f"int method{i}(1: int a, 2: string b)\n" for i in range(5000))})
    status, said = on_a_terminal(tmp_path, "compile", "big.idl")
    assert status == 0
    drawn, _, rest = said.rpartition("\r\x1b[K")
    assert re.match(r"\r\x1b\[K(reading big.idl|generating big.py) 0\.\d s", drawn)
    assert "\n" not in drawn
    assert rest == "big.idl → big.py\r\n"


def test_progress_stays_away_from_a_terminal_that_cannot_take_it_back(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {"big.idl": "".join(f"int method{i}()\n" for i in range(2000))})
    assert on_a_terminal(tmp_path, "check", "big.idl", TERM="dumb") == (0, "no errors in big.idl\r\n")


def test_ctrl_c_ends_with_130(tmp_path: pathlib.Path) -> None:
    """Interrupted while it reads a file of many methods, as its progress tells."""
    write(tmp_path, {"big.idl": "".join(f"int method{i}(1: int a, 2: string b)\n" for i in range(20000))})
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "compile", "big.idl"], cwd=tmp_path, env=environment(), stderr=theirs
    )
    os.close(theirs)
    said = b""
    while b"reading" not in said:
        said += os.read(ours, 4096)
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):
        while data := os.read(ours, 4096):
            said += data
    os.close(ours)
    assert process.wait(60) == 130
    assert said.endswith(b"\r\x1b[Krpcgen compile: interrupted\r\n")
    assert files(tmp_path) == {"big.idl"}
