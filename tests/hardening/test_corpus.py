"""What fuzzing has found worth keeping, tried again: no byte string makes a reader fail."""

from __future__ import annotations

import pytest

from fuzz import corpus
from fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_what_was_found_is_stood(target: str) -> None:
    found = corpus.inputs(target)
    assert found, f"fuzz/corpus/{target}.txt is empty"
    for data in found:
        try:
            TARGETS[target](data)
        except BaseException as error:
            error.add_note(f"python -m fuzz {target}, of {data.hex()}")
            raise


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_no_special_input(target: str) -> None:
    for data in (b"", b"\0", b"\0\0", b"\xff\xff"):
        TARGETS[target](data)
