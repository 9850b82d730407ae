"""Two lists of fields, parameters or members, and two enums: what their numbers meant, and mean now."""

from __future__ import annotations

import collections.abc
import dataclasses
import typing

from rpcgen.compiler import model
from rpcgen.compiler.changes.findings import GONE, Annotations, Changes
from rpcgen.compiler.changes.values import same_value
from rpcgen.compiler.source import Span

What: typing.TypeAlias = typing.Literal["field", "parameter", "member"]
SameType: typing.TypeAlias = collections.abc.Callable[[model.Type, model.Type], bool]

_RENAMED: typing.Final[dict[What, str]] = {"parameter": "B040", "field": "B041", "member": "B042"}


@dataclasses.dataclass(frozen=True, slots=True)
class List:
    """What has tags: the parameters of a method, the fields of a struct, the members of a union.

    Args:
        what: They are called.
        owner: The method's or type's name.
        span: Of the owner's name.
        annotations: Of the owner, and of what is around it.
    """

    what: What
    owner: str
    items: tuple[model.Field, ...]
    reserved: tuple[model.Reserved, ...]
    span: Span
    annotations: Annotations

    @property
    def highest(self) -> int:
        return max([*(each.tag for each in self.items), *(each.tag for each in self.reserved)], default=0)

    def name(self, item: model.Field) -> str:
        return f"{self.owner}({item.name})" if self.what == "parameter" else f"{self.owner}.{item.name}"


def compare_lists(changes: Changes, same_type: SameType, old: List, new: List) -> None:
    """Adds what two versions of a list differ in."""
    free = max(old.highest, new.highest) + 1
    before = {item.tag: item for item in old.items}
    after = {item.tag: item for item in new.items}
    kept_before = {item.tag: item for item in old.reserved}
    kept_after = {item.tag: item for item in new.reserved}
    for tag, item in before.items():
        if tag in after:
            _compare_items(changes, same_type, old, item, new, after[tag], free)
        else:
            moved = next((other for other in new.items if other.name == item.name), None)
            _item_gone(changes, same_type, old, item, new, kept_after.get(tag), moved)
    for tag, kept in kept_before.items():
        type_ = model.idl(kept.type)
        if tag in after:
            item = after[tag]
            changes.add(
                "B019",
                item.span,
                kept.span,
                item.annotations + new.annotations,
                name=new.name(item),
                tag=tag,
                free=free,
            )
        elif tag not in kept_after:
            changes.add("B017", new.span, kept.span, new.annotations, name=new.owner, tag=tag, old=type_)
        elif not same_type(kept.type, kept_after[tag].type):
            _retyped(changes, new, kept_after[tag], kept.span, type_)
    for tag, item in after.items():
        if tag not in before and tag not in kept_before:
            _item_new(changes, old, new, item, free)
    _compare_order(changes, old, new)


def _retyped(changes: Changes, new: List, kept: model.Reserved, old: Span, before: str) -> None:
    values = {"name": new.owner, "tag": kept.tag, "old": before, "new": model.idl(kept.type)}
    changes.add("B018", kept.span, old, new.annotations, **values)


def _compare_items(
    changes: Changes,
    same_type: SameType,
    old: List,
    one: model.Field,
    new: List,
    other: model.Field,
    free: int,
) -> None:
    annotations = other.annotations + new.annotations
    name = old.name(one)
    if one.name != other.name:
        changes.add(
            _RENAMED[new.what], other.span, one.span, annotations, name=name, old=one.name, new=other.name
        )
    types = bare(one.type), bare(other.type)
    if not same_type(*types):
        before, after = map(model.idl, types)
        changes.add("B010", other.span, one.span, annotations, name=name, old=before, new=after, free=free)
    elif _absence(one) != _absence(other):
        before, after = _absence(one), _absence(other)
        changes.add("B011", other.span, one.span, annotations, name=name, old=before, new=after, free=free)
    elif (
        one.default is not None
        and other.default is not None
        and not same_value(one.default.value, other.default.value, other.type)
    ):
        before, after = one.default.written, other.default.written
        if before == after:
            before, after = (
                f"{each.written} ({_shown(each.value)})" for each in (one.default, other.default)
            )
        changes.add("B012", other.span, one.span, annotations, name=name, old=before, new=after)


def _shown(value: model.Literal) -> str:
    return str(value.number if isinstance(value, model.EnumValue) else value)


def bare(type_: model.Type) -> model.Type:
    """Gives the type of what is written when a value is there."""
    return type_.item if isinstance(type_, model.OptionalOf) else type_


def _absence(item: model.Field) -> str:
    if isinstance(item.type, model.OptionalOf):
        return "is optional"
    return "is required" if item.default is None else "has a default"


def _item_gone(
    changes: Changes,
    same_type: SameType,
    old: List,
    item: model.Field,
    new: List,
    kept: model.Reserved | None,
    moved: model.Field | None,
) -> None:
    name, type_ = old.name(item), bare(item.type)
    values = {"name": name, "tag": item.tag, "old": model.idl(type_)}
    if item.required and old.what != "member":
        changes.add("B015", new.span, item.span, new.annotations, GONE, **values)
    if kept is None:
        changes.add("B016", new.span, item.span, new.annotations, GONE, **values)
    elif not same_type(type_, kept.type):
        _retyped(changes, new, kept, item.span, model.idl(type_))
    if moved is not None:
        annotations = moved.annotations + new.annotations
        changes.add("B047", moved.span, item.span, annotations, name=name, old=item.tag, new=moved.tag)
        return
    code = "B046" if old.what == "member" else "B062"
    changes.add(code, new.span, item.span, new.annotations, GONE, **values)


def _item_new(changes: Changes, old: List, new: List, item: model.Field, free: int) -> None:
    if new.what == "member":
        return
    annotations = item.annotations + new.annotations
    if item.tag < old.highest:
        changes.add("B013", item.span, old.span, annotations, name=new.name(item), tag=item.tag, free=free)
    if item.required:
        changes.add("B014", item.span, old.span, annotations, name=new.name(item))


def _compare_order(changes: Changes, old: List, new: List) -> None:
    """Adds the first that stands where another one stood, for those who give values by position."""
    if new.what == "member":
        return
    tags = {item.tag for item in new.items}
    stayed = [item for item in old.items if item.tag in tags]
    for one, other in zip(stayed, new.items):  # noqa: B905 - what is new at the end is no matter
        if one.tag != other.tag:
            changes.add(
                "B061",
                other.span,
                one.span,
                other.annotations + new.annotations,
                name=new.name(other),
                other=one.name,
            )
            return


def compare_enums(changes: Changes, old: model.Enum, new: model.Enum) -> None:
    """Adds what two versions of an enum differ in."""
    names = {member.name: member for member in new.members}
    numbers = {member.number: member for member in new.members}
    earlier = {member.name for member in old.members}
    for member in old.members:
        name = f"{old.name}.{member.name}"
        same, there = names.get(member.name), numbers.get(member.number)
        if same is not None:
            if same.number != member.number:
                annotations = same.annotations + new.annotations
                values = {"old": member.number, "new": same.number}
                changes.add("B020", same.span, member.span, annotations, name=name, **values)
        elif there is not None and there.name not in earlier:
            annotations = there.annotations + new.annotations
            changes.add(
                "B043", there.span, member.span, annotations, name=name, old=member.name, new=there.name
            )
        else:
            code = "B045" if member.number in new.reserved else "B021"
            changes.add(code, new.span, member.span, new.annotations, GONE, name=name, tag=member.number)
    for number in old.reserved:
        if number in numbers:
            member = numbers[number]
            annotations = member.annotations + new.annotations
            changes.add(
                "B023", member.span, old.span, annotations, name=f"{new.name}.{member.name}", tag=number
            )
        elif number not in new.reserved:
            changes.add("B022", new.span, old.span, new.annotations, name=new.name, tag=number)
