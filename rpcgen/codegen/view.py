"""What templates are given: the model with every decision made and every line laid out.

``docs/templates.md`` describes it for those who write templates. Texts that may take
several lines (a signature, a docstring) come as they stand in the module, first line
without its indentation.
"""

from __future__ import annotations

import msgspec

from rpcgen.compiler import model


class FieldView(msgspec.Struct, frozen=True, gc=False):
    """A field of a struct or exception, or an enum's member."""

    name: str
    declaration: str
    docstring: str | None
    model: model.Field | model.EnumMember


class CaseView(msgspec.Struct, frozen=True, gc=False):
    """A union's case."""

    name: str
    header: str
    value: str
    model: model.Field


class InitView(msgspec.Struct, frozen=True, gc=False):
    """An exception's constructor."""

    header: str
    call: str


class TypeView(msgspec.Struct, frozen=True, gc=False):
    """A struct, union, enum or exception.

    Args:
        kind: ``struct``, ``union``, ``enum`` or ``exception``.
        decorator: ``@rpc.fields(…)``, or None.
        header: ``class Person(rpc.Struct, gc=False):``.
        body: Whether anything stands in the class beside its docstring.
        empty: Neither a docstring nor a body.
        fields: Of a struct, exception or enum.
        cases: Of a union.
        message: The default message of an exception without a body, and its status over HTTP.
        init: Of an exception with a body.
        alias: ``AnyShape: typing.TypeAlias = …`` of a union.
    """

    kind: str
    name: str
    decorator: str | None
    header: str
    docstring: str | None
    body: bool
    empty: bool
    fields: tuple[FieldView, ...]
    cases: tuple[CaseView, ...]
    message: str | None
    init: InitView | None
    alias: str | None
    model: model.Enum | model.Struct | model.Union | model.ExceptionType


class AssignmentView(msgspec.Struct, frozen=True, gc=False):
    """A constant or typedef: its whole assignment."""

    name: str
    assignment: str
    docstring: str | None
    model: model.Const | model.Typedef


class MethodView(msgspec.Struct, frozen=True, gc=False):
    """A method of a service.

    Args:
        name: In Python.
        protocol: Its protocol class's name.
        protocol_header: ``class DivideProtocol(rpc.MessageProtocol[float]):``.
        protocol_docstring: The signature in IDL.
        attributes: The protocol class's assignments.
        handler: The whole declaration in Handlers; None for an inherited method.
        async_handler: The same in AsyncHandlers, where it is for type checkers alone and stands deeper.
        header: ``def divide(self, num1: int, num2: int = 1) -> float:``.
        docstring: None for an inherited method, whose parent has it.
        call: ``return self._call(DivideProtocol, num1, num2)``.
        awaited: The whole assignment in AsyncClientStub, for type checkers alone: ``divide = rpc.awaited(ClientStub.divide)``.
        queued: The same in TaskStub: ``divide = rpc.queued(ClientStub.divide)``.
    """

    name: str
    protocol: str
    protocol_header: str
    protocol_docstring: str
    attributes: tuple[str, ...]
    handler: str | None
    async_handler: str | None
    header: str
    docstring: str | None
    call: str
    awaited: str
    queued: str
    model: model.Method


class ServerView(msgspec.Struct, frozen=True, gc=False):
    """Server, ThreadServer, ProcessServer or AsyncServer of one service."""

    name: str
    header: str
    docstring: str
    init: str
    call: str


class ServiceView(msgspec.Struct, frozen=True, gc=False):
    """A service.

    Args:
        name: In the IDL; empty for the file's own.
        names: Its classes by kind: Handlers, AsyncHandlers, ClientStub, AsyncClientStub, TaskStub, ServerStub and the servers.
        handlers_header: ``class Handlers(typing.Protocol):``.
        async_handlers_header: ``class AsyncHandlers(typing.Protocol):``.
        has_handlers: Whether it declares methods of its own.
        client_header: ``class ClientStub(rpc.ClientStub):``.
        client_docstring: The IDL's words, if it has any.
        async_client_header: ``class AsyncClientStub(rpc.AsyncClientStub, like=ClientStub):``.
        async_client_docstring: What it stands beside: the IDL's words are on ClientStub.
        task_header: ``class TaskStub(rpc.TaskStub, like=ClientStub):``.
        task_docstring: The same.
        stub_header: ``class ServerStub(rpc.ServerStub):``.
        protocols: ``protocols = (…)``.
        stub_init: ``def __init__(self, handlers: Handlers | AsyncHandlers) -> None:``.
    """

    name: str
    names: dict[str, str]
    methods: tuple[MethodView, ...]
    handlers_header: str
    async_handlers_header: str
    has_handlers: bool
    client_header: str
    client_docstring: str
    async_client_header: str
    async_client_docstring: str
    task_header: str
    task_docstring: str
    stub_header: str
    protocols: str
    stub_init: str
    servers: tuple[ServerView, ...]
    model: model.Service


class ModuleView(msgspec.Struct, frozen=True, gc=False):
    """One module.

    Args:
        source: The file's name, without its folder.
        mark: The first line, by which a generated file is known.
        docstring: The file's doc comment, or None.
        abi: What the runtime must have.
        command: What compiles the file again, as a literal.
        standard: Modules of the standard library to import, in order.
        imports: Import statements for the includes.
        enums: In the file's order, as all that follow.
        types: Structs, unions and exceptions.
        interface: ``INTERFACE = rpc.Interface(…)``.
        bindings: ``Server = DirectoryServer`` and so on, where the only service has a name.
        handed_on: ``Channel = rpc.Channel`` and so on; none without a service.
    """

    source: str
    mark: str
    docstring: str | None
    abi: int
    command: str
    standard: tuple[str, ...]
    imports: tuple[str, ...]
    enums: tuple[TypeView, ...]
    constants: tuple[AssignmentView, ...]
    types: tuple[TypeView, ...]
    typedefs: tuple[AssignmentView, ...]
    services: tuple[ServiceView, ...]
    interface: str
    bindings: tuple[str, ...]
    handed_on: tuple[str, ...]
    model: model.Module
