"""A user's handlers and compiled modules, found by the names that the command line says.

What is missing is told with where it was looked for; what fails inside of the user's module with
the line of it that failed.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import types
import typing

from rpcgen.cli.errors import CommandError, did_you_mean

if typing.TYPE_CHECKING:
    from rpcgen.runtime.stubs import ServerStub


def bound(handlers: str, stubs: typing.Sequence[str]) -> list[ServerStub]:
    """Gives server stubs with their handlers.

    Args:
        handlers: ``MODULE:HANDLERS``.
        stubs: ``MODULE`` or ``MODULE:STUB``, each.

    Raises:
        CommandError: Something is not there, or they do not fit.
    """
    if not stubs:
        raise CommandError(
            "--stub is missing", help="name the module that `rpcgen compile` made: --stub service"
        )
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    kinds = [_stub(text) for text in stubs]
    found = _handlers(handlers)
    if isinstance(found, type) and any(_needs_instance(found, kind) for kind in kinds):
        try:
            found = found()
        except Exception as error:
            raise CommandError(
                f"{handlers} cannot be made without arguments: {_told(error)}",
                help="name an instance: MODULE:INSTANCE",
            ) from error
    try:
        return [kind(found) for kind in kinds]
    except TypeError as error:
        raise CommandError(str(error)) from error


def _handlers(text: str) -> object:
    name, separator, path = text.partition(":")
    if not separator or not name or not path:
        raise CommandError(
            f"{text!r} names no handlers",
            help=f"say what handles the methods in the module: {text.strip(':') or 'jobs'}:Handlers",
        )
    module = _module(name)
    found: object = module
    for part in path.split("."):
        names = _own_names(found)
        if not hasattr(found, part):
            where = f" ({module.__file__})" if getattr(module, "__file__", None) else ""
            there = f"there are: {', '.join(sorted(names))}" if names else "it defines nothing"
            raise CommandError(
                f"the module {name}{where} has no {path}", help=did_you_mean(part, names) or there
            )
        found = getattr(found, part)
    return found


def _stub(text: str) -> type[ServerStub]:
    from rpcgen.runtime.stubs import ServerStub

    name, _, wanted = text.partition(":")
    module = _module(name)
    there = [
        key
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, ServerStub) and value is not ServerStub
    ]
    if wanted in there or (not wanted and "ServerStub" in there):
        kind: type[ServerStub] = getattr(module, wanted or "ServerStub")
        return kind
    where = f" ({module.__file__})" if getattr(module, "__file__", None) else ""
    if not there:
        raise CommandError(
            f"--stub {text}: the module {name}{where} has no server stub",
            help="name the module that `rpcgen compile` made of an interface with methods",
        )
    raise CommandError(
        f"--stub {text}: the module {name}{where} has no {wanted or 'ServerStub'}",
        help=(wanted and did_you_mean(wanted, there))
        or f"name one of its services: {' or '.join(f'--stub {name}:{key}' for key in sorted(there))}",
    )


def _module(name: str) -> types.ModuleType:
    if name.endswith(".py") or "/" in name:
        meant = name.removesuffix(".py").strip("./").replace("/", ".")
        raise CommandError(f"{name!r} is a file, not a module", help=f"did you mean {meant}?")
    if not all(part.isidentifier() for part in name.split(".")):
        raise CommandError(f"{name!r} cannot be a module", help="one is named as in `import jobs.mail`")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing == name or name.startswith(f"{missing}."):
            raise CommandError(
                f"there is no module {missing}: looked for in {os.getcwd()}, then where {sys.executable} looks",
                help="run it in the folder of the module, or add that to PYTHONPATH",
            ) from error
        raise CommandError(f"the module {name} cannot be imported: {_told(error)}") from error
    except Exception as error:
        raise CommandError(f"the module {name} cannot be imported: {_told(error)}") from error


def _needs_instance(handlers: type, kind: type[ServerStub]) -> bool:
    names = [protocol.python_name() for protocol in kind.protocols]
    return any(inspect.isfunction(inspect.getattr_static(handlers, name, None)) for name in names)


def _told(error: BaseException) -> str:
    """Says what was raised, and where in the user's code: the last line that it came through."""
    place, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith("<") and os.path.dirname(file) != os.path.dirname(__file__):
            place = f" ({file}:{trace.tb_lineno})"
        trace = trace.tb_next
    return f"{' '.join(f'{type(error).__name__}: {error}'.split())}{place}"


def _own_names(module: object) -> list[str]:
    """Gives what a module, or a class in it, defines itself: what it imports is nobody's handlers."""
    home = getattr(module, "__name__", "")
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not isinstance(value, types.ModuleType)
        and getattr(value, "__module__", home) in (home, getattr(module, "__module__", home))
    ]
