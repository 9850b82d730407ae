"""``rpcgen.load``: an interface file's module without a file of it.

Each interface file becomes one module, named by its path in ``sys.modules``
(``rpcgen.loaded.service_1a2b3c4d5e6f``), so that two files of one name never meet and
``sys.path`` stays as it is. It imports its includes from itself, where they are put before it
runs: ``from . import common`` in a module whose package is itself.

The same file gives the same module for as long as it compiles to the same Python code; the
files' times are a short cut. Loaded classes pickle and copy; to unpickle them, another process
loads the same file first.
"""

from __future__ import annotations

import dataclasses
import hashlib
import linecache
import os
import sys
import threading
import time
import types
import typing

from rpcgen import codegen
from rpcgen.compiler import compile_file, model
from rpcgen.compiler.diagnostics import Diagnostic, Report
from rpcgen.compiler.loader import Loader
from rpcgen.compiler.render import render_text

_Path: typing.TypeAlias = "str | os.PathLike[str]"
_Stamps: typing.TypeAlias = "dict[str, tuple[int, int, int] | None]"


class IdlError(Exception):
    """An interface file has errors; ``str()`` shows them as the command would.

    Args:
        text: The findings, rendered.
        diagnostics: The findings themselves, warnings too.
    """

    def __init__(self, text: str, diagnostics: tuple[Diagnostic, ...] = ()) -> None:
        super().__init__(text)
        self.diagnostics = diagnostics


@dataclasses.dataclass(frozen=True, slots=True)
class _Loaded:
    """A module, with what it was made of."""

    module: types.ModuleType
    text: str
    includes: tuple[types.ModuleType, ...]


_lock = threading.RLock()
_modules: dict[str, _Loaded] = {}
_roots: dict[tuple[str, ...], tuple[types.ModuleType, _Stamps]] = {}


def load(path: _Path, include_dirs: typing.Iterable[_Path] = ()) -> types.ModuleType:
    """Gives the module that an interface file compiles to, without writing it.

    Args:
        path: The interface file.
        include_dirs: Where to look for includes that are not beside the file that names them.

    Raises:
        IdlError: The file, or one that it includes, cannot be read or has errors.
    """
    folders = [os.fspath(folder) for folder in include_dirs]
    key = tuple(map(os.path.realpath, [os.fspath(path), *folders]))
    with _lock:
        found = _roots.get(key)
        if found is not None and all(_stamp(file) == stamp for file, stamp in found[1].items()):
            return found[0]
        started = time.time_ns()
        loader = Loader(folders)
        compilation = compile_file(path, loader=loader)
        if compilation.module is None:
            raise _error(path, compilation.report)
        try:
            module = module_of(compilation.module)
        except codegen.GenerateError as error:
            raise _error(path, error.report) from None
        _roots[key] = module, _stamps(loader.read, started)
        return module


def _error(path: _Path, report: Report) -> IdlError:
    text = f"{os.fspath(path)} has errors\n{render_text(report, color=False)}"
    return IdlError(text.rstrip(), report.diagnostics)


def module_of(interface: model.Module) -> types.ModuleType:
    """Gives the module of a compiled interface, after making those that it includes.

    Raises:
        codegen.GenerateError: Names would collide in Python.
    """
    made: dict[str, types.ModuleType] = {}
    for one in interface.closure():
        path = os.path.realpath(one.path)
        includes = {to.module.name: made[to.module.path] for to in one.includes}
        text = codegen.generate(one, imports="relative")
        known = _modules.get(path)
        if known is None or known.text != text or known.includes != tuple(includes.values()):
            known = _Loaded(_run(one.name, path, text, includes), text, tuple(includes.values()))
            _modules[path] = known
        made[one.path] = known.module
    return made[interface.path]


def _run(name: str, path: str, text: str, includes: dict[str, types.ModuleType]) -> types.ModuleType:
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    module = types.ModuleType(f"rpcgen.loaded.{name}_{digest}")
    module.__package__ = module.__name__
    vars(module).update(includes)
    file = f"<rpcgen.load {path}>"
    linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
    earlier = sys.modules.get(module.__name__)
    # Classes look up the names of their annotations here, and pickle finds them here.
    sys.modules[module.__name__] = module
    try:
        exec(compile(text, file, "exec", dont_inherit=True), vars(module))
    except BaseException:
        del sys.modules[module.__name__]
        if earlier is not None:
            sys.modules[module.__name__] = earlier
        raise
    return module


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        state = os.stat(path)
    except (OSError, ValueError):
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino


def _stamps(paths: typing.Iterable[str], started: int) -> _Stamps:
    """Stamps files that were read; none for one that may have changed while it was."""
    found: _Stamps = {}
    for path in paths:
        stamp = _stamp(path)
        # File systems keep coarse times: one written just before is read again the next time.
        fresh = stamp is not None and stamp[0] > started - 50_000_000
        found[path] = (-1, -1, -1) if fresh else stamp
    return found
