"""``rpcgen lint``: which rules are asked of which files, and how its findings come."""

from __future__ import annotations

import json
import pathlib

import pytest

from tests.cli.command import FAULTY, ONE_LINE, write
from tests.cli.conftest import Run

CLEAN = "exception InvalidOperation\n\nfloat divide(1: int num1, 2: int num2 = 1) => InvalidOperation\n"
COST = "double cost(1: int maxItems)\n"


def codes(out: str) -> list[str]:
    return [json.loads(line)["code"] for line in out.splitlines()]


def test_clean_and_not(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"a.idl": CLEAN, "b.idl": ONE_LINE, "bad.idl": FAULTY})
    ended = run("lint", "a.idl")
    assert (ended.status, ended.out, ended.log) == (0, "", "nothing found in a.idl\n")
    ended = run("lint", "a.idl", "b.idl")
    assert (ended.status, ended.log) == (1, "")
    assert ended.out.startswith("b.idl:1:43: warning[L001]: ")
    ended = run("lint", "bad.idl", "b.idl", "--format", "json")
    assert (ended.status, codes(ended.out)) == (1, ["E103", "L001"])


def test_formats(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"b.idl": ONE_LINE})
    ended = run("lint", "b.idl", "--format", "github")
    assert ended.out.startswith("::warning file=b.idl,line=1,endLine=1,col=43,endColumn=59,title=L001::")
    found = json.loads(run("lint", "b.idl", "--format", "json").out)
    assert (found["severity"], found["line"], found["column"]) == ("warning", 1, 43)


def test_rules_are_chosen(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"c.idl": COST})

    def found(*words: str) -> list[str]:
        return codes(run("lint", "c.idl", "--format", "json", *words).out)

    assert found() == ["L002", "L005"]
    assert found("--ignore", "L002,L001") == ["L005"]
    assert found("--select", "L002", "--select", "L001") == ["L002"]
    assert found("--select", "L002,L005", "--ignore", "L005") == ["L002"]
    write(tmp_path, {"pyproject.toml": '[tool.rpcgen.lint]\nignore = ["L005"]\n'})
    assert found() == ["L002"]
    assert found("--select", "L005") == ["L005"]
    assert found("--ignore", "L002") == []


def test_what_is_mended_is_said_and_found_no_more(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"b.idl": ONE_LINE, "c.idl": COST})
    ended = run("lint", "b.idl", "c.idl", "--fix", "--format", "json")
    assert (ended.status, ended.log) == (1, "mended L001 in b.idl\n")
    assert codes(ended.out) == ["L002", "L005"]
    assert (tmp_path / "b.idl").read_text() == f"{ONE_LINE}\nexception InvalidOperation\n"
    ended = run("lint", "b.idl", "--fix")
    assert (ended.status, ended.log) == (0, "nothing found in b.idl\n")


def test_neighbours_use_declarations(tmp_path: pathlib.Path, run: Run) -> None:
    """A file with errors, too, and one whose names are lost."""
    write(
        tmp_path,
        {
            "a.idl": "struct A {}\nstruct B {}\nstruct C {}\nvoid f()\n",
            "b.idl": 'include "a.idl"\nvoid g(1: a.A x, 1: Nothing y)\n',
            "c.idl": 'include "a.idl"\nvoid g(1: a.B x ??? \n',
        },
    )
    out = run("lint", "a.idl", "--select", "L006", "--format", "json").out
    assert [json.loads(line)["message"] for line in out.splitlines()] == ["struct C is used by no method"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("ignroe = []", ":2: there is no key 'ignroe' in [tool.rpcgen.lint]\n  = help: did you mean ignore?"),
        ("ignore = 1", ":2: ignore must be a list of strings, not an integer"),
        ('ignore = ["L01"]', ":2: there is no rule 'L01'\n  = help: did you mean L0"),
        ('\ndocs = ["services"]', ":3: there is no kind 'services'\n  = help: did you mean service?"),
        ("max-parameters = 0", ":2: max-parameters must be a whole number above zero, not an integer"),
        ("max-parameters = true", ":2: max-parameters must be a whole number above zero, not a boolean"),
    ],
)
def test_a_faulty_table_is_refused_by_every_command(
    tmp_path: pathlib.Path, run: Run, table: str, said: str
) -> None:
    write(tmp_path, {"pyproject.toml": f"[tool.rpcgen.lint]\n{table}\n", "a.idl": CLEAN})
    for command in ("lint", "check"):
        ended = run(command, "a.idl")
        assert (ended.status, ended.out) == (2, "")
        assert f"pyproject.toml{said}" in ended.log


def test_a_table_that_is_none(tmp_path: pathlib.Path, run: Run) -> None:
    write(tmp_path, {"pyproject.toml": "[tool.rpcgen]\nlint = 3\n", "a.idl": CLEAN})
    ended = run("lint", "a.idl")
    assert ended.log == "rpcgen lint: pyproject.toml: tool.rpcgen.lint must be a table, not an integer\n"


def test_wrong_usage(tmp_path: pathlib.Path, run: Run) -> None:
    ended = run("lint", "a.idl", "--ignore", "L999")
    assert (ended.status, ended.log.splitlines()[0]) == (2, "rpcgen lint: --ignore: there is no rule 'L999'")


def test_the_rules_are_listed(tmp_path: pathlib.Path, run: Run) -> None:
    ended = run("lint", "--rules")
    assert ended.status == 0
    assert ended.out.startswith(
        "L001  an exception that nothing declares but its use after =>\n      a slip "
    )
