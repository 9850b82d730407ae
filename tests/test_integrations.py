"""What others run rpcgen by: the hooks for pre-commit, and the action for GitHub."""

from __future__ import annotations

import importlib
import os
import pathlib
import shlex
import subprocess
import sys
import typing

import pytest

from rpcgen import cli
from tests.cli.command import FAULTY, ONE_LINE, write

ROOT = pathlib.Path(__file__).resolve().parent.parent


def read(name: str) -> typing.Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def command(words: list[str], folder: pathlib.Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs what would run there; ``python`` and ``rpcgen`` are ours."""
    path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_each_hook_takes_files_and_fails_on_what_it_finds(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {"good.idl": "void ping()\n", "form.idl": ONE_LINE, "bad.idl": FAULTY})
    found: dict[str, list[int]] = {}
    for hook in read(".pre-commit-hooks.yaml"):
        assert (hook["language"], hook["files"]) == ("python", r"\.idl$")
        name, sub = shlex.split(hook["entry"])
        assert (name, sub in cli.COMMANDS) == ("rpcgen", True)
        run = [command([sys.executable, "-m", name, sub, file], tmp_path) for file in ("good.idl", "bad.idl")]
        found[hook["id"]] = [ended.returncode for ended in run]
    # fmt changes the file, which is what fails there.
    assert found == {"rpcgen-check": [0, 1], "rpcgen-fmt": [0, 0], "rpcgen-lint": [0, 1]}
    assert (tmp_path / "bad.idl").read_text() != FAULTY


@pytest.mark.parametrize(
    ("name", "arguments", "status", "said"),
    [
        ("check", "good.idl", 0, ""),
        ("check", "good.idl bad.idl", 1, "::error file=bad.idl,line=1"),
        ("fmt", "form.idl", 1, "::error file=form.idl,title=E508::"),
        ("lint", "form.idl", 1, "::warning file=form.idl,line=1"),
        ("compile", "good.idl -o out", 1, "::error file=out/good.py,title=E505::"),
        ("breaking", "good.idl form.idl", 1, "::error file=good.idl,line=1"),
        ("check", "*.idl", 1, "::error file=*.idl,title=E001::"),
        ("init", "", 2, ""),
    ],
)
def test_the_action(tmp_path: pathlib.Path, name: str, arguments: str, status: int, said: str) -> None:
    """Its script in the shell that GitHub takes, with the inputs as it hands them over."""
    write(tmp_path, {"good.idl": "void ping()\n", "form.idl": ONE_LINE, "bad.idl": FAULTY})
    action = read("action.yml")
    install, run = action["runs"]["steps"]
    assert install["run"].startswith("python -m pip install ")
    inputs = {"${{ inputs.command }}": name, "${{ inputs.arguments }}": arguments}
    given = {key: inputs[value] for key, value in run["env"].items()}
    bash = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", run["run"]]
    ended = command(bash, tmp_path, **given)
    assert (ended.returncode, ended.stdout[: len(said)]) == (status, said), ended
    assert set(action["inputs"]) == {"command", "arguments"}
    assert importlib.import_module(f"rpcgen.cli.{name}")
