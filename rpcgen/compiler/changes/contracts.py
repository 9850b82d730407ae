"""One side of a comparison: the checked files of an interface, and where their declarations stand."""

from __future__ import annotations

import dataclasses
import typing

from rpcgen.compiler import model

Declared: typing.TypeAlias = "model.Struct | model.Union | model.Enum | model.ExceptionType"


@dataclasses.dataclass(frozen=True, slots=True)
class Contract:
    """One version of an interface.

    Args:
        roots: The files that were named.
        is_partial: Services that the other side has not do not matter: a registry holds those of all.
        is_source: Programs import the modules of these files; not so of what a server says of itself.
    """

    roots: tuple[model.Module, ...]
    is_partial: bool = False
    is_source: bool = True

    def modules(self) -> tuple[model.Module, ...]:
        """Gives every file, included ones first, each once."""
        found: dict[str, model.Module] = {}
        for root in self.roots:
            for module in root.closure():
                found.setdefault(module.path, module)
        return tuple(found.values())


class Index:
    """Finds what the types of a file name."""

    def __init__(self) -> None:
        self._types: dict[int, dict[str, Declared]] = {}

    def find(self, module: model.Module, named: model.Named) -> tuple[model.Module, Declared]:
        """Gives what a type of a file names, and the file that declares it."""
        for alias in filter(None, named.file.split(".")):
            module = next(each.module for each in module.includes if each.alias == alias)
        return module, self.types(module)[named.name]

    def types(self, module: model.Module) -> dict[str, Declared]:
        """Gives the structs, unions, enums and exceptions of a file, by name."""
        found = self._types.get(id(module))
        if found is None:
            found = {node.name: node for node in module.declarations if isinstance(node, _TYPES)}
            self._types[id(module)] = found
        return found


_TYPES: typing.Final = (model.Struct, model.Union, model.Enum, model.ExceptionType)
