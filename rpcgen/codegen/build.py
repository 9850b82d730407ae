"""From the checked model to the view, for one module.

Names first (names.py), then everything in the order in which it must stand: enums,
constants (which may hold members of enums), types, typedefs (which refer to types),
protocols, stubs. ``rpc.Ref`` is needed only between types.
"""

from __future__ import annotations

import collections
import os
import typing

from rpcgen.codegen import docstrings
from rpcgen.codegen.declarations import Declarations, paragraphs
from rpcgen.codegen.layout import Expression, Group, statement, tuple_of
from rpcgen.codegen.literals import quote
from rpcgen.codegen.names import HANDED_ON, SERVICE, NameBook, parents_first
from rpcgen.codegen.services import Services
from rpcgen.codegen.types import Types
from rpcgen.codegen.view import ModuleView
from rpcgen.compiler import model

ABI: typing.Final = 1
"""What the generated code needs of the runtime; the same number as ``rpcgen.runtime.abi.ABI``."""

Importer: typing.TypeAlias = typing.Callable[[model.Module, str], str]
"""Gives the statement that imports a module under a name."""


def build(module: model.Module, book: NameBook, importer: Importer) -> ModuleView:
    """Gives the view of a module whose names have no problems."""
    types = Types(module, book)
    raised = collections.defaultdict(list)
    for service in module.of(model.Service):
        for method in service.methods:
            for named in method.raises:
                if not named.file:
                    raised[named.name].append(method.wire_name)
    declarations = Declarations(types, raised)
    enums = [declarations.enum(enum) for enum in module.of(model.Enum)]
    constants = [declarations.constant(const) for const in module.of(model.Const)]
    composites = [
        declarations.composite(found)
        for found in module.declarations
        if isinstance(found, model.Struct | model.Union | model.ExceptionType)
    ]
    typedefs = [declarations.typedef(typedef) for typedef in module.of(model.Typedef)]
    services = Services(types, declarations)
    served = [services.service(service) for service in parents_first(module.of(model.Service))]

    if constants or typedefs or served or module.of(model.Union):
        types.used.add("typing")
    source = os.path.basename(module.path)
    doc = paragraphs(module.doc)
    bindings: list[str] = []
    if len(served) == 1 and served[0].name:
        bindings = [f"{kind} = {served[0].names[kind]}" for kind in SERVICE]
        bindings = [line for line in bindings if len(set(line.split(" = "))) > 1]
    return ModuleView(
        source=source,
        docstring=docstrings.docstring(doc, 0) if doc else None,
        abi=ABI,
        command=quote(f"rpcgen compile {source}"),
        standard=tuple(sorted(types.used)),
        imports=tuple(sorted(importer(target, name) for name, target in types.imports.items())),
        enums=tuple(enums),
        constants=tuple(constants),
        types=tuple(composites),
        typedefs=tuple(typedefs),
        services=tuple(served),
        interface=_interface(module, source, types),
        bindings=tuple(bindings),
        handed_on=tuple(f"{name} = rpc.{name}" for name in _HANDED_ON if served),
        model=module,
    )


_HANDED_ON: typing.Final = tuple(name for name in ("Channel", "MethodProtocol") if name in HANDED_ON)


def _interface(module: model.Module, source: str, types: Types) -> str:
    text = module.interface if module.interface.endswith("\n") else module.interface + "\n"
    literal = docstrings.block(text)
    arguments: list[Expression] = [quote(source)]
    includes = [types.local(include.module) for include in module.includes]
    lines = ["INTERFACE = rpc.Interface("]
    lines += [f"    {statement('', argument, ',', 4)}" for argument in arguments]
    lines.append(f"    {literal},")
    if includes:
        listed: Expression = tuple_of([f"{name}.INTERFACE" for name in includes])
        assert isinstance(listed, Group)
        named = Group("includes=(", listed.items, listed.close)
        lines.append("    " + statement("", named, ",", 4))
    lines.append(")")
    return "\n".join(lines)
