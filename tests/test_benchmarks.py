"""The benchmarks run, and their table says what it should."""

from __future__ import annotations

import importlib
import json
import pathlib

import pytest

from benchmarks import __main__ as frame
from benchmarks.figures import Figure, alternate, from_rounds, table
from benchmarks.interfaces import SHAPES, Shape, grpc_interface, interface


def test_the_table_shows_goals_beside_figures() -> None:
    figures = [
        from_rounds("compile", "10 methods", [0.15, 0.1, 0.3], "s", at_most=0.2),
        Figure("compile", "10,000 methods", 12345.6, "s", at_most=6),
        Figure("codec", "S, encode", 3.14159, "µs"),
        Figure("codec", "thriftpy2", None, "µs", note="not installed"),
    ]
    assert table(figures).splitlines() == [
        "compile           median   spread   goal",
        "---------------------------------------------------------------",
        "10 methods        0.15 s  0.1–0.3  ≤ 0.2  met",
        "10,000 methods  12,346 s             ≤ 6  MISSED",
        "",
        "codec             median   spread   goal",
        "---------------------------------------------------------------",
        "S, encode        3.14 µs",
        "thriftpy2              –                          not installed",
    ]


def test_contestants_alternate() -> None:
    order: list[str] = []

    def measure(name: str) -> float:
        order.append(name)
        return float(len(order))

    measured = alternate({"a": lambda: measure("a"), "b": lambda: measure("b")}, 2)
    assert order == ["a", "b", "a", "b"]
    assert measured == {"a": [1.0, 3.0], "b": [2.0, 4.0]}


@pytest.mark.parametrize("shape", SHAPES)
def test_an_interface_has_the_methods_asked_for(shape: Shape) -> None:
    assert sum("(1:" in line for line in interface(shape, 20).splitlines()) == 20
    assert sum("  rpc " in line for line in grpc_interface(shape, 20).splitlines()) == 20


@pytest.mark.parametrize(
    "name",
    [
        *("compiler", "importing", "cold_start", "session", "calls", "distributed"),
        *("concurrent", "threads", "http", "cost", "registry"),
        pytest.param("zookeeper", marks=pytest.mark.xdist_group("zookeeper")),
        pytest.param("tasks", marks=pytest.mark.xdist_group("zookeeper")),
    ],
)
def test_each_benchmark_runs(name: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "figures.json"
    assert frame.main([name, "--quick", "--output", str(output)]) == 0
    figures = json.loads(output.read_text())["figures"]
    assert figures
    assert all(figure["value"] or figure["note"].startswith("not installed") for figure in figures)
    assert all(figure["name"] in capsys.readouterr().out for figure in figures[:1])


def test_every_benchmark_offers_run() -> None:
    for name in frame.NAMES:
        assert callable(importlib.import_module(f"benchmarks.{name}").run)


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        frame.main(["codecs"])
    assert "there is no benchmark codecs" in capsys.readouterr().err
