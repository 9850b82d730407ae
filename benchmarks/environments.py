"""Environments that hold named distributions and what they need, and nothing else.

A development environment makes imports slower than a user's: some libraries load
typing_extensions wherever it is installed, and tools hook into the start of Python.
"""

from __future__ import annotations

import importlib.metadata
import pathlib
import re
import venv


def make(folder: pathlib.Path, *names: str) -> pathlib.Path:
    """Makes an environment without pip; gives its Python. Nothing is fetched: the files are linked.

    Args:
        folder: Where; it must not hold one yet.
        *names: Distributions of this environment that it gets, with their requirements.
    """
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in closure(names):
        for path in top_level(name):
            (site / path.name).symlink_to(path)
    return folder / "bin" / "python"


def closure(names: tuple[str, ...]) -> list[str]:
    """Gives the distributions and all that they require, as far as they are installed here."""
    found: list[str] = []
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            requirements = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found.append(name)
        waiting += [re.split(r"[^\w.-]", needed)[0] for needed in requirements if "extra ==" not in needed]
    return found


def top_level(name: str) -> list[pathlib.Path]:
    """Gives the files and folders of site-packages that a distribution consists of."""
    distribution = importlib.metadata.distribution(name)
    parts = {pathlib.PurePath(str(file)).parts[0] for file in distribution.files or []}
    paths = [
        pathlib.Path(str(distribution.locate_file(part))) for part in sorted(parts - {"..", "__pycache__"})
    ]
    return [path for path in paths if path.exists()]
