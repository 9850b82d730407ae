"""Somebody else's calls, from a thread, while a server is ill-treated: each is answered, and right."""

from __future__ import annotations

import threading
import typing

from rpcgen import runtime as rpc
from tests.support import services
from tests.support.waiting import PATIENCE


class Bystander:
    """Calls a server again and again while ``with`` lasts; fails at its end if any call did.

    Args:
        port: Of the server, on 127.0.0.1.
        **options: Of the channel.
    """

    def __init__(self, port: int, **options: typing.Any) -> None:
        self._channel = rpc.Channel("127.0.0.1", port, timeout=PATIENCE, **options)
        self._answered = 0
        self._changed = threading.Condition()
        self._problem: object = None
        self._stop = False
        self._thread = threading.Thread(target=self._call)

    def __enter__(self) -> typing.Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        if kind is None:
            self.goes_on()
        self._stop = True
        self._thread.join()
        self._channel.close()
        assert self._problem is None, self._problem

    def goes_on(self, calls: int = 20) -> None:
        """Waits until so many more calls have been answered."""
        with self._changed:
            goal = self._answered + calls
            self._changed.wait_for(lambda: self._answered >= goal or self._problem, PATIENCE)
            assert self._problem is None, self._problem
            assert self._answered >= goal

    def _call(self) -> None:
        stub, pause = services.ClientStub(self._channel), threading.Event()
        number = 0
        while not self._stop:
            number += 1
            try:
                answer = stub.divide(number % 1000, 4)
                problem: object = None if answer == number % 1000 / 4 else f"{number} / 4 = {answer}"
            except BaseException as error:
                problem = error
            with self._changed:
                self._answered += 1
                self._problem = self._problem or problem
                self._changed.notify_all()
            pause.wait(0.002)  # the processor is the others', too
