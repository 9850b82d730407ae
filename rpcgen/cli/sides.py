"""The two sides that `breaking` compares: files as the compiler takes them, and what runs.

A server tells its interface itself (`rpc.describe`); of a registry every server is asked, and those
with the same text are one side. What queued calls hold is judged by decoding them.
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
import typing

from rpcgen.cli.console import Console, hush, plural
from rpcgen.cli.errors import CommandError
from rpcgen.cli.registries import OWN, open_named, printable, read
from rpcgen.compiler.changes.sides import GIT, SideError, read_side, read_texts

if typing.TYPE_CHECKING:
    import argparse
    import types

    from rpcgen.compiler.changes.contracts import Contract
    from rpcgen.runtime.stubs import MessageProtocol

    Protocol: typing.TypeAlias = type[MessageProtocol[typing.Any]]

SERVERS: typing.Final = ("tcp://", "unix://", "http://", "https://")
REGISTRIES: typing.Final = ("zk://", "registry://", "static://")
TASKS: typing.Final = "tasks+"

_FILE = re.compile(r"^// file: (.+)$", re.MULTILINE)
_INCLUDE = re.compile(r'^include "(?:[^"\n]*/)?([^"/\n]+)"$', re.MULTILINE)


@dataclasses.dataclass(frozen=True, slots=True)
class Side:
    """A version, and who has it: the servers' addresses, or what was named."""

    names: tuple[str, ...]
    contract: Contract


def sides(name: str, arguments: argparse.Namespace, lost: list[CommandError]) -> list[Side]:
    """Gives every version that a name stands for: one, or one for each that a registry's servers have.

    Args:
        name: As the command takes it.
        arguments: With ``include``, for files, and the options by which servers are asked.
        lost: Gets why servers of a registry have no version to compare, where others have.

    Raises:
        SideError: A version has errors.
        CommandError: Nobody can be reached, or gives an interface.
    """
    if name.startswith(SERVERS):
        return [Side((name,), live(name, describe(name, arguments), is_partial=False))]
    if name.startswith(REGISTRIES):
        return _of_registry(name, arguments, lost)
    if "://" in name and not name.startswith(GIT):
        raise CommandError(
            f"{printable(name)} is nothing that can be compared",
            help="name a file, a folder, git:REV:PATH, tcp://…, unix://…, http://…, zk://…, registry://… or static://…",
        )
    return [Side((name,), read_side(name, arguments.include))]


def describe(url: str, arguments: argparse.Namespace) -> str:
    """Asks a server for its interface.

    Raises:
        CommandError: It does not answer.
    """
    from rpcgen import runtime as rpc
    from rpcgen.cli.targets import connected
    from rpcgen.runtime.dispatch import Describe

    about = f"{printable(url)}: "
    try:
        with connected(url, arguments, about=about) as channel:
            text: str = channel.call(Describe, ())
    except rpc.CallError as error:
        wants_token = isinstance(error, rpc.RemoteFault) and error.code is rpc.FaultCode.UNAUTHENTICATED
        help = "--token TOKEN, or RPCGEN_TOKEN" if wants_token else "is it there, and a server of rpcgen?"
        raise CommandError(about + printable(error.problem), help=help) from error
    return text


def _of_registry(url: str, arguments: argparse.Namespace, lost: list[CommandError]) -> list[Side]:
    with open_named(url) as registry:
        contents = read(registry, arguments.timeout)
    addresses = sorted({entry.instance.address for entry in contents.entries if entry.instance is not None})
    if not addresses:
        raise CommandError(
            f"no server is registered in {printable(registry.url)}",
            help="`rpcgen ls` shows what a registry has; is the root, which ends the URL, the servers' own?",
        )
    found: dict[str, list[str]] = {}
    failures = [
        CommandError(f"{printable(registry.url)}: {entry.service or OWN}: {printable(entry.problem)}")
        for entry in contents.entries
        if entry.instance is None
    ]
    for address, text in zip(addresses, _describe_all(addresses, arguments), strict=True):
        if isinstance(text, CommandError):
            failures.append(text)
        else:
            found.setdefault(text, []).append(address)
    versions: list[Side] = []
    for text, names in found.items():
        try:
            versions.append(Side(tuple(names), live(names[0], text, is_partial=True)))
        except CommandError as error:
            failures.append(error)
    if not versions:
        raise failures[0]
    lost += failures
    return versions


def _describe_all(addresses: list[str], arguments: argparse.Namespace) -> list[str | CommandError]:
    import concurrent.futures

    def ask(address: str) -> str | CommandError:
        try:
            return describe(address, arguments)
        except CommandError as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(min(32, len(addresses))) as pool:
        return list(pool.map(ask, addresses))


def live(address: str, text: str, *, is_partial: bool) -> Contract:
    """Gives the version that a server has, of what `rpc.describe` said."""
    try:
        contract = read_texts(files(address, text))
    except SideError as error:
        if error.report is None:
            raise
        first = error.report.diagnostics[0]
        raise CommandError(
            f"{printable(address)} describes what is no interface: {printable(first.message)}"
        ) from error
    return dataclasses.replace(contract, is_partial=is_partial, is_source=False)


def files(address: str, text: str) -> dict[str, str]:
    """Gives the files of a description by path; its includes are among them, in one folder."""
    parts = _FILE.split(text)
    named = dict(zip(parts[1::2], parts[2::2], strict=True)) or {"interface.idl": text}
    return {
        posixpath.join(address, posixpath.basename(file)): _INCLUDE.sub(r'include "\1"', part)
        for file, part in named.items()
    }


class Broken(typing.NamedTuple):
    """A queued task that the new version cannot run."""

    task: str
    method: str
    problem: str


def broken_tasks(url: str, new: Contract, console: Console, timeout: float) -> list[Broken]:
    """Gives the tasks that wait or run in a queue and that a server of the new version could not read.

    A task says its method and the tags of its arguments, not their types: a type that became another
    of the same width is not seen here, but by comparing the versions.

    Raises:
        CommandError: The queue cannot be reached.
    """
    from rpcgen.cli.queues import check, explained

    named = check(url.removeprefix(TASKS))
    with explained():
        from rpcgen.runtime.tasks.queue import TaskQueue

        hush()
        with TaskQueue(named) as queue:
            calls = queue.calls(timeout)
    console.log(f"{printable(url)}: {plural(len(calls), 'task')} in the queue")
    codecs = _codecs(new)
    return [found for task, call in calls if (found := _judge(task, call, codecs)) is not None]


def _judge(task: str, call: bytes, codecs: dict[str, typing.Any]) -> Broken | None:
    from rpcgen.runtime.errors import DecodeError
    from rpcgen.runtime.tasks.envelopes import arguments, method

    name = method(call)
    if name is None:
        return Broken(task, "", "its call cannot be read")
    if name not in codecs:
        return Broken(task, name, "there is no such method")
    try:
        codecs[name].decode_args(arguments(call))
    except DecodeError as error:
        return Broken(task, name, str(error))
    return None


def _codecs(contract: Contract) -> dict[str, typing.Any]:
    """Gives what reads the calls of every method, by its wire name."""
    return {
        name: protocol.codec() for module in modules(contract) for name, protocol in methods(module).items()
    }


def modules(contract: Contract) -> list[types.ModuleType]:
    """Gives what a version's files compile to.

    Raises:
        CommandError: Names would collide in Python.
    """
    from rpcgen.codegen import GenerateError
    from rpcgen.loading import module_of

    try:
        return [module_of(root) for root in contract.roots]
    except GenerateError as error:
        first = error.report.diagnostics[0]
        raise CommandError(f"the interface has no form in Python: {printable(first.message)}") from error


def methods(module: types.ModuleType) -> dict[str, Protocol]:
    """Gives the methods of a compiled file by their wire names."""
    from rpcgen.runtime.stubs import MessageProtocol

    found = [value for value in vars(module).values() if isinstance(value, MessageProtocol)]
    return {value.name: typing.cast("Protocol", value) for value in found}
