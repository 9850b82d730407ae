"""A class of handlers in the user's own file: what it lacks of an interface, what no longer fits, what is added.

The file is read by libcst, which gives it back to the byte: what is added stands at the end of the class's
body, indented as that is and with the file's own line ends, and nothing else changes.
"""

from __future__ import annotations

import ast
import dataclasses
import itertools
import typing

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from rpcgen.cli.console import plural
from rpcgen.cli.errors import CommandError, did_you_mean

MARK = "\ufeff"


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """A method as a class of handlers should have it.

    Args:
        name: In Python.
        signature: As the IDL writes it, on one line.
        doc: Its docstring.
        params: Names in Python, and annotations.
        returns: The annotation.
        module: The one that the interface is compiled to: names in annotations are its own.
    """

    name: str
    signature: str
    doc: str
    params: tuple[tuple[str, str], ...]
    returns: str
    module: str


class Gap(typing.NamedTuple):
    """Something that is missing, or does not fit.

    Args:
        line: Of the file, counted from 1.
        problem: What it is.
        wanted: What should be there.
        is_missing: It can be added.
    """

    line: int
    problem: str
    wanted: Wanted
    is_missing: bool


class HandlerSource:
    """A file with a class of handlers.

    Args:
        path: As it is shown to the user.
        text: All of it, line ends as they are.

    Raises:
        CommandError: It is no Python.
    """

    def __init__(self, path: str, text: str) -> None:
        self._mark = MARK if text.startswith(MARK) else ""
        try:
            wrapper = MetadataWrapper(cst.parse_module(text.removeprefix(MARK)), unsafe_skip_copy=True)
        except cst.ParserSyntaxError as error:
            raise CommandError(f"{path}:{error.raw_line}: it is no Python: {error.message}") from error
        except RecursionError:
            raise CommandError(f"{path} is nested too deeply to be read") from None
        self._path = path
        self._text = text.removeprefix(MARK)
        self._module = wrapper.module
        self._positions = wrapper.resolve(PositionProvider)
        self.classes = {node.name.value: node for node in self._module.body if isinstance(node, cst.ClassDef)}

    def choose(self, name: str | None, wanted: typing.Collection[str]) -> str:
        """Gives the name of the class that handles methods: the one named, or that has the most of them.

        Raises:
            CommandError: There is none, or several could be meant.
        """
        there = f"there are: {', '.join(self.classes)}" if self.classes else "it has no class"
        if name is not None:
            if name not in self.classes:
                help = did_you_mean(name, self.classes) or there
                raise CommandError(f"{self._path} has no class {name}", help=help)
            return name
        scores = {each: len(self.members(each).keys() & set(wanted)) for each in self.classes}
        best = [each for each, score in scores.items() if score == max(scores.values())]
        if len(best) != 1:
            named = [each for each in best if "Handlers" in each]
            if len(named) != 1:
                raise CommandError(
                    f"which class of {self._path} has the handlers is not clear",
                    help=f"--class NAME; {there}",
                )
            return named[0]
        return best[0]

    def members(self, name: str) -> dict[str, cst.FunctionDef | None]:
        """Gives what a class has, with what it inherits inside of the file; None for what is no function."""
        found: dict[str, cst.FunctionDef | None] = {}
        waiting, seen = [name], set[str]()
        while waiting:
            one = waiting.pop(0)
            if one in seen or one not in self.classes:
                continue
            seen.add(one)
            node = self.classes[one]
            for item in _statements(node.body):
                for member, function in _defined(item):
                    found.setdefault(member, function)
            waiting += [base.value.value for base in node.bases if isinstance(base.value, cst.Name)]
        return found

    def gaps(self, name: str, wanted: typing.Iterable[Wanted]) -> list[Gap]:
        """Compares a class with an interface."""
        members = self.members(name)
        found = []
        for each in wanted:
            if each.name not in members:
                line = self._line(self.classes[name].name)
                found.append(Gap(line, f"{name} lacks {each.name}", each, True))
                continue
            function = members[each.name]
            problem = None if function is None else _misfit(function, each)
            if function is not None and problem:
                line = self._line(function.name)
                found.append(Gap(line, f"{name}.{each.name} {problem}", each, False))
        return found

    def added(self, name: str, wanted: typing.Sequence[Wanted]) -> str:
        """Gives the file with methods added to a class.

        Raises:
            CommandError: libcst would change something else, too.
        """
        if not wanted:
            return self._mark + self._text
        pairs = itertools.zip_longest(self._text.splitlines(), self._module.code.splitlines())
        changed_line = next((line for line, (old, new) in enumerate(pairs, 1) if old != new), None)
        if changed_line is not None:
            raise CommandError(
                f"{self._path}:{changed_line}: libcst does not keep this line as it is; nothing was written",
                help="write it without a backslash at its beginning",
            )
        node = self.classes[name]
        known = [each for each in self.members(name).values() if each is not None]
        public = [each for each in known if not each.name.value.startswith("_")]
        is_async = any(each.asynchronous for each in public) or (not public and name.startswith("Async"))
        is_static = bool(public) and all(_decorated(each, "staticmethod") for each in public)
        body = node.body
        indent = body.indent if isinstance(body, cst.IndentedBlock) else None
        one = self._module.default_indent if indent is None else indent
        made = [self._function(each, one, is_async=is_async, is_static=is_static) for each in wanted]
        changed: cst.IndentedBlock
        if isinstance(body, cst.IndentedBlock):
            # Comments at the end of the class, as deep as its body, stay above what is added.
            deep = [place for place, line in enumerate(body.footer, 1) if line.indent and line.comment]
            above = deep[-1] if deep else 0
            made[0] = made[0].with_changes(leading_lines=[*body.footer[:above], *made[0].leading_lines])
            changed = body.with_changes(body=[*body.body, *made], footer=body.footer[above:])
        else:
            suite = cst.ensure_type(body, cst.SimpleStatementSuite)
            first = cst.SimpleStatementLine(suite.body, trailing_whitespace=suite.trailing_whitespace)
            changed = cst.IndentedBlock([first, *made])
        return self._mark + self._module.with_deep_changes(node, body=changed).code

    def _function(self, wanted: Wanted, one: str, *, is_async: bool, is_static: bool) -> cst.FunctionDef:
        reach = self._reach(wanted.module)
        params = [f"{name}: {reach.written(annotation)}" for name, annotation in wanted.params]
        head = ", ".join(params if is_static else ["self", *params])
        text = (
            f"{'@staticmethod' + chr(10) if is_static else ''}{'async ' if is_async else ''}def {wanted.name}"
            f"({head}) -> {reach.written(wanted.returns)}:\n    0\n    raise NotImplementedError\n"
        )
        function = cst.ensure_type(cst.parse_statement(text), cst.FunctionDef)
        block = cst.ensure_type(function.body, cst.IndentedBlock)
        newline = self._module.default_newline
        lines = wanted.doc.replace("\\", "\\\\").replace('"""', '\\"\\"\\"').splitlines()
        if len(lines) > 1:
            lines.append("")
        elif lines[0].endswith('"'):
            lines[0] = f'{lines[0][:-1]}\\"'
        margin = newline + one * 2
        doc = f'"""{lines[0]}' + "".join(
            f"{margin}{line}" if line or number == len(lines) - 1 else newline
            for number, line in enumerate(lines[1:], 1)
        )
        string = cst.Expr(cst.SimpleString(f'{doc}"""'))
        inside = [cst.SimpleStatementLine([string]), *block.body[1:]]
        return function.with_changes(
            leading_lines=[cst.EmptyLine(indent=False)],
            body=block.with_changes(body=inside, indent=None if one == self._module.default_indent else one),
        )

    def _reach(self, module: str) -> _Reach:
        names, prefix = set[str](), None
        for node in ast.parse(self._module.code).body:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    names.add(alias.asname or alias.name.partition(".")[0])
                    if alias.name.rpartition(".")[2] == module:
                        prefix = alias.asname or alias.name
            elif isinstance(node, ast.ImportFrom):
                names |= {alias.asname or alias.name for alias in node.names}
                prefix = next(
                    (each.asname or each.name for each in node.names if each.name == module), prefix
                )
            elif isinstance(node, ast.ClassDef):
                names.add(node.name)
        return _Reach(names, prefix)

    def _line(self, node: cst.CSTNode) -> int:
        return int(self._positions[node].start.line)


_BUILT_IN = frozenset(("int", "float", "str", "bool", "bytes", "list", "set", "dict", "None"))


class _Reach(typing.NamedTuple):
    """What the file can name.

    Args:
        names: At its top.
        prefix: How it names the interface's module, if it does.
    """

    names: set[str]
    prefix: str | None

    def written(self, annotation: str) -> str:
        """Gives an annotation as the file can write it; quoted where it lacks a name that that has."""
        tree = ast.parse(annotation, mode="eval")
        unknown = {
            node.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and node.id not in _BUILT_IN | self.names
        }
        modules = {
            node.value.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        }
        if unknown & modules or (unknown and self.prefix is None):
            return f'"{annotation}"'
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id in unknown:
                node.id = f"{self.prefix}.{node.id}"
        return ast.unparse(tree)


def _statements(body: cst.BaseSuite) -> typing.Sequence[cst.CSTNode]:
    return body.body


def _defined(item: cst.CSTNode) -> typing.Iterator[tuple[str, cst.FunctionDef | None]]:
    """Gives the names that a statement of a class's body defines."""
    if isinstance(item, cst.FunctionDef):
        yield item.name.value, item
    elif isinstance(item, cst.ClassDef):
        yield item.name.value, None
    elif isinstance(item, cst.If | cst.Try | cst.With):
        for inner in _statements(item.body):
            yield from _defined(inner)
    elif isinstance(item, cst.SimpleStatementLine):
        for small in item.body:
            yield from _defined(small)
    elif isinstance(item, cst.Assign):
        for target in item.targets:
            if isinstance(target.target, cst.Name):
                yield target.target.value, None
    elif isinstance(item, cst.AnnAssign) and isinstance(item.target, cst.Name) and item.value is not None:
        yield item.target.value, None


def _decorated(function: cst.FunctionDef, name: str) -> bool:
    return any(
        isinstance(each.decorator, cst.Name) and each.decorator.value == name for each in function.decorators
    )


def _misfit(function: cst.FunctionDef, wanted: Wanted) -> str | None:
    """Says why a function cannot be called as the interface says; None: it can, or decorators hide it."""
    known = [_decorated(function, name) for name in ("staticmethod", "classmethod")]
    if len(function.decorators) > sum(known):
        return None
    params = function.params
    places = [*params.posonly_params, *params.params][0 if known[0] else 1 :]
    required = sum(each.default is None for each in places)
    demanded = [each.name.value for each in params.kwonly_params if each.default is None]
    count = len(wanted.params)
    has_rest = isinstance(params.star_arg, cst.Param)
    if demanded:
        return f"requires {demanded[0]} by keyword, but arguments are given positionally"
    if required > count:
        return f"requires {plural(required, 'argument')}, the IDL has {count}"
    if len(places) < count and not has_rest:
        return f"takes {plural(len(places), 'argument')}, the IDL has {count}"
    names, ours = [each.name.value for each in places[:count]], [name for name, _ in wanted.params]
    if names != ours and sorted(names) == sorted(ours):
        return f"takes {', '.join(names)} in this order, the IDL has {', '.join(ours)}"
    return None
