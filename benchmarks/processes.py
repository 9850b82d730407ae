"""Whole processes, measured: a folder of modules, and a Python that finds them and little else."""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import typing

from benchmarks import environments
from benchmarks.interfaces import Shape, grpc_interface, interface

ROOT = pathlib.Path(__file__).resolve().parent.parent


def grpc_installed() -> bool:
    return importlib.util.find_spec("grpc_tools") is not None


@functools.cache
def _kept() -> pathlib.Path:
    """Gives a folder for what all benchmarks of a run can share; it goes away at the end of this process."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return pathlib.Path(folder)


@functools.cache
def _environment(*names: str) -> pathlib.Path:
    """Gives the Python of an environment with these distributions."""
    return environments.make(pathlib.Path(tempfile.mkdtemp(dir=_kept())) / "environment", *names)


class Bench:
    """A folder whose processes find rpcgen and their modules, and keep their bytecode apart from other processes'.

    PYTHONDONTWRITEBYTECODE would spoil every timing of an import: it is taken out.

    Args:
        folder: An empty one.
        also: Distributions that its Python finds beside rpcgen's own requirements.
    """

    def __init__(self, folder: pathlib.Path, also: typing.Sequence[str] = ()) -> None:
        self.folder = folder
        self._bytecode = _kept() / "bytecode"
        self._python = _environment("jinja2", "lark", "msgspec", *also)
        self._grpc_python = _environment("grpcio", "grpcio-tools") if grpc_installed() else self._python
        own = ("PYTHON", "COV", "VIRTUAL_ENV")
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        self._environment["PYTHONPYCACHEPREFIX"] = str(self._bytecode)
        self._environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(folder)])

    def run(self, *arguments: str, python: pathlib.Path | None = None) -> str:
        """Runs Python with the arguments; gives what it prints. A failure raises with what it said."""
        done = subprocess.run(
            [python or self._python, *arguments],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    def seconds(self, *arguments: str, python: pathlib.Path | None = None) -> float:
        """Gives how long a whole process takes, from its start to its end."""
        start = time.perf_counter()
        self.run(*arguments, python=python)
        return time.perf_counter() - start

    @contextlib.contextmanager
    def serve(self, *arguments: str, python: pathlib.Path | None = None) -> typing.Iterator[int]:
        """Runs a server of the folder, which prints its port; ends it afterwards."""
        with self.server(*arguments, python=python) as (port, _):
            yield port

    @contextlib.contextmanager
    def server(self, *arguments: str, python: pathlib.Path | None = None) -> typing.Iterator[tuple[int, int]]:
        """Does what ``serve`` does; gives the port and the process's id."""
        with subprocess.Popen(
            [python or self._python, *arguments],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            try:
                told = process.stdout.readline()
                if not told.strip().isdigit():
                    raise RuntimeError(f"{' '.join(arguments)} printed {told!r} and not its port")
                yield int(told), process.pid
            finally:
                process.terminate()

    @contextlib.contextmanager
    def held(self, script: str, *arguments: str) -> typing.Iterator[None]:
        """Runs a script until it has printed a line, and ends it afterwards by the end of its input."""
        with subprocess.Popen(
            [self._python, script, *arguments],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            if not process.stdout.readline():
                raise RuntimeError(f"{script} {' '.join(arguments)} ended early")
            yield
            process.stdin.close()

    def build(self, source: pathlib.Path) -> pathlib.Path | None:
        """Compiles a program in C into the folder; None where there is no compiler."""
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            return None
        program = self.folder / source.stem
        subprocess.run([compiler, "-O2", "-o", program, source], check=True)
        return program

    def write(self, shape: Shape, methods: int) -> None:
        """Writes the interface as ``SHAPE_METHODS.idl``, and for gRPC as ``.proto``."""
        name = f"{shape}_{methods}"
        (self.folder / f"{name}.idl").write_text(interface(shape, methods), encoding="utf-8")
        (self.folder / f"{name}.proto").write_text(grpc_interface(shape, methods), encoding="utf-8")

    def compile(self, name: str) -> float:
        """Compiles NAME.idl anew; gives the seconds of the process."""
        (self.folder / f"{name}.py").unlink(missing_ok=True)
        return self.seconds("-m", "rpcgen", "compile", f"{name}.idl", "-o", ".")

    def compile_grpc(self, name: str) -> float:
        outputs = ("--python_out=.", "--grpc_python_out=.")
        return self.seconds(
            "-m", "grpc_tools.protoc", "-I.", *outputs, f"{name}.proto", python=self._grpc_python
        )

    def load(self, name: str) -> float:
        """Gives the seconds of a process that imports a module."""
        return self.seconds("-c", f"import {name}")

    def load_cold(self, name: str) -> float:
        """The same without the module's own bytecode; that of all others stays."""
        own = self._bytecode / self.folder.relative_to(self.folder.anchor)
        for path in own.glob(f"{name}.*.pyc"):
            path.unlink()
        return self.load(name)

    def load_grpc(self, name: str) -> float:
        return self.seconds("-c", f"import {name}_pb2_grpc", python=self._grpc_python)
