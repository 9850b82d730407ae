"""Fixtures of every folder, and Hypothesis profiles.

``ci`` gives the same examples every time, ``thorough`` looks further:
``make test PROFILE=thorough``.
"""

from __future__ import annotations

import gc
import os
import pathlib
import signal
import sys
import typing

import hypothesis
import pytest

from tests.support.zookeeper import zk_url, zookeeper_of_worker  # noqa: F401

# A developer's own registry is not the tests'.
for _name in ("RPCGEN_REGISTRY", "RPCGEN_REGISTRY_TOKEN"):
    os.environ.pop(_name, None)

# A shell starts what it runs in the background with these ignored, and children inherit that: programs
# that tests send them to would not end.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)

# Two busy cores make single examples slow now and then: that says nothing about the code.
_UNHURRIED = [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large]

hypothesis.settings.register_profile(
    "ci",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=40,
    print_blob=True,
    suppress_health_check=_UNHURRIED,
)
hypothesis.settings.register_profile(
    "thorough", deadline=None, max_examples=2000, print_blob=True, suppress_health_check=_UNHURRIED
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_collection_finish() -> None:
    """Lets the garbage collector look at nothing that is there before the first test.

    Thousands of tests end by collecting garbage, to see what they leave behind; a look at all that
    pytest, libraries and modules of tests hold took longer than the tests.
    """
    gc.collect()
    gc.freeze()


# Where what is in rpcgen/compiler and rpcgen/runtime/wire, whose coverage is held to a figure, is tested.
_COUNTED = tuple(
    pathlib.Path(__file__).parent / part
    for part in ("compiler", "cli", "lsp", "evolution", "runtime/wire", "runtime/test_capture.py")
)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> typing.Iterator[None]:
    """Counts lines where what is held to a figure is tested alone, and there not in ``bulky`` and property tests.

    Those go through the same lines thousands of times, which takes four times as long while lines are
    counted; and that a line is reached says something only where its test knows what for.
    """
    stopped = [] if _is_counted(item) else _stop_counting()
    try:
        return (yield)
    finally:
        for counting in reversed(stopped):
            counting.start()


def _is_counted(item: pytest.Item) -> bool:
    is_property = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    is_bulky = is_property or item.get_closest_marker("bulky") is not None
    return not is_bulky and any(item.path.is_relative_to(part) for part in _COUNTED)


def _stop_counting() -> list[typing.Any]:
    """Stops all that counts lines in this process, and gives it: pytest-cov has two at it in a worker."""
    module = sys.modules.get("coverage")
    stopped: list[typing.Any] = []
    while module is not None and (counting := module.Coverage.current()) is not None:
        counting.stop()
        stopped.append(counting)
    return stopped


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names long bytes and texts by their length: what is made anew each time must have one name in all workers."""
    if isinstance(val, (bytes, str)) and len(val) > 60:
        return f"{argname} of {len(val)}"
    return None
