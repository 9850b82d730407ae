"""What a client says to its registry, and what it makes of the answers; no socket, the clock a number."""

from __future__ import annotations

import json
import logging
import typing

import msgspec
import pytest

from rpcgen.runtime.discovery.embedded import session
from rpcgen.runtime.discovery.embedded.session import Enrolment, Publish, Session, Stand
from rpcgen.runtime.registry import Instance, Snapshot, Watch

INSTANCE = Instance("h", 1)
TIMEOUT = 9.0
PATIENCE = 4.0
OK = '{"ok":true,"key":"k","id":"i","timeout":9,"token":"t"}'


class Client:
    """A session, with what it sends and publishes kept."""

    def __init__(self, token: str | None = None) -> None:
        self.session = Session(TIMEOUT, token, PATIENCE)
        self.seen: list[Snapshot] = []

    def enrol(self, id: str = "i") -> Enrolment:
        enrolment = Enrolment("k", id, "t", TIMEOUT, msgspec.Raw(INSTANCE.encode()))
        self.session.enrol(enrolment)
        return enrolment

    def watch(self, key: str = "k") -> Watch:
        watch = Watch(self.seen.append, lambda: self.session.unwatch(key, watch))
        self.session.watch(key, watch)
        return watch

    def due(self, now: float) -> list[dict[str, typing.Any]]:
        """What is sent now."""
        lines, self.wake, told = self.session.due(now)
        self.publish(told)
        assert self.wake > now
        return [json.loads(line) for line in lines]

    def hear(self, *lines: str, now: float = 0.0) -> None:
        self.publish(self.session.received([line.encode() for line in lines], now))

    def lose(self, problem: str, *, was_connected: bool = True) -> None:
        self.publish(self.session.lost(problem, was_connected=was_connected))

    def publish(self, told: list[Publish]) -> None:
        for tell in told:
            tell()

    def known(self) -> list[tuple[tuple[int, ...], bool, str]]:
        """What was published: ports, whether live, problem."""
        seen, self.seen[:] = list(self.seen), []
        return [(tuple(one.port for one in snap.instances), snap.live, snap.problem) for snap in seen]


def listed(*ports: int, settling: float = 0) -> str:
    items = [{"id": str(port), "values": {"host": "h", "port": port}, "expires": 9} for port in ports]
    return json.dumps({"ok": True, "services": {"k": items}} | ({"settling": settling} if settling else {}))


def change(put: tuple[int, ...] = (), removed: tuple[int, ...] = ()) -> str:
    items = [{"id": str(port), "values": {"host": "h", "port": port}, "expires": 9} for port in put]
    return json.dumps({"ok": True, "changed": "k", "put": items, "removed": [str(port) for port in removed]})


def stand(enrolment: Enrolment) -> Stand:
    return enrolment.stand


REGISTER = {
    "type": "register", "key": "k", "id": "i", "token": "t", "timeout": 9.0, "values": {"host": "h", "port": 1}
}  # fmt: skip
RENEW = {"type": "register", "key": "k", "id": "i", "token": "t"}
DESTROY = {"type": "destruction", "key": "k", "id": "i", "token": "t"}
WATCH = {"type": "watch", "key": "k"}


def test_an_entry_is_registered_and_renewed_at_a_third_of_its_timeout() -> None:
    client = Client()
    enrolment = client.enrol()
    client.session.connected(0.0)
    assert client.due(0.0) == [REGISTER]
    assert client.due(0.0) == []
    assert stand(enrolment) is Stand.ASKED
    client.hear(OK)
    assert stand(enrolment) is Stand.STANDING
    assert client.due(2.0) == []
    assert 2.4 <= client.wake <= 3.0
    assert client.due(3.0) == [RENEW]
    assert stand(enrolment) is Stand.RENEWING
    client.hear(OK, now=3.0)
    assert client.due(5.3) == []


def test_renewals_of_many_are_spread() -> None:
    client = Client()
    enrolments = [client.enrol(str(number)) for number in range(100)]
    client.session.connected(0.0)
    client.due(0.0)
    client.hear(*[OK] * 100)
    assert len({enrolment.due for enrolment in enrolments}) > 90
    assert all(2.4 <= enrolment.due <= 3.0 for enrolment in enrolments)


def test_so_many_requests_are_on_their_way_and_no_more() -> None:
    client = Client()
    for number in range(session.WINDOW + 10):
        client.enrol(str(number))
    client.session.connected(0.0)
    assert len(client.due(0.0)) == session.WINDOW
    assert client.due(0.0) == []
    client.hear(OK, OK)
    assert len(client.due(0.0)) == 2


def test_an_entry_that_the_registry_forgot_is_registered_again_at_once() -> None:
    client = Client()
    enrolment = client.enrol()
    client.session.connected(0.0)
    client.due(0.0)
    client.hear(OK)
    client.due(3.0)
    client.hear('{"ok":false,"error":"id: there is no entry"}', now=3.0)
    assert client.due(3.0) == [REGISTER]
    client.hear(OK, now=3.0)
    assert stand(enrolment) is Stand.STANDING


def test_a_refusal_is_logged_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    client = Client()
    enrolment = client.enrol()
    client.session.connected(0.0)
    client.due(0.0)
    for now in (0.0, 5.0):
        client.hear('{"ok":false,"error":"the registry is full"}', now=now)
        assert stand(enrolment) is Stand.ABSENT
        assert client.due(now + session.RETRY) == [REGISTER]
    assert caplog.text.count("the registry refuses the entry of 'k': the registry is full") == 1


def test_a_new_connection_is_told_everything() -> None:
    client = Client(token="secret")
    client.enrol()
    client.watch()
    for _ in range(2):
        client.session.connected(0.0)
        assert client.due(0.0) == [WATCH | {"auth": "secret"}, REGISTER]
        client.lose("gone")


def test_a_withdrawal_is_confirmed_by_the_registry() -> None:
    client = Client()
    enrolment = client.enrol()
    client.session.connected(0.0)
    client.due(0.0)
    client.hear(OK)
    client.session.withdraw(enrolment)
    assert client.due(0.0) == [DESTROY]
    client.hear('{"ok":true,"removed":1}')
    assert (enrolment.stand, enrolment.is_confirmed) == (Stand.GONE, True)
    assert client.session.enrolments == []


def test_a_withdrawal_follows_a_registration_on_its_way() -> None:
    client = Client()
    enrolment = client.enrol()
    client.session.connected(0.0)
    client.due(0.0)
    client.session.withdraw(enrolment)
    assert client.due(0.0) == [DESTROY]
    client.hear(OK, '{"ok":true,"removed":1}')
    assert (enrolment.stand, enrolment.is_confirmed) == (Stand.GONE, True)


def test_what_was_never_sent_is_withdrawn_without_a_word() -> None:
    client = Client()
    enrolment = client.enrol()
    client.lose("refused", was_connected=False)
    client.session.withdraw(enrolment)
    assert (enrolment.stand, enrolment.is_confirmed) == (Stand.GONE, True)


def test_a_withdrawal_is_said_again_on_the_next_connection_and_given_up_without_one() -> None:
    client = Client()
    enrolment = client.enrol()
    client.session.connected(0.0)
    client.due(0.0)
    client.session.withdraw(enrolment)
    client.due(0.0)
    client.lose("cut")
    client.session.connected(1.0)
    assert client.due(1.0) == [DESTROY]
    client.lose("cut")
    client.lose("refused", was_connected=False)
    assert (enrolment.stand, enrolment.is_confirmed) == (Stand.GONE, False)


def test_a_list_is_followed() -> None:
    client = Client()
    client.watch()
    client.session.connected(0.0)
    assert client.due(0.0) == [WATCH]
    client.hear(listed(1, 2))
    client.hear(change(put=(3,)), change(removed=(1,)))
    client.hear(change(put=(2,)))
    assert client.known() == [((1, 2), True, ""), ((2, 3), True, ""), ((2, 3), True, "")]


def test_a_second_watch_needs_no_second_request() -> None:
    client = Client()
    client.watch()
    client.session.connected(0.0)
    client.due(0.0)
    client.hear(listed(1))
    client.known()
    second = client.watch()
    assert client.due(0.0) == []
    assert client.known() == [((1,), True, "")]
    second.close()
    client.hear(change(put=(2,)))
    assert client.known() == [((1, 2), True, "")]


def test_the_last_list_is_kept_while_the_registry_is_away() -> None:
    client = Client()
    client.watch()
    client.session.connected(0.0)
    client.due(0.0)
    client.hear(listed(1))
    client.lose("cut")
    client.watch()
    client.publish(client.session.greet())
    client.lose("refused", was_connected=False)
    assert client.known() == [
        ((1,), True, ""), ((1,), False, "cut"), ((1,), False, "cut"), ((1,), False, "refused"), ((1,), False, "refused"),
    ]  # fmt: skip
    client.session.connected(5.0)
    client.due(5.0)
    client.hear(listed(2), now=5.0)
    assert client.known() == [((2,), True, "")] * 2


def test_before_the_first_list_a_watch_is_told_the_problem() -> None:
    client = Client()
    watch = client.watch()
    client.lose("refused", was_connected=False)
    assert client.known() == [((), False, "refused")]
    assert not watch.wait(0)


def test_a_registry_that_has_just_started_takes_nothing_away() -> None:
    """Servers come back one after the other; who has not, is kept until the registry knows all."""
    client = Client()
    client.watch()
    client.session.connected(0.0)
    client.due(0.0)
    client.hear(listed(1, 2, 3))
    client.lose("cut")
    client.session.connected(1.0)
    client.due(1.0)
    client.hear(listed(settling=15), now=1.0)
    client.hear(change(put=(2,)), now=2.0)
    client.lose("cut")
    client.session.connected(3.0)
    client.due(3.0)
    client.hear(listed(2, 4, settling=13), now=3.0)
    client.hear(change(removed=(3,)), now=4.0)
    client.hear(change(put=(3,)), change(removed=(3,)), now=4.0)
    known = [ports for ports, live, _ in client.known() if live]
    assert [set(ports) for ports in known] == [
        {1, 2, 3},
        {1, 2, 3},
        {1, 2, 3},
        {1, 2, 3, 4},
        {1, 2, 4},
        {1, 2, 4},
    ]
    client.hear(change(), now=15.9)
    client.known()
    client.due(15.9)
    assert client.wake <= 16.0
    client.due(16.0)
    assert client.known() == [((2, 4), True, "")]


def test_entries_that_cannot_be_read_are_passed_over_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = Client()
    client.watch()
    client.session.connected(0.0)
    client.due(0.0)
    bad = (
        '{"ok":true,"changed":"k","put":[{"id":"1","values":{"host":"h","port":0},"expires":9}],"removed":[]}'
    )
    client.hear(listed(1, 2), bad, bad)
    assert client.known() == [((2,), True, "")]
    assert caplog.text.count("passing over an entry of 'k' in the registry, '1': 0 is no port") == 1


def test_a_silent_registry_is_asked_and_then_given_up() -> None:
    client = Client()
    client.watch()
    client.session.connected(0.0)
    client.due(0.0)
    client.hear(listed(1))
    assert client.due(2.9) == []
    assert client.wake == 3.0
    assert [request["type"] for request in client.due(3.0)] == ["query"]
    assert client.due(6.9) == []
    with pytest.raises(TimeoutError, match="it has not answered for 4 s"):
        client.due(7.0)


def test_a_registry_that_sends_without_end_is_alive() -> None:
    client = Client()
    client.watch()
    client.session.connected(0.0)
    client.due(0.0)
    client.session.received([], 3.9)
    assert client.due(7.8) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("hello", "is no line of a registry's"),
        ('{"ok":false,"error":"auth: it is not"}', "auth: it is not"),
    ],
)
def test_who_does_not_let_us_watch_is_away(line: str, said: str) -> None:
    client = Client()
    client.watch()
    client.session.connected(0.0)
    client.due(0.0)
    with pytest.raises(ValueError, match=said):
        client.hear(line)


def test_what_was_not_asked_is_no_answer() -> None:
    client = Client()
    client.session.connected(0.0)
    with pytest.raises(ValueError, match="it said what was not asked: the registry is full"):
        client.hear('{"ok":false,"error":"the registry is full"}')
    client.hear(change(put=(1,)))  # of a watch that is closed


def test_a_second_registration_after_trouble_is_news(caplog: pytest.LogCaptureFixture) -> None:
    client = Client()
    client.enrol()
    client.session.connected(0.0)
    with caplog.at_level(logging.INFO, "rpcgen"):
        client.due(0.0)
        client.hear('{"ok":false,"error":"full"}')
        client.due(5.0)
        client.hear(OK)
    assert "registered k again" in caplog.text
