"""Runs the commands that read registries, in this process, on a registry in memory."""

from __future__ import annotations

import pytest

from rpcgen import cli
from rpcgen.runtime import registry as registries
from rpcgen.runtime.registry import Contents
from tests.cli.command import Ended
from tests.support.registries import MemoryRegistry


class Opened(MemoryRegistry):
    """A registry in memory at any URL; ``stands`` replaces what it says to tools."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str | None] = []
        self.stands: Contents | None = None

    def contents(self, timeout: float = 10.0) -> Contents:
        found = super().contents(timeout)
        return found if self.stands is None else self.stands


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Opened:
    """What every URL opens."""
    made = Opened()

    def open_registry(url: str | None = None) -> Opened:
        made.opened.append(url)
        return made

    monkeypatch.setattr(registries, "open_registry", open_registry)
    return made


def run(capsys: pytest.CaptureFixture[str], *words: str) -> Ended:
    """Runs the command with the words; gives how it ended."""
    status = cli.main(words)
    said = capsys.readouterr()
    return Ended(status, said.out, said.err)
