"""The linter over random interfaces: it ends, and what it mends changes nothing for anybody."""

from __future__ import annotations

import pathlib
import tempfile

from hypothesis import given, settings

import rpcgen
from rpcgen.compiler.lint import DOCUMENTED, Finding, Options, fixed, lint
from tests.cli.command import write
from tests.support.interfaces import Interface, interfaces


@settings(max_examples=40, deadline=None)
@given(interfaces())
def test_what_is_mended_breaks_nobody_and_is_found_no_more(interface: Interface) -> None:
    options = Options(docs=frozenset(DOCUMENTED), max_parameters=1)
    with tempfile.TemporaryDirectory() as name:
        old, new = pathlib.Path(name, "old"), pathlib.Path(name, "new")
        for folder in (old, new):
            write(folder, {"interface.idl": interface.text, **interface.includes})
        path = new / "interface.idl"
        report = lint([path], options=options)
        assert not report.failed
        findings = [found for found in report.diagnostics if isinstance(found, Finding)]
        assert len(findings) == len(report.diagnostics)
        mended = [found for found in findings if found.fix]
        if not mended:
            return
        assert mended[0].span is not None
        path.write_text(fixed(mended[0].span.source, mended), encoding="utf-8")
        again = lint([path], options=options)
        assert not again.failed
        assert not any(isinstance(found, Finding) and found.fix for found in again.diagnostics)
        assert rpcgen.breaking(old / "interface.idl", path) == []
