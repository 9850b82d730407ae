"""The loader: what can be wrong with files, and with what they include."""

from __future__ import annotations

import os
import pathlib

import pytest

from rpcgen.compiler import Compilation, compile_file, compile_text
from rpcgen.compiler.loader import Loader


def codes(compilation: Compilation) -> list[str]:
    """Gives the codes of all findings."""
    return [found.code for found in compilation.report.diagnostics]


def write(folder: pathlib.Path, **texts: str) -> pathlib.Path:
    """Writes files, ``__`` in a name standing for a folder; gives the first."""
    paths = []
    for name, text in texts.items():
        path = folder / f"{name.replace('__', '/')}.idl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths[0]


def test_a_missing_file(tmp_path: pathlib.Path) -> None:
    """It is named, and one that differs in case is suggested."""
    (tmp_path / "Service.idl").touch()
    compilation = compile_file(tmp_path / "service.idl")
    (found,) = compilation.report.diagnostics
    assert compilation.module is None
    assert found.message == f"cannot read {tmp_path}/service.idl: there is no such file"
    assert found.file == f"{tmp_path}/service.idl"
    assert found.help == f"did you mean {tmp_path}/Service.idl"


def test_the_ending_may_be_forgotten_only_in_the_question(tmp_path: pathlib.Path) -> None:
    """``rpcgen compile service`` says what there is."""
    write(tmp_path, service="void ping()")
    (found,) = compile_file(tmp_path / "service").report.diagnostics
    assert found.help == f"did you mean {tmp_path}/service.idl"


@pytest.mark.parametrize("name", ["", "a\0b.idl", "x" * 5000])
def test_a_path_that_cannot_be(name: str) -> None:
    """Even what the system refuses is a finding."""
    assert "E001" in codes(compile_file(name))
    assert "E001" in codes(compile_text(f'include "{name.replace(chr(0), chr(92) + "0")}"'))


def test_a_folder_a_pipe_and_what_may_not_be_read(tmp_path: pathlib.Path) -> None:
    """None of them is waited for."""
    (tmp_path / "folder.idl").mkdir()
    assert "it is a folder" in compile_file(tmp_path / "folder.idl").report.diagnostics[0].message
    os.mkfifo(tmp_path / "pipe.idl")
    assert "it is not a file" in compile_file(tmp_path / "pipe.idl").report.diagnostics[0].message
    (tmp_path / "loop.idl").symlink_to(tmp_path / "loop.idl")
    assert codes(compile_file(tmp_path / "loop.idl")) == ["E001"]


def test_a_file_that_may_not_be_read(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said as it is; tests may run as root, so the refusal is played."""
    path = write(tmp_path, secret="void ping()")

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    (found,) = compile_file(path).report.diagnostics
    assert found.message.endswith("secret.idl: permission denied")


def test_a_file_too_large(tmp_path: pathlib.Path) -> None:
    """A limit, so that a mistaken path does not fill memory."""
    path = tmp_path / "large.idl"
    with path.open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    assert compile_file(path).report.diagnostics[0].message.endswith("it has more than 64 MiB")


@pytest.mark.parametrize("data", [b"\xef\xbb\xbfvoid ping()\r\n", b"void ping()\r", b"\tvoid\tping()"])
def test_byte_order_mark_and_line_ends(tmp_path: pathlib.Path, data: bytes) -> None:
    """Files of any editor are read."""
    path = tmp_path / "service.idl"
    path.write_bytes(data)
    module = compile_file(path).module
    assert module is not None
    assert module.interface == "void ping()\n"


@pytest.mark.parametrize("data", [b"\xff\xfev\0o\0", b"void p\xffing()", b"\xe2\x82"])
def test_other_encodings(tmp_path: pathlib.Path, data: bytes) -> None:
    """One finding, nothing about what was misread."""
    path = tmp_path / "service.idl"
    path.write_bytes(data)
    assert codes(compile_file(path)) == ["E002"]


def test_includes_are_beside_the_file_then_in_the_folders(tmp_path: pathlib.Path) -> None:
    """In this order; ``..`` is allowed."""
    path = write(
        tmp_path,
        app__service='include "common.idl"\ninclude "../up.idl"\ninclude "far.idl"\nvoid put(1: far.Far a)\n',
        app__common="const int HERE = 1",
        up="const int UP = 1",
        lib__common="const int NOT_HERE = 1",
        lib__far="struct Far {}",
        more__far="struct Not {}",
    )
    compilation = compile_file(path, [tmp_path / "lib", tmp_path / "more"])
    assert codes(compilation) == []
    assert compilation.module is not None
    assert [include.alias for include in compilation.module.includes] == ["common", "up", "far"]
    assert compilation.module.includes[0].module.declarations[0].name == "HERE"
    assert compilation.module.includes[2].module.path == str(tmp_path / "lib/far.idl")
    assert codes(compile_file(path, [tmp_path / "nowhere"])) == ["E001"]


def test_a_file_by_two_paths_is_one(tmp_path: pathlib.Path) -> None:
    """Its types are the same from wherever they come, and it is read once."""
    path = write(
        tmp_path,
        main='include "a.idl"\ninclude "lib/base.idl"\nvoid put(1: a.Kind one = base.Kind.X)\n',
        a='include "./lib/../lib/base.idl"\ntypedef base.Kind Kind\n',
        lib__base="enum Kind { X = 1 }",
    )
    (tmp_path / "link.idl").symlink_to(path)
    loader = Loader()
    compilation = compile_file(path, loader=loader)
    assert codes(compilation) == []
    assert compilation.module is not None
    base = compilation.module.includes[1].module
    assert compilation.module.includes[0].module.includes[0].module is base
    assert len(loader.read) == 3
    assert codes(compile_file(tmp_path / "link.idl")) == []


def test_what_is_reached_through_an_include() -> None:
    """A name keeps its way: common.base.Money, where the file includes common alone."""
    includes = {
        "common.idl": 'include "base.idl"\ntypedef base.Money Price\nconst base.Kind K = base.Kind.X\n'
        "service Shop { Price price(1: list<Price> a, 2: base.Kind k = K) => base.Bad }\n",
        "base.idl": "struct Money {}\nenum Kind { X = 1 }\nexception Bad",
    }
    text = 'include "common.idl"\nservice Store extends common.Shop { common.Price get() }\n'
    module = compile_text(text, includes=includes).module
    assert module is not None
    (store,) = module.declarations
    assert repr(store).count("file='common.base'") == 6
    assert repr(store).count("file='common'") == 2
    both = compile_text(f'include "base.idl"\n{text}', includes=includes).module
    assert both is not None
    assert repr(both.declarations[0]).count("file='base'") == 6


def test_faults_in_an_include_are_said_once_and_there() -> None:
    """The file that includes it is not blamed."""
    includes = {"common.idl": "struct Money { 1: Nothing a }\nconst int MAX = true\nstruct Broken { 1 int"}
    text = 'include "common.idl"\nvoid put(1: common.Money m, 2: common.Broken b, 3: int c = common.MAX)'
    compilation = compile_text(text, includes=includes)
    assert {found.file for found in compilation.report.diagnostics} == {"common.idl"}


def test_an_include_that_cannot_be_had_is_all_that_is_said() -> None:
    """What would come from it is not called undeclared."""
    compilation = compile_text('include "no.idl"\nvoid put(1: no.Money m, 2: int a = no.MAX) => no.Bad')
    assert codes(compilation) == ["E001"]


def test_a_chain_of_a_thousand_includes() -> None:
    """Length is no matter, nor for a circle."""
    texts = {f"f{i}.idl": f'include "f{i + 1}.idl"\ntypedef f{i + 1}.T T\n' for i in range(1000)}
    whole = compile_text(
        'include "f0.idl"\nvoid put(1: f0.T a)', includes={**texts, "f1000.idl": "typedef int T"}
    )
    assert codes(whole) == []
    texts["f1000.idl"] = 'include "f0.idl"\ntypedef int T'
    circle = compile_text('include "f0.idl"\nvoid put(1: f0.T a)', includes=texts)
    assert codes(circle) == ["E004"]


def test_what_was_looked_for_is_known(tmp_path: pathlib.Path) -> None:
    """So that a watcher sees it come."""
    path = write(tmp_path, main='include "later.idl"\n')
    loader = Loader([tmp_path / "lib"])
    compile_file(path, loader=loader)
    assert set(loader.read) == {
        os.path.realpath(tmp_path / name) for name in ["main.idl", "later.idl", "lib/later.idl"]
    }
    write(tmp_path, later="const int A = 1")
    assert codes(compile_file(path, loader=loader)) == []


@pytest.mark.parametrize(
    ("name", "fixed"),
    [
        ("my-service", "my_service"),
        ("class", "class_"),
        ("2nd", "_2nd"),
        ("a.b", "a_b"),
        ("rpcgen", "rpcgen_"),
    ],
)
def test_names_that_are_no_module(name: str, fixed: str) -> None:
    """Each has one fix."""
    (found,) = compile_text("void ping()", name).report.diagnostics
    assert (found.code, found.help) == ("E003", f"call the file {fixed}.idl")


def test_a_text_in_memory_needs_no_file() -> None:
    """And surrogates in it are a finding."""
    assert compile_text("void ping()").module is not None
    assert compile_text("void p\ud800ing()").report.failed
