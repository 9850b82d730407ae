"""A headless Chromium that a test drives: DevTools messages over a pair of pipes, no library and no port.

It has a profile of its own, asks nobody but the pages under test, and is gone when ``with`` ends.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import pathlib
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing

import pytest

from tests.support.waiting import PATIENCE, until

MISSING = """\
no Chromium found. It is installed by
  Debian:     make programs   (apt-get)
  elsewhere:  install Chromium or Chrome, so that chromium or google-chrome is on PATH"""

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--remote-debugging-pipe", "--window-size=1100,900"),
)
_PIPES = """\
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for number, end in zip((3, 4), ends):
    os.dup2(end, number)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads what it is told from descriptor 3, and answers to 4."""

_KEYS = {"Enter": (13, "\r"), "Tab": (9, "\t"), "/": (191, "/"), "ArrowDown": (40, "")}


def find_chromium() -> str | None:
    """Gives the browser to run."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


class Browser:
    """A browser with one page.

    Args:
        told: Where messages to it are written.
        said: Where its own are read.
    """

    def __init__(self, told: int, said: int) -> None:
        self._told = told
        self._said = said
        self._numbers = itertools.count(1)
        self._read = b""
        self._session: str | None = None
        self.complaints: list[str] = []
        """What the page logged as errors, and exceptions that nobody caught."""
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.do(f"{domain}.enable")

    def do(self, method: str, **params: object) -> dict[str, typing.Any]:
        """Sends a command of the DevTools protocol; gives its result."""
        number = next(self._numbers)
        message: dict[str, object] = {"id": number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._told, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return typing.cast("dict[str, typing.Any]", answer["result"])
            self._hear(answer)

    def _next(self) -> dict[str, typing.Any]:
        deadline = time.monotonic() + PATIENCE
        with selectors.DefaultSelector() as selector:
            selector.register(self._said, selectors.EVENT_READ)
            while b"\0" not in self._read:
                assert selector.select(deadline - time.monotonic()), "the browser says nothing"
                piece = os.read(self._said, 1 << 20)
                assert piece, "the browser has ended"
                self._read += piece
        message, _, self._read = self._read.partition(b"\0")
        return typing.cast("dict[str, typing.Any]", json.loads(message))

    def _hear(self, event: dict[str, typing.Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", details).get("description", details["text"]))
        elif event.get("method") == "Log.entryAdded":
            entry = params["entry"]
            # That a call was answered 4xx is no error of the page.
            if entry["level"] == "error" and entry["source"] != "network":
                self.complaints.append(entry["text"])

    def open(self, url: str) -> None:
        """Goes to a page; one that is told from this by its fragment alone is not loaded again."""
        assert "errorText" not in self.do("Page.navigate", url=url)

    def value(self, script: str) -> typing.Any:
        """Gives an expression's value."""
        done = self.do("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def text(self, selector: str) -> str:
        """Gives the text that is to be seen in the first element that a selector finds; ``""``: there is none."""
        return str(self.value(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def wait_for(self, selector: str, words: str) -> str:
        """Waits until an element's text has these words; gives the text."""
        until(lambda: words in self.text(selector), lambda: f"{words} is not in {self.text(selector)!r}")
        return self.text(selector)

    def press(self, *keys: str, modifiers: int = 0) -> None:
        """Presses keys, one after the other, wherever the focus is; 2: with Ctrl, 8: with Shift."""
        for key in keys:
            code, text = _KEYS[key]
            which = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
            self.do("Input.dispatchKeyEvent", type="keyDown", **which, **({"text": text} if text else {}))
            self.do("Input.dispatchKeyEvent", type="keyUp", **which)

    def write(self, text: str) -> None:
        """Writes text into the field that has the focus, in place of what is there."""
        self.value("document.activeElement.select()")
        self.do("Input.insertText", text=text)

    def focus(self, selector: str) -> None:
        """Puts the focus into an element."""
        self.value(f"document.querySelector({json.dumps(selector)}).focus()")

    def picture(self, path: pathlib.Path) -> None:
        """Writes what is to be seen as PNG."""
        path.write_bytes(base64.b64decode(self.do("Page.captureScreenshot")["data"]))


@contextlib.contextmanager
def browser() -> typing.Iterator[Browser]:
    """Runs a browser; without one the test is skipped."""
    program = find_chromium()
    if program is None:
        pytest.skip(MISSING)
    told, said = os.pipe(), os.pipe()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        tempfile.TemporaryFile() as log,
    ):
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                _PIPES,
                str(told[0]),
                str(said[1]),
                program,
                *_FLAGS,
                f"--user-data-dir={profile}",
            ],
            pass_fds=(told[0], said[1]),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # so that its own processes can be ended with it
        )
        try:
            os.close(told[0])
            os.close(said[1])
            yield Browser(told[1], said[0])
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)
            os.close(told[1])
            os.close(said[0])
