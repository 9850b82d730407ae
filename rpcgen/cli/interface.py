"""An interface file opened by what works on messages: its methods, and the lines that declare what is in them."""

from __future__ import annotations

import argparse
import typing

from rpcgen.cli.errors import CommandError, did_you_mean
from rpcgen.cli.registries import printable

if typing.TYPE_CHECKING:
    import types

    from rpcgen.cli.arguments import Parser
    from rpcgen.cli.console import Console
    from rpcgen.compiler import model
    from rpcgen.compiler.source import Span
    from rpcgen.runtime.wire.codec import ReferenceCodec
    from rpcgen.runtime.wire.dissect import Place

OPTIONS = """\
  --idl FILE                  the interface: a file, a folder, or git:REV:PATH
  -I, --include DIR           look for included files here too; may be repeated"""


def add_options(parser: Parser) -> None:
    """Adds the options that ``opened`` reads."""
    parser.add_argument("--idl", metavar="FILE")
    parser.add_argument("-I", "--include", action="append", default=[], metavar="DIR")


class Opened(typing.NamedTuple):
    """An interface.

    Args:
        methods: By wire name, ``rpc.describe`` and ``rpc.health`` among them.
        lines: Where things are declared.
    """

    methods: dict[str, ReferenceCodec]
    lines: dict[Place, Span]

    @property
    def own(self) -> list[str]:
        """The names of those that the interface declares."""
        return [each for each in self.methods if not each.startswith("rpc.")]

    def method(self, name: str) -> ReferenceCodec:
        """Gives the method of a name.

        Raises:
            CommandError: There is none.
        """
        if name in self.methods:
            return self.methods[name]
        own = self.own
        ends = [each for each in own if each.rpartition(".")[2] == name]
        meant = f"did you mean {' or '.join(ends)}?" if ends else did_you_mean(name, own)
        there = f"there are: {', '.join(own[:20])}{', …' if len(own) > 20 else ''}" if own else ""
        raise CommandError(f"there is no method {printable(name)!r}", help=meant or there)


def opened(arguments: argparse.Namespace, console: Console) -> Opened | None:
    """Opens the interface; None: it has errors, which have been shown.

    Raises:
        CommandError: None is named, or it cannot be read.
    """
    if not arguments.idl:
        raise CommandError("--idl is missing", help="name the interface's file: --idl service.idl")

    from rpcgen.cli.findings import render
    from rpcgen.cli.sides import methods, modules
    from rpcgen.compiler.changes.sides import SideError, read_side
    from rpcgen.runtime.dispatch import Describe, Health

    try:
        contract = read_side(arguments.idl, arguments.include)
    except SideError as error:
        if error.report is None:
            raise CommandError(error.problem, help=error.help) from error
        render(error.report, console, "text")
        return None
    codecs: dict[str, ReferenceCodec] = {}
    lines: dict[Place, Span] = {}
    for root, module in zip(contract.roots, modules(contract), strict=True):
        _note(root, module, lines, set())
        codecs |= {name: protocol.codec() for name, protocol in methods(module).items()}
    codecs |= {each.name: each.codec() for each in (Describe, Health)}
    return Opened(codecs, lines)


def _note(
    interface: model.Module, module: types.ModuleType, lines: dict[Place, Span], known: set[str]
) -> None:
    """Notes where a file, and those that it includes, declare things."""
    if interface.path in known:
        return
    known.add(interface.path)

    from rpcgen.compiler import model
    from rpcgen.runtime.wire.dissect import Place
    from rpcgen.runtime.wire.json_values import idl_name

    for include in interface.includes:
        _note(include.module, vars(module)[include.module.name], lines, known)
    own = (each for each in vars(module).values() if isinstance(each, type))
    classes = {idl_name(each): each for each in own if each.__module__ == module.__name__}
    for declared in interface.declarations:
        if isinstance(declared, model.Service):
            inherited = [method for _, method in declared.inherited]
            for method in (*inherited, *declared.methods):
                name = f"{declared.name}.{method.name}" if declared.name else method.name
                lines[Place(name)] = method.span
                _note_tags(name, (*method.params, *method.reserved), lines)
        elif not isinstance(declared, model.Const | model.Typedef):
            cls = classes[declared.name]
            lines[Place(cls)] = declared.span
            if not isinstance(declared, model.Enum):
                fields = declared.members if isinstance(declared, model.Union) else declared.fields or ()
                _note_tags(cls, (*fields, *declared.reserved), lines)


def _note_tags(
    owner: str | type, found: typing.Iterable[model.Field | model.Reserved], lines: dict[Place, Span]
) -> None:
    from rpcgen.runtime.wire.dissect import Place

    lines.update({Place(owner, each.tag): each.span for each in found})
