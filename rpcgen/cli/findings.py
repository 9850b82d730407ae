"""Findings of several compilations, joined and shown."""

from __future__ import annotations

import os
import typing

from rpcgen.cli.console import Console
from rpcgen.compiler.diagnostics import Diagnostic, Report


class Findings:
    """Joins the reports of several compilations: a fault of a common include counts once."""

    def __init__(self) -> None:
        self.report = Report()
        self._known: set[tuple[object, ...]] = set()

    def add(self, found: typing.Iterable[Diagnostic]) -> None:
        """Adds what is not there yet."""
        for one in found:
            place = (one.span.start, one.span.end) if one.span else None
            key = one.code, one.message, one.label, os.path.realpath(one.file), place
            if key not in self._known:
                self._known.add(key)
                self.report.add(one)


def render(report: Report, console: Console, error_format: str) -> None:
    """Writes findings to standard output: as ``text``, ``json`` or ``github``."""
    if not report.diagnostics:
        return
    from rpcgen.compiler.render import render_github, render_json, render_text

    if error_format == "json":
        console.find(render_json(report))
    elif error_format == "github":
        console.find(render_github(report))
    else:
        console.find(render_text(report, console.color))
