"""Who may change entries, and when they end; the clock is a number here."""

from __future__ import annotations

import random

import pytest

from rpcgen.runtime.discovery.embedded.protocol import BadRequest
from rpcgen.runtime.discovery.embedded.store import PLAIN, Store


def ids(store: Store, key: str = "k") -> list[str]:
    return [entry.id for entry in store.entries(key)]


def test_an_entry_ends_at_its_deadline_and_not_before() -> None:
    store = Store()
    store.register("k", "i", b"1", 10, None, 0.0)
    assert store.expire(9.999) == []
    assert [entry.id for entry in store.expire(10.0)] == ["i"]
    assert ids(store) == []
    assert store.keys("") == []


def test_the_timeout_is_30_seconds_unless_it_is_said() -> None:
    store = Store()
    assert store.register("k", PLAIN, b"1", None, None, 0.0)[0].deadline == 30.0


def test_a_renewal_moves_the_deadline_and_is_no_change() -> None:
    store = Store()
    assert store.register("k", "i", b"1", 10, None, 0.0)[1]
    entry, is_change = store.register("k", "i", b"1", 10, None, 9.0)
    assert not is_change
    assert store.expire(18.9) == []
    assert store.expire(19.0) == [entry]


def test_a_renewal_needs_no_values_and_keeps_the_timeout() -> None:
    store = Store()
    store.register("k", "i", b"1", 10, None, 0.0)
    entry, is_change = store.register("k", "i", None, None, None, 5.0)
    assert (entry.values, entry.timeout, entry.deadline, is_change) == (b"1", 10, 15.0, False)
    assert store.register("k", "i", None, 20, None, 6.0)[0].deadline == 26.0


def test_what_is_not_there_cannot_be_renewed() -> None:
    with pytest.raises(BadRequest, match=r"there is no entry 'i' of key 'k' to renew"):
        Store().register("k", "i", None, None, None, 0.0)


def test_a_shorter_timeout_counts_at_once() -> None:
    store = Store()
    store.register("k", "i", b"1", 1000, None, 0.0)
    store.register("k", "i", b"1", 5, None, 0.0)
    assert len(store.expire(5.0)) == 1
    assert store.expire(1000.0) == []


def test_an_entry_without_an_id_is_the_last_one_put_there() -> None:
    store = Store()
    store.register("k", PLAIN, b"1", 10, None, 0.0)
    assert store.register("k", PLAIN, b"2", 10, None, 0.0)[1]
    store.register("k", "i", b"3", 10, None, 0.0)
    assert [entry.values for entry in store.entries("k")] == [b"2", b"3"]


@pytest.mark.parametrize("token", [None, "wrong", "", "sécret"])
def test_an_entry_with_a_token_is_changed_with_it_alone(token: str | None) -> None:
    store = Store()
    store.register("k", "i", b"1", 10, "secret", 0.0)
    for values in (b"1", b"2", None):
        with pytest.raises(BadRequest, match="token: entry 'i' of key 'k' has one, and it is not this"):
            store.register("k", "i", values, 10, token, 5.0)
    for id in ("i", None):
        with pytest.raises(BadRequest, match="token: "):
            store.destroy("k", id, token)
    assert store.register("k", "i", b"2", 10, "secret", 5.0)[1]
    assert len(store.destroy("k", "i", "secret")) == 1


def test_an_expired_token_binds_nobody() -> None:
    store = Store()
    store.register("k", "i", b"1", 10, "secret", 0.0)
    store.expire(10.0)
    store.register("k", "i", b"2", 10, None, 10.0)


def test_destruction_without_an_id_takes_what_the_token_lets_go() -> None:
    store = Store()
    store.register("k", PLAIN, b"1", 10, None, 0.0)
    store.register("k", "open", b"1", 10, None, 0.0)
    store.register("k", "mine", b"1", 10, "mine", 0.0)
    store.register("k", "other", b"1", 10, "other", 0.0)
    assert len(store.destroy("k", None, "mine")) == 3
    assert ids(store) == ["other"]


def test_what_is_not_there_is_removed_already() -> None:
    assert Store().destroy("k", None, None) == []
    assert Store().destroy("k", "i", "t") == []


def test_keys_are_found_by_prefix() -> None:
    store = Store()
    for key in ("a/b", "a/c", "ab"):
        store.register(key, PLAIN, b"1", 10, None, 0.0)
    assert store.keys("a/") == ["a/b", "a/c"]
    assert store.keys("") == ["a/b", "a/c", "ab"]


def test_it_is_full_at_its_limits() -> None:
    store = Store(max_entries=2, max_bytes=10)
    store.register("k", "a", b"12345", 10, None, 0.0)
    with pytest.raises(BadRequest, match="its values take 10 bytes"):
        store.register("k", "b", b"123456", 10, None, 0.0)
    with pytest.raises(BadRequest, match="its values take 10 bytes"):
        store.register("k", "a", b"12345678901", 10, None, 0.0)
    store.register("k", "b", b"1", 10, None, 0.0)
    with pytest.raises(BadRequest, match="it holds 2 entries"):
        store.register("k", "c", b"1", 10, None, 0.0)
    store.destroy("k", "a", None)
    store.register("k", "c", b"123456789", 10, None, 0.0)
    assert len(store) == 2


def test_entries_that_come_and_go_early_pile_up_nowhere() -> None:
    store = Store()
    for number in range(20_000):
        store.register("k", str(number), b"1", 86400, None, 0.0)
        store.destroy("k", str(number), None)
    assert len(store._due) < 2000


def test_it_agrees_with_a_plain_table() -> None:
    """Random moves, against a dictionary of deadlines that is searched each time."""
    chance, store, table, now = random.Random(7), Store(), dict[str, float](), 0.0
    for _ in range(20_000):
        now += chance.random()
        id, timeout = str(chance.randrange(50)), chance.choice([1.0, 5.0, 30.0])
        gone = {id for id, deadline in table.items() if deadline <= now}
        assert {entry.id for entry in store.expire(now)} == gone
        table = {id: deadline for id, deadline in table.items() if id not in gone}
        if chance.random() < 0.2:
            assert len(store.destroy("k", id, None)) == (table.pop(id, None) is not None)
        else:
            store.register("k", id, b"1", timeout, None, now)
            table[id] = now + timeout
        assert set(ids(store)) == set(table)
        assert len(store) == len(table)
