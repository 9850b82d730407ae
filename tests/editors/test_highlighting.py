"""Interface files in colour: by Pygments, and by the grammar that editors read."""

from __future__ import annotations

import importlib
import json
import pathlib
import re
import tomllib
import typing

import pytest

from rpcgen.compiler import tables

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "idl").glob("*.idl"))
VSCODE = ROOT / "editors" / "vscode"

SAMPLE = """\
/// Says.
include "common.idl"  // why
@timeout(2s) struct Person {
    1: list<common.Money>? string = []
    reserved 0x10: double /* was
    struct X */
}
oneway void log(1: string line = "a\\n\\q", 2: bool b = true, 3: double c = -2.5e-3) => NotFound
"""


# Pygments


def spans(code: str) -> list[tuple[str, str]]:
    """The tokens of a text as Pygments has them, without blanks."""
    pygments = pytest.importorskip("pygments")
    lexer = importlib.import_module("rpcgen.highlighting").InterfaceLexer()
    found = [(str(kind).removeprefix("Token."), text) for kind, text in pygments.lex(code, lexer)]
    return [(kind, text) for kind, text in found if text.strip()]


def test_pygments_knows_every_part() -> None:
    found = spans(SAMPLE)
    for expected in [
        ("Literal.String.Doc", "/// Says."),
        ("Keyword.Namespace", "include"),
        ("Comment.Single", "// why"),
        ("Name.Decorator", "@timeout"),
        ("Literal.Number", "2s"),
        ("Keyword.Declaration", "struct"),
        ("Name.Class", "Person"),
        ("Keyword.Type", "list"),
        ("Name.Namespace", "common"),
        ("Keyword.Reserved", "reserved"),
        ("Literal.Number.Hex", "0x10"),
        ("Comment.Multiline", "/* was\n    struct X */"),
        ("Name.Function", "log"),
        ("Literal.String.Double", '"a\\n\\q"'),
        ("Keyword.Constant", "true"),
        ("Literal.Number.Float", "-2.5e-3"),
        ("Operator", "=>"),
        ("Name", "NotFound"),
    ]:
        assert expected in found


@pytest.mark.parametrize("path", FILES)
def test_pygments_reads_every_file(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert [part for part in spans(text) if part[0].startswith("Error")] == []


def test_pygments_finds_the_lexer_by_its_entry_point() -> None:
    pytest.importorskip("pygments")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, name = project["entry-points"]["pygments.lexers"]["rpcgen"].partition(":")
    lexer = getattr(importlib.import_module(module), name)
    assert lexer.aliases[0] == "rpcgen"
    assert all(lexer.analyse_text((ROOT / path).read_text(encoding="utf-8")) > 0.5 for path in FILES)
    corba = "#include <orb.idl>\nmodule Bank {\n  interface Account {\n    void deposit(in float amount);\n  };\n};\n"
    assert lexer.analyse_text(corba) == 0


# The grammar of editors


class Grammar:
    """As much of a TextMate engine as the grammar needs: match, begin and end, captures."""

    def __init__(self, grammar: dict[str, typing.Any]) -> None:
        self.grammar = grammar
        self.found: list[tuple[str, str]] = []

    def rules(self, patterns: list[dict[str, typing.Any]]) -> list[dict[str, typing.Any]]:
        found: list[dict[str, typing.Any]] = []
        for rule in patterns:
            if "include" in rule:
                inner = self.grammar["repository"][rule["include"].removeprefix("#")]
                found += [inner] if "match" in inner or "begin" in inner else self.rules(inner["patterns"])
            else:
                found.append(rule)
        return found

    def scopes(self, text: str) -> list[tuple[str, str]]:
        top = self.rules(self.grammar["patterns"])
        inside: dict[str, typing.Any] | None = None
        for line in text.split("\n"):
            at = 0
            while True:
                rules = top if inside is None else self.rules(inside.get("patterns", []))
                tried = [(rule, rule.get("match") or rule["begin"]) for rule in rules]
                if inside is not None:
                    tried.insert(0, (inside, inside["end"]))
                hits = [(re.compile(pattern).search(line, at), rule) for rule, pattern in tried]
                there = [(hit.start(), number, hit, rule) for number, (hit, rule) in enumerate(hits) if hit]
                if not there:
                    break
                _, number, hit, rule = min(there, key=lambda each: each[:2])
                self.found.append((rule.get("name", ""), hit[0]))
                for group, capture in rule.get("captures", {}).items():
                    self.found.append((capture["name"], hit[int(group)]))
                if inside is not None and number == 0:
                    inside = None
                elif "begin" in rule:
                    inside = rule
                at = hit.end()
                if at >= len(line) and (inside is None or inside["end"] != '"|$'):
                    break
        return [(name.removesuffix(".rpcgen"), text) for name, text in self.found if name and text]


def grammar() -> dict[str, typing.Any]:
    found: dict[str, typing.Any] = json.loads(
        (VSCODE / "syntaxes" / "rpcgen.tmLanguage.json").read_text("utf-8")
    )
    return found


def test_the_grammar_knows_every_part() -> None:
    found = Grammar(grammar()).scopes(SAMPLE)
    for expected in [
        ("comment.line.documentation", "/// Says."),
        ("keyword.control.import", "include"),
        ("comment.line.double-slash", "// why"),
        ("storage.modifier.annotation", "@timeout"),
        ("constant.numeric.duration", "2s"),
        ("storage.type", "struct"),
        ("entity.name.type", "Person"),
        ("support.type", "list"),
        ("entity.name.namespace", "common"),
        ("keyword.other", "reserved"),
        ("constant.numeric.integer", "0x10"),
        ("comment.block", "/*"),
        ("comment.block", "*/"),
        ("entity.name.function", "log"),
        ("constant.character.escape", "\\n"),
        ("invalid.illegal.escape", "\\q"),
        ("constant.language", "true"),
        ("constant.numeric.float", "-2.5e-3"),
        ("keyword.operator", "=>"),
    ]:
        assert expected in found
    assert ("entity.name.type", "X") not in found


def test_the_grammar_has_the_words_of_the_language() -> None:
    words = tables.load().words
    repository = grammar()["repository"]
    told: set[str] = set()
    for name in ("include", "declaration", "constant", "type", "keyword"):
        told.update(
            re.findall(r"(?<![\\\w])(?:\\b)?([a-z]{3,})", repository[name]["match"].replace("\\b", " "))
        )
    assert told == set(words)


def test_the_extension_names_what_is_there() -> None:
    package = json.loads((VSCODE / "package.json").read_text("utf-8"))
    (language,) = package["contributes"]["languages"]
    (colours,) = package["contributes"]["grammars"]
    assert language["id"] == colours["language"]
    assert language["extensions"] == [".idl"]
    assert colours["scopeName"] == grammar()["scopeName"]
    for path in (language["configuration"], colours["path"]):
        json.loads((VSCODE / path).read_text("utf-8"))
