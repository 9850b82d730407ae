"""What changed between two versions of an interface, and whom it breaks.

    two sides, compiled --compare--> changes, each by a rule of one table

Nothing is read here but interface files, and those of a revision by git.
"""

from __future__ import annotations

import os
import typing

from rpcgen.compiler.changes.compare import compare
from rpcgen.compiler.changes.findings import Change
from rpcgen.compiler.changes.rules import LEVELS, Level
from rpcgen.compiler.changes.sides import SideError, read_side

__all__ = ["Change", "SideError", "breaking"]


def breaking(
    old: str | os.PathLike[str],
    new: str | os.PathLike[str],
    *,
    level: Level | None = None,
    include_dirs: typing.Iterable[str | os.PathLike[str]] = (),
) -> list[Change]:
    """Gives the changes between two versions of an interface that break somebody.

    Args:
        old: A file, a folder, or ``git:REV:PATH``.
        new: The same; ``@allow`` counts where it stands here.
        level: ``wire``: peers that speak bytes; ``json``: those that speak JSON, too; ``source``:
            programs that are compiled anew, too. None: all, those of source as warnings.
        include_dirs: Where to look for includes that are not beside the file that names them.

    Raises:
        ValueError: There is no such level.
        SideError: A version is not there, or has errors.
    """
    if level is not None and level not in LEVELS:
        raise ValueError(f"a level is one of {', '.join(LEVELS)}, not {level!r}")
    folders = [os.fspath(folder) for folder in include_dirs]
    return compare(read_side(os.fspath(old), folders), read_side(os.fspath(new), folders), level)
