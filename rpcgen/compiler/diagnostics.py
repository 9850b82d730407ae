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
    "E001": "cannot read {path}: {what}",
    "E002": "the file is not UTF-8: {what}",
    "E003": "`{name}` cannot be the name of a Python module",
    "E004": "{path} includes itself: {chain}",
    "E005": "`{alias}` stands for two files",
    "E006": "{path} is included twice",
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
    "E101": "{name} is declared twice",
    "E102": "{what} {name} stands twice in {owner}",
    "E103": "tag {tag} is used twice in {owner}",
    "E104": "tag {tag} is out of range",
    "E105": "number {number} is used twice in {owner}",
    "E106": "number {number} is out of range",
    "E107": "the name {name} is Python's own",
    "E108": "the service name rpc is reserved",
    "E109": "{what} {name} has no members",
    "E110": "{name} is the name of an include",
    "E111": "{what} {name} must contain itself: {chain}",
    "E112": "{name} has no default but stands after {other}",
    # E2xx types
    "E201": "no {what} {name} is declared",
    "E202": "{name} is {what}, not a type",
    "E203": "no include {name}",
    "E204": "{where} cannot be optional",
    "E205": "void is for results alone",
    "E206": "{what} cannot be {role}",
    "E207": "typedef {name} stands for itself: {chain}",
    "E208": "more than {limit} levels of containers",
    # E3xx defaults and constants
    "E301": "{what} is not {type}",
    "E302": "{value} does not fit {type}",
    "E303": "no constant {name} is declared",
    "E304": "enum {enum} has no member {name}",
    "E305": "{name} is {what}, not a constant",
    "E306": "{what} cannot have a default",
    "E307": "{what} stands twice in {owner}",
    "E308": "constant {name} is made of itself: {chain}",
    "E309": "{what} cannot be a constant",
    # E4xx services, methods and annotations
    "E401": "a oneway method returns nothing",
    "E402": "a oneway method raises nothing",
    "E403": "{name} is {what}, not an exception",
    "E404": "{name} stands twice after =>",
    "E405": "{name} is not declared but close to {other}",
    "E406": "{name} is {what}, not a service",
    "E407": "service {name} extends itself: {chain}",
    "E408": "{owner} inherits a method {name}",
    "E409": "more than {limit} services extend each other",
    "E410": "no annotation @{name} is known",
    "E411": "@{name} cannot stand at {what}",
    "E412": "@{name} takes {what}",
    "E413": "@{name} is written twice",
    # Wxxx warnings
    "W001": "the doc comment belongs to nothing",
    "W002": "the file declares nothing",
    "W003": "the Python module {name} will hide one of the standard library",
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
