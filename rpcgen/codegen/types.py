"""Types as one module writes them: in annotations, as descriptors, as IDL in docstrings."""

from __future__ import annotations

import typing

from rpcgen.codegen import literals
from rpcgen.codegen.layout import Expression, Group
from rpcgen.codegen.names import NameBook, find_module
from rpcgen.compiler import model

_SCALARS: typing.Final[dict[str, str]] = {
    **dict.fromkeys(("byte", "short", "int", "long", "ubyte", "ushort", "uint", "ulong"), "int"),
    **dict.fromkeys(("float", "double"), "float"),
    "bool": "bool",
    "string": "str",
    "bytes": "bytes",
    "timestamp": "datetime.datetime",
    "date": "datetime.date",
    "duration": "datetime.timedelta",
    "uuid": "uuid.UUID",
    "decimal": "decimal.Decimal",
    "void": "None",
}
_DESCRIPTORS: typing.Final = {name: f"rpc.{name.upper()}" for name in _SCALARS}


class Types:
    """Writes types for one module, and keeps account of what that needs to be imported.

    Attributes:
        used: The modules of the standard library that were needed.
        imports: By name in this module: the interface modules that were needed.
        defined: The types whose classes stand above; others are referred to by ``rpc.Ref``.
    """

    def __init__(self, module: model.Module, book: NameBook) -> None:
        self.module = module
        self.book = book
        self.names = book.of(module)
        self.used: set[str] = set()
        self.imports: dict[str, model.Module] = {}
        self.defined: set[str] = set()
        for include in module.includes:
            self.imports[self.names.local_import(include.alias)] = include.module

    def local(self, home: model.Module) -> str:
        """Gives the name by which another module is reached from this one."""
        for name, module in self.imports.items():
            if module.path == home.path:
                return name
        # Only inherited methods need it: their types may come from what their own file includes.
        name = self.names.local_import(f"/{home.path}", home.name)
        self.imports[name] = home
        return name

    def annotation(self, type: model.Type, home: model.Module) -> str:
        """Gives a type for an annotation.

        Args:
            type: The type.
            home: The module that it is written in, whose aliases it uses.
        """
        match type:
            case model.Scalar(name):
                python = _SCALARS[name]
                if "." in python:
                    self.used.add(python.partition(".")[0])
                return python
            case model.ListOf(item):
                return f"list[{self.annotation(item, home)}]"
            case model.SetOf(item):
                return f"set[{self.annotation(item, home)}]"
            case model.MapOf(key, value):
                return f"dict[{self.annotation(key, home)}, {self.annotation(value, home)}]"
            case model.OptionalOf(item):
                return f"{self.annotation(item, home)} | None"
            case model.Named():
                return self.name(type, home, value=True)
        raise TypeError(type)

    def name(self, type: model.Named, home: model.Module, value: bool = False) -> str:
        """Gives a declared type's class, or with ``value`` the type of its values."""
        target = find_module(home, type.file)
        names = self.book.of(target)
        python = names.unions[type.name] if value and type.kind == "union" else names.declared[type.name]
        if target.path == self.module.path:
            return python
        return f"{self.local(target)}.{python}"

    def descriptor(self, type: model.Type, home: model.Module) -> Expression:
        """Gives a type's descriptor."""
        match type:
            case model.Scalar(name):
                return _DESCRIPTORS[name]
            case model.ListOf(item):
                return Group("rpc.ListOf(", [self.descriptor(item, home)], ")")
            case model.SetOf(item):
                return Group("rpc.SetOf(", [self.descriptor(item, home)], ")")
            case model.MapOf(key, value):
                items = [self.descriptor(key, home), self.descriptor(value, home)]
                return Group("rpc.MapOf(", items, ")")
            case model.OptionalOf(item):
                return Group("rpc.OptionalOf(", [self.descriptor(item, home)], ")")
            case model.Named(_, name, file):
                python = self.name(type, home)
                if file or home.path != self.module.path or name in self.defined:
                    return python
                return f"rpc.Ref(lambda: {python})"
        raise TypeError(type)

    def literal(self, value: model.Literal, type: model.Type, home: model.Module) -> Expression:
        """Gives a value of a type."""
        match type:
            case model.OptionalOf(item):
                return "None" if value is None else self.literal(value, item, home)
            case model.ListOf(item):
                return Group("[", self._items(value, item, home), "]")
            case model.SetOf(item):
                return Group("{", self._items(value, item, home), "}") if value else "set()"
            case model.MapOf(key, of):
                pairs = []
                for name, held in typing.cast("tuple[tuple[model.Literal, model.Literal], ...]", value):
                    pairs.append(_pair(self.literal(name, key, home), self.literal(held, of, home)))
                return Group("{", pairs, "}")
        if isinstance(value, model.EnumValue):
            target = find_module(home, value.type.file)
            member = self.book.of(target).members[value.type.name, value.member]
            return f"{self.name(value.type, home)}.{member}"
        source, needed = literals.scalar(value)
        if needed:
            self.used.add(needed)
        return source

    def _items(self, value: model.Literal, type: model.Type, home: model.Module) -> list[Expression]:
        return [self.literal(item, type, home) for item in typing.cast("tuple[model.Literal, ...]", value)]

    def factory(self, value: model.Literal, type: model.Type, home: model.Module) -> Expression:
        """Gives ``rpc.field(default_factory=…)`` for the default of a list, set or map."""
        if not value:
            kind = self.annotation(type, home).partition("[")[0]
            return Group("rpc.field(", [f"default_factory={kind}"], ")")
        return Group("rpc.field(", [_named("default_factory=lambda: ", self.literal(value, type, home))], ")")


def named(name: str, expression: Expression) -> Expression:
    """Gives ``name=expression``, as an argument."""
    return _named(f"{name}=", expression)


def _named(before: str, expression: Expression) -> Expression:
    if isinstance(expression, Group):
        return Group(before + expression.open, expression.items, expression.close)
    return f"{before}{expression if isinstance(expression, str) else expression.flat}"


def _pair(key: Expression, value: Expression) -> Expression:
    return _named(f"{key if isinstance(key, str) else key.flat}: ", value)
