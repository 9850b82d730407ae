"""The command run in the tests' own process, which costs a tenth of another one."""

from __future__ import annotations

import functools
import pathlib
import typing

import pytest

from tests.cli import registry_command
from tests.cli.command import Ended

Run: typing.TypeAlias = typing.Callable[..., Ended]


@pytest.fixture
def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command with words, in the test's folder; gives how it ended."""
    monkeypatch.chdir(tmp_path)
    return functools.partial(registry_command.run, capsys)
