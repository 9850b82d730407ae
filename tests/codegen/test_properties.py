"""Whatever interface is valid, its module is: formatted, importable, typed, shadowing nothing."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import sys
import tempfile
import types
import typing

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from rpcgen.codegen import docstrings, generate, literals
from rpcgen.codegen.names import MODULE_LEVEL
from rpcgen.compiler import compile_text, model
from tests.support.examples import FEW
from tests.support.interfaces import Interface, compile_interface, interfaces


def modules(interface: Interface) -> dict[str, str]:
    """Gives the texts of an interface's module and of those that it includes, by name."""
    compilation = compile_interface(interface)
    assert compilation.module is not None, compilation.report.diagnostics
    return {module.name: generate(module) for module in compilation.module.closure()}


@contextlib.contextmanager
def load(texts: dict[str, str]) -> typing.Iterator[dict[str, types.ModuleType]]:
    """Runs modules as if they were imported, dependencies first."""
    loaded: dict[str, types.ModuleType] = {}
    outside = {name: sys.modules.pop(name) for name in texts if name in sys.modules}
    try:
        for name, text in texts.items():
            module = types.ModuleType(name)
            sys.modules[name] = loaded[name] = module
            exec(compile(text, f"{name}.py", "exec", dont_inherit=True), vars(module))
        yield loaded
    finally:
        for name in texts:
            sys.modules.pop(name, None)
        sys.modules.update(outside)


def formatted(*texts: str, **named: str) -> None:
    """Holds modules against ruff's defaults, as files of one folder."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**{f"module{i}": text for i, text in enumerate(texts)}, **named}.items():
            pathlib.Path(folder, f"{name}.py").write_text(text)
        for words in (["format", "--diff"], ["check", "--quiet"]):
            done = subprocess.run(
                [sys.executable, "-m", "ruff", words[0], "--isolated", "--no-cache", *words[1:]],
                cwd=folder,
                capture_output=True,
                text=True,
            )
            assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@FEW
@given(interfaces())
def test_every_module_is_formatted_and_imports(interface: Interface) -> None:
    texts = modules(interface)
    formatted(**texts)
    with load(texts) as loaded:
        for name, module in loaded.items():
            hints(module, name)


def hints(module: types.ModuleType, name: str) -> None:
    """Resolves every annotation: a name that is shadowed would resolve to something else."""
    rpc = vars(module)["rpc"]
    known = {"Channel", "DistributedChannel", "MethodProtocol"} & vars(module).keys()
    assert all(vars(module)[one] is getattr(rpc, one) for one in known)
    for found in list(vars(module).values()):
        value: typing.Any = found
        if isinstance(found, type) and value.__module__ == name:
            if issubclass(value, rpc.Struct):
                assert len(typing.get_type_hints(value)) >= len(value.__struct_fields__)
                assert len(value.__rpc_fields__) == len(value.__struct_fields__)
            if issubclass(value, rpc.Union):
                assert len(value.__rpc_cases__) == len(value.__rpc_fields__)
            for member in vars(value).values():
                if isinstance(member, types.FunctionType):
                    typing.get_type_hints(member)
        if isinstance(found, rpc.MessageProtocol):
            found.codec()


@given(st.lists(interfaces(), min_size=15, max_size=15))
@settings(max_examples=1, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_module_is_typed(tmp_path_factory: pytest.TempPathFactory, many: list[Interface]) -> None:
    folder = tmp_path_factory.mktemp("typed")
    for number, interface in enumerate(many):
        package = folder / f"package{number}"
        package.mkdir()
        (package / "__init__.py").touch()
        compilation = compile_interface(interface)
        assert compilation.module is not None
        for module in compilation.module.closure():
            (package / f"{module.name}.py").write_text(generate(module, package=True))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--no-incremental",
            *sorted(p.name for p in folder.iterdir()),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\"\\' \n\t"), min_size=1))
def test_any_text_survives_as_a_literal(text: str) -> None:
    assert eval(literals.quote(text)) == text
    assert literals.quote(text).isprintable() or not text.isascii()
    assert eval(docstrings.block(text)) == text
    assert eval(literals.quote_bytes(text.encode())) == text.encode()


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\"\\' \n\t")))
def test_any_doc_comment_survives_as_a_docstring(doc: str) -> None:
    lines = docstrings.clean(doc)
    if lines:
        indented = docstrings.docstring(lines, 4)
        assert eval(indented).rstrip().split("\n")[0] == lines[0].rstrip()
        assert "\u202e" not in indented


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\"\\' "), min_size=1))
@FEW
def test_any_doc_comment_is_formatted(doc: str) -> None:
    doc = " ".join(doc.split())
    field = f"/// {doc}\n1: int a"
    text = f"/// {doc}\n///   {doc}\nstruct S {{ {field} }}\n/// {doc}\nint run(\n{field}\n)"
    compilation = compile_text(text)
    if compilation.module is not None:
        formatted(generate(compilation.module))


NAMES = sorted(MODULE_LEVEL | {"RunProtocol", "AnyU", "DirectoryHandlers", "name", "value", "Run", "S", "U"})


@given(st.lists(st.sampled_from(NAMES), unique=True), st.lists(st.sampled_from(NAMES), unique=True))
def test_names_of_the_generator_s_own(structs: list[str], fields: list[str]) -> None:
    listed = ", ".join(f"{i}: int? {name}" for i, name in enumerate(fields, 1))
    text = "".join(f"struct {name} {{ {listed} }}\n" for name in structs if name not in "SU")
    text += f"struct S {{ {listed} }} union U {{ 1: S s }}\n"
    text += f"S run({listed})\nservice Directory {{ U find({listed}) }}\n"
    compilation = compile_text(text)
    assert compilation.module is not None, compilation.report.diagnostics
    with load({"interface": generate(compilation.module)}) as loaded:
        hints(loaded["interface"], "interface")


LONG = st.integers(1, 100).map(lambda length: "n" * length)


@given(LONG, LONG, LONG, st.integers(0, 4), st.text("é漢 \"'", max_size=80))
@FEW
def test_lines_of_any_length_are_formatted(one: str, two: str, three: str, depth: int, text: str) -> None:
    escaped = text.replace('"', '\\"')
    holder = f"{'list<' * depth}T{one}{'>' * depth}"
    compilation = compile_text(
        f"""
        struct T{one} {{ 1: string a{two} = "{escaped}"  2: list<string> b{three} = ["{escaped}", "{one}"] }}
        union U{two} {{ 1: T{one} m{three}  2: T{one} m{three}x }}
        enum E{three} {{ a{one} = 0 }}
        const E{three} C{one} = E{three}.a{one}
        typedef {holder} D{two}
        exception X{two} {{ 1: {holder} f{three}  2: E{three} g{one} = E{three}.a{one} }}
        service V{two} {{ {holder} r{three}(1: {holder} p{one}, 2: U{two} q{two}) => X{two}, Implicit{three} }}
        service W{one} extends V{two} {{ oneway void r{three}x(1: E{three} q{two} = E{three}.a{one}) }}
        """
    )
    assert isinstance(compilation.module, model.Module), compilation.report.diagnostics
    text = generate(compilation.module)
    formatted(text)
    with load({"interface": text}) as loaded:
        hints(loaded["interface"], "interface")
