"""``[tool.rpcgen]`` of the nearest pyproject.toml that has it, from a folder upwards.

    [tool.rpcgen]
    files = ["idl/*.idl"]       # compiled when the command line names none; folders and globs too
    output = "generated"        # -o
    include = ["vendor/idl"]    # -I; those of the command line are looked through first
    templates = "templates"     # --templates
    imports = "auto"            # --imports

    [tool.rpcgen.lint]
    ignore = ["L001"]           # rules of `rpcgen lint` that are not asked
    docs = ["service"]          # kinds that must have a doc comment
    max-parameters = 7          # more are many

Paths are relative to the folder of pyproject.toml. What the command line says wins.
"""

from __future__ import annotations

import dataclasses
import os
import typing

from rpcgen.cli.errors import CommandError, did_you_mean, refused

if typing.TYPE_CHECKING:
    from rpcgen.compiler.lint import Options

Imports: typing.TypeAlias = typing.Literal["auto", "relative", "absolute"]
IMPORTS: typing.Final = typing.get_args(Imports)

_FORMS: typing.Final[dict[str, str]] = {
    "files": "a list of strings",
    "output": "a string",
    "include": "a list of strings",
    "templates": "a string",
    "imports": "a string",
}
_LINT_FORMS: typing.Final[dict[str, str]] = {
    "ignore": "a list of strings",
    "docs": "a list of strings",
    "max-parameters": "a whole number above zero",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Config:
    """What pyproject.toml says; paths are ready to be opened from the current folder.

    Args:
        path: The pyproject.toml, or None if there is none with our table.
        files: The interface files, globs expanded and sorted.
        lint: How `rpcgen lint` judges; None if nothing is said.
    """

    path: str | None = None
    files: tuple[str, ...] = ()
    output: str | None = None
    include: tuple[str, ...] = ()
    templates: str | None = None
    imports: Imports | None = None
    lint: Options | None = None


def read_config(folder: str | None = None) -> Config:
    """Finds and reads the configuration.

    Args:
        folder: Where to begin to look; by default the current folder.

    Raises:
        CommandError: It is not TOML, has an unknown key, a value of a wrong type, or a glob that
            matches nothing; the message says where.
    """
    folder = os.path.abspath(folder or os.getcwd())
    while True:
        table = _read(os.path.join(folder, "pyproject.toml"))
        if table is not None:
            return _config(folder, *table)
        above = os.path.dirname(folder)
        if above == folder:
            return Config()
        folder = above


def _read(path: str) -> tuple[dict[str, object], str] | None:
    """Gives our table and the text of the file, or None if it has no such table."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise refused(f"read {_shown(path)}", error) from error
    # Most projects have a pyproject.toml without a word about us: they need not pay for a parser.
    if b"rpcgen" not in data:
        return None
    import tomllib

    try:
        text = data.decode("utf-8")
        tool = tomllib.loads(text).get("tool", {})
    except UnicodeDecodeError as error:
        raise CommandError(f"{_shown(path)} is not UTF-8: byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        raise CommandError(f"{_shown(path)} is not TOML: {error}") from error
    table = tool.get("rpcgen") if isinstance(tool, dict) else None
    if table is None:
        return None
    if not isinstance(table, dict):
        raise CommandError(f"{_shown(path)}: tool.rpcgen must be a table, not {_kind(table)}")
    return table, text


def _config(folder: str, table: dict[str, object], text: str) -> Config:
    path = os.path.join(folder, "pyproject.toml")
    table = dict(table)
    lint = _lint(path, table.pop("lint"), text) if "lint" in table else None
    _check(path, table, text, "tool.rpcgen", _FORMS)
    imports = table.get("imports")
    if imports is not None and imports not in IMPORTS:
        where = f"{_shown(path)}:{_line(text, 'imports')}"
        raise CommandError(f"{where}: imports must be one of {', '.join(IMPORTS)}, not {imports!r}")
    for key, value in table.items():
        if value == "" or (isinstance(value, list) and "" in value):
            raise CommandError(f"{_shown(path)}:{_line(text, key)}: {key} has an empty path")

    def one(key: str) -> str | None:
        value = table.get(key)
        return _shown(os.path.join(folder, value)) if isinstance(value, str) else None

    def many(key: str) -> list[str]:
        return typing.cast("list[str]", table.get(key, []))

    files: list[str] = []
    for pattern in many("files"):
        found = _expanded(folder, pattern)
        if not found:
            where = f"{_shown(path)}:{_line(text, 'files')}"
            raise CommandError(f"{where}: {pattern!r} of files matches nothing")
        files += found
    return Config(
        path=_shown(path),
        files=tuple(_shown(os.path.join(folder, file)) for file in files),
        output=one("output"),
        include=tuple(_shown(os.path.join(folder, name)) for name in many("include")),
        templates=one("templates"),
        imports=typing.cast("Imports | None", imports),
        lint=lint,
    )


def _check(
    path: str, table: dict[str, object], text: str, name: str, forms: typing.Mapping[str, str]
) -> None:
    """Refuses unknown keys, and values of other forms than these."""
    for key, value in table.items():
        where = f"{_shown(path)}:{_line(text, key, name)}"
        if key not in forms:
            known = f"the keys are {', '.join(forms)}"
            raise CommandError(
                f"{where}: there is no key {key!r} in [{name}]", help=did_you_mean(key, forms) or known
            )
        if not _FITS[forms[key]](value):
            raise CommandError(f"{where}: {key} must be {forms[key]}, not {_kind(value)}")


def _lint(path: str, table: object, text: str) -> Options:
    """Reads ``[tool.rpcgen.lint]``."""
    name = "tool.rpcgen.lint"
    if not isinstance(table, dict):
        raise CommandError(f"{_shown(path)}: {name} must be a table, not {_kind(table)}")
    _check(path, table, text, name, _LINT_FORMS)

    from rpcgen.compiler.lint.rules import DOCUMENTED, PARAMETERS, RULES, Options

    for key, known in (("ignore", RULES), ("docs", DOCUMENTED)):
        for value in table.get(key, ()):
            if value not in known:
                where = f"{_shown(path)}:{_line(text, key, name)}"
                what = "rule" if key == "ignore" else "kind"
                listed = f"the {what}s are {', '.join(known)}"
                raise CommandError(
                    f"{where}: there is no {what} {value!r}", help=did_you_mean(value, known) or listed
                )
    return Options(
        codes=frozenset(RULES).difference(table.get("ignore", ())),
        docs=frozenset(table.get("docs", ())),
        max_parameters=table.get("max-parameters", PARAMETERS),
    )


def _expanded(folder: str, pattern: str) -> list[str]:
    """Gives what a glob matches, in order; a plain path is itself, whether it is there or not."""
    if not any(char in pattern for char in "*?["):
        return [pattern]
    import glob

    return sorted(glob.glob(pattern, root_dir=folder, recursive=True))


def _shown(path: str) -> str:
    """Gives a path as a user in the current folder would write it."""
    try:
        return os.path.relpath(path)
    except ValueError:  # on another drive
        return path


def _line(text: str, key: str, table: str = "tool.rpcgen") -> int:
    """Finds the line of a key of our table: a search in the text, as tomllib keeps no places."""
    inside, header = False, 1
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if bare.startswith("["):
            inside = bare.strip("[] \t").replace(" ", "").partition("]")[0] == table
            header = number if inside else header
        elif inside and bare.partition("=")[0].strip().strip("\"'") == key:
            return number
    return header


def _is_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


_FITS: typing.Final[dict[str, typing.Callable[[object], bool]]] = {
    "a string": lambda value: isinstance(value, str),
    "a list of strings": _is_strings,
    "a whole number above zero": lambda value: (
        isinstance(value, int) and not isinstance(value, bool) and value > 0
    ),
}


def _kind(value: object) -> str:
    names = {bool: "a boolean", str: "a string", int: "an integer", float: "a float", dict: "a table"}
    return names.get(type(value), "a list" if not isinstance(value, list) else _list_kind(value))


def _list_kind(value: list[object]) -> str:
    others = [item for item in value if not isinstance(item, str)]
    return f"a list with {_kind(others[0])} in it" if others else "a list of strings"
