"""Whole messages as JSON, as `POST /` has them: calls with their names, results, exceptions and faults."""

from __future__ import annotations

import typing

from rpcgen.runtime.errors import DecodeError, EncodeError, FaultCode
from rpcgen.runtime.wire.forms import MethodForms, from_json, idl_name
from rpcgen.runtime.wire.json_scalars import shown_json
from rpcgen.runtime.wire.plain import encode_fault

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.wire.capture import Message
    from rpcgen.runtime.wire.codec import ReferenceCodec


def to_json(message: Message, methods: collections.abc.Mapping[str, ReferenceCodec]) -> dict[str, typing.Any]:
    """Gives a message that was captured."""
    made = _to_json(message, methods.get(message.method or ""))
    return {"id": message.call_id, **made} if message.call_id else made


def _to_json(message: Message, method: ReferenceCodec | None) -> dict[str, typing.Any]:
    value = message.value
    if message.kind == "fault":
        return {"error": {"type": value.code.name, "message": value.message}}
    assert method is not None, "only faults are read without a method"
    forms = MethodForms(method)
    if message.kind == "call":
        return {"name": method.name, "params": forms.write_arguments(value)}
    if message.kind == "raised":
        return {"error": forms.write_raised(value)}
    return {"result": forms.write_result(value)}


def whole_call(data: object) -> tuple[str, object]:
    """Gives the name and the arguments of ``{"name": …, "params": {…}}``.

    Raises:
        DecodeError: It is none.
    """
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        raise DecodeError(f'without METHOD, a call is {{"name": …, "params": {{…}}}}, not {shown_json(data)}')
    _only(data, "name", "params", "id")
    return data["name"], data.get("params", {})


def call_of(method: ReferenceCodec, params: object) -> bytes:
    """Gives the call with these arguments.

    Raises:
        DecodeError: They are not those of the method.
    """
    return method.encode_call(MethodForms(method).read_arguments(params))


def reply_of(method: ReferenceCodec, data: object) -> bytes:
    """Gives the reply that JSON says.

    Raises:
        DecodeError: It says none of the method's.
        EncodeError: It does not fit.
    """
    if not isinstance(data, dict) or ("result" in data) == ("error" in data):
        raise DecodeError(f'a reply is {{"result": …}} or {{"error": {{…}}}}, not {shown_json(data)}')
    _only(data, "result", "error", "id")
    if "result" in data:
        return bytes(method.encode_reply(MethodForms(method).read_result(data["result"])))
    error = data["error"]
    if not isinstance(error, dict) or not isinstance(error.get("type"), str):
        raise DecodeError(f'error is {{"type": …, "message": …}}, not {shown_json(error)}')
    _only(error, "type", "message", "fields")
    kind, message = error["type"], error.get("message", "")
    declared = {idl_name(each): each for each in reversed(method.raises)}
    if kind in declared:
        cls = declared[kind]
        has_body = cls.__rpc_fields__ is not None
        raised = from_json(cls, error.get("fields", {}) if has_body else message, path=kind)
        made = method.encode_raised(raised)
        if made is None:
            raise EncodeError(f"{kind} is not declared", method=method.name)
        return made
    if kind in FaultCode.__members__ and isinstance(message, str):
        return encode_fault(FaultCode[kind], message)
    known = ", ".join([*declared, *FaultCode.__members__])
    raise DecodeError(f"error.type: {kind!r:.60} is none of {known}", method=method.name)


def _only(data: dict[str, typing.Any], *names: str) -> None:
    unknown = [name for name in data if name not in names]
    if unknown:
        raise DecodeError(f"{unknown[0]!r:.60} is unknown here: there are {', '.join(names)}")
