"""``formatter``: the canonical form, with every comment where it stood."""

from __future__ import annotations

import collections
import pathlib
import random
import re

import pytest
from hypothesis import given, strategies as st

from rpcgen.cli.starter import INTERFACE
from rpcgen.compiler import canonical, lexer, parser, syntax
from rpcgen.compiler.diagnostics import Report
from rpcgen.compiler.formatter import format_file
from rpcgen.compiler.source import Source
from tests.compiler.test_canonical import meaning
from tests.support.interfaces import Interface, compile_interface, interfaces

ROOT = pathlib.Path(__file__).resolve().parents[2]


def tree(text: str) -> syntax.File:
    return parser.parse(Source("x.idl", text), Report())


def formatted(text: str) -> str:
    """The form of a text, which must be its own form."""
    found = format_file(tree(text))
    assert format_file(tree(found)) == found
    return found


def comments(text: str, *kinds: str) -> list[str]:
    """The comments of a text that say something, without blanks and what makes them doc comments."""
    found: list[str] = []
    for match in lexer.expression().finditer(text):
        if match.lastgroup in (kinds or ("DOC", "COMMENT")):
            found.append(re.sub(r"\s+", " ", match[match.lastgroup].lstrip("/")).strip())
    return [said for said in found if said]


def assert_kept(form: str, text: str) -> None:
    """Every comment is there, and plain ones in their order."""
    assert collections.Counter(comments(form)) == collections.Counter(comments(text))
    plain = comments(text, "COMMENT")
    assert [said for said in comments(form) if said in plain] == plain


CASES = {
    "blank lines are kept, one at most, and none at the edges": (
        "\n\nstruct A {\n\n\n1: int a\n\n\n\n2: int b\n\n}\n\n\n\n",
        "struct A {\n    1: int a\n\n    2: int b\n}\n",
    ),
    "an empty line comes between declarations, before the comment on the second": (
        "struct A {}\n// about B\nstruct B {}",
        "struct A {}\n\n// about B\nstruct B {}\n",
    ),
    "a comment that an empty line follows stays with what stands before it": (
        "struct A {}\n// about A\n\nstruct B {}",
        "struct A {}\n// about A\n\nstruct B {}\n",
    ),
    "constants keep together, and apart where they were": (
        "const int A = 1\nconst int B = 2\n\n\nconst int C = 3 // three",
        "const int A = 1\nconst int B = 2\n\nconst int C = 3  // three\n",
    ),
    "separators go, comments behind them stay": (
        "struct A { 1: int a; // one\n 2: int b, /* two */ }",
        "struct A {\n    1: int a  // one\n    2: int b  /* two */\n}\n",
    ),
    "a comment inside of a line stays there": (
        "void f(/* a */ 1:int a /* b */, 2 /* c */ : int b=/* d */3)",
        "void f(/* a */ 1: int a /* b */, 2 /* c */: int b = /* d */ 3)\n",
    ),
    "parameters with comments of their own stand one a line": (
        "void f(1: int a, // first\n 2: int b // second\n)",
        "void f(\n    1: int a,  // first\n    2: int b  // second\n)\n",
    ),
    "a comment before a comma goes behind it": (
        "void f(1: int a // first\n , 2: int b)",
        "void f(\n    1: int a,  // first\n    2: int b\n)\n",
    ),
    "so do items of constants": (
        'const list<string> L = ["a", // first\n "b"]\nconst map<int, int> M = {\n// one\n1: 2}',
        'const list<string> L = [\n    "a",  // first\n    "b"\n]\n'
        "const map<int, int> M = {\n    // one\n    1: 2\n}\n",
    ),
    "what is too long for a line": (
        f"void {'f' * 60}(1: int {'a' * 20}, 2: int {'b' * 20})\n"
        f'@acme.one("{"x" * 50}") @acme.two("{"y" * 50}") const list<int> L = [{"1, " * 40}1]',
        f"void {'f' * 60}(\n    1: int {'a' * 20},\n    2: int {'b' * 20}\n)\n\n"
        f'@acme.one("{"x" * 50}")\n@acme.two("{"y" * 50}")\n'
        f"const list<int> L = [\n{'    1,' + chr(10)}" + "    1,\n" * 39 + "    1\n]\n",
    ),
    "a doc comment comes before the annotations": (
        "@idempotent\n// plain\n/// Says.\nvoid f()",
        "/// Says.\n@idempotent\n// plain\nvoid f()\n",
    ),
    "the file's doc comment is apart": (
        '/// The file.\n// plain\ninclude "a.idl"',
        '/// The file.\n\n// plain\ninclude "a.idl"\n',
    ),
    "a doc comment that belongs to nothing must not come to belong to something": (
        "struct A { 1: int a\n/// stray\n; 2: int b }",
        "struct A {\n    1: int a\n    // stray\n    2: int b\n}\n",
    ),
    "nor may its further lines": (
        "struct A { 1: int a; /// stray\n/// too\n2: int b }",
        "struct A {\n    1: int a  // stray\n    // too\n    2: int b\n}\n",
    ),
    "one that says nothing still stands before one that would": (
        "struct A { 1: int a;\n///\n@acme.x /* b\n*/ /// kept\n2: int b }",
        "struct A {\n    1: int a\n    ///\n    @acme.x  /* b\n*/ /// kept\n    2: int b\n}\n",
    ),
    "a comment of several lines moves as a whole": (
        "struct A {\n/* one\n     two\n   three */\n1: int a }",
        "struct A {\n    /* one\n         two\n       three */\n    1: int a\n}\n",
    ),
    "a block of nothing but comments": (
        "service A { // nothing yet\n// to come\n}",
        "service A {  // nothing yet\n    // to come\n}\n",
    ),
    "numbers of enums stay as written, tags do not": (
        "enum E { A = 0x10 } struct S { 0x10: int a }",
        "enum E {\n    A = 0x10\n}\n\nstruct S {\n    16: int a\n}\n",
    ),
    "nothing": ("\n \n", ""),
    "comments alone": ("\n\n  // one\n\n\n/* two */", "// one\n\n/* two */\n"),
    "a doc comment alone": ("/// Nothing yet.", "/// Nothing yet.\n"),
    "comments at both ends": ("/* a */ int f() /* b */ // c", "/* a */ int f()  /* b */ // c\n"),
}


@pytest.mark.parametrize(("text", "form"), [pytest.param(*case, id=name) for name, case in CASES.items()])
def test_the_form_of(text: str, form: str) -> None:
    assert formatted(text) == form
    assert_kept(form, text)


NOISE = [
    *(" ", " ", "\n", "\n\n", "\n\n\n", "\t"),
    *("// {}\n", "// {}\n", "/* {} */", "/* {} */", "/* {}\n   more {} */", "//// {}\n"),
    *("/// {}\n", "/// {}\n/// more {}\n", "/// {}\n\n", "///\n", "///{}\n"),
]


def noisy(text: str, chance: random.Random, share: float) -> str:
    """Puts comments and blank lines between tokens, and commas where one may end a list."""
    parts: list[str] = []
    end = 0
    before = ""
    for match in lexer.expression().finditer(text):
        kind = match.lastgroup or "end"
        start = match.start(kind)
        found = match[kind]
        if kind == "DOC":
            found += "\n"
        elif kind != "end" and found in ")]" and before not in "([" and chance.random() < share:
            parts.append(",")
            parts.append(_noise(chance, share))
        parts.append(text[end:start])
        parts.append(_noise(chance, share))
        parts.append(found)
        before, end = found, match.end(kind)
    return "".join(parts)


def _noise(chance: random.Random, share: float) -> str:
    if chance.random() > share:
        return ""
    pieces = chance.choices(NOISE, k=chance.choice([1, 1, 2, 3, 4]))
    return "".join(piece.replace("{}", f"c{chance.randrange(10**12)}") for piece in pieces)


@given(interfaces(), st.integers(0, 2**32), st.sampled_from([0.02, 0.1, 0.4]))
def test_the_form_means_the_same_and_keeps_every_comment(
    interface: Interface, seed: int, share: float
) -> None:
    """Whatever stands between the tokens; the form is its own form, and without comments the canonical one."""
    text = noisy(interface.text, random.Random(seed), share)
    form = formatted(text)
    before = compile_interface(Interface(text, interface.includes)).module
    after = compile_interface(Interface(form, interface.includes)).module
    assert before is not None
    assert after is not None
    assert meaning(after) == meaning(before)
    assert_kept(form, text)
    assert [line for line in form.split("\n") if line != line.rstrip()] == []
    assert "\n\n\n" not in form
    assert formatted(after.interface) == after.interface


@pytest.mark.parametrize(
    "path",
    [str(path.relative_to(ROOT)) for folder in ("idl", "tests") for path in (ROOT / folder).rglob("*.idl")],
)
def test_files_of_the_repository(path: str) -> None:
    """Each that can be read has a form that means the same; those of idl/ are in it."""
    text = (ROOT / path).read_bytes().decode("utf-8", "replace").replace("\r", "\n")
    read = tree(text)
    if not read.complete:
        return
    form = formatted(text)
    assert canonical.write_file(tree(form)) == canonical.write_file(read)
    assert_kept(form, text)
    assert form == text or not path.startswith("idl/")


def test_what_init_writes_is_in_the_form() -> None:
    assert formatted(INTERFACE) == INTERFACE
