"""The layers of docs/architecture.md, enforced over the files as they are."""

from __future__ import annotations

import ast
import importlib
import inspect
import pathlib
import re
import subprocess
import sys

import pytest

import rpcgen.runtime

ROOT = pathlib.Path(__file__).resolve().parent.parent
STANDARD_LIBRARY = sys.stdlib_module_names

ROOMS = {
    "rpcgen.cli": "cli",
    "rpcgen.codegen": "codegen",
    "rpcgen.compiler": "compiler",
    "rpcgen.runtime": "runtime",
    "rpcgen.loading": "loading",
    "rpcgen.lsp": "lsp",
    "rpcgen.highlighting": "highlighting",
    "rpcgen": "root",
}
"""Prefix of a module's name → its room; the longest prefix decides."""

MAY_IMPORT = {
    "cli": {"codegen", "compiler", "loading", "lsp", "root", "runtime"},
    "lsp": {"codegen", "compiler", "root"},
    "loading": {"codegen", "compiler", "root"},
    "codegen": {"compiler", "root"},
    "highlighting": {"compiler", "root"},
    "compiler": {"root"},
    "runtime": set(),
    "root": {"compiler", "loading"},
}
"""Room → the other rooms that its modules may import. The command's own ``rpcgen.__main__`` is cli."""

FLOORS = [
    {"rpcgen.runtime.tasks"},
    {"rpcgen.runtime.urls"},
    {"rpcgen.runtime.discovery"},
    {"rpcgen.runtime.sync", "rpcgen.runtime.aio", "rpcgen.runtime.http"},
    {"rpcgen.runtime.announce"},
    {"rpcgen.runtime.registry"},
    {
        f"rpcgen.runtime.{name}"
        for name in (
            "dispatch",
            "stubs",
            "beside",
            "handlers",
            "contexts",
            "contracts",
            "signatures",
            "interceptors",
            "observing",
            "tokens",
            "tls",
            "transport",
            "options",
            "address",
            "advertise",
            "backoff",
        )
    },
    {"rpcgen.runtime.wire"},
    {
        f"rpcgen.runtime.{name}"
        for name in ("values", "schema", "errors", "abi", "closing", "records", "sha256")
    },
]
"""The runtime from top to bottom. A module imports from its own room and from lower floors."""

LIBRARIES = {
    "cli": {"uvicorn", "libcst"},
    "lsp": {"pygls", "lsprotocol", "msgspec"},
    "loading": set(),
    "highlighting": {"pygments"},
    "codegen": {"jinja2", "msgspec"},
    "compiler": {"lark", "msgspec"},
    "runtime": {"msgspec", "kazoo", "httpcore"},
    "root": set(),
}
"""Room → the libraries outside the standard one that its modules may import."""


def modules() -> dict[str, pathlib.Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted((ROOT / "rpcgen").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports_of(name: str, path: pathlib.Path) -> set[tuple[str, int]]:
    """What a module imports, with line numbers: at the top, in functions and for types alike.

    ``from package import name`` counts as ``package.name`` where that is a module.
    """
    found: set[tuple[str, int]] = set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {(alias.name, node.lineno) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                start = ".".join([*above, start] if start else above)
            for alias in node.names:
                inner = f"{start}.{alias.name}"
                found.add((inner if inner in MODULES else start, node.lineno))
    return found


def room_of(name: str) -> str:
    if name == "rpcgen.__main__":
        return "cli"
    return ROOMS[max((prefix for prefix in ROOMS if _within(name, prefix)), key=len)]


def floor_of(name: str) -> int:
    """Which floor of the runtime a module is on, counted from the top."""
    for floor, rooms in enumerate(FLOORS):
        if any(_within(name, room) for room in rooms):
            return floor
    raise AssertionError(f"{name} has no place in FLOORS: put it on the floor whose imports it may use")


def _within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_one_way_between_rooms(name: str) -> None:
    room = room_of(name)
    allowed = MAY_IMPORT[room] | {room}
    forbidden = [
        f"{MODULES[name].relative_to(ROOT)}:{line}: {room} must not import {imported} ({room_of(imported)})"
        for imported, line in sorted(imports_of(name, MODULES[name]))
        if _within(imported, "rpcgen") and room_of(imported) not in allowed
    ]
    assert forbidden == []


@pytest.mark.parametrize("name", [name for name in MODULES if _within(name, "rpcgen.runtime")])
def test_imports_go_down_inside_the_runtime(name: str) -> None:
    if name == "rpcgen.runtime":
        return
    forbidden = [
        f"{MODULES[name].relative_to(ROOT)}:{line}: must not import {imported}, which stands above it"
        for imported, line in sorted(imports_of(name, MODULES[name]))
        if _within(imported, "rpcgen.runtime.")
        or (imported != "rpcgen.runtime" and _within(imported, "rpcgen.runtime"))
        if floor_of(imported) < floor_of(name)
    ]
    assert forbidden == []


@pytest.mark.parametrize("name", MODULES)
def test_each_room_uses_its_own_libraries_alone(name: str) -> None:
    allowed = LIBRARIES[room_of(name)] | {"rpcgen"}
    forbidden = [
        f"{MODULES[name].relative_to(ROOT)}:{line}: must not import {imported}"
        for imported, line in sorted(imports_of(name, MODULES[name]))
        if imported.partition(".")[0] not in allowed | STANDARD_LIBRARY
    ]
    assert forbidden == []


@pytest.mark.parametrize("name", [name for name in MODULES if _within(name, "rpcgen.runtime.wire")])
def test_the_wire_does_no_input_or_output(name: str) -> None:
    # threading is let in for its locks: compiled codecs are made once, whoever comes first.
    doers = {"socket", "selectors", "select", "ssl", "asyncio", "time", "signal"}
    found = {imported for imported, _ in imports_of(name, MODULES[name])}
    assert {imported for imported in found if imported.partition(".")[0] in doers} == set()


def test_generated_code_imports_the_runtime_and_the_standard_library() -> None:
    paths = sorted((ROOT / "generated").rglob("*.py"))
    assert paths
    siblings = {path.stem for path in paths} | {"generated"}
    forbidden = [
        f"{path.relative_to(ROOT)}:{line}: must not import {imported}"
        for path in paths
        for imported, line in sorted(imports_of(f"generated.{path.stem}", path))
        if imported not in {"rpcgen", "rpcgen.runtime"}
        and imported.partition(".")[0]
        not in siblings | {"typing", "datetime", "decimal", "uuid", "__future__"}
    ]
    assert forbidden == []


def loaded_after(code: str) -> set[str]:
    """The modules in a fresh interpreter after it ran the code."""
    listing = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('\\n' + ' '.join(sys.modules))"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.partition(".")[0] for name in listing.stdout.rpartition("\n\n")[2].split()}


def test_importing_generated_code_loads_little() -> None:
    heavy = {"lark", "jinja2", "kazoo", "asyncio", "msgspec", "dataclasses", "inspect", "logging", "ssl"}
    assert loaded_after("import generated.service") & heavy == set()


def test_a_client_loads_no_compiler_and_no_asyncio() -> None:
    code = "from generated.service import Channel, ClientStub\nClientStub(Channel('127.0.0.1', 9)).divide"
    assert loaded_after(code) & {"lark", "jinja2", "kazoo", "asyncio"} == set()


def test_help_loads_no_library() -> None:
    code = "from rpcgen import cli\ntry:\n    cli.main(['--help'])\nexcept SystemExit:\n    pass"
    assert loaded_after(code) & {"lark", "jinja2", "kazoo", "asyncio", "msgspec"} == set()


def test_what_editors_ask_is_answered_without_their_protocol() -> None:
    speaking = {f"rpcgen.lsp.{name}" for name in ("server", "protocol", "stdio", "checking")}
    names = [name for name in MODULES if _within(name, "rpcgen.lsp") and name not in speaking]
    assert loaded_after(f"import {', '.join(names)}") & {"pygls", "lsprotocol", "asyncio"} == set()


@pytest.mark.parametrize("name", sorted(rpcgen.runtime.__dir__()))
def test_every_public_name_resolves_and_is_documented(name: str) -> None:
    found = getattr(rpcgen.runtime, name)
    if inspect.isclass(found) or inspect.isroutine(found):
        assert inspect.getdoc(found)


def test_public_names_are_the_same_for_type_checkers() -> None:
    """The lazy table and the imports under TYPE_CHECKING must tell one story."""
    tree = ast.parse(MODULES["rpcgen.runtime"].read_text(encoding="utf-8"))
    typed = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rpcgen.runtime")
        for alias in node.names
    }
    assert typed == set(rpcgen.runtime.__dir__())


def test_no_module_has_the_name_of_what_a_package_offers() -> None:
    """Importing it would put the module in the name's place, once somebody does."""
    inside = {name.rpartition(".")[2] for name in MODULES if name.rpartition(".")[0] == "rpcgen.runtime"}
    assert inside & set(rpcgen.runtime.__dir__()) == set()


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Chanel'"):
        importlib.import_module("rpcgen.runtime").Chanel  # noqa: B018


def sources(*folders: str) -> list[pathlib.Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def test_no_module_is_long() -> None:
    limit = 420
    paths = sources("rpcgen", "benchmarks", "examples", "scripts")
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in paths}
    assert {path: length for path, length in lengths.items() if length > limit} == {}


def test_no_template_is_long() -> None:
    paths = sorted((ROOT / "templates").rglob("*.j2"))
    assert paths
    lengths = {path.name: len(path.read_text("utf-8").splitlines()) for path in paths}
    assert {name: length for name, length in lengths.items() if length > 60} == {}


@pytest.mark.parametrize("name", MODULES)
def test_every_module_opens_by_saying_what_it_is(name: str) -> None:
    assert ast.get_docstring(ast.parse(MODULES[name].read_text(encoding="utf-8")))


def test_names_are_the_field_s_words() -> None:
    vague = {"utils", "util", "helpers", "helper", "manager", "common", "misc", "base2"}
    paths = sources("rpcgen", "tests", "benchmarks")
    assert [str(path) for path in paths if path.stem in vague] == []


def test_locks_name_no_index() -> None:
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        assert re.search(r"https?://|file:|--(extra-)?index-url|--find-links", text) is None
        pinned = re.findall(r"^[a-z0-9._-]+==\S+", text, re.MULTILINE)
        requirements = re.findall(r"^[a-zA-Z]", text, re.MULTILINE)
        assert len(pinned) == len(requirements) > 0


def test_no_file_names_the_folder_that_it_was_written_in() -> None:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    here = f"{ROOT}/".encode()
    assert [str(path) for path in paths if path.is_file() and here in path.read_bytes()] == []
