"""Whatever a text has become while it is written: every question has an answer, or none."""

from __future__ import annotations

import contextlib
import os
import pathlib
import typing

import pytest
from hypothesis import given, settings, strategies as st

from rpcgen.lsp import completion, findings, fixes, formatting, hover, mentions, rename, symbols
from rpcgen.lsp.positions import Encoding, Places
from rpcgen.lsp.workspace import Analysis, Workspace
from tests.lsp.texts import COMMON, SHOP

ROOT = pathlib.Path(__file__).resolve().parents[2]
WHOLE = (SHOP, (ROOT / "idl" / "features.idl").read_text("utf-8"), COMMON)
PIECES = st.sampled_from(
    [
        *(
            "",
            " ",
            "\n",
            "\t",
            "}",
            "{",
            "(",
            ")",
            "<",
            ">",
            "@",
            ".",
            "..",
            ",",
            ";",
            "=",
            "=>",
            "->",
            "?",
            '"',
        ),
        *(
            "/*",
            "*/",
            "//",
            "///",
            "\\",
            "#",
            "'",
            "1:",
            "1.5.",
            "99999999999999999999",
            "0x",
            "-",
            "π",
            "😀",
        ),
        *("struct ", "include ", 'include "shop.idl"', "reserved ", "list<", "map<int", "Kind.", "common."),
        *(
            "@timeout(",
            "exception X",
            "service S extends ",
            "const int A = A",
            "\ufeff",
            "\r\n",
            "\x0c",
            "\u2028",
        ),
        *("\x00", "\ud800"),
    ]
)
ENCODINGS: tuple[Encoding, ...] = ("utf-8", "utf-16", "utf-32")


@st.composite
def broken(draw: st.DrawFn) -> str:
    """A valid text, cut and filled at random."""
    text = draw(st.sampled_from(WHOLE))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 0, 1, 2, 7, 50, 10_000])))
        text = text[:start] + draw(PIECES) + text[end:]
    return text


def ask(workspace: Workspace, found: Analysis, offset: int, texts: dict[str, str]) -> None:
    """Asks everything about a place; the answers must lie in the text."""
    size = len(found.source.text)
    shown = hover.hover(found, offset)
    assert shown is None or (shown.text and 0 <= shown.span.start <= shown.span.end <= size)
    here = mentions.at(found, offset)
    if here is not None:
        node = mentions.node_of(found, here.symbol)
        if node is not None:
            mentions.place_of(node)
        assert here in rename.uses(workspace, here.symbol, texts, [found.file.path]).get(
            found.file.path, [here]
        )
    proposed = completion.complete(found, offset)
    if proposed is not None:
        assert 0 <= proposed.start <= offset
        assert all(proposal.text for proposal in proposed.proposals)
    with contextlib.suppress(rename.Refused):
        assert all(rename.rename(workspace, found, offset, "Renamed", texts, texts).values())
    for encoding in ENCODINGS:
        places = Places(found.source, encoding)
        assert places.offset(places.place(offset)) == offset


@settings(max_examples=60)
@given(broken(), st.lists(st.floats(0, 1), min_size=2, max_size=4))
def test_every_question_is_answered(text: str, shares: list[float]) -> None:
    folder = ROOT / "idl"  # what is included is there
    path, other = str(folder / "broken.idl"), str(folder / "common.idl")
    texts = {path: text, other: COMMON}
    workspace = Workspace()
    checked = findings.check(workspace, path, texts)
    told = findings.judge(workspace, checked, texts) if checked.judgeable else checked.findings
    for one in told[path]:
        fixes.fix(one)
    found = checked.found
    if found is None:
        assert told[path]
        return
    symbols.outline(found.file.syntax)
    formatting.change(found.source)
    for share in shares:
        ask(workspace, found, int(share * len(found.source.text)), texts)


@pytest.mark.parametrize("size", range(0, len(SHOP), 37))
def test_a_file_is_answered_for_as_it_is_typed(size: int, tmp_path: pathlib.Path) -> None:
    path, other = (str(tmp_path / name) for name in ("shop.idl", "common.idl"))
    texts: typing.Final = {path: SHOP[:size], other: COMMON}
    workspace = Workspace()
    found = workspace.analyse(path, texts)
    assert found is not None
    ask(workspace, found, len(found.source.text), texts)
    assert not os.listdir(tmp_path)
