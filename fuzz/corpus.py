"""Inputs that are kept: a line of hexadecimal digits each, after ``#`` why it is there. One file a target."""

from __future__ import annotations

import pathlib

FOLDER = pathlib.Path(__file__).parent / "corpus"


def inputs(target: str) -> list[bytes]:
    """Gives a target's inputs."""
    path = FOLDER / f"{target}.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = [line.partition("#")[0].strip() for line in lines]
    return [bytes.fromhex(text) for text in found if text]


def add(target: str, new: list[bytes]) -> int:
    """Adds inputs that are not there yet, the shortest first; gives how many."""
    known = set(inputs(target))
    added = sorted({data for data in new if data not in known}, key=lambda data: (len(data), data))
    with (FOLDER / f"{target}.txt").open("a", encoding="utf-8") as file:
        for data in added:
            file.write(f"{data.hex()}\n")
    return len(added)
