"""The states of a framed connection's end, and the moves between them, as tables.

Either end is in one state. A frame that comes or is to go is looked up in the state's row: it
gives the next state, or there is none and the move is illegal. From the rows is made what the
hot path asks: of a side and a state, the words of the frames that may come.

    PREFACE ─▶ GREETING ─▶ OPEN ─┬─▶ DRAINING ─┬─▶ PARTING
                                 └─▶ LEAVING ──┘             any ─▶ CLOSED
"""

from __future__ import annotations

import enum
import typing

from rpcgen.runtime.wire.frames import CALL, CANCEL, FAULT, GOAWAY, HELLO, PING, PONG, REPLY, WORDS


class State(enum.Enum):
    """Where a connection's end is."""

    PREFACE = "waiting for the client's preface"
    GREETING = "waiting for the peer's HELLO"
    OPEN = "open"
    DRAINING = "draining"
    """This end has sent GOAWAY."""
    LEAVING = "left by the peer"
    """The peer has sent GOAWAY."""
    PARTING = "draining at both ends"
    CLOSED = "closed"


class Side(enum.Enum):
    """Which end."""

    CLIENT = "client"
    SERVER = "server"


OPENED: typing.Final = -1
"""In the tables as if it were a kind: the preface."""

BROKEN: typing.Final = -2
"""In the tables as if it were a kind: FAULT with call id 0, after which nothing follows."""

_SERVING = dict.fromkeys((CALL, REPLY, FAULT, CANCEL, PING, PONG), State.OPEN)


def _staying(state: State, *without: int) -> dict[int, State]:
    return {kind: state for kind in _SERVING if kind not in without}


RECEIVED: dict[State, dict[int, State]] = {
    State.PREFACE: {OPENED: State.GREETING},
    State.GREETING: {HELLO: State.OPEN},
    State.OPEN: {**_SERVING, GOAWAY: State.LEAVING, BROKEN: State.CLOSED},
    State.DRAINING: {**_staying(State.DRAINING), GOAWAY: State.PARTING, BROKEN: State.CLOSED},
    State.LEAVING: {**_staying(State.LEAVING, CALL), GOAWAY: State.LEAVING, BROKEN: State.CLOSED},
    State.PARTING: {**_staying(State.PARTING, CALL), GOAWAY: State.PARTING, BROKEN: State.CLOSED},
    State.CLOSED: {},
}
"""State → what may come → the state after it."""

SENT: dict[State, dict[int, State]] = {
    State.PREFACE: {},
    State.GREETING: {**dict.fromkeys((CALL, CANCEL), State.GREETING), BROKEN: State.CLOSED},
    State.OPEN: {**_SERVING, GOAWAY: State.DRAINING, BROKEN: State.CLOSED},
    State.DRAINING: {**_staying(State.DRAINING, CALL), GOAWAY: State.DRAINING, BROKEN: State.CLOSED},
    State.LEAVING: {**_staying(State.LEAVING, CALL), GOAWAY: State.PARTING, BROKEN: State.CLOSED},
    State.PARTING: {**_staying(State.PARTING, CALL), GOAWAY: State.PARTING, BROKEN: State.CLOSED},
    State.CLOSED: {},
}
"""State → what may be sent → the state after it."""

SENDERS: dict[Side, frozenset[int]] = {
    Side.CLIENT: frozenset((HELLO, CALL, CANCEL, PING, PONG, GOAWAY, FAULT)),
    Side.SERVER: frozenset((HELLO, REPLY, FAULT, PING, PONG, GOAWAY)),
}
"""Side → the kinds that it may send at all; a client's FAULT has call id 0."""


def words_received(side: Side, state: State) -> dict[int, int]:
    """Gives the words of frames that may come to a side in a state, with their kinds."""
    sender = Side.CLIENT if side is Side.SERVER else Side.SERVER
    row = RECEIVED[state]
    return {
        word: kind
        for word, kind in WORDS.items()
        if kind in SENDERS[sender] and (kind in row or (kind == FAULT and BROKEN in row))
    }


WORDS_RECEIVED = {side: {state: words_received(side, state) for state in State} for side in Side}
