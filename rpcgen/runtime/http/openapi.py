"""``GET /openapi.json``: what an application serves as OpenAPI 3.1, from descriptors and doc comments.

The document is made when it is first asked for, and kept as text. Only where the application is mounted is
put in for each request: that may differ from one to the next.
"""

from __future__ import annotations

import typing

from rpcgen.runtime.errors import FaultCode
from rpcgen.runtime.http.doc_comments import DocComments
from rpcgen.runtime.http.examples import example, is_plain
from rpcgen.runtime.http.json_schema import Schemas, raised
from rpcgen.runtime.http.statuses import STATUSES, problem_type, title_of
from rpcgen.runtime.schema import REQUIRED, Interface, ListOf, OptionalOf, SetOf, fingerprint
from rpcgen.runtime.wire.forms import idl_name, text
from rpcgen.runtime.wire.types import resolved

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.errors import RemoteException
    from rpcgen.runtime.http.json_schema import Schema
    from rpcgen.runtime.schema import Param
    from rpcgen.runtime.stubs import MessageProtocol, ServerStub

    Protocol: typing.TypeAlias = type[MessageProtocol[typing.Any]]

_JSON = "application/json"
_PROBLEM = "application/problem+json"
_ABOUT = (
    "Every method is called by POST with its arguments as a JSON object; methods that are idempotent "
    "also by GET. `POST /` takes whole call messages, binary or in JSON. The header `Rpc-Timeout` says how "
    "many seconds a call may take, `Rpc-Meta-NAME` carries metadata in base64."
)
_FAULTS = {400: "bad-request", 503: "unavailable", 504: "deadline-exceeded"}
"""Statuses that any method may answer → components; all others are the default."""


def document(stubs: collections.abc.Sequence[ServerStub], *, has_tokens: bool) -> dict[str, typing.Any]:
    """Gives the OpenAPI document of what stubs serve, without ``servers``.

    Args:
        stubs: In the order of their stubs, methods in that of their files.
        has_tokens: Callers need an access token.
    """
    return _Document(stubs, has_tokens=has_tokens).made()


def placed(written: bytes, root: str) -> bytes:
    """Gives the text of a document with the place at which the application is mounted."""
    return b'{"servers":%b,%b' % (text([{"url": root or "/"}]), written[1:])


class _Document:
    def __init__(self, stubs: collections.abc.Sequence[ServerStub], *, has_tokens: bool) -> None:
        self._protocols = [protocol for stub in stubs for protocol, _ in stub.methods]
        self._interfaces = _interfaces(stubs)
        self._docs = DocComments(
            interface
            for stub in stubs
            for cls in type(stub).__mro__
            if isinstance(interface := cls.__dict__.get("interface"), Interface)
        )
        self._title = ", ".join(dict.fromkeys(_tag(stub.protocols[-1]) for stub in stubs if stub.protocols))
        types = [
            type_
            for protocol in self._protocols
            for type_ in (*(param.type for param in protocol.params), protocol.returns, *protocol.raises)
        ]
        self._schemas = Schemas(self._docs, types)
        self._has_tokens = has_tokens
        self._schemas.components["fault-problem"] = _fault_problem()

    def made(self) -> dict[str, typing.Any]:
        paths = {f"/{protocol.name.replace('.', '/')}": self._path(protocol) for protocol in self._protocols}
        tags = {_tag(protocol): protocol for protocol in self._protocols}
        docs = [
            (tag, self._docs.of(protocol.__module__, *protocol.name.split(".")[:-1]))
            for tag, protocol in tags.items()
        ]
        files = [self._docs.of(_stem(interface)) for interface in self._interfaces]
        components: dict[str, typing.Any] = {
            "schemas": dict(sorted(self._schemas.components.items())),
            "responses": _responses(),
            "parameters": {"timeout": _TIMEOUT},
        }
        made: dict[str, typing.Any] = {
            "openapi": "3.1.0",
            "info": {
                "title": self._title,
                "version": fingerprint(self._interfaces) if self._interfaces else "unknown",
                "description": "\n\n".join([*filter(None, files), _ABOUT]),
            },
            "tags": [{"name": name, **({"description": doc} if doc else {})} for name, doc in docs],
            "paths": {**paths, "/healthz": _HEALTH},
            "components": components,
        }
        if self._has_tokens:
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            made["security"] = [{"token": []}]
        return made

    def _path(self, protocol: Protocol) -> dict[str, typing.Any]:
        path = {"post": self._post(protocol)}
        if protocol.idempotent:
            path["get"] = self._get(protocol)
        return path

    def _post(self, protocol: Protocol) -> dict[str, typing.Any]:
        module, name = self._doc_place(protocol)
        arguments = self._schemas.members(protocol.params, module, *name)
        arguments["additionalProperties"] = False
        sample = {param.name: example(param.type) for param in protocol.params if param.default is REQUIRED}
        body = {"required": True, "content": {_JSON: {"schema": arguments, "example": sample}}}
        return {**self._operation(protocol), "requestBody": body, "responses": self._answers(protocol)}

    def _get(self, protocol: Protocol) -> dict[str, typing.Any]:
        made = self._operation(protocol)
        made["operationId"] += "-get"
        made["parameters"] = [
            *(self._in_query(protocol, param) for param in protocol.params),
            *made["parameters"],
        ]
        return {**made, "responses": self._answers(protocol)}

    def _operation(self, protocol: Protocol) -> dict[str, typing.Any]:
        module, name = self._doc_place(protocol)
        doc = self._docs.of(module, *name)
        summary = doc.partition("\n\n")[0].replace("\n", " ")
        made: dict[str, typing.Any] = {
            "operationId": protocol.name,
            "tags": [_tag(protocol)],
            "summary": summary,
            "description": "" if doc == summary else doc,
            "parameters": [{"$ref": "#/components/parameters/timeout"}],
            "x-signature": (protocol.__doc__ or protocol.name).partition("\n")[0],
        }
        if protocol.deprecated is not None:
            made["deprecated"] = True
            made["description"] = f"{doc}\n\nDeprecated: {protocol.deprecated}".strip()
        return {key: value for key, value in made.items() if value not in ("", [])}

    def _doc_place(self, protocol: Protocol) -> tuple[str, list[str]]:
        """Gives where a method stands in the IDL: one that a service inherits stands in another."""
        found: typing.Any = protocol
        while found.__bases__[0].name:
            found = found.__bases__[0]
        return found.__module__, found.name.split(".")

    def _in_query(self, protocol: Protocol, param: Param) -> dict[str, typing.Any]:
        module, name = self._doc_place(protocol)
        found = self._schemas.member(param, module, *name)
        doc = found.pop("description", "")
        made: dict[str, typing.Any] = {"name": param.name, "in": "query"}
        if doc:
            made["description"] = doc
        if param.default is REQUIRED:
            made["required"] = True
        type_ = resolved(param.type.item if isinstance(param.type, OptionalOf) else param.type)
        if is_plain(type_):
            # What may be left out is left out: a query has no null.
            bare = self._schemas.of(type_)
            made["schema"] = {**bare, **({"default": found["default"]} if "default" in found else {})}
        elif isinstance(type_, (ListOf, SetOf)):
            plain = is_plain(type_.item)
            items = self._schemas.of(type_.item)
            in_text = {"type": "string", "contentMediaType": _JSON, "contentSchema": items}
            made["schema"] = {"type": "array", "items": items if plain else in_text, "minItems": 1}
        else:
            made["content"] = {_JSON: {"schema": self._schemas.of(type_)}}
        return made

    def _answers(self, protocol: Protocol) -> dict[str, typing.Any]:
        by_status: dict[int, list[tuple[str, Schema]]] = {}
        for kind in protocol.raises:
            doc = self._docs.of(kind.__module__, idl_name(kind))
            told = f"{idl_name(kind)}: {doc}" if doc else idl_name(kind)
            by_status.setdefault(kind.http_status, []).append((told, self._problem(kind)))
        answers: dict[str, typing.Any] = {"200": _answer("The result.", self._result(protocol), _JSON)}
        for status, found in sorted(by_status.items()):
            ways = [way for _, way in found]
            if status in _FAULTS:
                ways.append({"$ref": "#/components/schemas/fault-problem"})
            schema = ways[0] if len(ways) == 1 else {"anyOf": ways}
            answers[str(status)] = _answer("\n\n".join(doc for doc, _ in found), schema, _PROBLEM)
        for status, name in _FAULTS.items():
            answers.setdefault(str(status), {"$ref": f"#/components/responses/{name}"})
        return {**answers, "default": {"$ref": "#/components/responses/fault"}}

    def _result(self, protocol: Protocol) -> Schema:
        properties = {"result": self._schemas.of(protocol.returns)}
        return {"type": "object", "properties": properties, "required": ["result"]}

    def _problem(self, kind: type[RemoteException]) -> Schema:
        value = {} if kind.__rpc_fields__ is None else self._schemas.of(kind)
        name = f"{self._schemas.name(kind)}-problem"
        self._schemas.components[name] = _problem(
            [problem_type(idl_name(kind), is_declared=True)], kind.http_status, raised(kind, value)
        )
        return {"$ref": f"#/components/schemas/{name}"}


def _tag(protocol: Protocol) -> str:
    """Gives what a method is sorted by: its service, or the file that it stands in by itself."""
    return protocol.name.rpartition(".")[0] or protocol.__module__.rpartition(".")[2]


def _interfaces(stubs: collections.abc.Sequence[ServerStub]) -> list[Interface]:
    return list(dict.fromkeys(stub.interface for stub in stubs if stub.interface is not None))


def _stem(interface: Interface) -> str:
    return interface.file.removesuffix(".idl")


def _answer(description: str, schema: Schema, kind: str) -> dict[str, typing.Any]:
    return {"description": description, "content": {kind: {"schema": schema}}}


def _problem(types: list[str], status: int | None, error: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {
            "type": {"enum": types},
            "title": {"type": "string"},
            "status": {"type": "integer"} if status is None else {"const": status},
            "detail": {"type": "string"},
            "error": error,
        },
        "required": ["type", "title", "status", "detail", "error"],
    }


def _fault_problem() -> Schema:
    names = [code.name for code in STATUSES]
    error = {
        "type": "object",
        "properties": {"type": {"enum": names}, "message": {"type": "string"}},
        "required": ["type", "message"],
    }
    return _problem([problem_type(name, is_declared=False) for name in names], None, error)


def _responses() -> dict[str, typing.Any]:
    schema = {"$ref": "#/components/schemas/fault-problem"}
    made = {name: _answer(title_of(status), schema, _PROBLEM) for status, name in _FAULTS.items()}
    made["unavailable"]["headers"] = {
        "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}
    }
    codes = ", ".join(
        f"{status} {code.name}" for code, status in STATUSES.items() if code is not FaultCode.BAD_REQUEST
    )
    made["fault"] = _answer(f"A fault: {codes}, or what HTTP itself refuses.", schema, _PROBLEM)
    return made


_TIMEOUT: typing.Final = {
    "name": "Rpc-Timeout",
    "in": "header",
    "description": "Seconds that the call may take.",
    "schema": {"type": "string", "pattern": r"^(?:[1-9][0-9]{0,8}(?:\.[0-9]{1,9})?|0\.[0-9]{0,8}[1-9])$"},
    "example": "0.5",
}

_HEALTH: typing.Final = {
    "get": {
        "operationId": "healthz",
        "summary": "Whether calls are taken.",
        "security": [],
        "responses": {
            status: _answer(
                description,
                {"type": "object", "properties": {"status": {"const": word}}, "required": ["status"]},
                _JSON,
            )
            for status, description, word in (
                ("200", "They are.", "ok"),
                ("503", "It is closing.", "closing"),
            )
        },
    }
}
