"""Findings about changes: made by rule, held back where ``@allow`` says so."""

from __future__ import annotations

import dataclasses
import typing

from rpcgen.compiler import model
from rpcgen.compiler.annotate import allows
from rpcgen.compiler.changes.rules import LEVELS, RULES, Level, counted
from rpcgen.compiler.diagnostics import Diagnostic, Severity
from rpcgen.compiler.source import Span

GONE: typing.Final = ("not here", "it was here")
"""Labels of what is there no more."""

Annotations: typing.TypeAlias = "tuple[model.Annotation, ...]"


@dataclasses.dataclass(frozen=True, slots=True)
class Change(Diagnostic):
    """One change that breaks somebody; ``span`` is in the new version, the first of ``secondary`` in the old.

    What is gone with its surroundings has a place in the old version alone.
    """

    level: Level = "wire"
    is_strict: bool = False
    """It is an error whatever its level."""

    @property
    def severity(self) -> Severity:
        return "error" if self.is_strict or self.level != "source" else "warning"


class Changes:
    """Collects what was found.

    Args:
        level: The least severe that counts; None: all, and those of source are warnings.
    """

    def __init__(self, level: Level | None) -> None:
        self._levels = counted(level or "source")
        self._is_strict = level is not None
        self._found: dict[tuple[str, str, object, object], Change] = {}

    def add(
        self,
        code: str,
        new: Span | None,
        old: Span | None,
        annotations: Annotations,
        labels: tuple[str, str] = ("", "before"),
        /,
        **values: object,
    ) -> None:
        """Adds a finding, unless an annotation allows it.

        Args:
            new: Where it shows in the new version; None: nothing is left of it there.
            old: Where it stood.
            annotations: Of the new declaration, and of all around it.
            labels: What stands at the two places.
            **values: Of the rule's message and help.
        """
        rule = RULES[code]
        if rule.level not in self._levels or allows(annotations, code):
            return
        secondary = ((old, labels[1]),) if old is not None and new is not None else ()
        change = Change(
            code,
            rule.message.format_map(values),
            new or old,
            labels[new is None],
            secondary,
            rule.help.format_map(values),
            level=rule.level,
            is_strict=self._is_strict,
        )
        self._found.setdefault((code, change.message, _place(new), _place(old)), change)

    def all(self) -> list[Change]:
        """Gives what was found: what hurts most first, then as it was met."""
        return sorted(self._found.values(), key=lambda change: LEVELS.index(change.level))


def _place(span: Span | None) -> object:
    return span and (span.source.path, span.start)
