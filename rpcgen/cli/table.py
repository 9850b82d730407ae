"""Instances as a table: a column for each thing that at least one of them says."""

from __future__ import annotations

import collections.abc
import typing

from rpcgen.cli.registries import OWN, printable

if typing.TYPE_CHECKING:
    from rpcgen.runtime.registry import Instance

    Row: typing.TypeAlias = "tuple[str, Instance]"

WIDTH = 60
"""Characters of a cell; an address is never cut."""


class _Column(typing.NamedTuple):
    title: str
    says: collections.abc.Callable[[Instance], bool]
    """Whether the instance says something that others do not take for granted."""
    cell: collections.abc.Callable[[Instance, float], str]
    """What stands there, at a time in seconds since 1970."""
    right: bool = False


_COLUMNS = (
    _Column("WEIGHT", lambda one: one.weight != 1, lambda one, now: f"{one.weight:g}", right=True),
    _Column("ZONE", lambda one: one.zone != "", lambda one, now: one.zone),
    _Column("VERSION", lambda one: one.version != "", lambda one, now: one.version),
    _Column("PROTOCOLS", lambda one: one.protocols != ("plain",), lambda one, now: ",".join(one.protocols)),
    _Column("AGE", lambda one: one.started > 0, lambda one, now: age(one.started, now), right=True),
    _Column("PID", lambda one: one.pid > 0, lambda one, now: str(one.pid or ""), right=True),
    _Column(
        "METADATA",
        lambda one: bool(one.metadata),
        lambda one, now: " ".join(f"{name}={value}" for name, value in one.metadata.items()),
    ),
)


def table(rows: collections.abc.Sequence[Row], now: float, *, service: bool) -> list[str]:
    """Gives the lines, the titles first.

    Args:
        rows: Services and their instances, in the order to show.
        now: Seconds since 1970.
        service: Whether the service has a column.
    """
    lines = [["ADDRESS"], *([printable(one.address)] for _, one in rows)]
    rights = [False]
    if service:
        _prefix(lines, ["SERVICE", *(printable(name) or OWN for name, _ in rows)])
        rights.insert(0, False)
    columns = [column for column in _COLUMNS if any(column.says(one) for _, one in rows)]
    for column in columns:
        lines[0].append(column.title)
        for line, (_, one) in zip(lines[1:], rows, strict=True):
            line.append(printable(column.cell(one, now), WIDTH))
        rights.append(column.right)
    if _differ(rows):
        lines[0].append("INTERFACE")
        for line, (_, one) in zip(lines[1:], rows, strict=True):
            line.append(printable(one.fingerprint[:8]))
        rights.append(False)
    return aligned(lines, rights)


def aligned(
    lines: collections.abc.Sequence[collections.abc.Sequence[str]], rights: collections.abc.Sequence[bool]
) -> list[str]:
    """Gives lines of cells as lines of text, each column as wide as its widest cell.

    Args:
        lines: Of one length each.
        rights: Of each column whether its cells stand at its right end.
    """
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, rights, strict=True)
        ).rstrip()
        for line in lines
    ]


def details(one: Instance, now: float) -> str:
    """Gives what an instance says beside its address, as ``name=value`` words."""
    return " ".join(
        f"{column.title.lower()}={printable(column.cell(one, now), WIDTH)}"
        for column in _COLUMNS
        if column.says(one) and column.title != "AGE"
    )


def order(row: Row) -> tuple[str, str, int]:
    """Sorts instances by service and address."""
    service, one = row
    return service, one.host, one.port


def age(started: float, now: float) -> str:
    """Gives the time since then in its two largest units: ``42s``, ``3m05s``, ``2h10m``, ``9d04h``."""
    if started <= 0:
        return ""
    seconds = max(0, int(now - started))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days}d{hours % 24:02}h"
    if hours:
        return f"{hours}h{minutes % 60:02}m"
    return f"{minutes}m{seconds % 60:02}s" if minutes else f"{seconds}s"


def _differ(rows: collections.abc.Iterable[Row]) -> bool:
    """Says whether instances of one service serve different interfaces."""
    known: dict[str, str] = {}
    return any(
        one.fingerprint and known.setdefault(name, one.fingerprint) != one.fingerprint for name, one in rows
    )


def _prefix(lines: list[list[str]], cells: list[str]) -> None:
    for line, cell in zip(lines, cells, strict=True):
        line.insert(0, cell)
