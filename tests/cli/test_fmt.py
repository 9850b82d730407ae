"""``rpcgen fmt``: what is rewritten, what is only told, and what is left alone."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess

import pytest

from tests.cli.command import COMMAND, FAULTY, ONE_LINE, environment, write
from tests.cli.conftest import Run

FORM = "float divide(1: int num1, 2: int num2 = 1) => InvalidOperation\n"


def test_files_are_rewritten_and_only_those_that_differ(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"a.idl": ONE_LINE, "b.idl": FORM, "deep/c.idl": f"// why\n{ONE_LINE}"})
    before = (tmp_path / "b.idl").stat()
    ended = run("fmt", "a.idl", "b.idl", "deep")
    assert (ended.status, ended.out, ended.log) == (0, "", "formatted a.idl\nformatted deep/c.idl\n")
    assert (tmp_path / "a.idl").read_text() == FORM
    assert (tmp_path / "deep/c.idl").read_text() == f"// why\n{FORM}"
    after = (tmp_path / "b.idl").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    ended = run("fmt", "a.idl", "b.idl")
    assert (ended.status, ended.log) == (0, "nothing changed: 2 files are in the form\n")


def test_check_and_diff_write_nothing(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"a.idl": ONE_LINE, "b.idl": FORM})
    ended = run("fmt", "--check", "a.idl", "b.idl")
    assert (ended.status, ended.log) == (1, "")
    assert ended.out == (
        "a.idl: error[E508]: the file is not in its canonical form\n  = help: rpcgen fmt a.idl\n"
    )
    ended = run("fmt", "--diff", "a.idl", "b.idl")
    assert (ended.status, ended.out) == (0, f"--- a.idl\n+++ a.idl\n@@ -1 +1 @@\n-{ONE_LINE}+{FORM}")
    assert run("fmt", "--diff", "--check", "a.idl").status == 1
    assert run("fmt", "--diff", "--check", "b.idl").status == 0
    assert (tmp_path / "a.idl").read_text() == ONE_LINE
    found = json.loads(run("fmt", "--check", "--error-format", "json", "a.idl").out)
    assert (found["code"], found["file"]) == ("E508", "a.idl")


def test_a_broken_file_is_reported_and_left_alone(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"a.idl": ONE_LINE, "b.idl": "int f(\n", "c.idl": FAULTY})
    ended = run("fmt", "b.idl", "a.idl", "gone.idl")
    assert (ended.status, ended.log) == (1, "formatted a.idl\n")
    assert "b.idl:2:1: error[E023]" in ended.out
    assert "gone.idl: error[E001]" in ended.out
    assert (tmp_path / "b.idl").read_text() == "int f(\n"
    # What is only wrong in meaning has a form, too.
    assert run("fmt", "c.idl").status == 0


def test_other_line_ends_are_not_the_form(tmp_path: pathlib.Path, run: Run) -> None:
    (tmp_path / "a.idl").write_bytes(FORM.replace("\n", "\r\n").encode())
    assert run("fmt", "--check", "a.idl").status == 1
    assert run("fmt", "a.idl").status == 0
    assert (tmp_path / "a.idl").read_bytes() == FORM.encode()


def test_permissions_and_links_stay(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"real.idl": ONE_LINE, "kept.idl": ONE_LINE})
    (tmp_path / "real.idl").chmod(0o640)
    (tmp_path / "link.idl").symlink_to("real.idl")
    assert run("fmt", "link.idl").status == 0
    assert (tmp_path / "link.idl").is_symlink()
    assert (tmp_path / "real.idl").read_text() == FORM
    assert (tmp_path / "real.idl").stat().st_mode & 0o777 == 0o640
    if os.geteuid():
        (tmp_path / "kept.idl").chmod(0o440)
        ended = run("fmt", "kept.idl")
        assert (ended.status, ended.log) == (2, "rpcgen fmt: cannot write kept.idl: it is read-only\n")


def test_files_of_the_configuration(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"pyproject.toml": '[tool.rpcgen]\nfiles = ["idl/*.idl"]\n', "idl/a.idl": ONE_LINE})
    ended = run("fmt")
    assert (ended.status, ended.log) == (0, f"formatted {os.path.join('idl', 'a.idl')}\n")


def stream(*words: str, text: str, cwd: pathlib.Path) -> tuple[int, str, str]:
    """Runs ``rpcgen fmt -`` on a text."""
    ended = subprocess.run(
        [*COMMAND, "fmt", "-", *words],
        input=text,
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


def test_standard_input(tmp_path: pathlib.Path) -> None:
    """An editor never gets anything but the form on standard output."""
    assert stream(text=ONE_LINE, cwd=tmp_path) == (0, FORM, "")
    assert stream(text=FORM, cwd=tmp_path) == (0, FORM, "")
    assert stream(text="", cwd=tmp_path) == (0, "", "")
    status, out, log = stream(text="int f(\n", cwd=tmp_path)
    assert (status, out) == (1, "")
    assert log.startswith("<stdin>:2:1: error[E023]")
    assert stream("--check", text=FORM, cwd=tmp_path) == (0, "", "")
    status, out, log = stream("--check", text=ONE_LINE, cwd=tmp_path)
    assert (status, log) == (1, "")
    assert out.startswith("<stdin>: error[E508]")
    status, out, log = stream("--diff", text=ONE_LINE, cwd=tmp_path)
    assert (status, out.startswith("--- <stdin>\n"), log) == (0, True, "")


@pytest.mark.parametrize(
    ("words", "log"),
    [
        (["-", "a.idl"], "rpcgen fmt: - is standard input: name no other FILE with it\n"),
        (
            ["--diff", "--error-format", "json", "a.idl"],
            "rpcgen fmt: --diff is text: it cannot come as json\n",
        ),
        ([""], "rpcgen fmt: a path is empty\n"),
        ([], "rpcgen fmt: no FILE is named\n"),
    ],
)
def test_wrong_usage(tmp_path: pathlib.Path, run: Run, words: list[str], log: str) -> None:
    ended = run("fmt", *words)
    assert (ended.status, ended.out, ended.log[: len(log)]) == (2, "", log)
