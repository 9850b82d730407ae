"""``make demo-tasks``: a task is queued, its worker is killed in the middle of it, another one finishes it.

Every command is shown. It starts a ZooKeeper of its own; nothing is left running, however it ends.
"""

from __future__ import annotations

import re
import signal
import sys
import time

from stage import ROOT, SECONDS, Background, Failure, Stage, perform, say, title

WORKER = "rpcgen worker work:Handlers --stub jobs --concurrency 1 --contend"

NEXT = """\
Next
    examples/tasks/                 the handlers and the clients of this demo, to copy
    docs/tasks.md                   what can be relied on, and what happens when who dies
    .venv/bin/rpcgen tasks --help   list, show, retry, cancel, purge
"""


def show(stage: Stage) -> None:
    """The steps, one after the other."""
    stage.compile("jobs", "examples/tasks")

    zookeeper = stage.start_registry(
        "A ZooKeeper of our own, for as long as this takes: what is queued stands in it",
        "python scripts/throwaway_zookeeper.py",
        "?timeout=2",
    )
    title(
        "All find it by its URL. Who is silent for 2 seconds counts as dead (10, if nobody says otherwise)",
        f"export RPCGEN_REGISTRY='{stage.environment['RPCGEN_REGISTRY']}'",
        "cd examples/tasks",
    )
    print()
    stage.folder = ROOT / "examples" / "tasks"

    title("Queue a task. Nobody is there to run it, and nobody waits for it", "python submit.py Metropolis")
    submitted = stage.run("python submit.py Metropolis")
    say(submitted)
    task = submitted.strip()
    title("It waits", "rpcgen tasks")
    say(stage.run("rpcgen tasks"))

    title("Two workers. Either stands for master, too: a master gives tasks to workers", *2 * [f"{WORKER} &"])
    workers = [stage.start(WORKER) for _ in range(2)]
    victim = first_at_work(workers)
    workers.remove(victim)
    print(flush=True)

    title("Kill the one that works, in the middle of it", f"kill -9 {victim.process.pid}")
    victim.send(signal.SIGKILL)
    victim.ended()
    print(flush=True)

    (survivor,) = workers
    title("Wait for the result; it could be asked for from anywhere", f"python result.py {task}")
    result = stage.start(f"python result.py {task}")
    frames(survivor, until="30 of 30")
    say(result.first())
    if result.ended() != 0:
        raise Failure("there is no result")

    title("What happened to it?", f"rpcgen tasks show {task}")
    say(stage.run(f"rpcgen tasks show {task}"))

    every = (survivor, zookeeper)
    title("End", f"kill {' '.join(str(one.process.pid) for one in every)}")
    for one in every:
        one.send(signal.SIGTERM)
        if (status := one.ended()) != 0:
            raise Failure(f"{one.command} ended with status {status}")
    print()


def first_at_work(workers: list[Background]) -> Background:
    """Shows what the workers say until one of them is at work; gives that one."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for worker in workers:
            line = worker.soon(0.05)
            if line is not None and shown(worker, line) and "frames" in line:
                return worker
    raise Failure("no worker takes the task")


def frames(worker: Background, until: str) -> None:
    """Shows what a worker says, to a line that has this text."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        line = worker.first()
        shown(worker, line)
        if until in line:
            return
    raise Failure(f"{worker.command} does not get to {until}")


def shown(worker: Background, line: str) -> bool:
    """Shows a line, unless it is of the log; says whether it did."""
    if line == "":
        raise Failure(f"{worker.command} ended with status {worker.ended()}")
    if re.match(r"\d{4}-", line):
        return False
    print(f"    {line}", end="", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(perform(show, NEXT))
