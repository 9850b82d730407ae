"""Random interfaces over every construct, as plain data that random edits can change, and their text."""

from __future__ import annotations

import dataclasses
import random
import typing

SCALARS: typing.Final[dict[str, tuple[str, ...]]] = {
    "bool": ("true", "false"),
    "byte": ("0", "-128", "7"),
    "short": ("0", "300"),
    "int": ("0", "-1", "70000", "LIMIT"),
    "long": ("0", "1099511627776"),
    "ubyte": ("0", "255"),
    "ushort": ("0", "65535"),
    "uint": ("0", "4294967295"),
    "ulong": ("0", "18446744073709551615"),
    "float": ("0.0", "-0.0", "1.5"),
    "double": ("0.0", "-0.0", "0.1"),
    "string": ('""', '"a"', '"ü"'),
    "bytes": ('""', '"\\xff"'),
    "timestamp": ('"2026-01-02T03:04:05Z"', '"1970-01-01T00:00:00Z"'),
    "date": ('"2026-01-02"', '"1970-01-01"'),
    "duration": ("0s", "1500ms"),
    "uuid": ('"00000000-0000-0000-0000-000000000000"', '"12345678-1234-5678-1234-567812345678"'),
    "decimal": ("0", "1.0", "1.00"),
}
"""Type → values that a default may have, as they are written."""

KEYS: typing.Final = ("int", "ulong", "string", "bytes", "bool", "uuid", "date", "timestamp")

Kind: typing.TypeAlias = typing.Literal["struct", "union", "enum", "exception", "message"]


@dataclasses.dataclass
class Item:
    """A field, parameter or member; ``type`` is without its ``?``."""

    tag: int
    name: str
    type: str
    default: str | None = None
    optional: bool = False

    @property
    def required(self) -> bool:
        return self.default is None and not self.optional

    def text(self) -> str:
        default = "" if self.default is None else f" = {self.default}"
        return f"{self.tag}: {self.type}{'?' if self.optional else ''} {self.name}{default}"


@dataclasses.dataclass
class Declared:
    """A type; of an enum, tags are numbers. ``message``: an exception without a body."""

    kind: Kind
    name: str
    items: list[Item] = dataclasses.field(default_factory=list)
    reserved: dict[int, str] = dataclasses.field(default_factory=dict)
    is_included: bool = False
    """It stands in the file that the other one includes."""

    def text(self) -> str:
        if self.kind == "message":
            return f"exception {self.name}\n"
        if self.kind == "enum":
            rows = [f"{item.name} = {item.tag}" for item in self.items]
            rows += [f"reserved {tag}" for tag in self.reserved]
        else:
            rows = [item.text() for item in self.items]
            rows += [f"reserved {tag}: {type_}" for tag, type_ in self.reserved.items()]
        return f"{self.kind} {self.name} {{\n{''.join(f'    {row}{chr(10)}' for row in rows)}}}\n"


@dataclasses.dataclass
class Method:
    """``returns`` has its ``?``."""

    name: str
    items: list[Item]
    returns: str = "void"
    raises: list[str] = dataclasses.field(default_factory=list)
    oneway: bool = False
    reserved: dict[int, str] = dataclasses.field(default_factory=dict)

    def text(self) -> str:
        rows = [item.text() for item in self.items]
        rows += [f"reserved {tag}: {type_}" for tag, type_ in self.reserved.items()]
        raises = f" => {', '.join(self.raises)}" if self.raises else ""
        return f"{'oneway ' if self.oneway else ''}{self.returns} {self.name}({', '.join(rows)}){raises}\n"


@dataclasses.dataclass
class Service:
    """``name`` is empty for the file's own."""

    name: str
    methods: list[Method]
    parent: str = ""
    is_included: bool = False

    def text(self) -> str:
        lines = [method.text() for method in self.methods]
        if not self.name:
            return "".join(lines)
        extends = f" extends {self.parent}" if self.parent else ""
        return f"service {self.name}{extends} {{\n{''.join(f'    {line}' for line in lines)}}}\n"


@dataclasses.dataclass
class Typedef:
    """A name for a type."""

    name: str
    type: str

    def text(self) -> str:
        return f"typedef {self.type} {self.name}\n"


@dataclasses.dataclass
class Interface:
    """One version; ``seen`` counts names, so that none is given twice. No name begins another."""

    types: list[Declared]
    services: list[Service]
    typedefs: list[Typedef] = dataclasses.field(default_factory=list)
    limit: int = 20
    seen: int = 0

    def fresh(self, prefix: str) -> str:
        self.seen += 1
        return f"{prefix}{self.seen}x"

    def named(self, *kinds: Kind) -> list[Declared]:
        return [each for each in self.types if each.kind in kinds]

    def methods(self) -> list[Method]:
        return [method for service in self.services for method in service.methods]

    def lists(self) -> list[Declared | Method]:
        """Everything that has tagged fields or parameters."""
        return [*self.named("struct", "exception"), *self.methods()]

    def texts(self) -> dict[str, str]:
        """Gives its files: the root is ``stock.idl``."""
        head = f"const int LIMIT = {self.limit}\n"
        everything: list[Declared | Service] = [*self.types, *self.services]
        included = [each for each in everything if each.is_included]
        own = [each.text() for each in (*self.typedefs, *everything) if each not in included]
        body = "".join(own)
        for each in included:
            body = body.replace(each.name, f"common.{each.name}")
        if not included:
            return {"stock.idl": head + body}
        common = head + "".join(each.text() for each in included)
        return {"stock.idl": f'include "common.idl"\n{head}{body}', "common.idl": common}

    def bare(self, type_: str) -> str:
        """Gives the type that a name stands for; of a name that an edit has made stand for itself, any of the circle."""
        targets = {each.name: each.type for each in self.typedefs}
        for _ in targets:
            type_ = targets.get(type_, type_)
        return type_

    def include(self) -> None:
        """Puts types that need no other one into a file of their own, and parents that need none but those."""
        names = {each.name for each in self.types} | {each.name for each in self.typedefs}
        for each in self.types:
            text = each.text()
            each.is_included = not any(name in text for name in names - {each.name})
        outside = names - {each.name for each in self.types if each.is_included}
        parents = {service.parent for service in self.services} - {""}
        for service in self.services:
            text = service.text()
            service.is_included = service.name in parents and not any(name in text for name in outside)


def random_type(rng: random.Random, interface: Interface, depth: int = 2) -> str:
    """Gives the text of a type, without ``?``."""
    roll = rng.random()
    if interface.typedefs and roll > 0.9:
        return rng.choice(interface.typedefs).name
    values = interface.named("struct", "union", "enum", "exception", "message")
    if values and roll < 0.35:
        return rng.choice(values).name
    if depth and roll < 0.55:
        inner = random_type(rng, interface, depth - 1)
        form = rng.choice(("list", "list", "set", "map"))
        if form == "list":
            return f"list<{inner}>"
        enums = [each.name for each in interface.named("enum")]
        key = rng.choice((*KEYS, *enums))
        return f"set<{key}>" if form == "set" else f"map<{key}, {inner}>"
    return rng.choice(tuple(SCALARS))


def random_default(rng: random.Random, interface: Interface, type_: str) -> str | None:
    """Gives a default of a type, as it is written; None: it can have none."""
    type_ = interface.bare(type_)
    if type_ in SCALARS:
        return rng.choice(SCALARS[type_])
    for each in interface.named("enum"):
        if each.name == type_:
            return f"{each.name}.{rng.choice(each.items).name}"
    if type_.startswith(("list<", "set<")):
        inner = type_[type_.index("<") + 1 : -1]
        return f"[{rng.choice(SCALARS[inner])}]" if inner in SCALARS and rng.random() < 0.5 else "[]"
    if type_.startswith("map<"):
        key, _, value = type_[len("map<") : -1].partition(", ")
        if key in SCALARS and value in SCALARS and rng.random() < 0.5:
            return f"{{{rng.choice(SCALARS[key])}: {rng.choice(SCALARS[value])}}}"
        return "{}"
    return None


def random_item(rng: random.Random, interface: Interface, tag: int, *, omissible: bool | None = None) -> Item:
    """Gives a field that may be left out, or that may not, or (None) either."""
    item = Item(tag, interface.fresh("f"), random_type(rng, interface))
    if omissible or (omissible is None and rng.random() < 0.6):
        item.default = random_default(rng, interface, item.type) if rng.random() < 0.7 else None
        item.optional = item.default is None
    return item


def random_items(rng: random.Random, interface: Interface, most: int) -> list[Item]:
    tags = sorted(rng.sample(range(1, 12), rng.randint(0, most)))
    items = [random_item(rng, interface, tag) for tag in tags]
    return sorted(items, key=lambda item: not item.required)


def random_method(rng: random.Random, interface: Interface) -> Method:
    method = Method(interface.fresh("m"), random_items(rng, interface, 4))
    if rng.random() < 0.1:
        method.oneway = True
        return method
    if rng.random() < 0.85:
        method.returns = random_type(rng, interface) + ("?" if rng.random() < 0.2 else "")
    raisable = [each.name for each in interface.named("exception", "message")]
    method.raises = rng.sample(raisable, rng.randint(0, min(3, len(raisable))))
    return method


def random_declared(rng: random.Random, interface: Interface, kind: Kind) -> Declared:
    """Gives a type that uses those that are there, or itself."""
    made = Declared(kind, interface.fresh({"enum": "Kind", "union": "Key"}.get(kind, "Type")))
    if kind == "enum":
        numbers = rng.sample(range(-1, 6), rng.randint(1, 4))
        made.items = [Item(number, interface.fresh("V"), "") for number in numbers]
        if rng.random() < 0.3:
            made.reserved[9] = ""
    elif kind == "union":
        tags = sorted(rng.sample(range(1, 8), rng.randint(1, 3)))
        made.items = [Item(tag, interface.fresh("u"), random_type(rng, interface)) for tag in tags]
    elif kind != "message":
        made.items = random_items(rng, interface, 4)
        if kind == "struct" and rng.random() < 0.2:
            made.items.append(Item(12, interface.fresh("f"), f"list<{made.name}>", "[]"))
        if rng.random() < 0.3:
            made.reserved[rng.choice((13, 14))] = rng.choice(tuple(SCALARS))
    return made


def random_interface(rng: random.Random) -> Interface:
    """Gives a small one: a few types of every kind, a few methods in a service or two."""
    interface = Interface([], [])
    if rng.random() < 0.5:
        interface.typedefs.append(Typedef(interface.fresh("Alias"), random_type(rng, interface)))
    kinds: list[Kind] = ["enum", "struct", "union", "exception", "message", "struct", "message"]
    for kind in kinds:
        if rng.random() < 0.8:
            interface.types.append(random_declared(rng, interface, kind))
    service = Service("", [random_method(rng, interface)])
    if rng.random() < 0.5:
        service.name = interface.fresh("Service")
        if rng.random() < 0.5:
            interface.services.append(service)
            methods = [random_method(rng, interface) for _ in range(rng.randint(1, 2))]
            service = Service(interface.fresh("Service"), methods, service.name)
    interface.services.append(service)
    if rng.random() < 0.3:
        interface.include()
    return interface
