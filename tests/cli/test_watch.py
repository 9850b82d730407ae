"""``--watch``: a real process, real files, and no guessing at times."""

from __future__ import annotations

import os
import pathlib
import typing

import pytest

import rpcgen
from tests.cli.command import FAULTY, ONE_LINE, Running, write


class Watching(Running):
    """A process that watches; its lines, findings and log alike, as they come."""

    def __init__(self, folder: pathlib.Path, *words: str) -> None:
        super().__init__("compile", "--watch", *words, cwd=folder)
        self.until("watching; Ctrl-C ends")


@pytest.fixture
def watching(tmp_path: pathlib.Path) -> typing.Iterator[typing.Callable[..., Watching]]:
    started: list[Watching] = []

    def start(*words: str) -> Watching:
        started.append(Watching(tmp_path, *words))
        return started[-1]

    yield start
    for one in started:
        one.close()


def test_a_change_compiles_again_and_ctrl_c_ends(
    tmp_path: pathlib.Path, watching: typing.Callable[..., Watching]
) -> None:
    write(tmp_path, {"service.idl": ONE_LINE})
    process = watching("service.idl")
    process.until("service.idl → service.py")
    write(tmp_path, {"service.idl": "int twice(1: int n)\n"})
    process.until("service.idl → service.py")
    assert "twice" in (tmp_path / "service.py").read_text()
    assert process.end() == 0


def test_errors_are_shown_and_survived(
    tmp_path: pathlib.Path, watching: typing.Callable[..., Watching]
) -> None:
    write(tmp_path, {"service.idl": ONE_LINE})
    process = watching("service.idl")
    process.until("service.idl → service.py")
    write(tmp_path, {"service.idl": FAULTY})
    seen = process.until("nothing was written")
    assert any("error[E103]" in line for line in seen)
    write(tmp_path, {"service.idl": ONE_LINE})
    process.until("nothing changed")
    assert process.end() == 0


def test_a_missing_file_is_waited_for(
    tmp_path: pathlib.Path, watching: typing.Callable[..., Watching]
) -> None:
    process = watching("service.idl")
    process.until("nothing was written")
    write(tmp_path, {"service.idl": ONE_LINE})
    process.until("service.idl → service.py")
    (tmp_path / "service.idl").unlink()
    process.until("nothing was written")
    write(tmp_path, {"service.idl": ONE_LINE})
    process.until("nothing changed")


def test_an_editor_that_replaces_the_file(
    tmp_path: pathlib.Path, watching: typing.Callable[..., Watching]
) -> None:
    write(tmp_path, {"service.idl": ONE_LINE})
    process = watching("service.idl")
    process.until("service.idl → service.py")
    write(tmp_path, {"service.idl~": "int twice(1: int n)\n"})
    os.replace(tmp_path / "service.idl~", tmp_path / "service.idl")
    process.until("service.idl → service.py")


def test_an_include_and_one_that_appears_later(
    tmp_path: pathlib.Path, watching: typing.Callable[..., Watching]
) -> None:
    write(tmp_path, {"service.idl": 'include "lib/common.idl"\ncommon.Money price()\n'})
    process = watching("service.idl")
    process.until("nothing was written")
    write(tmp_path, {"lib/common.idl": "struct Money { 1: long cents }\n"})
    process.until("service.idl → service.py")
    write(tmp_path, {"lib/common.idl": "struct Money { 1: long cents 2: string currency }\n"})
    process.until("lib/common.idl → common.py")


def test_a_new_file_in_a_folder_and_a_changed_configuration(
    tmp_path: pathlib.Path, watching: typing.Callable[..., Watching]
) -> None:
    write(tmp_path, {"pyproject.toml": '[tool.rpcgen]\nfiles = ["idl/*.idl"]\n', "idl/one.idl": ONE_LINE})
    process = watching()
    process.until("idl/one.idl → idl/one.py")
    write(tmp_path, {"idl/two.idl": ONE_LINE})
    process.until("idl/two.idl → idl/two.py")
    write(tmp_path, {"pyproject.toml": '[tool.rpcgen]\nfles = ["idl/*.idl"]\n'})
    process.until("did you mean files?")
    write(tmp_path, {"pyproject.toml": '[tool.rpcgen]\nfiles = ["idl/*.idl"]\noutput = "out"\n'})
    process.until("idl/two.idl → out/two.py")
    assert process.end() == 0


def test_an_output_folder_that_refuses_is_survived(
    tmp_path: pathlib.Path, watching: typing.Callable[..., Watching]
) -> None:
    write(tmp_path, {"service.idl": ONE_LINE, "out": "a file, not a folder"})
    process = watching("service.idl", "-o", "out")
    process.until("cannot write out")
    (tmp_path / "out").unlink()
    write(tmp_path, {"service.idl": ONE_LINE + "\n"})
    process.until("service.idl → out/service.py")


def test_a_changed_template(tmp_path: pathlib.Path, watching: typing.Callable[..., Watching]) -> None:
    ours = pathlib.Path(rpcgen.__file__).parent.parent / "templates" / "python" / "module.py.j2"
    text = ours.read_text(encoding="utf-8")
    write(tmp_path, {"service.idl": ONE_LINE, "mine/module.py.j2": text + "# one\n"})
    process = watching("service.idl", "--templates", "mine")
    process.until("service.idl → service.py")
    write(tmp_path, {"mine/module.py.j2": text + "# another\n"})
    process.until("service.idl → service.py")
    assert (tmp_path / "service.py").read_text(encoding="utf-8").endswith("# another\n")
    write(tmp_path, {"mine/module.py.j2": "{% if %}"})
    seen = process.until("nothing was written")
    assert any("error[E502]" in line for line in seen)
