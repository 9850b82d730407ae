"""Containment: which types hold themselves, and which could never be made because of it."""

from __future__ import annotations

import typing

from rpcgen.compiler import cycles, model
from rpcgen.compiler.scope import Scope

Record: typing.TypeAlias = "model.Struct | model.Union | model.ExceptionType"


def members_of(record: Record) -> tuple[model.Field, ...]:
    """Gives the fields of a struct or exception, or the members of a union."""
    return record.members if isinstance(record, model.Union) else record.fields or ()


def recursive(records: dict[str, Record]) -> frozenset[str]:
    """Gives the names of those whose values can hold, at any depth, another of the same."""
    uses = {name: _held(record) for name, record in records.items()}
    return frozenset(
        name
        for group in cycles.components(records, uses.__getitem__)
        if cycles.is_cycle(group, uses.__getitem__)
        for name in group
    )


def check(scope: Scope, records: dict[str, Record]) -> None:
    """Reports records whose values would have to hold themselves without end."""
    endless = _endless(records)
    if not endless:
        return
    must = {name: [held for held in _needed(records[name]) if held in endless] for name in endless}
    for group in cycles.components([name for name in records if name in endless], must.__getitem__):
        if not cycles.is_cycle(group, must.__getitem__):
            continue
        group.sort(key=lambda name: records[name].span.start)
        chain = cycles.shortest_cycle(group, must.__getitem__)
        record = records[chain[0]]
        next_one = chain[1 % len(chain)]
        field = next(field for field in members_of(record) if _local(field.type) == next_one)
        what = (
            "union"
            if isinstance(record, model.Union)
            else "struct"
            if isinstance(record, model.Struct)
            else "exception"
        )
        scope.error(
            "E111",
            record.span,
            "",
            ((field.span, f"holds {next_one}"),),
            "add a member that does not hold it"
            if what == "union"
            else f"make {field.name} optional, or a list",
            what=what,
            name=chain[0],
            chain=" -> ".join([*chain, chain[0]]),
        )


def _endless(records: dict[str, Record]) -> set[str]:
    """Gives the records of which no finite value exists.

    A struct is finite when all that it needs is, a union when one of its members is; what
    is finite spreads from those that need nothing.
    """
    users: dict[str, list[str]] = {name: [] for name in records}
    waits: dict[str, int] = {}
    for name, record in records.items():
        needed = [held for held in _needed(record) if held in records]
        for held in needed:
            users[held].append(name)
        if isinstance(record, model.Union):
            waits[name] = 1 if record.members and len(needed) == len(record.members) else 0
        else:
            waits[name] = len(needed)
    finite = [name for name, count in waits.items() if count == 0]
    endless = {name for name, count in waits.items() if count}
    for name in finite:  # grows while it is walked
        for user in users[name]:
            waits[user] -= 1
            if waits[user] == 0:
                endless.discard(user)
                finite.append(user)
    return endless


def _local(found: model.Type) -> str:
    """Gives the name of a record of this file, empty for any other type; other files cannot refer back here."""
    return found.name if isinstance(found, model.Named) and found.kind != "enum" and not found.file else ""


def _needed(record: Record) -> list[str]:
    """Gives the records that each value holds directly; of a union's, each value holds one of them."""
    return [name for field in members_of(record) if (name := _local(field.type))]


def _held(record: Record) -> list[str]:
    found: list[str] = []
    for field in members_of(record):
        waiting: list[model.Type] = [field.type]
        while waiting:
            match waiting.pop():
                case model.ListOf(item) | model.SetOf(item) | model.OptionalOf(item):
                    waiting.append(item)
                case model.MapOf(key, value):
                    waiting += key, value
                case other:
                    found.extend(filter(None, (_local(other),)))
    return found
