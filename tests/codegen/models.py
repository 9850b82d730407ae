"""Models built by hand, for what needs no interface text."""

from __future__ import annotations

from rpcgen.compiler import model
from rpcgen.compiler.source import Source, Span

SPAN = Span(Source("hand.idl", " " * 10), 0, 1)
INT = model.Scalar("int")
STRING = model.Scalar("string")
VOID = model.Scalar("void")


def field(
    tag: int, name: str, type: model.Type = INT, default: model.Default | None = None, doc: str = ""
) -> model.Field:
    """Gives a field, parameter or member."""
    return model.Field(tag, name, type, default, doc, (), None, SPAN)


def method(
    name: str,
    *params: model.Field,
    returns: model.Type = VOID,
    raises: tuple[model.Named, ...] = (),
    service: str = "",
    doc: str = "",
    timeout: float | None = None,
) -> model.Method:
    """Gives a method; its signature is not canonical, only alike."""
    wire_name = f"{service}.{name}" if service else name
    return model.Method(
        name,
        wire_name,
        params,
        (),
        returns,
        raises,
        False,
        False,
        timeout,
        None,
        0,
        None,
        f"{name}()",
        doc,
        (),
        SPAN,
    )


def service(
    name: str,
    *methods: model.Method,
    extends: model.ServiceName | None = None,
    inherited: tuple[tuple[model.ServiceName, model.Method], ...] = (),
) -> model.Service:
    """Gives a service."""
    return model.Service(name, extends, methods, inherited, "", (), None, SPAN)


def struct(name: str, *fields: model.Field, recursive: bool = False, doc: str = "") -> model.Struct:
    """Gives a struct."""
    return model.Struct(name, fields, (), recursive, doc, (), None, SPAN)


def union(name: str, *members: model.Field) -> model.Union:
    """Gives a union."""
    return model.Union(name, members, (), False, "", (), None, SPAN)


def enum(name: str, *members: str) -> model.Enum:
    """Gives an enum whose members count from 0."""
    listed = tuple(model.EnumMember(member, i, "", (), None, SPAN) for i, member in enumerate(members))
    return model.Enum(name, listed, (), "", (), None, SPAN)


def exception(
    name: str, fields: tuple[model.Field, ...] | None = None, message: str = "failed", doc: str = ""
) -> model.ExceptionType:
    """Gives an exception."""
    return model.ExceptionType(name, fields, (), False, message, False, doc, (), None, SPAN)


def const(name: str, value: int) -> model.Const:
    """Gives a constant."""
    return model.Const(name, INT, value, "", (), SPAN)


def module(
    name: str,
    *declarations: model.Declaration,
    includes: tuple[model.Module, ...] = (),
    path: str = "",
) -> model.Module:
    """Gives a module; an include's alias is its name."""
    listed = tuple(model.Include(found.name, f"{found.name}.idl", found) for found in includes)
    return model.Module(name, path or f"{name}.idl", "", listed, declarations, "// hand\n")


DIVIDE = module(
    "service",
    exception("InvalidOperation", message="invalid operation"),
    service(
        "",
        method(
            "divide",
            field(1, "num1"),
            field(2, "num2", INT, model.Default(1, "1")),
            returns=model.Scalar("float"),
            raises=(model.Named("exception", "InvalidOperation"),),
        ),
    ),
)
