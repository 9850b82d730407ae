"""The benchmarks run, and their table says what it should."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import pathlib
import typing

import pytest

from benchmarks import __main__ as frame
from benchmarks.figures import Figure, alternate, from_rounds, table, within
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


ON_ZOOKEEPER = ("zookeeper", "tasks")


@pytest.mark.parametrize(
    "name",
    [
        # What one has compiled and set up is there for the others of its process.
        pytest.param(
            name,
            marks=pytest.mark.xdist_group("zookeeper" if name in ON_ZOOKEEPER else "benchmarks"),
        )
        for name in frame.NAMES
        if name != "slow_senders"  # whose servers tests/hardening has
    ],
)
def test_each_benchmark_runs(name: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "figures.json"
    assert frame.main([name, "--quick", "--output", str(output)]) == 0
    figures = json.loads(output.read_text())["figures"]
    assert figures
    for figure in figures:  # memory may well not grow
        assert figure["value"] or figure["unit"] == "KiB" or figure["note"].startswith("not installed"), (
            figure
        )
    assert all(figure["name"] in capsys.readouterr().out for figure in figures[:1])


def test_time_that_is_up_ends_rounds_after_three() -> None:
    with within(0):
        assert alternate({"a": lambda: 1.0}, 9) == {"a": [1.0, 1.0, 1.0]}
        assert alternate({"a": lambda: 1.0}, 2) == {"a": [1.0, 1.0]}
    assert len(alternate({"a": lambda: 1.0}, 9)["a"]) == 9


def test_one_that_breaks_takes_no_others_with_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(quick: bool) -> typing.Iterator[Figure]:
        yield Figure("codec", "S", 1.0, "µs")
        raise OSError("no space")

    monkeypatch.setattr("benchmarks.codec.run", broken)
    monkeypatch.setattr("benchmarks.session.run", lambda quick: [Figure("session", "all", 2.0, "µs")])
    output = tmp_path / "figures.json"
    assert frame.main(["codec", "session", "--quick", "--output", str(output)]) == 1
    result = json.loads(output.read_text())
    assert [(figure["name"], figure["value"], figure["note"]) for figure in result["figures"]] == [
        ("S", 1.0, ""),
        ("broken", None, "OSError: no space"),
        ("all", 2.0, ""),
    ]
    assert {"processor", "cores", "memory", "kernel", "python", "peers"} <= result["machine"].keys()
    assert result["machine"]["load at the beginning"]
    assert result["machine"]["load at the end"]


def test_what_is_left_when_it_is_late_is_measured_small(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame, "LATE", -1.0)
    monkeypatch.setattr("benchmarks.codec.run", lambda quick: [Figure("codec", f"{quick}", 1.0, "µs")])
    output = tmp_path / "figures.json"
    for extent, name, note in (([], "True", "a small measurement"), (["--full"], "False", "")):
        assert frame.main(["codec", *extent, "--output", str(output)]) == 0
        (figure,) = json.loads(output.read_text())["figures"]
        assert (figure["name"], figure["note"]) == (name, note)


def test_a_report_shows_every_figure(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = [
        from_rounds("codec", "S rpcgen", [0.03, 0.04, 0.05], "µs"),
        Figure("codec", "S msgspec", 1.0, "µs"),
        Figure("codec", "S ÷ msgspec", 1.25, "×", 1.0, 1.5, at_most=0.95),
        Figure("calls", "small", 9.0, "µs", at_most=10.0, note="one|two"),
        Figure("calls", "Pyro5", None, "µs", note="not installed: make peers"),
    ]
    result, folder = tmp_path / "result.json", tmp_path / "report"
    rows = [dataclasses.asdict(figure) | {"met": figure.met} for figure in figures]
    result.write_text(json.dumps({"machine": {"cores": "2 of 2"}, "figures": rows}))
    assert frame.main(["report", str(result), "--to", str(folder)]) == 0
    lines = (folder / "report.md").read_text().splitlines()
    assert "| cores | 2 of 2 |" in lines
    assert "4 figures in one run; 1 of 2 goals met." in lines[2]
    assert "| codec | S ÷ msgspec | 1.25 × | 1–1.5 | ≤ 0.95 |" in lines
    assert "- calls: Pyro5 (not installed: make peers)" in lines
    assert "| S rpcgen | 0.04 µs | 0.03–0.05 |  |  |" in lines
    assert "| small | 9 µs | ≤ 10 | met | one\\|two |" in lines
    plots = sorted(path.name for path in folder.glob("*.svg"))
    assert plots == (["plot-codec.svg", "plot-goals.svg"] if importlib.util.find_spec("matplotlib") else [])
    assert all(f"]({name})" in "".join(lines) for name in plots)


def test_what_is_no_result_has_no_report(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = tmp_path / "result.json"
    result.write_text("[]")
    with pytest.raises(SystemExit):
        frame.main(["report", str(result)])
    assert "expected what python -m benchmarks writes" in capsys.readouterr().err


def test_every_benchmark_offers_run() -> None:
    for name in frame.NAMES:
        assert callable(importlib.import_module(f"benchmarks.{name}").run)


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        frame.main(["codecs"])
    assert "there is no benchmark codecs" in capsys.readouterr().err
