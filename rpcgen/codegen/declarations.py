"""Constants, typedefs, enums, structs, unions, exceptions: from the model to the view."""

from __future__ import annotations

import collections.abc
import typing

from rpcgen.codegen import docstrings
from rpcgen.codegen.layout import Alternatives, Expression, Group, statement
from rpcgen.codegen.literals import is_mutable, quote
from rpcgen.codegen.types import Types, named
from rpcgen.codegen.view import AssignmentView, CaseView, FieldView, InitView, TypeView
from rpcgen.compiler import model

_CALLERS_NAMED: typing.Final = 3


def deprecation(deprecated: str | None) -> str:
    """Gives the sentence that a docstring says about it, if any."""
    if deprecated is None:
        return ""
    return f"Deprecated: {deprecated.rstrip('.')}." if deprecated else "Deprecated."


def paragraphs(*texts: str) -> list[str]:
    """Gives the lines of several texts, a blank line between each two; empty ones are left out."""
    lines: list[str] = []
    for text in texts:
        cleaned = docstrings.clean(text)
        if cleaned:
            lines += ["", *cleaned] if lines else cleaned
    return lines


def default_words(field: model.Field, types: Types, home: model.Module) -> str:
    """Gives what a docstring says about a default: ``MAX_ITEMS (100) by default``."""
    if field.default is None:
        return ""
    source = types.literal(field.default.value, field.type, home)
    value = source if isinstance(source, str) else source.flat
    written = field.default.written
    named_constant = written.replace(".", "").replace("_", "").isalnum() and written[:1].isalpha()
    plain = isinstance(field.default.value, bool | model.EnumValue) or written == value
    if written and (plain or not named_constant):
        return f"{written} by default"
    return f"{written} ({value}) by default" if written else f"{value} by default"


def entry(name: str, type: str, *facts: str, doc: str = "", deprecated: str | None = None) -> list[str]:
    """Gives a docstring's lines about one argument, field or exception, indented."""
    about = ", ".join(fact for fact in (type, *facts) if fact)
    head = f"{name}: {about}" if about else name
    said = [*docstrings.clean(doc), *docstrings.clean(deprecation(deprecated))]
    if not said:
        return [f"    {head}"]
    joint = ". " if about else ": "
    return [f"    {head}{joint}{said[0]}", *(f"        {line}" if line else "" for line in said[1:])]


def assigned(name: str, annotation: str, value: Expression) -> str:
    return statement(f"{name}: {annotation} = ", value)


def parameter(name: str, annotation: str, default: str | None) -> str:
    return f"{name}: {annotation}" if default is None else f"{name}: {annotation} = {default}"


def flat(expression: Expression) -> str:
    return expression if isinstance(expression, str) else expression.flat


class Declarations:
    """Makes the views of one module's declarations.

    Args:
        types: How the module writes types.
        raised: By exception: the wire names of this file's methods that raise it.
    """

    def __init__(self, types: Types, raised: collections.abc.Mapping[str, list[str]]) -> None:
        self.types = types
        self.names = types.names
        self.home = types.module
        self.raised = raised

    def constant(self, const: model.Const) -> AssignmentView:
        name = self.names.declared[const.name]
        value = self.types.literal(const.value, const.type, self.home)
        final = "typing.Final"
        if is_mutable(const.type):
            final = f"typing.Final[{self.types.annotation(const.type, self.home)}]"
        return AssignmentView(name, assigned(name, final, value), self._docstring(const.doc, 0), const)

    def typedef(self, typedef: model.Typedef) -> AssignmentView:
        name = self.names.declared[typedef.name]
        alias = self.types.annotation(typedef.type, self.home)
        docstring = self._docstring(typedef.doc, 0)
        return AssignmentView(name, assigned(name, "typing.TypeAlias", alias), docstring, typedef)

    def enum(self, enum: model.Enum) -> TypeView:
        name = self.names.declared[enum.name]
        members = []
        for member in enum.members:
            python = self.names.members[enum.name, member.name]
            said = paragraphs(member.doc, deprecation(member.deprecated))
            text = docstrings.docstring(said, 4) if said else None
            members.append(FieldView(python, f"{python} = {member.number}", text, member))
        header = statement("class ", Group(f"{name}(", ["rpc.Enum"], ")"), ":")
        docstring = self._docstring(enum.doc, 4, deprecation(enum.deprecated))
        self.types.defined.add(enum.name)
        return self._view("enum", enum, header, docstring, fields=members)

    def composite(self, declared: model.Struct | model.Union | model.ExceptionType) -> TypeView:
        match declared:
            case model.Struct():
                view = self._struct(declared)
            case model.Union():
                view = self._union(declared)
            case model.ExceptionType():
                view = self._exception(declared)
        self.types.defined.add(declared.name)
        return view

    def _struct(self, struct: model.Struct) -> TypeView:
        name = self.names.declared[struct.name]
        bases = ["rpc.Struct"] if struct.recursive else ["rpc.Struct", "gc=False"]
        fields = []
        for field in struct.fields:
            python = self.names.members[struct.name, field.name]
            fields.append(FieldView(python, self._declared(field, python), None, field))
        said = self._attributes(struct.name, struct.fields)
        return self._view(
            "struct",
            struct,
            statement("class ", Group(f"{name}(", bases, ")"), ":"),
            self._docstring(struct.doc, 4, deprecation(struct.deprecated), section=said, title=f"{name}."),
            decorator=self._decorator(struct.name, struct.fields, struct.reserved),
            fields=fields,
        )

    def _union(self, union: model.Union) -> TypeView:
        name = self.names.declared[union.name]
        bases = ["rpc.Case"] if union.recursive else ["rpc.Case", "gc=False"]
        cases = []
        for member in union.members:
            python = self.names.members[union.name, member.name]
            header = statement("class ", Group(f"{python}(", bases, ")"), ":", 4)
            value = statement("value: ", self.types.annotation(member.type, self.home), indent=8)
            cases.append(CaseView(python, header, value, member))
        alias = Alternatives([f"{name}.{case.name}" for case in cases] + [f"{name}.Unknown"])
        said = self._attributes(union.name, union.members, "Cases:")
        return self._view(
            "union",
            union,
            statement("class ", Group(f"{name}(", ["rpc.Union"], ")"), ":"),
            self._docstring(union.doc, 4, deprecation(union.deprecated), section=said, title=f"{name}."),
            decorator=self._decorator(union.name, union.members, union.reserved),
            cases=cases,
            alias=assigned(self.names.unions[union.name], "typing.TypeAlias", alias),
        )

    def _exception(self, exception: model.ExceptionType) -> TypeView:
        name = self.names.declared[exception.name]
        header = statement("class ", Group(f"{name}(", ["rpc.RemoteException"], ")"), ":")
        callers = self.raised.get(exception.name, [])
        raised = ""
        if callers:
            shown = callers if len(callers) <= _CALLERS_NAMED else callers[: _CALLERS_NAMED - 1]
            more = [f"{len(callers) - len(shown)} more"] if len(shown) < len(callers) else []
            *most, last = [*shown, *more]
            raised = f"Raised by {', '.join(most)} and {last}." if most else f"Raised by {last}."
        again = "A call that raised it may be tried again." if exception.retryable else ""
        about = (again, deprecation(exception.deprecated))
        status = "" if exception.status is None else f"http_status = {exception.status}"
        if exception.fields is None:
            docstring = self._docstring(exception.doc or raised, 4, *about)
            message = statement("default_message = ", quote(exception.default_message), indent=4)
            message = "\n    ".join(filter(None, (message, status)))
            return self._view("exception", exception, header, docstring, message=message)

        fields = []
        parameters = ["self"]
        for field in exception.fields:
            python = self.names.members[exception.name, field.name]
            annotation = self.types.annotation(field.type, self.home)
            declaration = statement(f"{python}: ", annotation, indent=4)
            fields.append(FieldView(python, declaration, None, field))
            parameters.append(parameter(python, annotation, self.default(field, self.home)))
        init = InitView(
            statement("def __init__", Group("(", parameters, ")"), " -> None:", 4),
            statement("", Group("self._set_fields(", [field.name for field in fields], ")"), indent=8),
        )
        said = self._attributes(exception.name, exception.fields, "Args:")
        return self._view(
            "exception",
            exception,
            header,
            self._docstring(exception.doc or raised, 4, *about, section=said, title=f"{name}."),
            decorator=self._decorator(exception.name, exception.fields, exception.reserved),
            message=status,
            fields=fields,
            init=init,
        )

    def default(self, field: model.Field, home: model.Module) -> str | None:
        """Gives a parameter's default in a Python signature, if it has one."""
        if field.required:
            return None
        if field.default is None:
            return "None"
        if is_mutable(field.type):
            return "rpc.DEFAULT"
        return flat(self.types.literal(field.default.value, field.type, home))

    def descriptor(self, kind: str, field: model.Field, python: str, home: model.Module) -> Group:
        """Gives ``rpc.Field(…)`` or ``rpc.Param(…)``."""
        parts: list[Expression] = [
            str(field.tag),
            quote(field.name),
            self.types.descriptor(field.type, home),
        ]
        if field.default is not None:
            parts.append(named("default", self.types.literal(field.default.value, field.type, home)))
        if python != field.name:
            parts.append(f"attr={quote(python)}")
        return Group(f"rpc.{kind}(", parts, ")")

    def reserved(self, reserved: tuple[model.Reserved, ...], home: model.Module) -> list[Expression]:
        return [
            Group("rpc.Reserved(", [str(item.tag), self.types.descriptor(item.type, home)], ")")
            for item in reserved
        ]

    def _declared(self, field: model.Field, python: str) -> str:
        before = f"{python}: {self.types.annotation(field.type, self.home)}"
        if field.required:
            return statement("", before, indent=4)
        if field.default is None:
            return statement(f"{before} = ", "None", indent=4)
        make = self.types.factory if is_mutable(field.type) else self.types.literal
        return statement(f"{before} = ", make(field.default.value, field.type, self.home), indent=4)

    def _decorator(
        self, owner: str, fields: tuple[model.Field, ...], reserved: tuple[model.Reserved, ...]
    ) -> str:
        items: list[Expression] = []
        for field in fields:
            # A case's name is found by its place; only a field's has to be said.
            is_case = (owner in self.names.unions) and field.name
            python = is_case or self.names.members[owner, field.name]
            items.append(self.descriptor("Field", field, python, self.home))
        items += self.reserved(reserved, self.home)
        return statement("@", Group("rpc.fields(", items, ")", spread=True))

    def _attributes(
        self, owner: str, fields: tuple[model.Field, ...], title: str = "Attributes:"
    ) -> list[str]:
        """Gives a docstring's section about fields, if any of them has something to say."""
        if not any(field.doc or field.deprecated is not None for field in fields):
            return []
        lines = [title]
        for field in fields:
            name = self.names.members[owner, field.name]
            words = default_words(field, self.types, self.home)
            about = field.alias or model.idl(field.type)
            lines += entry(name, about, words, doc=field.doc, deprecated=field.deprecated)
        return lines

    def _docstring(
        self, doc: str, indent: int, *facts: str, section: collections.abc.Sequence[str] = (), title: str = ""
    ) -> str | None:
        lines = paragraphs(doc, *facts)
        if section:
            lines = [*(lines or [title]), "", *section]
        return docstrings.docstring(lines, indent) if lines else None

    def _view(
        self,
        kind: str,
        declared: model.Enum | model.Struct | model.Union | model.ExceptionType,
        header: str,
        docstring: str | None,
        *,
        decorator: str | None = None,
        fields: collections.abc.Sequence[FieldView] = (),
        cases: collections.abc.Sequence[CaseView] = (),
        message: str | None = None,
        init: InitView | None = None,
        alias: str | None = None,
    ) -> TypeView:
        body = bool(fields or cases or message or init or kind == "union")
        return TypeView(
            kind=kind,
            name=self.names.declared[declared.name],
            decorator=decorator,
            header=header,
            docstring=docstring,
            body=body,
            empty=not body and docstring is None,
            fields=tuple(fields),
            cases=tuple(cases),
            message=message,
            init=init,
            alias=alias,
            model=declared,
        )
