"""Every rule of change as a user reads it: a folder a case, old beside new, the findings compared whole.

A folder is called ``CODE-what``, after the rule that it is about. To write ``expected.txt`` anew after
a message was changed, and then look at the difference:

    RPCGEN_WRITE_GOLDEN=1 python -m pytest tests/compiler/test_breaking.py
"""

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest

import rpcgen
from rpcgen.compiler.changes import SideError, breaking
from rpcgen.compiler.changes.rules import LEVELS, RULES
from rpcgen.compiler.diagnostics import Report
from rpcgen.compiler.render import render_text

FOLDER = pathlib.Path(__file__).parent.parent / "golden" / "breaking"
CASES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


@pytest.mark.parametrize("case", CASES)
def test_changes_read_as_expected(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole text is compared, and the rule that names the case is in it."""
    folder = FOLDER / case
    monkeypatch.chdir(folder)
    report = Report()
    for change in breaking("old", "new"):
        report.add(change)
    found = render_text(report)
    if os.environ.get("RPCGEN_WRITE_GOLDEN"):
        (folder / "expected.txt").write_text(found, encoding="utf-8")
    assert found == (folder / "expected.txt").read_text(encoding="utf-8")
    assert not case.startswith("B") or f"[{case[:4]}]" in found


def test_every_rule_has_a_case() -> None:
    """And no case is called after a rule that does not exist."""
    assert {case[:4] for case in CASES if case.startswith("B")} == set(RULES)


@pytest.mark.parametrize("case", CASES)
def test_a_version_breaks_nothing_of_itself(case: str) -> None:
    """Whatever stands in it."""
    for side in ("old", "new"):
        assert not breaking(FOLDER / case / side, FOLDER / case / side)


def test_a_level_counts_those_before_it() -> None:
    """And makes errors of all that it tells."""
    changed = FOLDER / "B062-field-is-gone", FOLDER / "B040-parameter"
    for place, least in zip(changed, ("source", "json"), strict=True):
        for level in LEVELS:
            found = breaking(place / "old", place / "new", level=level)
            assert bool(found) == (LEVELS.index(level) >= LEVELS.index(least))
            assert all(change.severity == "error" for change in found)
        assert [change.severity for change in breaking(place / "old", place / "new")] == [
            "warning" if least == "source" else "error"
        ] * len(breaking(place / "old", place / "new"))


def test_it_is_a_function_of_the_library() -> None:
    """With the findings as objects."""
    (found,) = rpcgen.breaking(FOLDER / "B005-oneway" / "old", FOLDER / "B005-oneway" / "new")
    assert (found.code, found.level, found.file) == (
        "B005",
        "wire",
        str(FOLDER / "B005-oneway" / "new" / "stock.idl"),
    )
    with pytest.raises(ValueError, match="a level is one of"):
        rpcgen.breaking("old", "new", level="bytes")  # type: ignore[arg-type]


def test_types_are_compared_across_files(tmp_path: pathlib.Path) -> None:
    """What a method meets counts, whichever file declares it, and each change counts once."""
    for side, kind in (("old", "int"), ("new", "long")):
        folder = tmp_path / side / "lib"
        folder.mkdir(parents=True)
        (folder / "base.idl").write_text(f"struct Tree {{ 1: {kind} size  2: list<Tree> below = [] }}\n")
        (folder / "common.idl").write_text('include "base.idl"\nunion Found { 1: base.Tree tree }\n')
        (tmp_path / side / "stock.idl").write_text(
            'include "lib/common.idl"\nservice Base { common.Found find() }\n'
            "service Stock extends Base { void put(1: map<string, common.Found> all) }\n"
        )
    found = breaking(tmp_path / "old", tmp_path / "new")
    assert [(change.code, change.message) for change in found] == [("B010", "Tree.size is long, not int")]


def test_revisions_are_taken_from_git_alone(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With their own includes, not those that lie there today; paths are of the repository, or from here."""

    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    idl = tmp_path / "idl"
    idl.mkdir()
    (idl / "common.idl").write_text("struct Item { 1: int id }\n")
    (idl / "stock.idl").write_text('include "common.idl"\ncommon.Item find()\n')
    (idl / "faulty.idl").write_bytes(b"\xff\xfe")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    (idl / "common.idl").write_text("struct Item { 1: long id }\n")
    monkeypatch.chdir(idl)
    for name in ("git:HEAD:idl/stock.idl", "git:HEAD:/idl/stock.idl", "git:HEAD:./stock.idl"):
        (found,) = breaking(name, "stock.idl")
        assert found.code == "B010"
        assert found.secondary[0][0].source.path == "git:HEAD:/idl/common.idl"
    for name, help in (
        ("git:HEAD:idl", ""),
        ("git:nowhere:idl", "git fetch"),
        ("git:HEAD:gone", "from the root of the repository"),
        ("git:HEAD:../../../idl", "from the root of the repository"),
        ("git:HEAD", ""),
        ("git:--all:x", ""),
    ):
        with pytest.raises(SideError) as caught:
            breaking(name, "stock.idl")
        assert help in caught.value.help
