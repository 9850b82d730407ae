"""One timer for the deadlines of many calls, on a clock and a loop of the test's own."""

from __future__ import annotations

import asyncio
import typing

import pytest
from hypothesis import given, settings, strategies as st

from rpcgen.runtime.aio import deadlines
from rpcgen.runtime.aio.deadlines import Deadlines


class Timer:
    def __init__(self, when: float, ring: typing.Callable[[], None]) -> None:
        self.when, self.ring, self.is_cancelled = when, ring, False

    def cancel(self) -> None:
        self.is_cancelled = True


class Loop:
    """A loop whose time passes when the test says so."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.timers: list[Timer] = []
        patch.setattr(deadlines, "monotonic", lambda: self.now)

    def call_later(self, delay: float, ring: typing.Callable[[], None]) -> Timer:
        assert delay >= 0
        timer = Timer(self.now + delay, ring)
        self.timers.append(timer)
        return timer

    @property
    def waiting(self) -> list[Timer]:
        return [timer for timer in self.timers if not timer.is_cancelled]

    def pass_to(self, now: float) -> None:
        self.now = now
        while due := [timer for timer in self.waiting if timer.when <= now]:
            due[0].cancel()
            due[0].ring()


def made(patch: pytest.MonkeyPatch, expire: typing.Callable[[str], None]) -> tuple[Loop, Deadlines[str]]:
    loop = Loop(patch)
    return loop, Deadlines(typing.cast(asyncio.AbstractEventLoop, loop), expire)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(-2, 30)),
        st.tuples(st.just("end"), st.integers(0, 200)),
        st.tuples(st.just("pass"), st.integers(0, 10)),
    ),
    max_size=150,
)


@settings(max_examples=300)
@given(steps=STEPS)
def test_each_call_that_has_not_ended_is_told_at_its_time_and_once(steps: list[tuple[str, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        told: list[str] = []
        loop, made_of = made(patch, told.append)
        alive: dict[int, tuple[float, str]] = {}
        expected: list[str] = []
        for kind, value in steps:
            if kind == "add":
                name = f"call {len(alive) + len(expected)} {loop.now}"
                alive[made_of.add(loop.now + value, name)] = (loop.now + value, name)
            elif kind == "end" and alive:
                number = sorted(alive)[value % len(alive)]
                del alive[number]
                made_of.discard(number)
            elif kind == "pass":
                loop.pass_to(loop.now + value)
                due = sorted((end, number) for number, (end, _) in alive.items() if end <= loop.now)
                expected += [alive.pop(number)[1] for _, number in due]
            assert len(loop.waiting) <= 1
            assert len(made_of._heap) <= 3 * len(alive) + 70
        assert told == expected
        loop.pass_to(loop.now + 100)
        left = sorted((end, number) for number, (end, _) in alive.items())
        assert told[len(expected) :] == [alive[number][1] for _, number in left]
        assert loop.waiting == []


def test_calls_of_one_timeout_set_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, made_of = made(monkeypatch, lambda call: pytest.fail(call))
    for _ in range(1000):
        loop.now += 0.001
        made_of.discard(made_of.add(loop.now + 5, "quick"))
    assert len(loop.timers) == 1
    loop.pass_to(loop.now + 10)
    assert loop.waiting == []


def test_a_call_of_a_call_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def expire(call: str) -> None:
        told.append(call)
        if call == "first":
            made_of.add(loop.now - 1, "at once")
            made_of.add(loop.now + 1, "later")

    loop, made_of = made(monkeypatch, expire)
    made_of.add(loop.now + 1, "first")
    loop.pass_to(loop.now + 1)
    assert told == ["first", "at once"]
    loop.pass_to(loop.now + 1)
    assert told == ["first", "at once", "later"]


def test_one_that_fails_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def expire(call: str) -> None:
        told.append(call)
        if call == "bad":
            raise ValueError(call)

    loop, made_of = made(monkeypatch, expire)
    made_of.add(loop.now + 1, "bad")
    made_of.add(loop.now + 2, "good")
    with pytest.raises(ValueError, match="bad"):
        loop.pass_to(loop.now + 3)
    loop.pass_to(loop.now)
    assert told == ["bad", "good"]


def test_nothing_is_told_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def expire(call: str) -> None:
        made_of.clear()

    loop, made_of = made(monkeypatch, expire)
    made_of.clear()
    made_of.add(loop.now + 1, "last")
    made_of.add(loop.now + 1, "never")
    loop.pass_to(loop.now + 5)
    assert loop.waiting == []
    made_of.add(loop.now + 1, "new")
    assert len(loop.waiting) == 1
    made_of.clear()
    assert loop.waiting == []
