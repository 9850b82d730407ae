"""What everything is called in Python.

The rule: a name that cannot stand as it is gets a trailing ``_``; if that is taken too, it
is an error. What cannot stand is said by the tables here. Names that the runtime or the
generator give come first, so that it is always the user's name that gives way.

    __x     loses its leading underscores as well: Python would mangle it inside a class
    _x_     likewise in an enum, where Python keeps such names for itself
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import keyword
import re
import typing

from rpcgen.compiler import model
from rpcgen.compiler.diagnostics import Diagnostic, diagnose
from rpcgen.compiler.source import Span


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KEYWORDS: typing.Final = frozenset(keyword.kwlist)
BUILTINS: typing.Final = _words(
    "bool bytes classmethod dict float int list object property self set staticmethod str super"
)
"""What generated code uses, or a user's class around it."""
MODULES: typing.Final = _words("datetime decimal rpc typing uuid")
EVERYWHERE: typing.Final = KEYWORDS | BUILTINS | MODULES

SERVICE: typing.Final = (
    "Handlers",
    "AsyncHandlers",
    "ClientStub",
    "AsyncClientStub",
    "TaskStub",
    "ServerStub",
    "Server",
    "ThreadServer",
    "ProcessServer",
    "AsyncServer",
)
HANDED_ON: typing.Final = frozenset(
    ("Channel", "MethodProtocol", "AsyncChannel", "DistributedChannel", "AsyncDistributedChannel")
)
MODULE_LEVEL: typing.Final = HANDED_ON | {"INTERFACE", "annotations", *SERVICE}

CLASS_SCOPE: typing.Final = _words(
    "attempts attr default_message deprecated idempotent interface name oneway params priority protocols"
    " raises reserved returns timeout value"
)
"""Attributes of generated classes: a type of such a name would be hidden where it is used."""

EXCEPTION_MEMBERS: typing.Final = _words("add_note args default_message http_status message with_traceback")
ENUM_MEMBERS: typing.Final = _words(
    "as_integer_ratio bit_count bit_length conjugate denominator from_bytes from_wire imag is_integer mro"
    " name names numerator real to_bytes value values"
)
UNION_MEMBERS: typing.Final = frozenset(("Unknown",))

_WORD = re.compile(r"[^_]+")


def camel(name: str) -> str:
    """Gives a name in CamelCase: ``get_url`` → ``GetUrl``, ``HTTPServer`` as it is.

    Digits that only an underscore parts keep it, so that ``v1_2`` is not ``v12``.
    """
    words = _WORD.findall(name)
    if len(words) > 1 and name.isupper():
        words = [word.capitalize() for word in words]
    joined = ""
    for word in words:
        joined += "_" * (joined[-1:].isdigit() and word[0].isdigit()) + word[0].upper() + word[1:]
    return joined if joined.isidentifier() else "_" + joined


def _bare(name: str) -> str:
    bare = name.lstrip("_")
    return bare if bare[:1].isalpha() else "x" + bare


def _member(name: str, taken: collections.abc.Container[str]) -> str:
    """Gives the name of a field, parameter or method."""
    if name.startswith("__") and not name.endswith("__"):
        return _bare(name) + "_"
    return name + "_" if name in EVERYWHERE or name in taken else name


def _enum_member(name: str, enum: str) -> str:
    sunder = len(name) > 2 and name[0] == name[-1] == "_"
    private = name.startswith(("__", f"_{enum}__"))
    if sunder or private:
        return _bare(name).rstrip("_") + "_"
    return name + "_" if name in EVERYWHERE or name in ENUM_MEMBERS else name


@dataclasses.dataclass(frozen=True, slots=True)
class MethodNames:
    """A method's names.

    Args:
        attr: In stubs and handlers.
        protocol: The class of its messages.
        params: Its parameters, in their order.
    """

    attr: str
    protocol: str
    params: tuple[str, ...]


class Names:
    """All names of one generated module.

    Attributes:
        declared: By IDL name: types, constants and typedefs.
        unions: By IDL name: the type of a union's values, ``AnyShape``.
        members: By owner and IDL name: fields, enum members, and a union's cases.
        services: By service and kind: ``services["Directory"]["ClientStub"]``.
        methods: By service and IDL name; inherited ones have their parent's ``attr``.
        imports: By alias: what an include is imported as.
        problems: Names that collide in Python although they differ in the IDL.
    """

    def __init__(self, module: model.Module, book: NameBook) -> None:
        self.module = module
        self.declared: dict[str, str] = {}
        self.unions: dict[str, str] = {}
        self.members: dict[tuple[str, str], str] = {}
        self.services: dict[str, dict[str, str]] = {}
        self.methods: dict[tuple[str, str], MethodNames] = {}
        self.imports: dict[str, str] = {}
        self.problems: list[Diagnostic] = []
        self._taken: dict[str, str] = dict.fromkeys(EVERYWHERE | MODULE_LEVEL, "")
        self._in_classes: set[str] = set()
        self._name_module_level(book)
        self._name_members(book)

    def local_import(self, alias: str, wanted: str = "") -> str:
        """Gives a free module-level name for an import; the same each time."""
        if alias not in self.imports:
            name = wanted or alias
            name = _bare(name) if name.startswith("__") else name
            while name in self._taken:
                name += "_"
            self._taken[name] = alias
            self.imports[alias] = name
            self._in_classes.add(name)
        return self.imports[alias]

    def _claim(self, wanted: str, owner: str, span: Span | None, taken: dict[str, str]) -> str:
        for candidate in (wanted, wanted + "_"):
            if candidate not in taken:
                taken[candidate] = owner
                return candidate
        self._collide(owner, taken[wanted + "_"] or wanted, wanted + "_", span)
        return wanted + "_"

    def _collide(self, name: str, other: str, python: str, span: Span | None) -> None:
        self.problems.append(diagnose("E501", span, name=name, other=other, python=python))

    def _name_module_level(self, book: NameBook) -> None:
        module, taken = self.module, self._taken
        for include in module.includes:
            self.local_import(include.alias)
        services = module.of(model.Service)
        for service in services:
            kinds = self.services[service.name] = {}
            for kind in SERVICE:
                name = _prefix(service) + kind
                kinds[kind] = self._claim(name, name, service.span, taken) if service.name else name
        for service in services:
            offered = [*service.methods, *(method for _, method in service.inherited)]
            for method in offered:
                name = f"{_prefix(service)}{camel(method.name)}Protocol"
                protocol = self._claim(name, f"{name} (of {method.name})", method.span, taken)
                self.methods[service.name, method.name] = MethodNames("", protocol, ())
                self._in_classes.add(protocol)
        for union in module.of(model.Union):
            name = f"Any{union.name}"
            self.unions[union.name] = self._claim(name, f"{name} (of {union.name})", union.span, taken)
        plain: list[model.Declaration] = []
        for declared in module.declarations:
            if not isinstance(declared, model.Service):
                plain.append(declared)
        wanted = [(d.name, self._module_level(d), d.span) for d in plain]
        self._settle(wanted, taken, self.declared.__setitem__)
        types = (model.Enum, model.Struct, model.Union, model.ExceptionType)
        self._in_classes.update(self.declared[d.name] for d in plain if isinstance(d, types))
        self._in_classes.update(self.unions.values())

    def _module_level(self, declared: model.Declaration) -> str:
        hidden = not isinstance(declared, model.Const | model.Typedef) and declared.name in CLASS_SCOPE
        mangled = declared.name.startswith("__")
        name = _bare(declared.name) if mangled else declared.name
        return name + "_" if mangled or hidden or name in self._taken else name

    def _name_members(self, book: NameBook) -> None:
        for declared in self.module.declarations:
            match declared:
                case model.Struct():
                    self._fields(declared.name, declared.fields, self._in_classes)
                case model.ExceptionType() if declared.fields is not None:
                    self._exception_fields(declared.name, declared.fields)
                case model.Enum():
                    members = [
                        (m.name, _enum_member(m.name, declared.name), m.span) for m in declared.members
                    ]
                    self._settle(members, {}, functools.partial(self._keep, declared.name))
                case model.Union():
                    taken = dict.fromkeys(UNION_MEMBERS | KEYWORDS, "")
                    for member in declared.members:
                        case = self._claim(camel(member.name), member.name, member.span, taken)
                        self._keep(declared.name, member.name, case)
        for service in parents_first(self.module.of(model.Service)):
            self._methods(service, book)

    def _keep(self, owner: str, name: str, python: str) -> None:
        self.members[owner, name] = python

    def _fields(
        self, owner: str, fields: tuple[model.Field, ...], taken: collections.abc.Container[str]
    ) -> None:
        wanted = [(field.name, _member(field.name, taken), field.span) for field in fields]
        self._settle(wanted, {}, functools.partial(self._keep, owner))

    def _exception_fields(self, owner: str, fields: tuple[model.Field, ...]) -> None:
        base = set(EXCEPTION_MEMBERS)
        # The base class declares `message: str`: such a field is that very attribute.
        if any(field.name == "message" and field.type == model.Scalar("string") for field in fields):
            base.remove("message")
        self._fields(owner, fields, base | self._in_classes)

    def _methods(self, service: model.Service, book: NameBook) -> None:
        taken: dict[str, str] = {}
        for home, parent in book.parents(self.module, service):
            for method in parent.methods:
                # A parent in this file was named just before.
                names = (self if home is self.module else book.of(home)).methods[parent.name, method.name]
                taken[names.attr] = method.name
                key = service.name, method.name
                self.methods[key] = dataclasses.replace(
                    names, protocol=self.methods[service.name, method.name].protocol
                )
        wanted: list[tuple[str, str, Span]] = []
        # The bodies of AsyncClientStub and TaskStub name ClientStub: a method of that name would hide it there.
        hidden = self._in_classes | {self.services[service.name]["ClientStub"]}
        for method in service.methods:
            name = _member(method.name, hidden)
            # Stubs keep `_x` for themselves, so that their public names are the IDL's alone.
            if name.startswith("_") and not name.endswith("_"):
                name += "_"
            wanted.append((method.name, name, method.span))

        attrs: dict[str, str] = {}
        self._settle(wanted, taken, attrs.__setitem__)
        for method in service.methods:
            params: dict[str, str] = {}
            named = [(p.name, _member(p.name, self._in_classes), p.span) for p in method.params]
            self._settle(named, {}, params.__setitem__)
            key = service.name, method.name
            self.methods[key] = MethodNames(
                attrs[method.name], self.methods[key].protocol, tuple(params.values())
            )

    def _settle(
        self,
        wanted: collections.abc.Iterable[tuple[str, str, Span]],
        taken: dict[str, str],
        keep: collections.abc.Callable[[str, str], None],
    ) -> None:
        """Names one scope: what stays as it is first, then what is renamed."""
        renamed: list[tuple[str, str, Span]] = []
        for name, python, span in wanted:
            keep(name, python)
            if name == python and python not in taken:
                taken[python] = name
            else:
                renamed.append((name, python, span))
        for name, python, span in renamed:
            if python in taken:
                self._collide(name, taken[python] or python, python, span)
            taken[python] = name


class NameBook:
    """The names of several modules, each found once."""

    def __init__(self) -> None:
        self._names: dict[int, Names] = {}

    def of(self, module: model.Module) -> Names:
        """Gives a module's names."""
        names = self._names.get(id(module))
        if names is None:
            names = self._names[id(module)] = Names(module, self)
        return names

    def parents(
        self, module: model.Module, service: model.Service
    ) -> collections.abc.Iterator[tuple[model.Module, model.Service]]:
        """Gives the services that a service extends, nearest first, with the modules of each."""
        while service.extends is not None:
            module, service = find_service(module, service.extends)
            yield module, service


def parents_first(services: collections.abc.Iterable[model.Service]) -> list[model.Service]:
    """Gives one file's services, each after the one that it extends."""
    here = {service.name: service for service in services}
    ordered: dict[str, model.Service] = {}
    for service in here.values():
        chain = [service]
        while (parent := chain[-1].extends) is not None and not parent.file and parent.name not in ordered:
            chain.append(here[parent.name])
        for member in reversed(chain):
            ordered.setdefault(member.name, member)
    return list(ordered.values())


def _prefix(service: model.Service) -> str:
    return camel(service.name) if service.name else ""


def find_module(module: model.Module, alias: str) -> model.Module:
    """Gives the module that an alias stands for; an empty one stands for the module itself."""
    if not alias:
        return module
    return next(include.module for include in module.includes if include.alias == alias)


def find_service(module: model.Module, name: model.ServiceName) -> tuple[model.Module, model.Service]:
    """Gives a service by its name, and its module."""
    home = find_module(module, name.file)
    return home, next(service for service in home.of(model.Service) if service.name == name.name)
