"""``rpcgen.lsp.positions`` and ``documents``: what an editor counts, and how it changes a text."""

from __future__ import annotations

import pathlib

import pytest
from hypothesis import given, strategies as st

from rpcgen.compiler.source import Source, decode
from rpcgen.lsp import positions
from rpcgen.lsp.documents import Change, Document, Documents, path_of
from rpcgen.lsp.positions import Encoding, Place, Places

TEXTS = st.text(alphabet="a1 é€😀\t\n\r\u2028\x0c\x85\ufeff\ud800", max_size=40)
ENCODINGS = st.sampled_from(["utf-8", "utf-16", "utf-32"])


@pytest.mark.parametrize(("encoding", "expected"), [("utf-8", 9), ("utf-16", 4), ("utf-32", 3)])
def test_characters_are_those_of_the_encoding(encoding: Encoding, expected: int) -> None:
    places = Places(Source("x", "é😀€x"), encoding)
    assert places.place(3) == (0, expected)
    assert places.offset((0, expected)) == 3


@pytest.mark.parametrize(
    ("place", "offset"),
    [
        ((0, 0), 0),
        ((0, 99), 2),
        ((0, -5), 0),
        ((1, 1), 4),
        ((2, 0), 6),
        ((2, 7), 6),
        ((9, 9), 6),
        ((-1, 3), 0),
    ],
)
def test_what_lies_outside_is_the_nearest_place_inside(place: Place, offset: int) -> None:
    assert Places(Source("x", "ab\ncd\n"), "utf-16").offset(place) == offset


def test_half_of_a_wide_character_is_behind_it() -> None:
    assert Places(Source("x", "😀x"), "utf-16").offset((0, 1)) == 1


def test_only_line_ends_end_lines() -> None:
    places = Places(Source("x", "a\u2028b\x0cc\x85d\ne"), "utf-16")
    assert places.place(7) == (0, 7)
    assert places.place(8) == (1, 0)


def test_a_byte_order_mark_is_a_character_of_the_editor() -> None:
    places = Places(Source("x", "ab\ncd"), "utf-16", marked=True)
    assert [places.place(offset) for offset in (0, 1, 3)] == [(0, 1), (0, 2), (1, 0)]
    assert [places.offset(place) for place in ((0, 0), (0, 1), (0, 2), (1, 0))] == [0, 0, 1, 3]


@given(TEXTS, ENCODINGS)
def test_every_offset_has_a_place(text: str, encoding: Encoding) -> None:
    source = Source("x", decode(text.encode("utf-8", "surrogatepass")).text)
    places = Places(source, encoding, text.startswith(positions.MARK))
    for offset in range(len(source.text) + 1):
        assert places.offset(places.place(offset)) == offset


@given(TEXTS, TEXTS, ENCODINGS, st.data())
def test_changes_of_parts_are_those_of_the_whole(
    text: str, put: str, encoding: Encoding, data: st.DataObject
) -> None:
    starts = positions.line_starts(text)
    # Between the two halves of \r\n there is no place.
    inside = [at for at in range(len(text) + 1) if text[at - 1 : at + 1] != "\r\n"]
    ends = sorted((data.draw(st.sampled_from(inside)), data.draw(st.sampled_from(inside))))
    places = []
    for offset in ends:
        line = max(number for number, start in enumerate(starts) if start <= offset)
        places.append((line, positions.width(text[starts[line] : offset], encoding)))
    document = Document("file:///x.idl", text, 1)
    document.apply([Change(put, places[0], places[1])], 2, encoding)
    assert document.text == text[: ends[0]] + put + text[ends[1] :]
    assert document.version == 2


def test_changes_follow_each_other() -> None:
    document = Document("file:///x.idl", "abc\r\ndef\r\n", 1)
    document.apply(
        [Change("X", (1, 0), (1, 1)), Change("\n", (0, 1), (0, 2)), Change("!", (9, 9), (9, 9))], 2, "utf-16"
    )
    assert document.text == "a\nc\r\nXef\r\n!"
    document.apply([Change("all")], 3, "utf-16")
    assert document.text == "all"


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///a/b.idl", "/a/b.idl"),
        ("file:///a%20b/%C3%A9.idl", "/a b/é.idl"),
        ("file:///a%23b/c%3Fd.idl", "/a#b/c?d.idl"),
    ],
)
def test_paths_of_uris(uri: str, path: str) -> None:
    assert path_of(uri) == path
    assert Documents().uri_of(path) == uri


@pytest.mark.parametrize(
    "uri", ["untitled:Untitled-1", "", "file:", "http://[x", "file:///a%00b", "git:/a/b.idl?x"]
)
def test_a_text_in_no_file_has_a_path_of_its_own(uri: str) -> None:
    path = pathlib.Path(path_of(uri))
    assert path.parent == pathlib.Path.cwd()
    assert path.suffix == ".idl"
    documents = Documents()
    documents.open(uri, "", 1)
    assert documents.uri_of(str(path)) == uri


def test_a_file_is_open_whatever_way_leads_to_it(tmp_path: pathlib.Path) -> None:
    (tmp_path / "real.idl").touch()
    (tmp_path / "link.idl").symlink_to(tmp_path / "real.idl")
    documents = Documents()
    document = documents.open((tmp_path / "link.idl").as_uri(), "text", 1)
    assert documents.at(str(tmp_path / "real.idl")) is document
    assert documents.uri_of(str(tmp_path / "real.idl")) == (tmp_path / "link.idl").as_uri()
    assert documents.close((tmp_path / "real.idl").as_uri()) is document
    assert list(documents) == []
