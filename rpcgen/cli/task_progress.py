"""``rpcgen tasks --watch``: how many tasks wait, run and have ended, as it changes.

It counts once a second, which costs ZooKeeper little however long the queue is.
"""

from __future__ import annotations

import collections
import json
import time
import typing

from rpcgen.cli.console import Console, plural
from rpcgen.cli.registries import printable
from rpcgen.cli.table import WIDTH, age
from rpcgen.cli.task_table import members, worker_table

if typing.TYPE_CHECKING:
    from rpcgen.runtime.tasks.inspection import Counts, WorkerInfo
    from rpcgen.runtime.tasks.queue import TaskQueue

INTERVAL = 1.0
"""Seconds between two looks."""

WINDOW = 10.0
"""Seconds over which a rate is measured."""

BAR = 40
"""Characters of the bar."""


class Pace:
    """How fast tasks end, over the last seconds."""

    def __init__(self) -> None:
        self._seen: collections.deque[tuple[float, int]] = collections.deque()

    def take(self, now: float, ended: int) -> None:
        """Notes how many have ended, at a time in seconds."""
        if self._seen and ended < self._seen[-1][1]:
            self._seen.clear()  # some were removed: what ended meanwhile is not known
        self._seen.append((now, ended))
        while len(self._seen) > 2 and now - self._seen[0][0] > WINDOW:
            self._seen.popleft()

    @property
    def rate(self) -> float:
        """Tasks a second; 0: none, or not known."""
        if len(self._seen) < 2:
            return 0.0
        (began, before), (now, ended) = self._seen[0], self._seen[-1]
        return (ended - before) / (now - began) if now > began else 0.0


def watch(queue: TaskQueue, timeout: float, console: Console, *, as_json: bool) -> int:
    """Shows it until Ctrl-C, or until nobody reads it; gives the exit status.

    Args:
        queue: To look at.
        timeout: Seconds to wait for ZooKeeper at each look.
        console: Where.
        as_json: One object a change.

    Raises:
        Unavailable: ZooKeeper cannot be reached at the beginning.
    """
    from rpcgen.runtime.errors import Unavailable

    drawn = not as_json and console.redraws
    pace = Pace()
    counts: Counts | None = None
    workers: list[WorkerInfo] = []
    problem = ""
    try:
        while console.is_heard:
            before, known = counts, problem
            try:
                counts, problem = queue.counts(timeout), ""
                pace.take(time.monotonic(), counts.ended)
                if drawn:
                    workers = queue.workers(timeout)
            except Unavailable as error:
                if counts is None:
                    raise
                problem = error.problem
            if drawn:
                console.draw(_screen(queue.url, counts, workers, pace, problem))
            else:
                if problem != known:
                    console.find(_trouble(problem, as_json=as_json))
                if counts != before:
                    console.find(_line(counts, as_json=as_json))
            time.sleep(INTERVAL)
    except KeyboardInterrupt:
        pass
    return 0


def bar(counts: Counts, rate: float) -> str:
    """Gives how far it is: a bar, the numbers, and when the rest will be done at this rate."""
    whole = counts.waiting + counts.running + counts.ended
    if not whole:
        return "nothing is queued"
    done = counts.ended / whole
    filled = int(BAR * done)
    text = f"[{'#' * filled}{'-' * (BAR - filled)}] {int(100 * done)} %, {counts.ended} of {whole} ended"
    if rate > 0:
        text += f", {rate:.3g} a second"
        if left := whole - counts.ended:
            text += f", {age(1.0, 1.0 + left / rate)} left"
    return text


def _screen(url: str, counts: Counts, workers: list[WorkerInfo], pace: Pace, problem: str) -> list[str]:
    lines = [f"{url}; Ctrl-C ends", f"ZooKeeper is away: {printable(problem)}" if problem else ""]
    lines += [bar(counts, pace.rate), _numbers(counts), ""]
    if workers:
        lines += worker_table(workers, time.time())
    else:
        lines.append("there is no worker: rpcgen worker URL MODULE:HANDLERS --stub MODULE")
    return lines


def _numbers(counts: Counts) -> str:
    return (
        f"waiting {counts.waiting}, running {counts.running}, ended {counts.ended}; "
        f"{plural(counts.workers, 'worker')} for {counts.concurrency} at once; "
        + (f"master: {_master(counts)}" if counts.master else "there is no master: rpcgen master URL")
    )


def _line(counts: Counts, *, as_json: bool) -> str:
    if not as_json:
        return _numbers(counts)
    return json.dumps({"event": "changed", **members(counts), "master": _master_members(counts)})


def _trouble(problem: str, *, as_json: bool) -> str:
    if as_json:
        return json.dumps({"event": "lost", "problem": problem} if problem else {"event": "back"})
    return f"! ZooKeeper is away: {printable(problem)}" if problem else "! ZooKeeper is back"


def _master(counts: Counts) -> str:
    said = _master_members(counts)
    text = f"{said['host']}, pid {said['pid']}" if said and {"host", "pid"} <= said.keys() else counts.master
    return printable(text, WIDTH)


def _master_members(counts: Counts) -> dict[str, object] | None:
    """Gives what a master says of itself; one of another kind may say anything. None: there is none."""
    if not counts.master:
        return None
    try:
        said = json.loads(counts.master)
    except ValueError:
        said = None
    return said if isinstance(said, dict) else {"said": counts.master}
