"""``[tool.rpcgen]``: where it is found, what it may hold, and what is said of the rest."""

from __future__ import annotations

import os
import pathlib

import pytest

from rpcgen.cli.config import Config, read_config
from rpcgen.cli.errors import CommandError
from tests.cli.command import write


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_table_there_is_no_configuration(folder: pathlib.Path) -> None:
    write(folder, {"pyproject.toml": "[project]\nname = 'rpcgen-user'\n"})
    assert read_config() == Config()


def test_every_key(folder: pathlib.Path) -> None:
    write(
        folder,
        {
            "pyproject.toml": """
[tool.rpcgen]
files = ["idl/*.idl", "plain.idl"]
output = "generated"
include = ["vendor", "/absolute"]
templates = "templates"
imports = "relative"
""",
            "idl/b.idl": "",
            "idl/a.idl": "",
            "idl/notes.txt": "",
        },
    )
    assert read_config() == Config(
        path="pyproject.toml",
        files=("idl/a.idl", "idl/b.idl", "plain.idl"),
        output="generated",
        include=("vendor", os.path.relpath("/absolute")),
        templates="templates",
        imports="relative",
    )


def test_paths_are_relative_to_the_file(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        folder,
        {
            "pyproject.toml": '[tool.rpcgen]\nfiles = ["i/*.idl"]\noutput = "o"\n',
            "i/a.idl": "",
            "deep/er/x": "",
        },
    )
    monkeypatch.chdir(folder / "deep" / "er")
    found = read_config()
    assert (found.path, found.files, found.output) == (
        "../../pyproject.toml",
        ("../../i/a.idl",),
        "../../o",
    )


def test_a_nearer_file_without_our_table_is_passed_over(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        folder,
        {
            "pyproject.toml": '[tool.rpcgen]\noutput = "o"\n',
            "inner/pyproject.toml": "[project]\nname = 'rpcgen-inner'\n",
        },
    )
    monkeypatch.chdir(folder / "inner")
    assert read_config().output == "../o"


@pytest.mark.parametrize(
    ("text", "problem", "help"),
    [
        (
            '[tool.rpcgen]\nouput = "x"\n',
            "pyproject.toml:2: there is no key 'ouput' in [tool.rpcgen]",
            "did you mean output?",
        ),
        (
            "# rpcgen\n[tool.other]\ncolour = 1\n\n[tool.rpcgen]\n\n'colour' = true\n",
            "pyproject.toml:7: there is no key 'colour' in [tool.rpcgen]",
            "the keys are files, output, include, templates, imports",
        ),
        (
            "[tool.rpcgen.deep]\nx = 1\n",
            "pyproject.toml:1: there is no key 'deep' in [tool.rpcgen]",
            "the keys are files, output, include, templates, imports",
        ),
        (
            '[tool.rpcgen]\nfiles = "a.idl"\n',
            "pyproject.toml:2: files must be a list of strings, not a string",
            "",
        ),
        (
            '[tool.rpcgen]\ninclude = ["a", 3]\n',
            "pyproject.toml:2: include must be a list of strings, not a list with an integer in it",
            "",
        ),
        (
            '[tool.rpcgen]\noutput = ["a"]\n',
            "pyproject.toml:2: output must be a string, not a list of strings",
            "",
        ),
        (
            "[tool.rpcgen]\ntemplates = true\n",
            "pyproject.toml:2: templates must be a string, not a boolean",
            "",
        ),
        (
            '[tool.rpcgen]\nimports = "both"\n',
            "pyproject.toml:2: imports must be one of auto, relative, absolute, not 'both'",
            "",
        ),
        ('[tool.rpcgen]\noutput = ""\n', "pyproject.toml:2: output has an empty path", ""),
        (
            '[tool.rpcgen]\nfiles = ["idl/*.idl"]\n',
            "pyproject.toml:2: 'idl/*.idl' of files matches nothing",
            "",
        ),
        ("[tool]\nrpcgen = 3\n", "pyproject.toml: tool.rpcgen must be a table, not an integer", ""),
        (
            "[tool.rpcgen]\noutput = \n",
            "pyproject.toml is not TOML: Invalid value (at line 2, column 10)",
            "",
        ),
    ],
)
def test_a_fault_is_said_with_its_place(folder: pathlib.Path, text: str, problem: str, help: str) -> None:
    write(folder, {"pyproject.toml": text})
    with pytest.raises(CommandError) as raised:
        read_config()
    assert (raised.value.problem, raised.value.help) == (problem, help)


def test_a_file_that_is_not_utf_8(folder: pathlib.Path) -> None:
    (folder / "pyproject.toml").write_bytes(b"[tool.rpcgen]\noutput = '\xff'\n")
    with pytest.raises(CommandError, match=r"^pyproject.toml is not UTF-8: byte 24$"):
        read_config()


def test_a_pyproject_that_is_a_folder(folder: pathlib.Path) -> None:
    (folder / "pyproject.toml").mkdir()
    with pytest.raises(CommandError, match=r"^cannot read pyproject.toml: Is a directory$"):
        read_config()
