"""Random edits of an interface: those that the rules allow, and those that they do not, alike."""

from __future__ import annotations

import pickle
import random
import typing

from tests.evolution.interfaces import (
    SCALARS,
    Declared,
    Interface,
    Item,
    Method,
    Service,
    Typedef,
    random_declared,
    random_default,
    random_item,
    random_method,
    random_type,
)

Edit: typing.TypeAlias = typing.Callable[[random.Random, Interface], None]


class _Nothing(Exception):
    """There is nothing here that this edit could change."""


def edited(rng: random.Random, interface: Interface) -> tuple[Interface, list[str]]:
    """Gives a changed copy, and the names of the edits."""
    changed: Interface = pickle.loads(pickle.dumps(interface))  # a copy, in half the time of copy's
    edits = [rng.choice(ALLOWED) if rng.random() < 0.65 else rng.choice(ANY)]
    while rng.random() < 0.5:
        edits.append(rng.choice(ALLOWED))
    done = []
    for edit in edits:
        try:
            edit(rng, changed)
        except _Nothing:
            continue
        done.append(edit.__name__)
    return changed, done


def _some(rng: random.Random, found: typing.Any) -> typing.Any:
    if not found:
        raise _Nothing
    return rng.choice(found)


def _list(rng: random.Random, interface: Interface) -> Declared | Method:
    return typing.cast("Declared | Method", _some(rng, interface.lists()))


def _item(rng: random.Random, interface: Interface) -> tuple[Declared | Method, Item]:
    owners: list[Declared | Method] = [*interface.lists(), *interface.named("union")]
    owner: Declared | Method = _some(rng, [each for each in owners if each.items])
    item: Item = rng.choice(owner.items)
    return owner, item


def _highest(owner: Declared | Method) -> int:
    return max([*(item.tag for item in owner.items), *owner.reserved], default=0)


def _enum(rng: random.Random, interface: Interface) -> Declared:
    found: Declared = _some(rng, interface.named("enum"))
    return found


def _retarget(interface: Interface, before: str, after: str) -> None:
    """Writes another name wherever a type or default says one."""
    owners: list[Declared | Method] = [*interface.types, *interface.methods()]
    for owner in owners:
        for item in owner.items:
            item.type = item.type.replace(before, after)
            item.default = item.default and item.default.replace(before, after)
        owner.reserved = {tag: type_.replace(before, after) for tag, type_ in owner.reserved.items()}
    for typedef in interface.typedefs:
        typedef.type = typedef.type.replace(before, after)
    for method in interface.methods():
        method.returns = method.returns.replace(before, after)
        method.raises = [name.replace(before, after) for name in method.raises]


# Allowed on the wire


def add_method(rng: random.Random, interface: Interface) -> None:
    rng.choice(interface.services).methods.append(random_method(rng, interface))


def add_service(rng: random.Random, interface: Interface) -> None:
    interface.services.append(Service(interface.fresh("Service"), [random_method(rng, interface)]))


def add_type(rng: random.Random, interface: Interface) -> None:
    interface.types.append(
        random_declared(rng, interface, rng.choice(("struct", "union", "enum", "message")))
    )


def add_field(rng: random.Random, interface: Interface) -> None:
    owner = _list(rng, interface)
    owner.items.append(random_item(rng, interface, _highest(owner) + rng.randint(1, 3), omissible=True))


def add_union_member(rng: random.Random, interface: Interface) -> None:
    union = _some(rng, interface.named("union"))
    taken = {item.tag for item in union.items} | set(union.reserved)
    tag = rng.choice([tag for tag in range(1, 20) if tag not in taken])
    union.items.append(Item(tag, interface.fresh("u"), random_type(rng, interface)))


def add_enum_value(rng: random.Random, interface: Interface) -> None:
    enum = _enum(rng, interface)
    enum.items.insert(0, Item(_highest(enum) + 10, interface.fresh("V"), ""))


def add_exception(rng: random.Random, interface: Interface) -> None:
    method = _some(rng, [method for method in interface.methods() if not method.oneway])
    made = random_declared(rng, interface, rng.choice(("exception", "message")))
    interface.types.append(made)
    method.raises.append(made.name)


def remove_field(rng: random.Random, interface: Interface) -> None:
    owner, item = _item(rng, interface)
    is_union = isinstance(owner, Declared) and owner.kind == "union"
    if (item.required and not is_union) or (is_union and len(owner.items) == 1):
        raise _Nothing
    owner.items.remove(item)
    owner.reserved[item.tag] = item.type


def reuse_name(rng: random.Random, interface: Interface) -> None:
    """A field goes, and a new one has its name."""
    owner, item = _item(rng, interface)
    if item.required:
        raise _Nothing
    owner.items.remove(item)
    owner.reserved[item.tag] = item.type
    owner.items.append(random_item(rng, interface, _highest(owner) + 1, omissible=True))
    owner.items[-1].name = item.name


def remove_enum_value(rng: random.Random, interface: Interface) -> None:
    enum = _enum(rng, interface)
    if len(enum.items) == 1:
        raise _Nothing
    item = enum.items.pop(rng.randrange(len(enum.items)))
    enum.reserved[item.tag] = ""
    _retarget(interface, f"{enum.name}.{item.name}", f"{enum.name}.{enum.items[0].name}")


def rename_field(rng: random.Random, interface: Interface) -> None:
    _item(rng, interface)[1].name = interface.fresh("r")


def rename_enum_value(rng: random.Random, interface: Interface) -> None:
    enum = _enum(rng, interface)
    item, name = rng.choice(enum.items), interface.fresh("R")
    _retarget(interface, f"{enum.name}.{item.name}", f"{enum.name}.{name}")
    item.name = name


def rename_type(rng: random.Random, interface: Interface) -> None:
    each = _some(rng, [*interface.types, *interface.typedefs])
    name = interface.fresh("Renamed")
    _retarget(interface, each.name, name)
    each.name = name


def add_typedef(rng: random.Random, interface: Interface) -> None:
    """A name for a type that is there."""
    owner, item = _item(rng, interface)
    if isinstance(owner, Declared) and owner.is_included:
        raise _Nothing
    made = Typedef(interface.fresh("Alias"), item.type)
    interface.typedefs.append(made)
    item.type = made.name


def dissolve_typedef(rng: random.Random, interface: Interface) -> None:
    """Types are written out in place of a name."""
    typedef = _some(rng, interface.typedefs)
    interface.typedefs.remove(typedef)
    _retarget(interface, typedef.name, typedef.type)


def reorder(rng: random.Random, interface: Interface) -> None:
    owner = _list(rng, interface)
    rng.shuffle(owner.items)
    owner.items.sort(key=lambda item: not item.required)
    rng.shuffle(interface.types)
    rng.shuffle(interface.services)


def reserve_more(rng: random.Random, interface: Interface) -> None:
    owner = _list(rng, interface)
    owner.reserved[_highest(owner) + 1] = rng.choice(tuple(SCALARS))


def spell_default(rng: random.Random, interface: Interface) -> None:
    owners = [owner for owner in interface.lists() for item in owner.items if item.default == "0"]
    item = rng.choice([item for item in _some(rng, owners).items if item.default == "0"])
    item.default = "0x0"


def move_up(rng: random.Random, interface: Interface) -> None:
    """A method's home is another service of the same line."""
    heirs = [service for service in interface.services if service.parent and len(service.methods) > 1]
    heir = _some(rng, heirs)
    parent = next(each for each in interface.services if each.name == heir.parent)
    parent.methods.append(heir.methods.pop())


def drop_declaration(rng: random.Random, interface: Interface) -> None:
    """One that nothing uses."""
    text = "".join(interface.texts().values())
    each = _some(rng, [each for each in interface.types if text.count(each.name) == 1])
    interface.types.remove(each)


# Not allowed, or by luck


def change_type(rng: random.Random, interface: Interface) -> None:
    _, item = _item(rng, interface)
    item.type = random_type(rng, interface)
    item.default = item.default and random_default(rng, interface, item.type)


def change_reserved(rng: random.Random, interface: Interface) -> None:
    owner = _some(rng, [owner for owner in interface.lists() if owner.reserved])
    tag = rng.choice(list(owner.reserved))
    if rng.random() < 0.5:
        owner.reserved[tag] = rng.choice(tuple(SCALARS))
    else:
        del owner.reserved[tag]
        if rng.random() < 0.5:
            owner.items.append(random_item(rng, interface, tag, omissible=True))


def change_default(rng: random.Random, interface: Interface) -> None:
    _, item = _item(rng, interface)
    if item.default is not None:
        item.default = random_default(rng, interface, item.type)
    else:
        item.optional = not item.optional


def change_typedef(rng: random.Random, interface: Interface) -> None:
    _some(rng, interface.typedefs).type = random_type(rng, interface)


def change_constant(rng: random.Random, interface: Interface) -> None:
    interface.limit += 1


def give_default(rng: random.Random, interface: Interface) -> None:
    _, item = _item(rng, interface)
    item.default, item.optional = (
        (None, False) if item.default is not None else (random_default(rng, interface, item.type), False)
    )


def squeeze_field(rng: random.Random, interface: Interface) -> None:
    owner = _list(rng, interface)
    taken = {item.tag for item in owner.items} | set(owner.reserved)
    tag = _some(rng, [tag for tag in range(1, _highest(owner) + 2) if tag not in taken])
    owner.items.append(random_item(rng, interface, tag))
    owner.items.sort(key=lambda item: not item.required)


def drop_field(rng: random.Random, interface: Interface) -> None:
    owner, item = _item(rng, interface)
    if len(owner.items) > 1 or not isinstance(owner, Declared) or owner.kind != "union":
        owner.items.remove(item)
        if rng.random() < 0.5:
            owner.reserved[item.tag] = item.type


def swap_tags(rng: random.Random, interface: Interface) -> None:
    owners: list[Declared | Method] = [*interface.lists(), *interface.named("union", "enum")]
    owner = _some(rng, [owner for owner in owners if len(owner.items) > 1])
    one, other = rng.sample(owner.items, 2)
    one.tag, other.tag = other.tag, one.tag


def change_enum(rng: random.Random, interface: Interface) -> None:
    enum = _enum(rng, interface)
    item = rng.choice(enum.items)
    if rng.random() < 0.5 and enum.reserved:
        item.tag = enum.reserved.popitem()[0]
    elif len(enum.items) > 1:
        enum.items.remove(item)
        _retarget(interface, f"{enum.name}.{item.name}", f"{enum.name}.{enum.items[0].name}")
        if rng.random() < 0.5:
            enum.items.append(Item(item.tag, interface.fresh("V"), ""))


def change_result(rng: random.Random, interface: Interface) -> None:
    method = rng.choice(interface.methods())
    if method.oneway or (method.returns == "void" and not method.raises and rng.random() < 0.5):
        method.oneway = not method.oneway
    else:
        method.returns = rng.choice((random_type(rng, interface), "void", method.returns.rstrip("?") + "?"))
        method.returns = method.returns.replace("void?", "void")


def change_raises(rng: random.Random, interface: Interface) -> None:
    method = _some(rng, [method for method in interface.methods() if method.raises])
    if rng.random() < 0.5:
        rng.shuffle(method.raises)
    else:
        method.raises.pop(rng.randrange(len(method.raises)))


def change_body(rng: random.Random, interface: Interface) -> None:
    each = _some(rng, interface.named("exception", "message", "struct", "union"))
    each.kind = {"exception": "message", "message": "exception", "struct": "union", "union": "struct"}[
        each.kind
    ]
    if each.kind == "message":
        each.items, each.reserved = [], {}


def drop_method(rng: random.Random, interface: Interface) -> None:
    service = rng.choice(interface.services)
    if len(service.methods) > 1:
        service.methods.pop()
    elif service.parent:
        service.parent = ""
    else:
        service.methods[0].name = interface.fresh("m")


ALLOWED: typing.Final[tuple[Edit, ...]] = (
    add_method,
    add_service,
    add_type,
    add_field,
    add_field,
    add_field,
    add_union_member,
    add_enum_value,
    add_exception,
    remove_field,
    remove_field,
    reuse_name,
    remove_enum_value,
    rename_field,
    rename_enum_value,
    rename_type,
    add_typedef,
    dissolve_typedef,
    reorder,
    reserve_more,
    spell_default,
    move_up,
    drop_declaration,
)
ANY: typing.Final[tuple[Edit, ...]] = (
    change_type,
    change_type,
    change_reserved,
    change_default,
    change_constant,
    change_typedef,
    give_default,
    squeeze_field,
    drop_field,
    swap_tags,
    change_enum,
    change_result,
    change_raises,
    change_body,
    drop_method,
)
