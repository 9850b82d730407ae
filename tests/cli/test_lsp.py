"""``rpcgen lsp`` as a command: without its library, on a terminal, and what it reads in pyproject.toml."""

from __future__ import annotations

import os
import pathlib
import pty
import signal
import subprocess
import sys

import pytest

from rpcgen import cli
from rpcgen.cli.lsp import settings
from tests.cli.command import COMMAND, PATIENCE, environment, write


@pytest.fixture
def without_pygls(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [
        name for name in sys.modules if name.partition(".")[0] == "pygls" or name == "rpcgen.lsp.server"
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pygls", None)


@pytest.mark.usefixtures("without_pygls")
def test_without_its_library_it_says_what_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lsp"]) == 2
    assert capsys.readouterr().err == "rpcgen lsp: lsp needs pygls\n  = help: pip install 'rpcgen[lsp]'\n"


def test_by_hand_it_says_what_it_is_and_ends_by_ctrl_c(tmp_path: pathlib.Path) -> None:
    terminal, ours = pty.openpty()
    try:
        with subprocess.Popen(
            [*COMMAND, "lsp"],
            stdin=ours,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env=environment(),
            start_new_session=True,
        ) as process:
            os.close(ours)
            assert process.stderr is not None
            assert process.stdout is not None
            assert b"editors start it" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 130
            assert process.stdout.read() == b""
    finally:
        os.close(terminal)


def test_settings_are_those_of_the_nearest_pyproject(tmp_path: pathlib.Path) -> None:
    text = '[tool.rpcgen]\ninclude = ["lib"]\n[tool.rpcgen.lint]\nignore = ["L001"]\n'
    write(tmp_path, {"pyproject.toml": text, "deep/x.idl": ""})
    found = settings(str(tmp_path / "deep"), ["/usr/share/idl"])
    assert found.include == ("/usr/share/idl", str(tmp_path / "lib"))
    assert "L001" not in found.lint.codes
    assert "L002" in found.lint.codes


def test_an_empty_path_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lsp", "-I", ""]) == 2
    assert "a path is empty" in capsys.readouterr().err
