"""Findings about interface files: every code, its message, and the report that collects them.

A message is lower case, has no full stop, and fits one line. To add one, add a line to
MESSAGES; ``diagnose`` fills it in. E0xx files and syntax, E1xx declarations, E2xx types,
E3xx defaults and constants, E4xx services, methods and annotations; Wxxx are warnings.
"""

from __future__ import annotations

import dataclasses
import typing

from rpcgen.compiler.source import Span

MESSAGES: typing.Final[dict[str, str]] = {
    # E00x files
    "E002": "the file is not UTF-8: {what}",
    # E01x text
    "E010": "unexpected character {what}",
    "E011": "{what} cannot stand in an interface file",
    "E012": "the string is not closed",
    "E013": "the comment is not closed",
    "E014": "unknown escape {what}",
    "E015": "strings are written in double quotes",
    "E016": "{what} is not a number",
    # E02x, E03x grammar
    "E020": "expected {what}",
    "E021": "expected a tag, such as `{tag}:`",
    "E022": "expected `,` between two {what}",
    "E023": "`{what}` is never closed",
    "E024": "`{what}` closes nothing",
    "E025": "expected `=>` before the exceptions of a method",
    "E026": "`{what}` is not part of the language",
    "E027": "more than {limit} levels of nesting",
    "E029": "{count} more syntax errors",
    # E1xx declarations
    "E103": "tag {tag} is used twice in {owner}",
    # Wxxx warnings
    "W001": "the doc comment belongs to nothing",
}

Severity: typing.TypeAlias = typing.Literal["error", "warning"]


@dataclasses.dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding.

    Args:
        code: A key of MESSAGES.
        message: Its text, filled in.
        span: The smallest place that shows the fault; None where no text is to blame, such as
            a file that cannot be read, for which ``path`` says which.
        label: What stands beside the mark of that place; may be empty.
        secondary: Other places of the conflict, each with its label.
        help: What to do, where one fix exists; may be empty.
        path: The file, if there is no span.
    """

    code: str
    message: str
    span: Span | None
    label: str = ""
    secondary: tuple[tuple[Span, str], ...] = ()
    help: str = ""
    path: str = ""

    @property
    def severity(self) -> Severity:
        return "warning" if self.code.startswith("W") else "error"

    @property
    def file(self) -> str:
        """The path of the file that it is about."""
        return self.span.source.path if self.span else self.path


def diagnose(
    code: str,
    span: Span | None,
    label: str = "",
    *,
    secondary: tuple[tuple[Span, str], ...] = (),
    help: str = "",
    path: str = "",
    **values: object,
) -> Diagnostic:
    """Makes a diagnostic; ``values`` fill in the message of its code.

    Raises:
        KeyError: The code is unknown, or its message names a value that is not given.
    """
    return Diagnostic(code, MESSAGES[code].format_map(values), span, label, secondary, help, path)


class Report:
    """Collects the findings of one run, over any number of files."""

    def __init__(self) -> None:
        self._found: dict[Diagnostic, None] = {}
        self._files: dict[str, int] = {}
        self.failed = False

    def add(self, found: Diagnostic) -> None:
        """Adds a finding; the same one twice counts once."""
        self._found.setdefault(found)
        self._files.setdefault(found.file, len(self._files))
        self.failed = self.failed or found.severity == "error"

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All findings: files in the order of their first one, then by place, then by code."""

        def place(found: Diagnostic) -> tuple[int, int, int, str]:
            start, end = (found.span.start, found.span.end) if found.span else (-1, -1)
            return self._files[found.file], start, end, found.code

        return tuple(sorted(self._found, key=place))
