"""Doc comments of an interface, out of the canonical text that its server stubs hold.

The text is the only source that has all of them: those of fields, parameters and members are in no object of
the generated modules. It has one form, a declaration or member a line, four spaces a level, docs before what
they tell of: lines are looked at, the language is not parsed.
"""

from __future__ import annotations

import re
import typing

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.schema import Interface

_DECLARED = re.compile(
    r"(?:@[\w.]+(?:\([^)]*\))? )*"
    r"(?:(?:exception|service|struct|union|enum) (?P<type>\w+)"
    r"|[0-9]+: [\w.<>?, ]+? (?P<field>\w+)(?: = |,?$)"
    r"|(?P<member>\w+) = -?[0-9]\w*$"
    r"|(?:oneway )?[\w.<>?, ]+? (?P<method>\w+)\()",
    re.ASCII,
)
_INDENT = 4


class DocComments:
    """What interfaces say of their parts.

    Args:
        interfaces: With those that they include.
    """

    def __init__(self, interfaces: collections.abc.Iterable[Interface]) -> None:
        self._found: dict[str, dict[str, str]] = {}
        for interface in interfaces:
            self._read(interface)

    def _read(self, interface: Interface) -> None:
        module = _module(interface.file)
        if module not in self._found:
            self._found[module] = comments(interface.text)
            for include in interface.includes:
                self._read(include)

    def of(self, module: str, *path: str) -> str:
        """Gives the doc comment of a part; ``""`` if it has none.

        Args:
            module: The generated module that it stands in; where none was made of an interface's file, the
                first interface that tells of such a part counts.
            path: Its name, after those that it stands in; none: the file itself.
        """
        name = ".".join(path)
        own = self._found.get(module.rpartition(".")[2])
        if own is not None:
            return own.get(name, "")
        return next((found[name] for found in self._found.values() if name in found), "")


def _module(file: str) -> str:
    return re.sub(r"\W", "_", file.removesuffix(".idl"))


def comments(text: str) -> dict[str, str]:
    """Gives all doc comments of a canonical text, by the dotted names of what they tell of; ``""``: the file."""
    found: dict[str, str] = {}
    around: list[str] = []
    doc: list[str] = []
    for line in text.splitlines():
        stripped = line.lstrip(" ")
        if stripped.startswith("///"):
            doc.append(stripped[3:].removeprefix(" "))
            continue
        if not stripped:
            if doc:
                found.setdefault("", "\n".join(doc))
            doc = []
            continue
        declared = _DECLARED.match(stripped)
        if declared is None and stripped.startswith("@"):
            continue  # what is annotated follows
        if declared is not None:
            around[(len(line) - len(stripped)) // _INDENT :] = [declared[declared.lastgroup or 0]]
            if doc:
                found[".".join(around)] = "\n".join(doc)
        doc = []
    return found
