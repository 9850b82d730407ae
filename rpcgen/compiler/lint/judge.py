"""The rules that need nothing but one checked module: a walk over its declarations."""

from __future__ import annotations

import keyword
import typing

from rpcgen.compiler import model
from rpcgen.compiler.lint import names
from rpcgen.compiler.lint.findings import Annotations, Edit, Findings
from rpcgen.compiler.scope import a
from rpcgen.compiler.source import Span

_KINDS: typing.Final[dict[type, str]] = {
    model.Const: "const",
    model.Typedef: "typedef",
    model.Enum: "enum",
    model.Struct: "struct",
    model.Union: "union",
    model.ExceptionType: "exception",
    model.Service: "service",
}
_SPOKEN: typing.Final = {"const": "constant"}
_INEXACT: typing.Final = frozenset({"float", "double"})
_COUNTED: typing.Final = frozenset(
    ("byte", "short", "int", "long", "ubyte", "ushort", "uint", "ulong", "float", "double", "string")
)
_FEWEST_WORDS: typing.Final = 3
"""A doc comment of fewer may well stand twice."""


class _Named(typing.NamedTuple):
    """What has a name, among its neighbours."""

    name: str
    shown: str
    span: Span
    doc: str
    annotations: Annotations


def judge(module: model.Module, found: Findings) -> None:
    """Finds what may be a mistake in a module, whatever others make of it."""
    _Judge(module, found).judge()


class _Judge:
    def __init__(self, module: model.Module, found: Findings) -> None:
        self.module = module
        self.add = found.add
        self.options = found.options
        self._deprecated: dict[tuple[str, str], str] = {}
        self._deprecated_members: dict[tuple[str, str, str], str] = {}
        self._look_around("", module, set())

    def _look_around(self, way: str, module: model.Module, seen: set[str]) -> None:
        """Notes what is deprecated, here and in what is included, by the names used here."""
        if module.path in seen:
            return
        seen.add(module.path)
        for item in module.declarations:
            if not isinstance(item, (model.Const, model.Typedef)) and item.deprecated is not None:
                self._deprecated[way, item.name] = item.deprecated
            if isinstance(item, model.Enum):
                for member in item.members:
                    if member.deprecated is not None:
                        self._deprecated_members[way, item.name, member.name] = member.deprecated
        for include in module.includes:
            self._look_around(f"{way}.{include.alias}" if way else include.alias, include.module, seen)

    def judge(self) -> None:
        neighbours: list[_Named] = []
        for item in self.module.declarations:
            kind = _KINDS[type(item)]
            if not item.name:
                assert isinstance(item, model.Service)
                self._service(item)
                continue
            around = item.annotations
            implicit = isinstance(item, model.ExceptionType) and item.implicit
            if implicit:
                around = self._around_use(item.name)
            self._name(kind, item.name, item.name, item.span, around)
            if implicit:
                self.add("L001", item.span, around, fix=_declaration(item.span, item.name), name=item.name)
            else:
                self._doc(kind, item.name, item.span, item.doc, around)
            neighbours.append(_Named(item.name, item.name, item.span, item.doc, around))
            match item:
                case model.Const() | model.Typedef():
                    self._money(kind, item.name, item.type, item.span, around)
                case model.Service():
                    self._service(item)
                case model.Enum():
                    self._enum(item)
                case model.Union():
                    self._fields("member", item.name, item.members, item.reserved, around, item.deprecated)
                case model.Struct() | model.ExceptionType():
                    fields = item.fields or ()
                    self._fields("field", item.name, fields, item.reserved, around, item.deprecated)
        self._alike(neighbours)

    def _around_use(self, name: str) -> Annotations:
        """Gives the annotations around the first use of an exception that nothing else declares."""
        for service in self.module.of(model.Service):
            for method in service.methods:
                if any(raised.name == name and not raised.file for raised in method.raises):
                    return *service.annotations, *method.annotations
        return ()

    # Services

    def _service(self, service: model.Service) -> None:
        if service.name and not service.methods and not service.inherited:
            self.add("L012", service.span, service.annotations, name=service.name)
        parent = service.extends
        if parent is not None and service.deprecated is None:
            self._use(service.name, parent.name, parent.file, service.span, service.annotations)
        neighbours: list[_Named] = []
        for method in service.methods:
            around = *service.annotations, *method.annotations
            gone = method.deprecated if method.deprecated is not None else service.deprecated
            name, shown, span = method.name, method.wire_name, method.span
            neighbours.append(_Named(name, shown, span, method.doc, around))
            self._name("method", name, shown, span, around)
            self._doc("method", shown, span, method.doc, around)
            self._money("method", name, method.returns, span, around)
            self._fields("parameter", shown, method.params, method.reserved, around, gone)
            count, most = len(method.params), self.options.max_parameters
            if count > most:
                self.add("L008", span, around, name=shown, count=count, most=most)
            if gone is None:
                for used in (*_named_in(method.returns), *method.raises):
                    self._use(shown, used.name, used.file, span, around)
                nothing = method.returns == model.Scalar("void")
                if names.reads(name) and not method.idempotent and not nothing:
                    self.add("L016", span, around, name=shown)
        self._alike(neighbours)

    # Members

    def _enum(self, item: model.Enum) -> None:
        neighbours: list[_Named] = []
        for member in item.members:
            around = *item.annotations, *member.annotations
            shown = f"{item.name}.{member.name}"
            neighbours.append(_Named(member.name, shown, member.span, member.doc, around))
            self._name("enum member", member.name, shown, member.span, around)
            self._doc("enum member", shown, member.span, member.doc, around)
        self._alike(neighbours)

    def _fields(
        self,
        kind: str,
        owner: str,
        fields: tuple[model.Field, ...],
        reserved: tuple[model.Reserved, ...],
        outer: Annotations,
        gone: str | None,
    ) -> None:
        """Judges fields, parameters or members; ``gone`` is why all of it is deprecated, or None."""
        neighbours: list[_Named] = []
        for field in fields:
            around = *outer, *field.annotations
            shown = f"{owner}.{field.name}"
            neighbours.append(_Named(field.name, shown, field.span, field.doc, around))
            self._name(kind, field.name, shown, field.span, around)
            self._doc(kind, shown, field.span, field.doc, around)
            if not names.is_money(field.alias.rpartition(".")[2]):
                self._money(kind, field.name, field.type, field.span, around, shown)
            self._time(kind, field, shown, around)
            if gone is not None or field.deprecated is not None:
                continue
            for used in _named_in(field.type):
                self._use(shown, used.name, used.file, field.span, around)
            value = field.default.value if field.default else None
            if isinstance(value, model.EnumValue):
                place = value.type.file, value.type.name, value.member
                if (why := self._deprecated_members.get(place)) is not None:
                    other = f"{value.type.name}.{value.member}"
                    self.add("L009", field.span, around, name=shown, other=other, why=why)
        self._alike(neighbours)
        self._gaps(owner, fields, reserved, outer)

    def _gaps(
        self,
        owner: str,
        fields: tuple[model.Field, ...],
        reserved: tuple[model.Reserved, ...],
        around: Annotations,
    ) -> None:
        tagged: tuple[model.Field | model.Reserved, ...] = (*fields, *reserved)
        taken = {each.tag for each in tagged}
        missing = [tag for tag in range(1, max(taken, default=0)) if tag not in taken]
        if not missing:
            return
        behind = min((each for each in tagged if each.tag > missing[0]), key=lambda each: each.tag)
        self.add(
            "L004",
            behind.span,
            around,
            label=f"its tag is {behind.tag}",
            owner=owner,
            tags=f"{'tag' if len(missing) == 1 else 'tags'} {_ranges(missing)}",
            first=missing[0],
        )

    # One name, one type

    def _name(self, kind: str, name: str, shown: str, span: Span, around: Annotations) -> None:
        style = names.STYLES[kind]
        if keyword.iskeyword(name):
            self.add("L014", span, around, name=name)
        elif not style.pattern.fullmatch(name):
            better = style.write(name)
            if better != name and style.pattern.fullmatch(better):
                what = _SPOKEN.get(kind, kind)
                self.add("L005", span, around, what=what, name=shown, style=style.example, better=better)

    def _doc(self, kind: str, shown: str, span: Span, doc: str, around: Annotations) -> None:
        if not doc and kind in self.options.docs:
            self.add("L003", span, around, what=_SPOKEN.get(kind, kind), name=shown)

    def _money(
        self, kind: str, name: str, of_type: model.Type, span: Span, around: Annotations, shown: str = ""
    ) -> None:
        inexact = next((scalar for scalar in _scalars(of_type) if scalar in _INEXACT), None)
        if inexact and names.is_money(name):
            self.add("L002", span, around, what=_SPOKEN.get(kind, kind), name=shown or name, type=inexact)

    def _time(self, kind: str, field: model.Field, shown: str, around: Annotations) -> None:
        of_type = field.type.item if isinstance(field.type, model.OptionalOf) else field.type
        if field.alias or not isinstance(of_type, model.Scalar) or of_type.name not in _COUNTED:
            return
        better = names.meant(field.name, of_type.name)
        if better:
            self.add("L011", field.span, around, what=kind, name=shown, type=a(of_type.name), better=better)

    def _use(self, user: str, name: str, file: str, span: Span, around: Annotations) -> None:
        why = self._deprecated.get((file, name))
        if why is not None:
            other = f"{file}.{name}" if file else name
            self.add("L009", span, around, name=user, other=other, why=why)

    # Neighbours

    def _alike(self, neighbours: list[_Named]) -> None:
        """Finds names, and doc comments, that neighbours have in common."""
        by_name: dict[str, _Named] = {}
        by_doc: dict[str, _Named] = {}
        for one in neighbours:
            first = by_name.setdefault(names.same_but_for_form(one.name), one)
            if first is not one and first.name != one.name:
                self._twice("L010", one, first, "the other one")
            text = " ".join(one.doc.lower().split())
            if text.count(" ") + 1 >= _FEWEST_WORDS:
                first = by_doc.setdefault(text, one)
                if first is not one:
                    self._twice("L013", one, first, "it stands here first")

    def _twice(self, code: str, one: _Named, first: _Named, label: str) -> None:
        secondary = ((first.span, label),)
        self.add(code, one.span, one.annotations, secondary=secondary, name=one.shown, other=first.shown)


def _declaration(use: Span, name: str) -> Edit:
    """Declares an exception at the end of its file, where no comment can be cut in two."""
    text = use.source.text
    start = "\n" if text.endswith("\n") else "\n\n"
    return Edit(len(text), len(text), f"{start}exception {name}\n")


def _scalars(of_type: model.Type) -> typing.Iterator[str]:
    match of_type:
        case model.Scalar(name):
            yield name
        case model.ListOf(item) | model.SetOf(item) | model.OptionalOf(item) | model.MapOf(_, item):
            yield from _scalars(item)


def _named_in(of_type: model.Type) -> typing.Iterator[model.Named]:
    match of_type:
        case model.Named():
            yield of_type
        case model.ListOf(item) | model.SetOf(item) | model.OptionalOf(item):
            yield from _named_in(item)
        case model.MapOf(key, value):
            yield from _named_in(key)
            yield from _named_in(value)


def _ranges(numbers: list[int]) -> str:
    """Gives ``2, 4 to 6`` of 2, 4, 5, 6."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)
