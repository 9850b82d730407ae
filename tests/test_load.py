"""``rpcgen.load``: the module of an interface file, without a file of it."""

from __future__ import annotations

import copy
import os
import pathlib
import pickle
import subprocess
import sys
import threading
import traceback
import types
import typing

import pytest

import rpcgen
from tests.cli.command import FAULTY, ONE_LINE, environment, write

COMMON = 'struct Money { 1: long cents  2: string currency = "EUR" }\n'
SHOP = 'include "lib/common.idl"\nexception SoldOut { 1: string sku }\ncommon.Money price(1: string sku) => SoldOut\n'


def test_a_module_comes_without_a_file(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {"service.idl": ONE_LINE})
    path, modules = list(sys.path), set(sys.modules)
    service = rpcgen.load(tmp_path / "service.idl")
    assert isinstance(service, types.ModuleType)
    assert service.DivideProtocol().args_encode(200).hex() == "000000066469766964650000000501000000c8"
    assert (sys.path, os.listdir(tmp_path)) == (path, ["service.idl"])
    ours = {
        name
        for name in set(sys.modules) - modules
        if not name.startswith(("rpcgen.", "msgspec", "encodings"))
    }
    assert "service" not in ours


def test_includes_come_along_and_are_shared(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {"shop.idl": SHOP, "other.idl": SHOP, "lib/common.idl": COMMON})
    shop = rpcgen.load(tmp_path / "shop.idl")
    other = rpcgen.load(tmp_path / "other.idl")
    common = rpcgen.load(tmp_path / "lib" / "common.idl")
    assert shop is not other
    assert shop.common.Money is other.common.Money is common.Money
    assert sys.modules.get("common") is not common
    assert shop.PriceProtocol().result_encode(common.Money(5)).startswith(b"\x01")


def test_two_files_of_one_name(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {"a/service.idl": "int a()\n", "b/service.idl": "int b()\n"})
    a, b = rpcgen.load(tmp_path / "a" / "service.idl"), rpcgen.load(tmp_path / "b" / "service.idl")
    assert hasattr(a, "AProtocol")
    assert hasattr(b, "BProtocol")
    assert sys.modules[a.__name__] is a
    assert sys.modules[b.__name__] is b


def test_the_same_file_gives_the_same_module_until_it_changes(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"shop.idl": SHOP, "lib/common.idl": COMMON})
    (tmp_path / "link.idl").symlink_to("shop.idl")
    first = rpcgen.load(tmp_path / "shop.idl")
    monkeypatch.chdir(tmp_path)
    assert rpcgen.load("shop.idl") is first
    assert rpcgen.load("lib/../shop.idl") is first
    os.utime("shop.idl")
    assert rpcgen.load("shop.idl") is first
    write(tmp_path, {"lib/common.idl": COMMON.replace("EUR", "USD")})
    second = rpcgen.load("shop.idl")
    assert second is not first
    assert second.common.Money(1).currency == "USD"
    assert rpcgen.load("shop.idl") is second


def test_an_unchanged_file_is_not_compiled_again(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"service.idl": ONE_LINE})
    os.utime(tmp_path / "service.idl", (1, 1))
    service = rpcgen.load(tmp_path / "service.idl")
    monkeypatch.setattr("rpcgen.loading.compile_file", lambda *_, **__: pytest.fail("compiled again"))
    assert rpcgen.load(tmp_path / "service.idl") is service


def test_include_folders(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {"shop.idl": SHOP, "vendor/lib/common.idl": COMMON})
    with pytest.raises(rpcgen.IdlError):
        rpcgen.load(tmp_path / "shop.idl")
    assert rpcgen.load(tmp_path / "shop.idl", [tmp_path / "vendor"]).common.Money(1).cents == 1


def test_errors_carry_the_findings(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"bad.idl": FAULTY})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(rpcgen.IdlError) as raised:
        rpcgen.load("bad.idl")
    assert [found.code for found in raised.value.diagnostics] == ["E103"]
    assert str(raised.value).startswith("bad.idl has errors\nbad.idl:1:26: error[E103]: ")
    with pytest.raises(rpcgen.IdlError, match=r"none\.idl"):
        rpcgen.load("none.idl")
    write(tmp_path, {"names.idl": "void f(1: int class, 2: int class_)\n"})
    with pytest.raises(rpcgen.IdlError, match="E501"):
        rpcgen.load("names.idl")


def test_a_file_that_was_mended_loads(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {"service.idl": FAULTY})
    with pytest.raises(rpcgen.IdlError):
        rpcgen.load(tmp_path / "service.idl")
    write(tmp_path, {"service.idl": ONE_LINE})
    assert rpcgen.load(tmp_path / "service.idl").InvalidOperation("x").message == "x"


def test_values_copy_and_pickle(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {"shop.idl": SHOP, "lib/common.idl": COMMON})
    shop = rpcgen.load(tmp_path / "shop.idl")
    money = shop.common.Money(5, "USD")
    assert pickle.loads(pickle.dumps(money)) == money == copy.deepcopy(money)
    error = pickle.loads(pickle.dumps(shop.SoldOut("x")))
    assert (type(error), error.sku) == (shop.SoldOut, "x")


def test_another_process_unpickles_after_loading_the_same_file(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {"shop.idl": SHOP, "lib/common.idl": COMMON})
    data = pickle.dumps(rpcgen.load(tmp_path / "shop.idl").common.Money(7))
    code = (
        f"import pickle, rpcgen; rpcgen.load({str(tmp_path / 'shop.idl')!r});"
        f"print(pickle.loads({data!r}).cents)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("7\n", "")


def test_annotations_resolve(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {"shop.idl": SHOP, "lib/common.idl": COMMON})
    shop = rpcgen.load(tmp_path / "shop.idl")
    assert typing.get_type_hints(shop.ClientStub.price)["return"] is shop.common.Money


def test_a_traceback_shows_generated_lines(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {"service.idl": ONE_LINE})
    service = rpcgen.load(tmp_path / "service.idl")
    try:
        service.ClientStub(None).divide(1)
    except AttributeError:
        said = traceback.format_exc()
    assert f"<rpcgen.load {tmp_path / 'service.idl'}>" in said
    assert "return self._call(DivideProtocol, num1, num2)" in said


def test_many_threads_get_one_module(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {"service.idl": ONE_LINE})
    start = threading.Barrier(8)
    found: list[types.ModuleType] = []

    def go() -> None:
        start.wait()
        found.append(rpcgen.load(tmp_path / "service.idl"))

    threads = [threading.Thread(target=go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


def test_importing_rpcgen_loads_no_compiler() -> None:
    code = (
        "import sys, rpcgen; print(sorted({'lark', 'jinja2', 'rpcgen.loading', 'typing'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env=environment(PYTHONPATH=os.getcwd()),
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        rpcgen.laod  # type: ignore[attr-defined]  # noqa: B018
