"""The command ``rpcgen``: one module a command, each loaded only when it is named.

``main`` finds the command, runs it, and turns whatever goes wrong into one line and an exit
status: 0 clean, 1 the input has errors or ``--check`` found a difference (for a registry: faults,
or nothing to list; for a call: a declared exception), 2 wrong usage, configuration, a registry that
cannot be reached, or an internal error, from 64 on a call that failed, 130 ended by Ctrl-C.
"""

from __future__ import annotations

import importlib
import os
import sys
import typing

from rpcgen import __version__
from rpcgen.cli.console import Console, tolerate_characters
from rpcgen.cli.errors import CommandError, did_you_mean, refused

COMMANDS = (
    "init",
    "compile",
    "check",
    "fmt",
    "lint",
    "lsp",
    "breaking",
    "explain",
    "encode",
    "decode",
    "sync",
    "serve",
    "call",
    "describe",
    "registry",
    "ls",
    "doctor",
    "master",
    "worker",
    "tasks",
    "completion",
)

HELP = f"""\
rpcgen {__version__}: typed remote calls in Python from one interface file

Usage: rpcgen COMMAND [OPTIONS]

Commands:
  init      write a first interface, server and client that run
  compile   make a Python module of each interface file
  check     report what is wrong with interface files, and write nothing
  fmt       write interface files in their one form, comments kept
  lint      find what compiles, and yet most likely is a mistake
  lsp       serve an editor: findings, hover, definitions, completion, rename, formatting
  breaking  say whom a new version of an interface breaks
  explain   say what each byte of a message, or of a captured stream, is
  encode    write the bytes of a message that is given in JSON
  decode    write messages, or a captured stream, as JSON
  sync      add the methods to your handlers that their interface has, and they lack
  serve     serve your handlers: to clients of rpcgen, over HTTP, or both
  call      call a method of a server, and show the result as JSON
  describe  show the interface of a server that runs
  registry  run the registry for one machine
  ls        list the servers in a registry, and show how that changes
  doctor    find what is wrong with a registry and the servers in it
  master    assign queued tasks to workers
  worker    run queued tasks by your handlers
  tasks     list queued tasks, show them, try them again, cancel them, remove them
  completion
            what lets bash, zsh or fish complete commands, options and files

Options:
  -V, --version   show the version, and which codec runs
  -h, --help      show this text; `rpcgen COMMAND --help` shows a command's

Examples:
  rpcgen init hello                         a first project, in the folder hello
  rpcgen compile service.idl                writes service.py beside it
  rpcgen compile idl/*.idl -o generated     writes generated/NAME.py for each

`python -m rpcgen` does the same.
"""

OK, FAULTY, UNUSABLE, INTERRUPTED = 0, 1, 2, 130


def main(words: typing.Sequence[str] | None = None) -> int:
    """Runs the command that the words (default: of the command line) name.

    Returns:
        The exit status.
    """
    words = list(sys.argv[1:] if words is None else words)
    console = Console()
    tolerate_characters()
    name = "rpcgen"
    try:
        try:
            command, rest = _command(words, console)
            if command is None:
                return OK
            name = f"rpcgen {command}"
            return _run(command, rest, console)
        except OSError as error:
            where = f"use {os.fsdecode(error.filename)}" if error.filename else "go on"
            raise refused(where, error) from error
    except KeyboardInterrupt:
        console.log(f"{name}: interrupted")
        return INTERRUPTED
    except CommandError as error:
        _explain(words, console)
        console.log(f"{name}: {error.lines()}")
        return error.status
    except Exception as error:
        _explain(words, console)
        console.log(f"{name}: {_internal(error)}")
        return UNUSABLE


def _command(words: list[str], console: Console) -> tuple[str | None, list[str]]:
    """Finds the command and what follows it; None if there was only a text to show."""
    while words and words[0] == "--traceback":
        words = words[1:]
    if not words or words[0] in ("-h", "--help") or words == ["help"]:
        console.find(HELP)
        return None, []
    word, rest = words[0], words[1:]
    if word in ("-V", "--version"):
        console.find(f"rpcgen {__version__} ({_codec()})")
        return None, []
    if word == "help":
        word, rest = rest[0], ["--help"]
    if word in COMMANDS:
        return word, rest
    if word.startswith("-"):
        problem, names = f"there is no option {word}", ["--help", "--version"]
    elif word.endswith(".idl"):
        raise CommandError(f"{word} is a file, not a command", help=f"rpcgen compile {word}")
    else:
        problem, names = f"there is no command {word!r}", list(COMMANDS)
    raise CommandError(problem, help=did_you_mean(word, names) or "`rpcgen --help` lists what there is")


def _codec() -> str:
    from rpcgen.runtime.wire.choice import choice, codec_in_use

    try:
        told = codec_in_use()
    except RuntimeError as error:
        raise CommandError(str(error)) from error
    from rpcgen.runtime.sync import turns

    # A build that failed for one part leaves the other.
    is_half = choice().native and turns.calls is None
    return f"{told}; calls in Python, as their part in C is not built" if is_half else told


def _run(command: str, words: list[str], console: Console) -> int:
    module = importlib.import_module(f"rpcgen.cli.{command}")
    before = words[: words.index("--")] if "--" in words else words
    if "-h" in before or "--help" in before:
        console.find(module.HELP)
        return OK
    status: int = module.run(words)
    return status


def _explain(words: list[str], console: Console) -> None:
    """Shows the traceback of the error being handled, to those who asked for it."""
    if "--traceback" in words or os.environ.get("RPCGEN_TRACEBACK", "0") not in ("", "0"):
        import traceback

        console.log(traceback.format_exc())


def _internal(error: Exception) -> str:
    place = ""
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        place = f" ({os.path.join(*file.split(os.sep)[-3:])}:{trace.tb_lineno})"
        trace = trace.tb_next
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return (
        f"internal error: {what[:300]}{place}; this is a fault of rpcgen: please report it, "
        "with what --traceback shows beside it"
    )
