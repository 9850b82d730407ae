"""Every diagnostic as a user reads it: a folder a case, its output compared whole.

A folder is called ``CODE-what``, after the finding that it is about. What is compiled is its
``input.idl`` or, where the name of the file is the point, the file that ``compile.txt`` names;
where a limit is the point, ``limit.txt`` names it and a value that makes the case a short one.
To write ``expected.txt`` anew after a message was changed, and then look at the difference:

    RPCGEN_WRITE_GOLDEN=1 python -m pytest tests/compiler/test_golden_bad.py
"""

from __future__ import annotations

import os
import pathlib
import re

import pytest

from rpcgen.compiler import compile_file
from rpcgen.compiler.diagnostics import MESSAGES
from rpcgen.compiler.render import render_text

FOLDER = pathlib.Path(__file__).parent.parent / "golden" / "bad"
CASES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


def compiled(case: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Gives what the command would print for a case."""
    monkeypatch.chdir(case)
    named = case / "compile.txt"
    path = named.read_text(encoding="utf-8").strip() if named.exists() else "input.idl"
    limit = case / "limit.txt"
    if limit.exists():
        name, value = limit.read_text(encoding="utf-8").split()
        monkeypatch.setattr(name, int(value))
    compilation = compile_file(path)
    assert (compilation.module is None) == compilation.report.failed
    return render_text(compilation.report, color=False)


@pytest.mark.parametrize("case", CASES)
def test_diagnostics_read_as_expected(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole text is compared, and the code that names the case is in it."""
    folder = FOLDER / case
    found = compiled(folder, monkeypatch)
    if os.environ.get("RPCGEN_WRITE_GOLDEN"):
        (folder / "expected.txt").write_text(found, encoding="utf-8")
    assert found == (folder / "expected.txt").read_text(encoding="utf-8")
    code = re.match(r"[EW]\d{3}", case)
    assert code is None or f"[{code[0]}]" in found


def test_every_code_of_the_compiler_has_a_case() -> None:
    """And no case is called after a code that does not exist. E5xx are of what writes files."""
    named = {case[:4] for case in CASES if re.match(r"[EW]\d{3}-", case)}
    assert named == {code for code in MESSAGES if not code.startswith("E5")}


def test_the_set_of_files_is_what_is_expected() -> None:
    """A case has an input and an expected output; what is not read would rot."""
    for case in CASES:
        files = {path.name for path in (FOLDER / case).iterdir()}
        assert "expected.txt" in files
        assert "input.idl" in files or "compile.txt" in files, case
