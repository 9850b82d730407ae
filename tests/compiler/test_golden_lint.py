"""Every rule of the linter as a user reads it: a folder a case, its findings compared whole.

A folder is called ``CODE-what``. ``input.idl`` is judged, by what ``pyproject.toml`` beside it says,
if it is there; ``fixed.idl`` is what ``--fix`` makes of it, where that is something else. To write
``expected.txt`` and ``fixed.idl`` anew, and then look at the difference:

    RPCGEN_WRITE_GOLDEN=1 python -m pytest tests/compiler/test_golden_lint.py
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil

import pytest

import rpcgen
from rpcgen.cli import main
from rpcgen.compiler.lint import RULES

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "golden" / "lint"
CASES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


@pytest.mark.parametrize("case", CASES)
def test_findings_read_as_expected(
    case: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole text is compared, and what is mended breaks nobody and is found no more."""
    write = bool(os.environ.get("RPCGEN_WRITE_GOLDEN"))
    kept = {"pyproject.toml", *(path.name for path in (FOLDER / case).glob("*.idl"))} - {"fixed.idl"}
    for name in kept:
        if (FOLDER / case / name).exists():
            shutil.copy(FOLDER / case / name, tmp_path)
    shutil.copytree(tmp_path, tmp_path / "before")
    monkeypatch.chdir(tmp_path)
    assert main(["lint", "input.idl"]) == 1
    said = capsys.readouterr()
    assert said.err == ""
    if write:
        (FOLDER / case / "expected.txt").write_text(said.out, encoding="utf-8")
    assert said.out == (FOLDER / case / "expected.txt").read_text(encoding="utf-8")
    assert f"[{case[:4]}]" in said.out

    main(["lint", "input.idl", "--fix"])
    mended = set(re.findall(r"L\d{3}", capsys.readouterr().err))
    text = (tmp_path / "input.idl").read_text(encoding="utf-8")
    if write and mended:
        (FOLDER / case / "fixed.idl").write_text(text, encoding="utf-8")
    assert (FOLDER / case / "fixed.idl").exists() == bool(mended)
    if mended:
        assert text == (FOLDER / case / "fixed.idl").read_text(encoding="utf-8")
        assert rpcgen.breaking("before/input.idl", "input.idl") == []


def test_every_rule_has_a_case_and_no_case_is_of_none() -> None:
    assert {case[:4] for case in CASES} == set(RULES)


def test_every_rule_is_told_in_the_documentation() -> None:
    text = (ROOT / "docs" / "lint.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(L\d{3})` \| ([^|]+) \|", text, re.MULTILINE))
    assert told == {code: rule.title for code, rule in RULES.items()}
