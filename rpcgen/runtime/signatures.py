"""What methods look like as data, and whether what one end writes is what the other one reads.

Made of descriptors, for JSON: types by their structure, defaults by their bytes. It holds nothing that the
canonical text does not say. Comparing goes each way by itself: arguments from client to server, results and
exceptions from server to client.
"""

from __future__ import annotations

import typing

from rpcgen.runtime.errors import ContractMismatch, RemoteException
from rpcgen.runtime.records import Record
from rpcgen.runtime.schema import REQUIRED, Enum, Field, ListOf, MapOf, OptionalOf, Scalar, SetOf

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.stubs import MessageProtocol

    Protocol: typing.TypeAlias = type[MessageProtocol[typing.Any]]

Json: typing.TypeAlias = typing.Any


class Mismatch(Record):
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
