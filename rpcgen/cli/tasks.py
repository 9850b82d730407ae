"""``rpcgen tasks``: queued tasks listed, shown, tried again, cancelled, removed, and watched."""

from __future__ import annotations

import collections.abc
import json
import time
import typing

from rpcgen.cli.arguments import COMMON, Parser
from rpcgen.cli.console import Console, hush, plural
from rpcgen.cli.errors import CommandError, did_you_mean
from rpcgen.cli.ls import seconds
from rpcgen.cli.queues import URLS, check, explained

if typing.TYPE_CHECKING:
    import argparse

    from rpcgen.runtime.tasks.queue import TaskQueue

HELP = f"""\
Lists queued tasks, or does something about them.

Usage: rpcgen tasks [OPTIONS] [URL] [list | show ID… | retry ID… | cancel ID… | purge]

{URLS}
  list      every task that stands there, the oldest first (without a word, too)
  show      all that is known of tasks: when, where, how often they were tried, and why they failed
  retry     let tasks that failed or were cancelled wait again, as if they were new
  cancel    end tasks that have not ended
  purge     remove tasks that have ended, and their results

Options:
  --watch                     show how many wait, run and have ended, until Ctrl-C: on a terminal
                              with progress and workers, otherwise one line a change
  --status STATUS             list or purge these alone: waiting, running, done, failed, cancelled;
                              may be repeated
  --older SECONDS             purge those alone that ended so long ago (default: 0)
  --json                      one object a task and line; with --watch, one a change
  --timeout SECONDS           wait so long for ZooKeeper (default: 5)
{COMMON}

Examples:
  rpcgen tasks zk://zk1,zk2,zk3/work           what stands in that queue
  rpcgen tasks --watch                         how it goes, at RPCGEN_REGISTRY
  rpcgen tasks --status failed                 what needs a look
  rpcgen tasks show task-6f1c…                 why
  rpcgen tasks purge --status done --older 60

Exit status: 0 done, 1 there is no such task, or it cannot be done to one of them, 2 ZooKeeper
cannot be reached, or wrong usage.
"""

DOING = ("list", "show", "retry", "cancel", "purge")
STATUSES = ("waiting", "running", "done", "failed", "cancelled")
ENDED = ("done", "failed", "cancelled")

READING = 60.0
"""Seconds that reading a whole queue may take, once ZooKeeper has answered."""


def parser() -> Parser:
    """Makes the parser of the command's options."""
    found = Parser("tasks")
    found.add_argument("words", nargs="*", metavar="URL COMMAND ID")
    found.add_argument("--watch", action="store_true")
    found.add_argument("--status", action="append", choices=STATUSES, default=[])
    found.add_argument("--older", type=float, default=0.0, metavar="SECONDS")
    found.add_argument("--json", action="store_true")
    found.add_argument("--timeout", type=seconds, default=5.0, metavar="SECONDS")
    return found


def run(words: typing.Sequence[str]) -> int:
    """Runs the command; gives its exit status."""
    arguments = parser().read(words)
    console = Console(arguments.color)
    url, doing, ids = _named(arguments.words)
    if arguments.watch and doing != "list":
        raise CommandError(f"--watch is not for {doing}", help="rpcgen tasks --watch shows the whole queue")
    if arguments.status and doing not in ("list", "purge"):
        raise CommandError(f"--status is not for {doing}, which names its tasks")
    if doing == "purge" and (unended := set(arguments.status).difference(ENDED)):
        raise CommandError(
            f"purge removes what has ended, nothing that is {' or '.join(sorted(unended))}",
            help="rpcgen tasks cancel ID ends a task",
        )
    if not 0 <= arguments.older < 1e9:
        raise CommandError(f"--older: {arguments.older:g} is no number of seconds", help="one is 0 or more")
    with explained():
        from rpcgen.runtime.tasks.queue import TaskQueue

        hush()
        with TaskQueue(url) as queue:
            if arguments.watch:
                from rpcgen.cli.task_progress import watch

                return watch(queue, arguments.timeout, console, as_json=arguments.json)
            return _DO[doing](queue, ids, arguments, console)


def _named(words: list[str]) -> tuple[str | None, str, list[str]]:
    """Tells URL, what is to be done and the ids apart."""
    pointer = "`rpcgen tasks --help` says how it is used"
    url, doing, ids = None, "list", list(words)
    if ids and "://" in ids[0]:
        url, *ids = ids
    if ids:
        doing, *ids = ids
    if doing not in DOING:
        if doing.startswith("task-"):
            raise CommandError(f"what is to be done to {doing}?", help=f"rpcgen tasks show {doing}")
        if ids[:1] and ids[0] in DOING:
            check(doing)
        raise CommandError(
            f"there is nothing to do that is called {doing!r}", help=did_you_mean(doing, DOING) or pointer
        )
    if doing in ("list", "purge"):
        if ids:
            after = f"rpcgen tasks {ids[0]} {doing}" if "://" in ids[0] else pointer
            raise CommandError(f"there is no place for {ids[0]!r}", help=after)
    elif not ids:
        raise CommandError(f"{doing} needs the id of a task", help="`rpcgen tasks` lists them")
    for id in ids:
        if not id.startswith("task-") or "/" in id:
            raise CommandError(
                f"{id!r} is no task's id", help="one begins with task-; `rpcgen tasks` lists them"
            )
    return check(url), doing, ids


def _list(queue: TaskQueue, ids: list[str], arguments: argparse.Namespace, console: Console) -> int:
    from rpcgen.cli.task_table import members, task_table

    counts = queue.counts(arguments.timeout)
    wanted = arguments.status or STATUSES
    found = [info for info in queue.tasks(READING) if info.status in wanted]
    if arguments.json:
        console.find("".join(f"{json.dumps(members(info))}\n" for info in found))
    elif found:
        console.find("\n".join(task_table(found, time.time())))
    if not found:
        which = f" that is {' or '.join(arguments.status)}" if arguments.status else ""
        console.log(f"there is no task{which} in {queue.url}")
    unended = [info for info in found if info.status in ("waiting", "running")]
    if unended and not counts.master:
        console.log("there is no master: nobody assigns what waits\n  = help: rpcgen master URL")
    elif unended and not counts.workers:
        console.log("there is no worker\n  = help: rpcgen worker URL MODULE:HANDLERS --stub MODULE")
    return 0 if found else 1


def _show(queue: TaskQueue, ids: list[str], arguments: argparse.Namespace, console: Console) -> int:
    from rpcgen.cli.task_table import GONE, details, members

    status, texts = 0, []
    for id in ids:
        info = queue.show(id, arguments.timeout)
        if info.status == GONE:
            console.log(_gone(queue, id))
            status = 1
        else:
            texts.append(json.dumps(members(info)) if arguments.json else details(info, time.time()))
    console.find(("\n" if arguments.json else "\n\n").join(texts))
    return status


def _retry(queue: TaskQueue, ids: list[str], arguments: argparse.Namespace, console: Console) -> int:
    return _each(queue, ids, arguments.timeout, console, queue.retry, "waits again", "is not tried again")


def _cancel(queue: TaskQueue, ids: list[str], arguments: argparse.Namespace, console: Console) -> int:
    return _each(queue, ids, arguments.timeout, console, queue.cancel, "is cancelled", "is not cancelled")


def _each(
    queue: TaskQueue,
    ids: list[str],
    timeout: float,
    console: Console,
    do: collections.abc.Callable[[str, float], bool],
    done: str,
    refused: str,
) -> int:
    from rpcgen.cli.task_table import GONE

    status = 0
    for id in ids:
        if do(id, timeout):
            console.log(f"{id} {done}")
            continue
        status = 1
        state = queue.status(id, timeout)
        console.log(_gone(queue, id) if state == GONE else f"{id} {refused}: it is {state}")
    return status


def _gone(queue: TaskQueue, id: str) -> str:
    return f"there is no task {id} in {queue.url}: it never was, or has been removed after its end"


def _purge(queue: TaskQueue, ids: list[str], arguments: argparse.Namespace, console: Console) -> int:
    queue.counts(arguments.timeout)
    count = queue.purge(arguments.older, arguments.status or ENDED, READING)
    console.log(f"{plural(count, 'task')} removed")
    return 0


_DO: typing.Final = {
    "list": _list,
    "show": _show,
    "retry": _retry,
    "cancel": _cancel,
    "purge": _purge,
}
