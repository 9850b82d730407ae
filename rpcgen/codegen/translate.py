"""The templates as Python, kept in translated.py.

Loading Jinja and compiling five templates takes 0.1 s, half of the compile of a small file, so
what our templates say is kept beside them as a function. Its checksum tells whether they are still
those that it was made from: if not, Jinja renders them. Type checkers see templates this way.

    python -m rpcgen.codegen.translate        writes translated.py
"""

from __future__ import annotations

import pathlib
import re
import typing

from jinja2 import nodes

from rpcgen.codegen.environment import MODULE, checksum, environment, ours

KEPT: typing.Final = pathlib.Path(__file__).with_name("translated.py")

_HEAD: typing.Final = '''\
"""Our templates as one function. Made by ``python -m rpcgen.codegen.translate``: do not edit."""

from __future__ import annotations

from rpcgen.codegen.view import ModuleView

CHECKSUM = {checksum}


def render(module: ModuleView) -> str:
    """Gives a module's text, as the templates do."""
    parts: list[str] = []
    add = parts.append
'''


def translate() -> str:
    """Gives the content of translated.py.

    Raises:
        NotImplementedError: A template holds more than texts, names with attributes, ``for`` with
            ``loop.first``, ``if``, ``and``, ``or``, ``not`` and ``include``.
    """
    head = _HEAD.format(checksum=checksum(ours()))
    return "".join([head, *_block(_parsed(MODULE), 1), '    return "".join(parts)\n'])


def write() -> None:
    """Writes translated.py."""
    KEPT.write_text(translate(), encoding="utf-8")


def _parsed(template: str) -> list[nodes.Node]:
    loaded = environment()
    assert loaded.loader is not None
    return loaded.parse(loaded.loader.get_source(loaded, template)[0], template).body


def _block(body: list[nodes.Node], depth: int, loop: str = "") -> typing.Iterator[str]:
    """Gives the lines of statements; ``loop`` counts the rounds of the one that they stand in."""
    indent = "    " * depth
    for node in body:
        match node:
            case nodes.Output():
                yield from _output(node, indent, loop)
            case nodes.For(target=nodes.Name(name=name), else_=[], test=None, recursive=False):
                target, over = name, _expression(node.iter, loop)
                if any(found.name == "loop" for found in node.find_all(nodes.Name)):
                    target, over = f"number{depth}, {name}", f"enumerate({over})"
                yield f"{indent}for {target} in {over}:\n"
                yield from _block(node.body, depth + 1, f"number{depth}")
            case nodes.If(elif_=[], else_=[]):
                yield f"{indent}if {_expression(node.test, loop)}:\n"
                yield from _block(node.body, depth + 1, loop)
            case nodes.Include(template=nodes.Const(value=str(template))):
                yield from _block(_parsed(template), depth, loop)
            case _:
                raise _unknown(node)


def _output(node: nodes.Output, indent: str, loop: str) -> typing.Iterator[str]:
    """Gives the statements that add texts and expressions, a line of the module in each."""
    text, filled = "", False
    for part in node.nodes:
        if not isinstance(part, nodes.TemplateData):
            text += f"{{{_expression(part, loop)}}}"
            filled = True
            continue
        for piece in re.findall(r"\n+|[^\n]+\n*", part.data):
            text += re.sub(r"([{}])", r"\1\1", piece)
            if piece.endswith("\n"):
                yield f"{indent}add({_literal(text, filled)})\n"
                text, filled = "", False
    if text:
        yield f"{indent}add({_literal(text, filled)})\n"


def _literal(text: str, filled: bool) -> str:
    """Gives a string as ruff format writes it; if ``filled`` is set, one that holds expressions."""
    if not filled:
        text = text.replace("{{", "{").replace("}}", "}")
    quote = "'" if '"' in text and "'" not in text else '"'
    text = text.replace("\\", "\\\\").replace("\n", "\\n").replace(quote, f"\\{quote}")
    return f"{'f' if filled else ''}{quote}{text}{quote}"


def _expression(node: nodes.Node, loop: str) -> str:
    match node:
        case nodes.Name(name=name):
            return name
        case nodes.Getattr(node=nodes.Name(name="loop"), attr="first"):
            return f"{loop} == 0"
        case nodes.Getattr(node=owner, attr=attr):
            return f"{_expression(owner, loop)}.{attr}"
        case nodes.And(left=left, right=right):
            return f"{_operand(left, loop)} and {_operand(right, loop)}"
        case nodes.Or(left=left, right=right):
            return f"{_operand(left, loop)} or {_operand(right, loop)}"
        case nodes.Not(node=denied):
            return f"not {_operand(denied, loop)}"
        case _:
            raise _unknown(node)


def _operand(node: nodes.Node, loop: str) -> str:
    text = _expression(node, loop)
    return f"({text})" if isinstance(node, nodes.And | nodes.Or) else text


def _unknown(node: nodes.Node) -> NotImplementedError:
    return NotImplementedError(f"line {node.lineno}: {type(node).__name__} has no translation")


if __name__ == "__main__":
    write()
