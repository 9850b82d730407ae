"""``rpcgen completion``: asked in the shells themselves, where they are there."""

from __future__ import annotations

import pathlib
import shutil
import subprocess

import pytest

from rpcgen import cli
from tests.cli.command import rpcgen, write

BASH = """
eval "$SCRIPT"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
$(complete -p rpcgen | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("scripts")
    found = {}
    for shell in ("bash", "zsh", "fish"):
        ended = rpcgen("completion", shell, cwd=folder)
        assert (ended.status, ended.log) == (0, "")
        found[shell] = ended.out
    return found


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["c"], {"call", "compile", "check", "completion"}),
        (["compile", "--er"], {"--error-format"}),
        (["compile", "--error-format", ""], {"text", "json", "github"}),
        (["compile", "--error-format", "j"], {"json"}),
        (["compile", "-o", ""], {"idl", "with space"}),
        (["compile", ""], {"a.idl", "with space", "with space.idl", "idl"}),
        (["fmt", "--check", "idl/"], {"idl/b.idl"}),
        (["lint", "a"], {"a.idl"}),
        (["breaking", "a.idl", "--baseline", "no"], {"notes.txt"}),
        (["ls", ""], set()),
        (["completion", ""], {"bash", "zsh", "fish"}),
        (["tasks", "--status", "w"], {"waiting"}),
        (["--v"], {"--version"}),
    ],
)
def test_bash(tmp_path: pathlib.Path, scripts: dict[str, str], words: list[str], expected: set[str]) -> None:
    write(
        tmp_path,
        {"a.idl": "", "notes.txt": "", "with space.idl": "", "idl/b.idl": "", "with space/c.idl": ""},
    )
    bash = shutil.which("bash")
    assert bash, "bash is what make runs in"
    ended = subprocess.run(
        [bash, "--norc", "-c", BASH, "bash", "rpcgen", *words],
        cwd=tmp_path,
        env={"SCRIPT": scripts["bash"], "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert (set(filter(None, ended.stdout.split("\n"))), ended.stderr) == (expected, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_reads_it(scripts: dict[str, str], shell: str, tmp_path: pathlib.Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(scripts[shell])
    subprocess.run([program, "-n", "script"], cwd=tmp_path, timeout=30, check=True)


def test_fish(scripts: dict[str, str], tmp_path: pathlib.Path) -> None:
    program = shutil.which("fish")
    if program is None:
        pytest.skip("fish is not installed")
    (tmp_path / "script").write_text(scripts["fish"])
    code = "source script; complete -C 'rpcgen compile --error-format j'"
    ended = subprocess.run(
        [program, "--no-config", "-c", code], cwd=tmp_path, timeout=30, check=True, capture_output=True
    )
    assert ended.stdout.split()[0] == b"json"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_and_option_is_in_it(scripts: dict[str, str], shell: str) -> None:
    for command in cli.COMMANDS:
        assert command in scripts[shell]
    assert "error-format" in scripts[shell]


def test_wrong_usage(tmp_path: pathlib.Path) -> None:
    assert rpcgen("completion", cwd=tmp_path).log.startswith("rpcgen completion: no SHELL is named\n")
    assert rpcgen("completion", "csh", cwd=tmp_path).status == 2


def test_commands_are_described_in_whole_words(scripts: dict[str, str]) -> None:
    """By their first sentence, or what stands before its colon."""
    for shell in ("zsh", "fish"):
        assert "one canonical form'" in scripts[shell]
        assert "one object a line'" in scripts[shell]
