"""No rule of source is there in vain: for each, a program that the old module runs, and the new one does not.

Programs are single expressions over modules that are generated into a folder and imported, as users do.
"""

from __future__ import annotations

import importlib
import pathlib
import sys
import typing

import pytest

from rpcgen.codegen import generate
from rpcgen.compiler import compile_file
from rpcgen.compiler.changes import breaking
from rpcgen.compiler.changes.rules import RULES

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "breaking"

PROGRAMS: typing.Final[dict[str, tuple[str, ...]]] = {
    "B060-declaration": ("stock.MOST", "stock.UserId(7)", "stock.Item('a').sku"),
    "B061-order": ("sent('left', 'a', 1)",),
    "B061-order-of-fields": ("stock.Item('a', 'apples').sku",),
    "B062-field-is-gone": (
        "stock.Item('a', left=1).sku",
        "stock.Item('a').left",
        "sent('find', 'a', exact=True)",
    ),
    "B063-another-kind": ("stock.Key('a').upper()",),
    "B064-file": ("__import__('shop').Shop('corner').name",),
}
"""Golden case → programs; ``sent`` is what a method of the client stub sends, by name."""


class Arguments:
    """A channel that gives back the arguments of each call, by their names."""

    def call(
        self, protocol: typing.Any, args: tuple[object, ...], timeout: float | None
    ) -> dict[str, object]:
        return {param.name: arg for param, arg in zip(protocol.params, args, strict=True)}


def generated(case: str, side: str, folder: pathlib.Path) -> None:
    """Writes the modules of one side of a case."""
    folder.mkdir()
    for path in (GOLDEN / case / side).glob("*.idl"):
        module = compile_file(path).module
        assert module is not None
        (folder / f"{path.stem}.py").write_text(generate(module))


def outcome(folder: pathlib.Path, program: str, monkeypatch: pytest.MonkeyPatch) -> object:
    """Gives what a program comes to over the modules of a folder; of an error, its class."""
    # Of the other side, too: what other tests have imported under these names is not meant.
    names = {path.stem for path in folder.parent.rglob("*.py")}
    with monkeypatch.context() as patch:
        patch.syspath_prepend(folder)
        for name in names:
            patch.delitem(sys.modules, name, raising=False)
        try:
            stock = importlib.import_module("stock")

            def sent(method: str, *args: object, **named: object) -> object:
                return getattr(stock.ClientStub(Arguments()), method)(*args, **named)

            return eval(program, {"stock": stock, "sent": sent})
        except Exception as error:
            return type(error)
        finally:
            for name in names:
                sys.modules.pop(name, None)


@pytest.mark.parametrize("case", PROGRAMS)
def test_a_flagged_pair_breaks_programs(
    case: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pair breaks by this rule alone; with the module of the new version each gives something else."""
    assert {change.code for change in breaking(GOLDEN / case / "old", GOLDEN / case / "new")} == {case[:4]}
    for side in ("old", "new"):
        generated(case, side, tmp_path / side)
    for program in PROGRAMS[case]:
        before, after = (outcome(tmp_path / side, program, monkeypatch) for side in ("old", "new"))
        assert not isinstance(before, type)
        assert after != before


def test_every_rule_of_source_is_shown() -> None:
    """By every case of it."""
    of_source = {code for code, rule in RULES.items() if rule.level == "source"}
    assert {case[:4] for case in PROGRAMS} == of_source
    assert set(PROGRAMS) == {path.name for path in GOLDEN.iterdir() if path.name[:4] in of_source}
