"""Findings of the linter: made by rule, held back where ``@allow`` says so; and what mends them."""

from __future__ import annotations

import dataclasses
import typing

from rpcgen.compiler import model
from rpcgen.compiler.annotate import allows
from rpcgen.compiler.diagnostics import Diagnostic, Severity
from rpcgen.compiler.lint.rules import RULES, Options
from rpcgen.compiler.source import Source, Span

Annotations: typing.TypeAlias = "tuple[model.Annotation, ...]"


class Edit(typing.NamedTuple):
    """The characters ``start`` to ``end`` of a source are to be ``text``."""

    start: int
    end: int
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Finding(Diagnostic):
    """What may be a mistake; ``fix`` mends it without a change for anybody, where that can be."""

    fix: Edit | None = None

    @property
    def severity(self) -> Severity:
        return "warning"


class Findings:
    """Collects what is found in one file."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._found: list[Finding] = []
        self._effective: set[Span] = set()  # annotations that held something back

    def add(
        self,
        code: str,
        span: Span,
        annotations: Annotations,
        /,
        label: str = "",
        secondary: tuple[tuple[Span, str], ...] = (),
        fix: Edit | None = None,
        **values: object,
    ) -> None:
        """Adds a finding, unless its rule is not asked, or an annotation allows it.

        Args:
            annotations: Of the declaration that is to blame, and of all around it.
            **values: Of the rule's message and help.
        """
        if code not in self.options.codes:
            return
        allowing = allows(annotations, code)
        if allowing:
            self._effective.update(one.span for one in allowing)
            return
        rule = RULES[code]
        message, help = rule.message.format_map(values), rule.help.format_map(values)
        self._found.append(Finding(code, message, span, label, secondary, help, fix=fix))

    def judge_annotations(self, module: model.Module) -> None:
        """Finds each ``@allow`` of one of our rules that held nothing back; call it last."""
        for annotation in _annotations(module):
            code = annotation.arguments[0] if annotation.name == "allow" else None
            asked = isinstance(code, str) and code in self.options.codes
            if not isinstance(code, str) or not code.startswith("L") or (code in RULES and not asked):
                continue
            if annotation.span not in self._effective:
                self.add("L015", annotation.span, (), fix=_without(annotation.span), code=code)

    def all(self) -> list[Finding]:
        """Gives what was found."""
        return self._found


def fixed(source: Source, findings: typing.Iterable[Finding]) -> str:
    """Gives a source's text with the fixes of these findings in it; of two at one place, the first."""
    text = source.text
    edits = {
        finding.fix for finding in findings if finding.fix and finding.span and finding.span.source == source
    }
    behind = len(text) + 1
    for edit in sorted(edits, reverse=True):
        if edit.end <= behind or edit.start == edit.end:
            text = text[: edit.start] + edit.text + text[edit.end :]
            behind = edit.start
    return text


def whole_line(span: Span) -> Span:
    """Gives the line that holds nothing but this and separators, with its line end; else the span alone."""
    text = span.source.text
    start = text.rfind("\n", 0, span.start) + 1
    end = text.find("\n", span.end)
    end = len(text) if end < 0 else end + 1
    if (text[start : span.start] + text[span.end : end]).strip(" \t\n,;"):
        return span
    return Span(span.source, start, end)


def _without(span: Span) -> Edit:
    """Takes an annotation away, with its line or the blanks after it."""
    line = whole_line(span)
    end = line.end
    if line == span:
        text = span.source.text
        end += len(text[end:]) - len(text[end:].lstrip(" \t"))
    return Edit(line.start, end, "")


def _annotations(module: model.Module) -> typing.Iterator[model.Annotation]:
    """Gives every annotation of a module's own declarations and of what is in them."""
    for item in module.declarations:
        yield from item.annotations
        match item:
            case model.Service():
                for method in item.methods:
                    yield from method.annotations
                    for param in method.params:
                        yield from param.annotations
            case model.Struct() | model.ExceptionType():
                for field in item.fields or ():
                    yield from field.annotations
            case model.Union() | model.Enum():
                for member in item.members:
                    yield from member.annotations
