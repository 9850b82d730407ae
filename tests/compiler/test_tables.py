"""The grammar, and the tables kept beside it."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

from rpcgen.compiler import tables


@pytest.fixture(autouse=True)
def _forget() -> object:
    yield
    tables.load.cache_clear()


def test_tables_are_those_of_the_grammar() -> None:
    """grammar.json is what grammar.lark gives; else: python -m rpcgen.compiler.tables."""
    kept = json.loads(tables.KEPT.read_text(encoding="utf-8"))
    assert kept == json.loads(json.dumps(tables.compute(tables.GRAMMAR.read_text(encoding="utf-8"))))


def test_writing_gives_what_is_kept(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file comes out the same, byte for byte, on every run."""
    kept = tables.KEPT.read_bytes()
    monkeypatch.setattr(tables, "KEPT", tmp_path / "grammar.json")
    tables.write()
    assert tables.KEPT.read_bytes() == kept


@pytest.mark.parametrize("content", [None, "", "[", '{"grammar": "another"}'])
def test_stale_tables_are_computed_anew(
    content: str | None, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed grammar works without any step, only slower."""
    expected = tables.load()
    tables.load.cache_clear()
    monkeypatch.setattr(tables, "KEPT", tmp_path / "grammar.json")
    if content is not None:
        tables.KEPT.write_text(content)
    assert tables.load() == expected


def test_a_compile_does_not_import_lark() -> None:
    """Lark's import and table building take longer than a small compile."""
    program = (
        "import sys; from rpcgen.compiler import compile_text; "
        "assert compile_text('int f()').module; print('lark' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "False\n"
