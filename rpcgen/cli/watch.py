"""``rpcgen compile --watch``: compiles at each change of what was read, until Ctrl-C.

Looks at the files' times every 0.3 s. Files are known by name, so editors that replace a file
and files that are missing for now are no special case; nothing that a user can mend ends it.
"""

from __future__ import annotations

import argparse
import os
import time
import typing

from rpcgen.cli.build import build
from rpcgen.cli.console import Console
from rpcgen.cli.errors import CommandError, refused
from rpcgen.cli.inputs import Settings, settings
from rpcgen.codegen.environment import environment

INTERVAL = 0.3
"""Seconds between two looks."""

_Stamp: typing.TypeAlias = "tuple[int, int, int] | None"


def watch(arguments: argparse.Namespace, console: Console) -> int:
    """Compiles, and again after each change; gives the exit status when Ctrl-C ends it."""
    console.log("watching; Ctrl-C ends")
    stamps: dict[str, _Stamp] = {}
    try:
        while True:
            started = time.time_ns()
            wanted = _settings(arguments)
            paths = _files(wanted)
            before = {path: _stamp(path) for path in {*stamps, *paths}}
            paths |= _compile(wanted, arguments, console)
            stamps = {path: before.get(path, _late_stamp(path, started)) for path in paths}
            _await_change(arguments, wanted, stamps)
    except KeyboardInterrupt:
        return 0


def _settings(arguments: argparse.Namespace) -> Settings | str:
    """Gives the settings as they are now, or what is wrong with them."""
    try:
        return settings(arguments)
    except CommandError as error:
        return error.lines()
    except OSError as error:
        return refused("list the files", error).lines()


def _files(wanted: Settings | str) -> set[str]:
    """Gives the files whose change matters, before any is read."""
    if isinstance(wanted, str):
        return set()
    found = set(wanted.files)
    if wanted.templates is not None:
        found |= {os.path.join(at, name) for at, _, names in os.walk(wanted.templates) for name in names}
    return found


def _compile(wanted: Settings | str, arguments: argparse.Namespace, console: Console) -> set[str]:
    """Compiles once; gives the files that it read or looked for."""
    now = time.strftime("%H:%M:%S")
    if isinstance(wanted, str):
        console.log(f"{now} {wanted}")
        return set()
    if wanted.templates is not None:
        environment.cache_clear()
    built = build(wanted, console)
    try:
        built.finish(console, arguments.error_format, f"{now} ")
    except CommandError as error:
        console.log(f"{now} {error.lines()}")
    return set(built.read)


def _await_change(arguments: argparse.Namespace, wanted: Settings | str, stamps: dict[str, _Stamp]) -> None:
    def looks() -> tuple[Settings | str, set[str], dict[str, _Stamp]]:
        now = _settings(arguments)
        return now, _files(now), {path: _stamp(path) for path in stamps}

    known = wanted, _files(wanted), stamps
    while (seen := looks()) == known:
        time.sleep(INTERVAL)
    # An editor may be between taking the old file away and putting the new one there.
    time.sleep(INTERVAL / 6)
    while (again := looks()) != seen:
        seen = again
        time.sleep(INTERVAL / 6)


def _stamp(path: str) -> _Stamp:
    try:
        state = os.stat(path)
    except (OSError, ValueError):
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino


def _late_stamp(path: str, started: int) -> _Stamp:
    """Stamps a file that was first met while compiling, when it may have changed since it was read."""
    stamp = _stamp(path)
    # File systems keep coarse times; to compile once too often does no harm.
    return (-1, -1, -1) if stamp is not None and stamp[0] > started - 50_000_000 else stamp
