"""Whether a client's version of a method and a server's understand each other, known before a call is sent.

A server's HELLO says by a fingerprint which interface it has. Where that is not the client's own, the client
asks once what the server's methods look like, and compares each with its own when it is first called: what
one end may write, the other must read, and mean the same. What is compared is made of descriptors, as JSON:
types by their structure, defaults by their bytes. It holds nothing that the canonical text does not say.
"""

from __future__ import annotations

import sys
import typing

from rpcgen.runtime.errors import ContractMismatch
from rpcgen.runtime.schema import (
    REQUIRED,
    STRING,
    Enum,
    Field,
    ListOf,
    MapOf,
    OptionalOf,
    Param,
    Scalar,
    SetOf,
)
from rpcgen.runtime.stubs import Interface, MessageProtocol

if typing.TYPE_CHECKING:
    import collections.abc

    Protocol: typing.TypeAlias = type[MessageProtocol[typing.Any]]
    Mode: typing.TypeAlias = typing.Literal["check", "warn", "off"]
    Json: typing.TypeAlias = typing.Any

SIGNATURES: typing.Final = "signatures"
"""The form of ``rpc.describe`` that is compared."""

PROPERTY: typing.Final = "fingerprint"
"""Of HELLO, either way."""

_MODES: typing.Final = ("check", "warn", "off")
_MOST: typing.Final = 64
"""Fingerprints that a channel remembers: peers must not fill memory."""


class Describe(MessageProtocol[str]):
    """string rpc.describe(1: string? form)"""

    name = "rpc.describe"
    params = (Param(1, "form", OptionalOf(STRING)),)
    returns = STRING


def interface_of(protocol: Protocol) -> Interface | None:
    """Gives the interface that a method was generated from; None: its module has none."""
    found = getattr(sys.modules.get(protocol.__module__), "INTERFACE", None)
    return found if isinstance(found, Interface) else None


class Contracts:
    """What a channel, or those to all servers of a registry, know of their servers' versions.

    Args:
        mode: ``check``: a call that would be misunderstood is refused; ``warn``: it is logged, once a
            method and version; ``off``: nobody looks.

    Raises:
        ValueError: There is no such mode.
    """

    def __init__(self, mode: Mode = "check") -> None:
        if mode not in _MODES:
            raise ValueError(f'contract is "check", "warn" or "off", not {mode!r}')
        self.mode = mode
        self._own: dict[int, str] = {}
        self._known: dict[str, Contract] = {}

    @property
    def own(self) -> str:
        """The fingerprint of the first interface whose methods were called here; empty: of none yet."""
        return next(iter(self._own.values()), "")

    def learn(self, protocol: Protocol) -> bool:
        """Notes which interface a method is of; says whether it is one more."""
        interface = None if self.mode == "off" else interface_of(protocol)
        if interface is None or id(interface) in self._own:
            return False
        self._own[id(interface)] = interface.fingerprint
        return True

    def of(self, fingerprint: str) -> Contract | None:
        """Gives what is known of a server's version; None: there is nothing to be compared."""
        own = set(self._own.values())
        if not own or not fingerprint or own == {fingerprint}:
            return None
        known = self._known.get(fingerprint)
        if known is None:
            for oldest in list(self._known)[: 1 - _MOST]:
                self._known.pop(oldest, None)
            known = self._known.setdefault(fingerprint, Contract(fingerprint, self.mode == "warn"))
        return known


class Contract:
    """A server's version of its interface, as far as a client has asked.

    Args:
        fingerprint: Of the server's HELLO.
        warns: What does not fit is logged, not refused.
    """

    def __init__(self, fingerprint: str, warns: bool) -> None:
        import threading

        self.fingerprint = fingerprint
        self.asking = threading.Lock()
        """Held by who asks."""
        self.is_known = False
        """The server has been asked, whatever it has said."""
        self._warns = warns
        self._theirs: Json = None
        self._verdicts: dict[Protocol, Mismatch | None] = {}

    def hear(self, text: str | None) -> None:
        """Takes what the server says of its methods; None: it does not say."""
        import json

        try:
            theirs = None if text is None else json.loads(text)
        except (ValueError, RecursionError):
            theirs = None
        self._theirs = theirs if isinstance(theirs, dict) else None
        self.is_known = True

    def objection(self, protocol: Protocol, peer: str) -> ContractMismatch | None:
        """Gives why a method cannot be called; None: it can, or is not the server's at all, as it will say.

        Args:
            protocol: The method's.
            peer: The server's address.
        """
        try:
            found = self._verdicts[protocol]
        except KeyError:
            found = self._judge(protocol)
            self._verdicts[protocol] = found
            if found is not None and self._warns:
                import logging

                logging.getLogger("rpcgen").warning("%s", found.error(protocol, peer))
        return None if found is None or self._warns else found.error(protocol, peer)

    def _judge(self, protocol: Protocol) -> Mismatch | None:
        if self._theirs is None:
            return None
        ours = described([protocol])
        try:
            theirs = self._theirs["methods"].get(protocol.name)
            return None if theirs is None else judge(ours, self._theirs, protocol.name)
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
            return None  # a form that is not known here says nothing


class Mismatch(typing.NamedTuple):
    """Why two versions of a method do not understand each other.

    Args:
        argument: Or ``result``, or ``=>``.
        problem: What is not the same, and where.
        ours, theirs: Signatures.
    """

    argument: str
    problem: str
    ours: str
    theirs: str

    def error(self, protocol: Protocol, peer: str) -> ContractMismatch:
        """Gives it as it is raised."""
        return ContractMismatch(
            f"{self.argument}: {self.problem}; the call was not sent. This client has\n  {self.ours}\n"
            f"the server\n  {self.theirs}\nCompile the client from the server's interface, or the other way "
            "round; `rpcgen breaking` says what may change",
            method=protocol.name,
            peer=peer,
            argument=self.argument,
            ours=self.ours,
            theirs=self.theirs,
        )


# What a method looks like


def described(protocols: collections.abc.Iterable[Protocol]) -> Json:
    """Gives what methods look like, as data for JSON."""
    writer = _Writer()
    methods = {protocol.name: writer.method(protocol) for protocol in protocols}
    return {"methods": methods, "types": writer.types}


class _Writer:
    def __init__(self) -> None:
        self.types: list[Json] = []
        self._places: dict[type, int] = {}

    def method(self, protocol: Protocol) -> Json:
        return {
            "signature": (protocol.__doc__ or protocol.name).partition("\n")[0],
            "oneway": protocol.oneway,
            "fields": [self._field(param) for param in protocol.params],
            "returns": self._type(protocol.returns),
            "raises": [self._type(raised) for raised in protocol.raises],
        }

    def _field(self, field: Field) -> Json:
        return [field.tag, field.name, self._type(_bare(field.type)), _absence(field)]

    def _type(self, type_: typing.Any) -> Json:
        from rpcgen.runtime.wire.types import resolved

        type_ = resolved(type_)
        if isinstance(type_, Scalar):
            return type_.name
        if isinstance(type_, MapOf):
            return ["map", self._type(type_.key), self._type(type_.value)]
        if isinstance(type_, ListOf | SetOf | OptionalOf):
            return [type(type_).__name__.removesuffix("Of").lower(), self._type(type_.item)]
        return self._place(type_)

    def _place(self, cls: typing.Any) -> int:
        from rpcgen.runtime.errors import RemoteException
        from rpcgen.runtime.wire.types import is_union

        place = self._places.get(cls)
        if place is not None:
            return place
        place = self._places[cls] = len(self.types)
        made: dict[str, Json] = {"name": cls.__name__}
        self.types.append(made)
        if issubclass(cls, Enum):
            made |= {"kind": "enum", "members": {name: int(one) for name, one in cls.__members__.items()}}
        elif cls.__rpc_fields__ is None:
            made["kind"] = "message"
        else:
            is_exception = issubclass(cls, RemoteException)
            made["kind"] = "union" if is_union(cls) else "exception" if is_exception else "struct"
            made["fields"] = [self._field(field) for field in cls.__rpc_fields__]
            reserved = getattr(cls, "__rpc_reserved__", ())
            made["reserved"] = [[each.tag, self._type(each.type)] for each in reserved]
        return place


def _bare(type_: typing.Any) -> typing.Any:
    return type_.item if isinstance(type_, OptionalOf) else type_


def _absence(field: Field) -> str:
    """Gives what it means that a field is not there."""
    from rpcgen.runtime.wire.encoder import Encoder

    if isinstance(field.type, OptionalOf):
        return "none"
    if field.default is REQUIRED:
        return "fault"
    default = field.default
    if isinstance(default, dict):
        default = dict(sorted(default.items(), key=repr))  # two orders are equal maps
    return Encoder(nesting=1_000).value(field.type, default).hex()


# Whether they fit


def judge(ours: Json, theirs: Json, name: str) -> Mismatch | None:
    """Compares a method of two descriptions; None: each end understands what the other one says.

    Raises:
        LookupError, TypeError, ValueError, AttributeError, RecursionError: One is no description.
    """
    one, other = ours["methods"][name], theirs["methods"][name]

    def mismatch(argument: str, problem: str) -> Mismatch:
        return Mismatch(argument, problem, str(one["signature"]), str(other["signature"]))

    sent, answered = _Reading(ours, theirs), _Reading(theirs, ours)
    if one["oneway"] != other["oneway"]:
        return mismatch("oneway", "one end waits for the method's end, and the other does not")
    found = sent.arguments(one["fields"], other["fields"])
    if found is not None:
        return mismatch(*found)
    problem = answered.type(other["returns"], one["returns"])
    if problem is not None:
        return mismatch("result", problem)
    known = [ours["types"][each]["name"] for each in one["raises"]]
    raised = [theirs["types"][each]["name"] for each in other["raises"]]
    for place, (mine, their) in enumerate(zip(known, raised)):  # noqa: B905 - either may have more
        if mine != their and (mine in raised or their in known):
            return mismatch(f"=> {mine}", f"the server raises {their} in its place")
        problem = answered.type(other["raises"][place], one["raises"][place])
        if problem is not None:
            return mismatch(f"=> {mine}", problem)
    return None


class _Reading:
    """What one end writes, as the other one reads it. Pairs of types that were met are not compared again."""

    def __init__(self, writer: Json, reader: Json) -> None:
        self._writer, self._reader = writer["types"], reader["types"]
        self._met: set[tuple[int, int]] = set()

    def arguments(self, sent: Json, known: Json) -> tuple[str, str] | None:
        """Gives the argument that is not understood, and why."""
        reader = {field[0]: field for field in known}
        for tag, name, type_, absence in sent:
            if tag not in reader:
                if absence == "fault":
                    return name, f"the server knows no argument {tag}, which is always sent"
                continue  # the server refuses it by itself, where it is sent
            problem = self._field(type_, absence, reader[tag])
            if problem is not None:
                return name, problem
        return self._missing(sent, known)

    def _missing(self, written: Json, read: Json) -> tuple[str, str] | None:
        tags = {field[0] for field in written}
        for tag, name, _, absence in read:
            if tag not in tags and absence == "fault":
                return name, "it is required at the other end, and never sent"
        return None

    def _field(self, type_: Json, absence: str, field: Json) -> str | None:
        problem = self.type(type_, field[2])
        if problem is None and absence not in ("fault", field[3]):
            return "what is left out means one thing here, and another there: the defaults are not the same"
        return problem

    def type(self, written: Json, read: Json) -> str | None:
        """Gives why a type is not understood."""
        if isinstance(written, int) and isinstance(read, int):
            return self._types(written, read)
        if isinstance(written, list) and isinstance(read, list):
            if written[0] != read[0] or len(written) != len(read):
                return f"{written[0]} and {read[0]} are not the same type"
            found = (self.type(*parts) for parts in zip(written[1:], read[1:], strict=True))
            return next((problem for problem in found if problem is not None), None)
        if written != read:
            return f"{self._name(self._writer, written)} and {self._name(self._reader, read)} are not the same type"
        return None

    def _name(self, types: Json, type_: Json) -> str:
        if isinstance(type_, int):
            return str(types[type_]["name"])
        return str(type_[0] if isinstance(type_, list) else type_)

    def _types(self, written: int, read: int) -> str | None:
        if (written, read) in self._met:
            return None
        self._met.add((written, read))
        one, other = self._writer[written], self._reader[read]
        if one["kind"] != other["kind"]:
            return f"{one['name']} is {one['kind']} at one end, and {other['kind']} at the other"
        if one["kind"] == "message":
            return None
        if one["kind"] == "enum":
            for name, number in one["members"].items():
                if other["members"].get(name, number) != number:
                    return (
                        f"{one['name']}.{name} is {number} at one end, {other['members'][name]} at the other"
                    )
            return None
        found = self._block(one, other)
        return None if found is None else f"{other['name']}.{found[0]}: {found[1]}"

    def _block(self, one: Json, other: Json) -> tuple[str, str] | None:
        reader = {field[0]: field for field in other["fields"]}
        kept = dict(other["reserved"])
        is_union = one["kind"] == "union"
        highest = max([*reader, *kept], default=0)
        for tag, name, type_, absence in one["fields"]:
            if tag in reader:
                problem = (
                    self.type(type_, reader[tag][2]) if is_union else self._field(type_, absence, reader[tag])
                )
            elif is_union:
                continue
            elif tag in kept:
                problem = self.type(type_, kept[tag])
            else:
                problem = (
                    None if tag > highest else f"tag {tag} is unknown at the other end, and not above its own"
                )
            if problem is not None:
                return name, problem
        return None if is_union else self._missing(one["fields"], other["fields"])
