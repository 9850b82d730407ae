"""Where calls go, decided without a socket or a clock: lists, failures, probes, zones, grace."""

from __future__ import annotations

import random
import typing

import hypothesis
import hypothesis.stateful as stateful
import hypothesis.strategies as some
import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.discovery.health import FAILURES, MOVES, Endpoint, Event, State
from rpcgen.runtime.discovery.routing import NEVER, Choice, Router
from rpcgen.runtime.registry import Instance
from tests.support.services import WaitProtocol

REFUSED, LOST, LATE = rpc.Unavailable("refused"), rpc.ConnectionLost("lost"), rpc.DeadlineExceeded("late")


def server(port: int, **said: typing.Any) -> Instance:
    return Instance("10.0.0.1", port, **said)


def router(*instances: Instance, zone: str = "") -> Router:
    made = Router(rpc.LeastLoaded(random.Random(1).random), random.Random(2).random, zone)
    made.update(instances, 0.0)
    return made


def choose(of: Router, now: float = 0.0, tried: typing.Sequence[Endpoint] = (), probe: bool = True) -> Choice:
    found = of.choose(WaitProtocol, (1,), tried, now, may_probe=probe)
    assert found is not None
    return found


def picked(of: Router, now: float = 0.0, calls: int = 100) -> set[int]:
    """The ports that get calls; no probe is among them."""
    return {choose(of, now, probe=False).endpoint.instance.port for _ in range(calls)}


def by_port(of: Router, port: int) -> Endpoint:
    return next(endpoint for endpoint in of.endpoints if endpoint.instance.port == port)


def test_all_servers_get_calls() -> None:
    assert picked(router(server(1), server(2), server(3))) == {1, 2, 3}


def test_a_usual_call_asks_nobody() -> None:
    assert router(server(1)).look_at == NEVER
    assert router().look_at == -NEVER


def test_without_servers_there_is_no_choice() -> None:
    assert router().choose(WaitProtocol, (1,), (), 0.0) is None
    with pytest.raises(LookupError):
        router().pick(WaitProtocol, (1,), ())


def test_a_list_replaces_the_one_before() -> None:
    made = router(server(1), server(2))
    kept = by_port(made, 2)
    removed = made.update([server(2), server(3)], 1.0)
    assert [endpoint.instance.port for endpoint in removed] == [1]
    assert removed[0].state is State.REMOVED
    assert by_port(made, 2) is kept
    assert picked(made) == {2, 3}


def test_a_server_that_comes_back_is_another() -> None:
    made = router(server(1), server(2))
    first = by_port(made, 1)
    made.failed(first, REFUSED, 0.0)
    made.update([server(2)], 1.0)
    made.update([server(1), server(2)], 1.0)
    assert by_port(made, 1) is not first
    assert by_port(made, 1).state is State.READY
    # What its last calls come to is of no interest any more.
    made.failed(first, REFUSED, 2.0)
    made.succeeded(first)
    made.gave_up(first)
    assert first.state is State.REMOVED
    assert picked(made) == {1, 2}


def test_what_a_server_says_of_itself_now_counts() -> None:
    made = router(server(1), server(2))
    made.update([server(1, weight=0.0), server(2)], 0.0)
    assert picked(made) == {2}


def test_a_server_started_anew_is_forgiven() -> None:
    made = router(server(1, pid=5), server(2))
    made.failed(by_port(made, 1), REFUSED, 0.0)
    made.update([server(1, pid=5), server(2)], 0.0)
    assert picked(made) == {2}
    made.update([server(1, pid=6), server(2)], 0.0)
    assert picked(made) == {1, 2}


@pytest.mark.parametrize(("error", "times"), [(REFUSED, 1), (LOST, 3), (LATE, 3)])
def test_a_server_is_ejected_after_failures_in_a_row(error: rpc.CallError, times: int) -> None:
    made = router(server(1), server(2))
    for _ in range(times - 1):
        made.failed(by_port(made, 1), error, 0.0)
    assert picked(made) == {1, 2}
    made.failed(by_port(made, 1), error, 0.0)
    assert picked(made) == {2}


def test_a_success_between_them_counts() -> None:
    made = router(server(1), server(2))
    for _ in range(10):
        made.failed(by_port(made, 1), LATE, 0.0)
        made.failed(by_port(made, 1), LATE, 0.0)
        made.succeeded(by_port(made, 1))
    assert picked(made) == {1, 2}


def test_the_last_one_is_never_ejected() -> None:
    made = router(server(1), server(2))
    for port in (1, 2, 2, 2, 2):
        made.failed(by_port(made, port), REFUSED, 0.0)
    assert picked(made) == {2}


def test_late_servers_are_not_ejected_by_the_majority() -> None:
    """Where most are late, it is the work that is slow."""
    made = router(*map(server, range(1, 6)))
    for port in range(1, 6):
        for _ in range(5):
            made.failed(by_port(made, port), LATE, 0.0)
    assert picked(made) == {3, 4, 5}


def test_one_call_probes_an_ejected_server_when_its_time_is_up() -> None:
    made = router(server(1), server(2))
    made.failed(by_port(made, 1), REFUSED, 10.0)
    until = by_port(made, 1).until
    assert 10.08 <= until <= 10.12
    assert made.look_at == until
    assert not choose(made, until - 0.01).is_probe
    assert choose(made, until) == Choice(by_port(made, 1), True)
    # One at a time.
    assert choose(made, until) == Choice(by_port(made, 2), False)
    assert made.look_at == NEVER
    made.succeeded(by_port(made, 1))
    assert picked(made) == {1, 2}
    assert by_port(made, 1).ejections == 0


def test_a_failed_probe_ejects_for_longer() -> None:
    made = router(server(1), server(2))
    made.failed(by_port(made, 1), REFUSED, 0.0)
    waits = [by_port(made, 1).until]
    for _ in range(20):
        now = made.look_at
        endpoint, is_probe = choose(made, now)
        assert is_probe
        made.failed(endpoint, REFUSED, now, is_probe=True)
        waits.append(endpoint.until - now)
    assert waits[3] > 2 * waits[0]
    assert 8 <= waits[-1] <= 10
    assert picked(made, 1e6) == {2}


def test_a_probe_that_tells_nothing_is_followed_by_another() -> None:
    made = router(server(1), server(2))
    made.failed(by_port(made, 1), REFUSED, 0.0)
    assert choose(made, 1.0).is_probe
    made.gave_up(by_port(made, 1))
    assert choose(made, 1.0).is_probe


def test_no_probe_where_the_call_could_not_be_tried_again() -> None:
    made = router(server(1), server(2))
    made.failed(by_port(made, 1), REFUSED, 0.0)
    assert choose(made, 5.0, probe=False) == Choice(by_port(made, 2), False)
    assert choose(made, 5.0, tried=[by_port(made, 2)]) == Choice(by_port(made, 1), False)


def test_calls_that_began_before_the_ejection_do_not_lengthen_it() -> None:
    made = router(server(1), server(2))
    made.failed(by_port(made, 1), REFUSED, 0.0)
    until = by_port(made, 1).until
    made.failed(by_port(made, 1), LOST, 0.05)
    assert by_port(made, 1).until == until
    choose(made, until)
    made.failed(by_port(made, 1), LOST, until)
    assert by_port(made, 1).state is State.PROBING


def test_an_answer_of_before_lets_a_server_back() -> None:
    made = router(server(1), server(2))
    for _ in range(3):
        made.failed(by_port(made, 1), LATE, 0.0)
    made.succeeded(by_port(made, 1))
    assert picked(made) == {1, 2}


def test_each_try_goes_to_another_server() -> None:
    made = router(*map(server, range(1, 5)))
    tried: list[Endpoint] = []
    for _ in range(4):
        tried.append(choose(made, 0.0, tried).endpoint)
    assert len(set(tried)) == 4
    assert made.choose(WaitProtocol, (1,), tried, 0.0) is None


def test_ejected_servers_are_tried_last() -> None:
    made = router(*map(server, range(1, 5)))
    for now, port in ((0.5, 3), (0.0, 1)):
        made.failed(by_port(made, port), REFUSED, now)
    tried: list[Endpoint] = []
    for _ in range(4):
        tried.append(choose(made, 0.0, tried).endpoint)
    assert {endpoint.instance.port for endpoint in tried[:2]} == {2, 4}
    assert [endpoint.instance.port for endpoint in tried[2:]] == [1, 3]


def test_a_balancer_that_insists_is_overruled_for_the_second_try() -> None:
    class First:
        def picker(self, endpoints: typing.Sequence[Endpoint]) -> typing.Any:
            return lambda protocol, args, tried: endpoints[0]

    made = Router(First(), random.random)
    made.update([server(1), server(2)], 0.0)
    assert choose(made).endpoint is by_port(made, 1)
    assert choose(made, tried=[by_port(made, 1)]).endpoint is by_port(made, 2)


def test_weight_0_serves_where_nobody_else_can() -> None:
    made = router(server(1), server(2, weight=0.0))
    assert picked(made) == {1}
    assert choose(made, tried=[by_port(made, 1)]).endpoint is by_port(made, 2)
    made.failed(by_port(made, 1), REFUSED, 0.0)
    assert picked(made) == {2}


def test_the_own_zone_is_preferred_while_it_can_serve() -> None:
    made = router(server(1, zone="a"), server(2, zone="a"), server(3, zone="b"), server(4), zone="a")
    assert picked(made) == {1, 2}
    made.failed(by_port(made, 1), REFUSED, 0.0)
    assert picked(made) == {2}
    assert choose(made, tried=[by_port(made, 2)]).endpoint.instance.port in {3, 4}
    made.failed(by_port(made, 2), REFUSED, 0.0)
    assert picked(made) == {3, 4}
    made.succeeded(by_port(made, 2))
    assert picked(made) == {2}


def test_a_zone_without_servers_is_none() -> None:
    assert picked(router(server(1, zone="b"), server(2), zone="a")) == {1, 2}


def test_of_the_own_zone_weight_0_does_not_count() -> None:
    assert picked(router(server(1, zone="a", weight=0.0), server(2, zone="b"), zone="a")) == {2}


def test_if_only_ejected_servers_are_left_they_are_let_back() -> None:
    made = router(server(1), server(2), server(3))
    made.failed(by_port(made, 1), REFUSED, 0.0)
    made.failed(by_port(made, 2), REFUSED, 0.0)
    made.update([server(1), server(2)], 0.0)
    assert picked(made) == {1, 2}


def test_an_empty_list_is_believed_after_a_time() -> None:
    made = router(server(1), server(2))
    assert made.update([], 100.0) == []
    assert picked(made, 100.0) == {1, 2}
    assert made.look_at == 130.0
    made.update([], 120.0)
    assert made.expire(129.9) == []
    assert len(made.expire(130.0)) == 2
    assert made.choose(WaitProtocol, (1,), (), 130.0) is None
    assert made.look_at == -NEVER


def test_servers_that_come_end_the_wait() -> None:
    made = router(server(1), server(2))
    made.update([], 100.0)
    made.update([server(2)], 110.0)
    assert made.expire(200.0) == []
    assert picked(made) == {2}


def test_a_server_that_is_not_listed_and_cannot_be_reached_is_gone() -> None:
    made = router(server(1), server(2))
    made.update([], 100.0)
    first, second = by_port(made, 1), by_port(made, 2)
    assert made.failed(first, LOST, 101.0) == []
    assert made.failed(first, REFUSED, 101.0) == [first]
    assert picked(made, 101.0) == {2}
    assert made.failed(second, REFUSED, 101.0) == [second]
    assert made.choose(WaitProtocol, (1,), (), 101.0) is None
    made.update([server(1)], 102.0)
    assert picked(made) == {1}


def test_moves_are_a_table() -> None:
    assert {state for state, _ in MOVES} == set(State) - {State.REMOVED}
    assert {event for _, event in MOVES} == set(Event)
    endpoint = Endpoint(server(1))
    with pytest.raises(KeyError):
        endpoint.move(Event.PROBED)


class Routing(stateful.RuleBasedStateMachine):
    """Lists, calls and time in any order; the calls that run are known, as the shell knows them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        draw = random.Random(7).random
        self.router = Router(rpc.LeastLoaded(draw), draw, zone="a", grace=30.0)
        self.running: list[Choice] = []
        self.last_list: set[str] = set()

    @stateful.rule(
        ports=some.sets(some.integers(1, 6)),
        weight=some.sampled_from([0.0, 1.0, 2.0]),
        zone=some.sampled_from(["a", "b"]),
    )
    def list_comes(self, ports: set[int], weight: float, zone: str) -> None:
        instances = [
            server(port, weight=weight if port % 2 else 1.0, zone=zone if port % 3 else "b") for port in ports
        ]
        before = set(self.router.endpoints)
        removed = self.router.update(instances, self.now)
        assert {endpoint.state for endpoint in removed} <= {State.REMOVED}
        assert before - set(self.router.endpoints) == set(removed)
        if instances:
            assert {endpoint.address for endpoint in self.router.endpoints} == {i.address for i in instances}
        else:
            assert removed == []

    @stateful.rule(seconds=some.sampled_from([0.05, 1.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.router.expire(self.now)

    @stateful.rule(may_probe=some.booleans(), tries=some.integers(1, 4))
    def call_begins(self, may_probe: bool, tries: int) -> None:
        tried: list[Endpoint] = []
        for _ in range(tries):
            states = {endpoint: endpoint.state for endpoint in self.router.endpoints}
            choice = self.router.choose(WaitProtocol, (1,), tried, self.now, may_probe=may_probe)
            if choice is None:
                assert set(states) == set(tried)
                return
            endpoint, is_probe = choice
            assert endpoint not in tried
            if is_probe:
                assert states[endpoint] is State.EJECTED
                assert endpoint.until <= self.now
                assert may_probe
            elif states[endpoint] is not State.READY:
                ready = {other for other, state in states.items() if state is State.READY}
                assert ready <= set(tried)
            self.running.append(choice)
            tried.append(endpoint)

    @stateful.precondition(lambda self: self.running)
    @stateful.rule(number=some.integers(0), outcome=some.sampled_from([None, "answer", REFUSED, LOST, LATE]))
    def call_ends(self, number: int, outcome: typing.Any) -> None:
        endpoint, is_probe = self.running.pop(number % len(self.running))
        if outcome == "answer":
            self.router.succeeded(endpoint)
            assert endpoint.state in (State.READY, State.REMOVED)
        elif outcome is None:
            if is_probe:
                self.router.gave_up(endpoint)
        else:
            self.router.failed(endpoint, outcome, self.now, is_probe=is_probe)

    @stateful.invariant()
    def one_is_ready(self) -> None:
        endpoints = self.router.endpoints
        assert not endpoints or any(endpoint.state is State.READY for endpoint in endpoints)

    @stateful.invariant()
    def who_can_serve_is_picked(self) -> None:
        endpoints = self.router.endpoints
        if not endpoints:
            assert self.router.look_at == -NEVER
            return
        for _ in range(5):
            endpoint = self.router.pick(WaitProtocol, (1,), ())
            assert endpoint.state is State.READY
            if any(other.state is State.READY and other.weight > 0 for other in endpoints):
                assert endpoint.weight > 0

    @stateful.invariant()
    def no_ejection_is_forgotten(self) -> None:
        times = [endpoint.until for endpoint in self.router.endpoints if endpoint.state is State.EJECTED]
        if self.router.endpoints:
            assert self.router.look_at <= min(times, default=NEVER)
        assert all(until <= self.now + 10 for until in times)

    @stateful.invariant()
    def a_probe_runs_for_each_that_is_probed(self) -> None:
        probed = {endpoint for endpoint in self.router.endpoints if endpoint.state is State.PROBING}
        assert probed <= {endpoint for endpoint, is_probe in self.running if is_probe}


TestRouting = Routing.TestCase
TestRouting.settings = hypothesis.settings(stateful_step_count=50)


def test_each_failure_of_a_call_has_its_meaning() -> None:
    assert set(FAILURES) == {rpc.Unavailable, rpc.ConnectionLost, rpc.DeadlineExceeded}
