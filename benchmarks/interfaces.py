"""Interfaces of any size, shaped as people write them, and the folders that hold their processes.

Every tenth method comes with a struct that it and its neighbours use; there are
documentation, defaults, optional parameters and exceptions.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import time
import typing

SIZES = (10, 1_000, 10_000)

_METHODS = (
    "/// Adds a record and gives its number.\nlong add{n}(1: Record{s} record) => Refused",
    "/// Finds what matches, best first.\n"
    "list<Record{s}> find{n}(1: string query, 2: int limit = 20, 3: int offset = 0) => Refused, NotFound",
    "Record{s}? get{n}(1: long id)",
    "@idempotent\nbool touch{n}(1: long id, 2: timestamp? when)",
    "/// Divides one number by another.\ndouble divide{n}(1: int num1, 2: int num2 = 1) => Refused",
    "void rename{n}(1: long id, 2: string name, 3: bool force = false) => NotFound",
    "map<string, long> totals{n}(1: list<string> keys)",
    "oneway void log{n}(1: string line)",
    'string join{n}(1: list<string> parts, 2: string separator = ", ")',
    '/// Removes records by number.\nint remove{n}(1: list<long> ids, 2: string reason = "") => NotFound',
)

_STRUCT = """\
/// What method {n} and the ones after it pass about.
struct Record{s} {{
    1: long id
    2: string name
    3: list<string> tags = []
    4: double weight = 1.0
    5: string? note
}}
"""


def interface(methods: int) -> str:
    """Gives an interface of so many methods, with a struct for every ten."""
    parts = ["exception NotFound\n", "exception Refused {\n    1: string reason\n    2: int code = 0\n}\n"]
    for number in range(methods):
        names = {"n": number, "s": number // 10}
        if number % 10 == 0:
            parts.append(_STRUCT.format_map(names))
        parts.append(_METHODS[number % 10].format_map(names) + "\n")
    return "\n".join(parts)


class Bench:
    """A folder whose processes keep their bytecode to themselves and find ``rpcgen`` and their modules.

    PYTHONDONTWRITEBYTECODE would spoil every timing of an import: it is taken out.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.bytecode = folder / "bytecode"
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))
        }
        self.environment["PYTHONPYCACHEPREFIX"] = str(self.bytecode)
        self.environment["PYTHONPATH"] = os.pathsep.join(
            [str(pathlib.Path(__file__).resolve().parent.parent), str(folder)]
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs Python with the arguments; a failure raises with what the process said."""
        done = subprocess.run(
            [sys.executable, *arguments], env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done

    def seconds(self, *arguments: str) -> float:
        """Gives how long a whole process takes, from its start to its end."""
        start = time.perf_counter()
        self.run(*arguments)
        return time.perf_counter() - start

    @contextlib.contextmanager
    def serve(self, script: str) -> typing.Iterator[int]:
        """Runs a server of the folder, which prints its port and ends at the end of its input."""
        with subprocess.Popen(
            [sys.executable, str(self.folder / script)],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            try:
                yield int(process.stdout.readline())
            finally:
                process.terminate()

    def compile(self, name: str, text: str) -> pathlib.Path:
        """Compiles an interface into the folder; gives the module's path."""
        source = self.folder / f"{name}.idl"
        source.write_text(text, encoding="utf-8")
        self.run("-m", "rpcgen", "compile", str(source), "-o", str(self.folder))
        return self.folder / f"{name}.py"

    def forget_bytecode(self) -> None:
        """Removes the bytecode of the folder's own modules; that of rpcgen stays."""
        own = self.bytecode / self.folder.relative_to(self.folder.anchor)
        shutil.rmtree(own, ignore_errors=True)
