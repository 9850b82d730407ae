"""What requests do, line by line, on a clock that is a number."""

from __future__ import annotations

import pytest

from rpcgen.runtime.discovery.embedded.journal import SETTLING
from rpcgen.runtime.discovery.embedded.registrar import MAX_WATCHES, REUSED, Peer, Registrar

START = 100.0


class Client:
    """A peer that keeps what it is told."""

    def __init__(self, registrar: Registrar) -> None:
        self.registrar = registrar
        self.told: list[bytes] = []
        self.peer = Peer(self.told.append)

    def say(self, line: str, now: float = START) -> str:
        answer = self.registrar.answer(line.encode(), self.peer, now)
        assert answer.endswith(b"\r\n")
        return answer[:-2].decode()

    def flush(self, now: float = START) -> list[str]:
        """Flushes everybody's changes; gives what this one was told."""
        self.told.clear()
        for line, peers in self.registrar.flush(now):
            for peer in peers:
                peer.tell(line)
        return [line.decode().strip() for line in self.told]


@pytest.fixture
def registrar() -> Registrar:
    return Registrar(None, None, START - SETTLING)


SESSION: list[tuple[str, str]] = [
    (
        '{"type":"register","key":"rpc","values":{"host":"10.0.0.1","port":7000},"timeout":"30"}',
        '{"ok":true,"key":"rpc","id":"","timeout":30,"token":null}',
    ),
    (
        '{"type":"query","key":"rpc"}',
        '{"ok":true,"services":{"rpc":[{"id":"","values":{"host":"10.0.0.1","port":7000},"expires":30}]}}',
    ),
    (
        '{"type":"register","key":"rpc","values":{"host":"10.0.0.2","port":7000}}',
        '{"ok":true,"key":"rpc","id":"","timeout":30,"token":null}',
    ),
    (
        '{"type":"register","key":"a/b","id":"x","token":"t","values":7,"timeout":5}',
        '{"ok":true,"key":"a/b","id":"x","timeout":5,"token":"t"}',
    ),
    (
        '{"type":"query","key":"all"}',
        '{"ok":true,"services":{"rpc":[{"id":"","values":{"host":"10.0.0.2","port":7000},"expires":30}],'
        '"a/b":[{"id":"x","values":7,"expires":5}]}}',
    ),
    ('{"type":"query","prefix":"a/"}', '{"ok":true,"services":{"a/b":[{"id":"x","values":7,"expires":5}]}}'),
    ('{"type":"query","prefix":"b"}', '{"ok":true,"services":{}}'),
    ('{"type":"query","key":"nothing"}', '{"ok":true,"services":{"nothing":[]}}'),
    ('{"type":"query","key":"a/b","id":"y"}', '{"ok":true,"services":{"a/b":[]}}'),
    (
        '{"type":"destruction","key":"a/b"}',
        '{"ok":false,"error":"token: each entry of key \'a/b\' has one, and it is not this"}',
    ),
    ('{"type":"destruction","key":"a/b","id":"x","token":"t"}', '{"ok":true,"removed":1}'),
    ('{"type":"destruction","key":"a/b","id":"x","token":"t"}', '{"ok":true,"removed":0}'),
    ('{"type":"destruction","key":"rpc"}', '{"ok":true,"removed":1}'),
    ('{"type":"query","key":"all"}', '{"ok":true,"services":{}}'),
    ("{", '{"ok":false,"error":"not JSON: Input data was truncated"}'),
]


def test_a_session(registrar: Registrar) -> None:
    client = Client(registrar)
    assert [(line, client.say(line)) for line, _ in SESSION] == SESSION


def test_an_entry_is_never_shown_past_its_end(registrar: Registrar) -> None:
    client = Client(registrar)
    client.say('{"type":"register","key":"k","values":1,"timeout":5}')
    assert client.say('{"type":"query","key":"k"}', START + 4.9995).endswith('"expires":0.001}]}}')
    assert client.say('{"type":"query","key":"k"}', START + 5) == '{"ok":true,"services":{"k":[]}}'


def test_a_watcher_is_told_of_changes_and_not_of_renewals(registrar: Registrar) -> None:
    client, watcher = Client(registrar), Client(registrar)
    assert watcher.say('{"type":"watch","key":"k"}') == '{"ok":true,"services":{"k":[]}}'
    client.say('{"type":"register","key":"k","id":"a","values":1,"timeout":5}')
    client.say('{"type":"register","key":"k","id":"b","values":2,"timeout":9}')
    client.say('{"type":"register","key":"other","values":2}')
    assert client.flush() == []
    assert watcher.flush() == []
    client.say('{"type":"register","key":"k","id":"a","values":1,"timeout":5}')
    client.say('{"type":"register","key":"k","id":"a"}')
    assert not registrar.has_changes
    client.say('{"type":"register","key":"k","id":"a","values":3,"timeout":5}')
    client.say('{"type":"register","key":"k","id":"c","values":4,"timeout":5}')
    client.say('{"type":"destruction","key":"k","id":"b"}')
    client.say('{"type":"destruction","key":"k","id":"c"}')
    assert watcher.flush() == [
        '{"ok":true,"changed":"k","put":[{"id":"a","values":3,"expires":5}],"removed":["c","b"]}'
    ]
    registrar.tick(START + 5)
    assert watcher.flush() == ['{"ok":true,"changed":"k","put":[],"removed":["a"]}']


def test_changes_of_one_turn_are_one_line_of_the_same_bytes(registrar: Registrar) -> None:
    watchers = [Client(registrar) for _ in range(3)]
    for watcher, what in zip(watchers, ('"key":"k"', '"key":"all"', '"prefix":"k"'), strict=True):
        watcher.say(f'{{"type":"watch",{what}}}')
        watcher.say(f'{{"type":"watch",{what}}}')
    for number in range(10):
        watchers[0].say(f'{{"type":"register","key":"k","id":"{number}","values":1}}')
    told = registrar.flush(START)
    assert [(line.count(b'"values"'), len(peers)) for line, peers in told] == [(10, 3)]


def test_a_watcher_that_left_is_told_nothing(registrar: Registrar) -> None:
    watcher = Client(registrar)
    watcher.say('{"type":"watch","key":"k"}')
    watcher.say('{"type":"watch","prefix":"k"}')
    registrar.leave(watcher.peer)
    watcher.say('{"type":"register","key":"k","values":1}')
    assert not registrar.has_changes


def test_watches_of_a_connection_are_limited(registrar: Registrar) -> None:
    client = Client(registrar)
    for number in range(MAX_WATCHES):
        client.say(f'{{"type":"watch","key":"{number}"}}')
    assert client.say('{"type":"watch","key":"0"}').startswith('{"ok":true')
    assert client.say('{"type":"watch","key":"k"}').startswith(
        '{"ok":false,"error":"watch: a connection may have'
    )


def test_a_list_is_made_once_for_all_that_watch_at_once(registrar: Registrar) -> None:
    one, other = Client(registrar), Client(registrar)
    one.say('{"type":"register","key":"k","values":1}')
    first = one.say('{"type":"watch","key":"k"}')
    assert other.say('{"type":"watch","key":"k"}', START + REUSED) == first
    assert other.say('{"type":"watch","key":"k"}', START + 2 * REUSED) != first
    one.say('{"type":"destruction","key":"k"}')
    assert other.say('{"type":"watch","key":"k"}', START + 2 * REUSED) == '{"ok":true,"services":{"k":[]}}'


def test_a_registry_that_has_just_started_says_so_to_watchers() -> None:
    client = Client(Registrar(None, None, START))
    assert (
        client.say('{"type":"watch","key":"k"}', START + 5) == '{"ok":true,"services":{"k":[]},"settling":10}'
    )
    assert client.say('{"type":"query","key":"k"}', START + 5) == '{"ok":true,"services":{"k":[]}}'
    assert client.say('{"type":"watch","key":"j"}', START + 15) == '{"ok":true,"services":{"j":[]}}'


def test_the_registry_s_token_lets_a_connection_in() -> None:
    registrar = Registrar("secret", None, START)
    client = Client(registrar)
    assert client.say('{"type":"query","key":"k"}').startswith(
        '{"ok":false,"error":"auth: this registry has a token'
    )
    for wrong in ("", "Secret", "sécret"):
        answer = client.say(f'{{"type":"query","key":"k","auth":"{wrong}"}}')
        assert answer == '{"ok":false,"error":"auth: it is not this registry\'s token"}'
    assert client.say('{"type":"query","key":"k","auth":"secret"}').startswith('{"ok":true')
    assert client.say('{"type":"query","key":"k"}').startswith('{"ok":true')
    assert client.say('{"type":"query","key":"k","auth":"wrong"}').startswith('{"ok":false')
    assert client.say('{"type":"query","key":"k"}').startswith('{"ok":false')
    assert Client(registrar).say('{"type":"query","key":"k"}').startswith('{"ok":false')
