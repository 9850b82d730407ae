"""Entries on disk: what is there again after any end, and what a broken file or disk does."""

from __future__ import annotations

import logging
import os
import pathlib
import typing

import hypothesis
import hypothesis.strategies as st
import pytest

from rpcgen.runtime.discovery.embedded.journal import SETTLING, FolderInUse, Journal
from rpcgen.runtime.discovery.embedded.registrar import Peer, Registrar
from rpcgen.runtime.discovery.embedded.store import Store


class Wall:
    """A wall clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Life:
    """One registry from its start to its end."""

    def __init__(self, folder: pathlib.Path, wall: Wall | None = None) -> None:
        self.journal = Journal(folder, wall or Wall())
        self.registrar = Registrar(None, self.journal, 0.0)
        self.peer = Peer(lambda line: None)

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.journal.close()

    def say(self, line: str, now: float = 0.0) -> str:
        return self.registrar.answer(line.encode(), self.peer, now).decode().strip()

    def entries(self) -> list[tuple[str, str, bytes, float]]:
        return [(entry.key, entry.id, entry.values, entry.deadline) for entry in self.registrar.store]


REGISTER = '{"type":"register","key":"k","id":"a","values":{"x":1},"timeout":40,"token":"t"}'


def test_entries_are_there_again_without_a_proper_end(tmp_path: pathlib.Path) -> None:
    with Life(tmp_path) as before:
        before.say(REGISTER)
        before.say('{"type":"register","key":"k","values":2}')
        before.say('{"type":"register","key":"gone","values":2}')
        before.say('{"type":"destruction","key":"gone"}')
        os.sync()
        (tmp_path / "registry.lock").unlink()  # as if the process had been killed
        with Life(tmp_path) as after:
            assert after.entries() == [("k", "a", b'{"x":1}', 40.0), ("k", "", b"2", 30.0)]
            assert "has one, and it is not this" in after.say('{"type":"destruction","key":"k","id":"a"}')


def test_what_expired_is_not_there_again(tmp_path: pathlib.Path) -> None:
    with Life(tmp_path) as before:
        before.say(REGISTER)
        before.registrar.tick(40.0)
    with Life(tmp_path) as after:
        assert after.entries() == []


@pytest.mark.parametrize(
    ("timeout", "away", "left"),
    [
        (10, 0, SETTLING),  # its owner has time to come back
        (10, 5000, SETTLING),
        (40, 0, 40),
        (40, 90, SETTLING),  # 10 that may be left
        (86400, 3600, 86400 - 3600 + 60),
        (86400, 200_000, SETTLING),
        (40, -1_000_000, 40),  # the clock was set back
    ],
)
def test_the_time_that_is_left_has_bounds(
    tmp_path: pathlib.Path, timeout: int, away: int, left: float
) -> None:
    wall = Wall()
    with Life(tmp_path, wall) as before:
        before.say(f'{{"type":"register","key":"k","values":1,"timeout":{timeout}}}')
    wall.now += away
    with Life(tmp_path, wall) as after:
        assert after.entries() == [("k", "", b"1", left)]


def test_a_renewal_is_written_once_a_minute(tmp_path: pathlib.Path) -> None:
    wall, sizes = Wall(), list[int]()
    with Life(tmp_path, wall) as life:
        for second in range(0, 121, 10):
            wall.now = 1_700_000_000.0 + second
            life.say(REGISTER, now=float(second))
            sizes.append((tmp_path / "registry.journal").stat().st_size)
    assert len(set(sizes)) == 2
    wall.now += 30
    with Life(tmp_path, wall) as after:
        assert after.entries() == [("k", "a", b'{"x":1}', 20.0)]


def test_a_new_token_is_written(tmp_path: pathlib.Path) -> None:
    with Life(tmp_path) as before:
        before.say('{"type":"register","key":"k","values":1}')
        before.say('{"type":"register","key":"k","values":1,"token":"t"}')
    with Life(tmp_path) as after:
        assert '"ok":false' in after.say('{"type":"destruction","key":"k"}')


def test_it_is_rewritten_when_it_has_grown(tmp_path: pathlib.Path) -> None:
    with Life(tmp_path) as life:
        life.say(REGISTER)
        for _ in range(1000):
            life.say('{"type":"register","key":"k","values":1}')
            life.say('{"type":"destruction","key":"k"}')
        assert (tmp_path / "registry.journal").stat().st_size > 50_000
        life.registrar.tick(1.0)
        assert (tmp_path / "registry.journal").stat().st_size < 500
        life.say('{"type":"register","key":"k","values":1}')
    with Life(tmp_path) as after:
        assert [id for _, id, _, _ in after.entries()] == ["a", ""]


def test_only_its_owner_may_read_it(tmp_path: pathlib.Path) -> None:
    with Life(tmp_path / "made"):
        assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in (tmp_path / "made").iterdir()} == {0o600}


def test_two_registries_never_share_a_folder(tmp_path: pathlib.Path) -> None:
    with (
        Life(tmp_path),
        pytest.raises(FolderInUse, match=rf"is in use by another registry, process {os.getpid()}:"),
    ):
        Journal(tmp_path)
    Journal(tmp_path).close()


def test_an_end_that_was_cut_off_costs_one_change(tmp_path: pathlib.Path) -> None:
    """Whatever kill -9 leaves of the file is read, and said to be whole."""
    with Life(tmp_path) as before:
        before.say(REGISTER)
        before.say('{"type":"register","key":"k","values":2}')
    path = tmp_path / "registry.journal"
    whole = path.read_bytes()
    first = whole.index(b"\n", whole.index(b"\n") + 1) + 1
    for size in range(first, len(whole)):
        path.write_bytes(whole[:size])
        with Life(tmp_path) as after:
            assert [id for _, id, _, _ in after.entries()] == ["a"]
    assert not (tmp_path / "registry.journal.unreadable").exists()


@pytest.mark.parametrize(
    ("change", "said", "left"),
    [
        (lambda data: data.replace(b'"x":1', b'"x":,', 1), "line 2 cannot be read", [""]),
        (
            lambda data: data.replace(b"40.0", b"-1.0", 1),
            "line 2 cannot be read: an entry without a timeout",
            [""],
        ),
        (lambda data: b"\0" * len(data) + b"\n", "line 1 is not this version's", []),
        (lambda data: b'{"rpcgen registry":2}\n' + data, "line 1 is not this version's", []),
    ],
)
def test_a_file_that_cannot_be_read_is_set_aside(
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
    change: typing.Callable[[bytes], bytes],
    said: str,
    left: list[str],
) -> None:
    with Life(tmp_path) as before:
        before.say(REGISTER)
        before.say('{"type":"register","key":"k","values":2}')
    path = tmp_path / "registry.journal"
    spoiled = change(path.read_bytes())
    path.write_bytes(spoiled)
    with caplog.at_level(logging.WARNING, "rpcgen"), Life(tmp_path) as after:
        assert [id for _, id, _, _ in after.entries()] == left
        assert '"settling":15' in after.say('{"type":"watch","key":"k"}')
    assert said in caplog.text
    assert (tmp_path / "registry.journal.unreadable").read_bytes() == spoiled
    with Life(tmp_path) as again:
        assert [id for _, id, _, _ in again.entries()] == left
        assert "settling" not in again.say('{"type":"watch","key":"k"}')


@hypothesis.given(st.binary(max_size=300))
def test_any_file_is_read_or_set_aside(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    with Life(folder) as before:
        before.say(REGISTER)
    with open(folder / "registry.journal", "ab") as file:
        file.write(data)
    with Life(folder) as after:
        assert after.say('{"type":"query","key":"all"}').startswith('{"ok":true')


def test_a_disk_that_is_full_stops_no_registry(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with Life(tmp_path) as life, caplog.at_level(logging.WARNING, "rpcgen"):
        with monkeypatch.context() as disk:
            disk.setattr(os, "write", full)
            disk.setattr(os, "fsync", lambda file: full(file, b""))
            for number in range(3):
                assert '"ok":true' in life.say(REGISTER.replace('"a"', f'"{number}"'))
            for now in range(30):
                life.registrar.tick(float(now))
        assert caplog.text.count("No space left on device") == 1
        life.registrar.tick(40.0 - 1e-6)
        assert "is written again" in caplog.text
    with Life(tmp_path) as after:
        assert [id for _, id, _, _ in after.entries()] == ["0", "1", "2"]


def test_a_folder_that_cannot_be_written_to_is_an_error_at_once(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Journal(tmp_path / "file")
    monkeypatch.setattr(os, "fsync", lambda file: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    journal = Journal(tmp_path)
    with pytest.raises(OSError, match="Input/output"):
        Registrar(None, journal, 0.0, Store())
    journal.close()
