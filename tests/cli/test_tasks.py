"""``rpcgen master``, ``worker`` and ``tasks`` on a real ZooKeeper."""

from __future__ import annotations

import json
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
import typing

import features
import pytest
import service

from rpcgen import runtime as rpc
from rpcgen.cli.task_progress import Pace, bar
from rpcgen.cli.task_table import details, task_table
from rpcgen.runtime.tasks.envelopes import Attempt
from rpcgen.runtime.tasks.inspection import Counts, TaskInfo
from tests.cli.command import COMMAND, Ended, Running, environment, write
from tests.cli.registry_command import run
from tests.support.waiting import PATIENCE, until
from tests.support.zookeeper import client

pytestmark = pytest.mark.xdist_group("zookeeper")

WORK = """\
import os, time

class Handlers:
    def divide(self, num1, num2):
        if num1:
            print(f"process {os.getpid()} divides {num1}", flush=True)
        end = time.monotonic() + 60
        while num2 == 0 and not os.path.exists("go") and time.monotonic() < end:
            time.sleep(0.02)
        return num1 / (num2 or 1)
"""

AWAY = "zk://127.0.0.1:9/rpc"
"""Nobody listens there."""


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with handlers and the compiled interface."""
    shutil.copy(str(service.__file__), tmp_path)
    return write(tmp_path, {"work.py": WORK})


@pytest.fixture
def running(folder: pathlib.Path) -> typing.Iterator[typing.Callable[..., Running]]:
    """Starts commands in the folder; none outlives the test."""
    started: list[Running] = []

    def start(*words: str, **changes: str) -> Running:
        root = str(pathlib.Path(__file__).parents[2])
        started.append(Running(*words, cwd=folder, PYTHONPATH=root, **changes))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def queue(zk_url: str) -> typing.Iterator[rpc.TaskQueue]:
    with rpc.TaskQueue(zk_url, timeout=PATIENCE) as made:
        yield made


def divide(queue: rpc.TaskQueue, *args: int, **options: typing.Any) -> rpc.Task[float]:
    return rpc.with_task_options(service.TaskStub(queue), **options).divide(*args)


def test_a_master_and_a_worker_run_tasks(
    queue: rpc.TaskQueue, running: typing.Callable[..., Running]
) -> None:
    master = running("master", queue.url)
    master.until(f"master at {queue.url}: it stands for election")
    worker = running(
        "worker", "work:Handlers", "--stub", "service", "--name", "one", RPCGEN_REGISTRY=queue.url
    )
    said = worker.until(": process ")[-1]
    assert re.fullmatch(
        rf"worker one-\w+ at {queue.url}: process {worker.process.pid}, 1 method, 8 at once", said
    )
    assert divide(queue, 7, 2).result(PATIENCE) == 3.5
    master.until("this master leads")
    assert (worker.end(), master.end()) == (0, 0)


def test_a_worker_that_contends_is_a_whole_cluster_and_ends_what_it_began(
    queue: rpc.TaskQueue, running: typing.Callable[..., Running], folder: pathlib.Path
) -> None:
    worker = running("worker", queue.url, "work:Handlers", "--stub", "service", "--contend")
    task = divide(queue, 7, 0)
    worker.until("divides 7")
    worker.process.send_signal(signal.SIGTERM)
    worker.until("ending; a second signal ends it at once")
    write(folder, {"go": ""})
    assert worker.process.wait(PATIENCE) == 0
    assert task.result(PATIENCE) == 7.0


def test_a_second_signal_ends_a_worker_at_once(
    queue: rpc.TaskQueue, running: typing.Callable[..., Running]
) -> None:
    worker = running("worker", queue.url, "work:Handlers", "--stub", "service", "--contend")
    task = divide(queue, 7, 0)
    worker.until("divides 7")
    worker.process.send_signal(signal.SIGINT)
    worker.until("ending")
    assert worker.end() == 130
    assert task.status() != "done"


@pytest.mark.parametrize(
    "words", [("master",), ("worker", "work:Handlers", "--stub", "service")], ids=["master", "worker"]
)
def test_they_wait_for_a_zookeeper_that_is_away(
    words: tuple[str, ...], running: typing.Callable[..., Running]
) -> None:
    process = running(*words, RPCGEN_REGISTRY=AWAY)
    process.until(f"{AWAY}: out of reach: 127.0.0.1:9 cannot be connected to")
    assert process.end() == 0


def test_tasks_says_that_zookeeper_is_away(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("tasks", AWAY), ("tasks", AWAY, "--watch")):
        ended = run(capsys, *words, "--timeout", "2")
        assert (ended.status, ended.out) == (2, "")
        assert ended.log.startswith(f"rpcgen tasks: {AWAY}: no answer in 2 s: out of reach: 127.0.0.1:9 ")
        assert ended.log.endswith("= help: start ZooKeeper there, or name another: zk://host:port/root\n")


@pytest.mark.parametrize(
    "words",
    [["master"], ["worker", "work:Handlers", "--stub", "service"], ["tasks"]],
    ids=lambda words: words[0],
)
def test_without_kazoo_they_name_the_extra(folder: pathlib.Path, words: list[str]) -> None:
    code = f"import sys; sys.modules['kazoo'] = None; from rpcgen.cli import main; sys.exit(main({words!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        f'rpcgen {words[0]}: zk:// needs the package kazoo: pip install "rpcgen[zookeeper]"\n',
    )


def test_an_empty_queue(zk_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "tasks", zk_url) == Ended(1, "", f"there is no task in {zk_url}\n")
    assert run(capsys, "tasks", zk_url, "purge") == Ended(0, "", "0 tasks removed\n")


def test_tasks_are_listed_shown_tried_again_cancelled_and_removed(
    queue: rpc.TaskQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = threading.Event()

    class Handlers:
        def divide(self, num1: int, num2: int) -> float:
            if num1 == 13 and not failing.is_set():
                raise OSError("not yet")
            return num1 / num2

    late = divide(queue, 1, delay=3600.0, priority=2)
    ended = run(capsys, "tasks", queue.url, "list")
    assert ended.status == 0
    title, line = ended.out.splitlines()
    assert title.split() == ["ID", "STATUS", "METHOD", "AGE", "BEGINS", "PRIORITY"]
    assert line.split()[:3] == [late.id, "waiting", "divide"]
    assert ended.log == "there is no master: nobody assigns what waits\n  = help: rpcgen master URL\n"

    with rpc.Master(queue.url), rpc.Worker(queue.url, service.ServerStub(Handlers()), name="box") as worker:
        assert divide(queue, 6, 3).result(PATIENCE) == 2.0
        failed = divide(queue, 13, attempts=2)
        with pytest.raises(rpc.RemoteFault):
            failed.result(PATIENCE)
        found = run(capsys, "tasks", queue.url, "--status", "failed", "--json")
        said = json.loads(found.out)
        assert (said["id"], said["status"], said["method"], said["attempts"]) == (
            failed.id,
            "failed",
            "divide",
            2,
        )
        assert found.log == ""

        shown = run(capsys, "tasks", queue.url, "show", failed.id, "task-none", late.id)
        assert shown.status == 1
        assert shown.log == (
            f"there is no task task-none in {queue.url}: it never was, or has been removed after its end\n"
        )
        first, _, second = shown.out.partition("\n\n")
        lines = dict(re.split("  +", line, maxsplit=1) for line in first.splitlines())
        assert (lines["id"], lines["status"], lines["attempts"]) == (failed.id, "failed", "2 of 2")
        assert lines["worker"] == worker.name
        assert "INTERNAL: divide failed" in lines["error"]
        assert lines["attempt 1"].startswith(f"on {worker.name}, ")
        assert "begins" in second
        as_json = json.loads(run(capsys, "tasks", queue.url, "show", failed.id, "--json").out)
        assert [attempt["number"] for attempt in as_json["history"]] == [1]

        assert run(capsys, "tasks", queue.url, "retry", late.id) == Ended(
            1, "", f"{late.id} is not tried again: it is waiting\n"
        )
        failing.set()
        assert run(capsys, "tasks", queue.url, "retry", failed.id) == Ended(
            0, "", f"{failed.id} waits again\n"
        )
        until(lambda: failed.status() == "done")
        assert run(capsys, "tasks", queue.url, "cancel", late.id, failed.id) == Ended(
            1, "", f"{late.id} is cancelled\n{failed.id} is not cancelled: it is done\n"
        )
    assert run(capsys, "tasks", queue.url, "purge", "--older", "3000") == Ended(0, "", "0 tasks removed\n")
    assert run(capsys, "tasks", queue.url, "purge", "--status", "done").log == "2 tasks removed\n"
    assert run(capsys, "tasks", queue.url, "list").out.splitlines()[1].split()[:2] == [late.id, "cancelled"]


def test_what_annotations_say_counts_unless_the_caller_says_otherwise(queue: rpc.TaskQueue) -> None:
    stub = features.DirectoryTaskStub(queue)
    info = queue.show(stub.log("line").id)
    assert (info.method, info.most_attempts, info.priority) == ("Directory.log", 5, -1)
    info = queue.show(rpc.with_task_options(stub, attempts=1, priority=0).log("line").id)
    assert (info.most_attempts, info.priority) == (1, 0)
    info = queue.show(divide(queue, 1).id)
    assert (info.most_attempts, info.priority) == (3, 0)
    with pytest.raises(ValueError, match="attempts 1 or more: not 0, 0"):
        divide(queue, 1, attempts=0)


def test_a_foreign_task_is_listed(queue: rpc.TaskQueue, capsys: pytest.CaptureFixture[str]) -> None:
    queue.counts()
    hosts, _, root = queue.url.removeprefix("zk://").partition("/")
    with client(hosts) as operator:
        operator.create(f"/{root}/tasks/task-", b"\x1b[2J anything", sequence=True, makepath=True)
    ended = run(capsys, "tasks", queue.url)
    assert ended.out.splitlines()[1].split()[:2] == ["task-0000000000", "waiting"]
    shown = run(capsys, "tasks", queue.url, "show", "task-0000000000")
    assert re.search("^method +not one of ours$", shown.out, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shw", "task-1"], "there is nothing to do that is called 'shw'\n  = help: did you mean show?\n"),
        (["task-1"], "what is to be done to task-1?\n  = help: rpcgen tasks show task-1\n"),
        (["show"], "show needs the id of a task\n  = help: `rpcgen tasks` lists them\n"),
        (["show", "1234"], "'1234' is no task's id\n"),
        (["list", "task-1"], "there is no place for 'task-1'\n"),
        (["list", "zk://h"], "there is no place for 'zk://h'\n  = help: rpcgen tasks zk://h list\n"),
        (
            ["localhost:2181", "list"],
            "'localhost:2181' is no URL of a queue\n  = help: did you mean zk://localhost:2181/rpc?\n",
        ),
        (["registry://h:1"], "registry://h:1: tasks are queued in ZooKeeper alone\n"),
        (["show", "task-1", "--watch"], "--watch is not for show\n"),
        (["show", "task-1", "--status", "done"], "--status is not for show, which names its tasks\n"),
        (["purge", "--status", "running"], "purge removes what has ended, nothing that is running\n"),
        (["purge", "--older", "-1"], "--older: -1 is no number of seconds\n"),
        (["--status", "lost"], "--status: invalid choice: 'lost'"),
    ],
)
def test_wrong_words(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    ended = run(capsys, "tasks", *words)
    assert (ended.status, ended.out) == (2, "")
    assert ended.log.startswith(f"rpcgen tasks: {said}")


def test_a_registry_of_another_kind_in_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RPCGEN_REGISTRY", "registry://secret@h:1")
    for command in ("master", "tasks"):
        assert run(capsys, command) == Ended(
            2,
            "",
            f"rpcgen {command}: RPCGEN_REGISTRY: registry://h:1: tasks are queued in ZooKeeper alone\n"
            "  = help: name one: zk://host:port/root\n",
        )


# --watch


def counts(*, waiting: int = 0, running: int = 0, ended: int = 0) -> Counts:
    return Counts(waiting=waiting, running=running, ended=ended, workers=0, concurrency=0, master="")


def test_changes_are_lines(queue: rpc.TaskQueue, running: typing.Callable[..., Running]) -> None:
    watch = running("tasks", queue.url, "--watch")
    watch.until(
        "waiting 0, running 0, ended 0; 0 workers for 0 at once; there is no master: rpcgen master URL"
    )
    divide(queue, 1, delay=3600.0)
    watch.until("waiting 1, running 0, ended 0;")
    with rpc.Master(queue.url):
        watch.until(f", pid {os.getpid()}")
    assert watch.end() == 0


def test_changes_as_json(queue: rpc.TaskQueue, running: typing.Callable[..., Running]) -> None:
    divide(queue, 1, delay=3600.0)
    watch = running("tasks", queue.url, "--watch", "--json")
    assert json.loads(watch.until("{")[-1]) == {
        "event": "changed",
        "waiting": 1,
        "running": 0,
        "ended": 0,
        "workers": 0,
        "concurrency": 0,
        "master": None,
    }
    assert watch.end() == 0


def test_a_terminal_shows_progress(queue: rpc.TaskQueue, folder: pathlib.Path) -> None:
    divide(queue, 1, delay=3600.0)
    ours, theirs = pty.openpty()
    with rpc.Master(queue.url), rpc.Worker(queue.url, service.ServerStub(_Handlers()), name="box"):
        divide(queue, 1).result(PATIENCE)
        process = subprocess.Popen(
            [*COMMAND, "tasks", "--watch", queue.url],
            cwd=folder,
            env=environment(PYTHONPATH=str(pathlib.Path(__file__).parents[2])),
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        try:
            shown = b""
            while b"box-" not in shown:
                shown += os.read(ours, 65536)
            assert b"\x1b[H\x1b[2J" in shown
            assert f"{queue.url}; Ctrl-C ends".encode() in shown
            assert b"[####################--------------------] 50 %, 1 of 2 ended" in shown
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            process.wait()
            os.close(ours)


class _Handlers:
    def divide(self, num1: int, num2: int) -> float:
        return num1 / num2


@pytest.mark.parametrize(
    ("there", "rate", "shown"),
    [
        ({}, 0.0, "nothing is queued"),
        ({"waiting": 3}, 0.0, f"[{'-' * 40}] 0 %, 0 of 3 ended"),
        (
            {"waiting": 60, "running": 15, "ended": 25},
            2.5,
            f"[{'#' * 10}{'-' * 30}] 25 %, 25 of 100 ended, 2.5 a second, 30s left",
        ),
        ({"ended": 25}, 2.5, f"[{'#' * 40}] 100 %, 25 of 25 ended, 2.5 a second"),
        ({"waiting": 1, "ended": 999}, 0.0, f"[{'#' * 39}-] 99 %, 999 of 1000 ended"),
    ],
)
def test_progress(there: dict[str, int], rate: float, shown: str) -> None:
    assert bar(counts(**there), rate) == shown


def test_a_rate_is_of_the_last_seconds_and_no_removal_lowers_it() -> None:
    pace = Pace()
    assert pace.rate == 0.0
    for second in range(20):
        pace.take(second, 100 * second)
    pace.take(20, 1900)
    assert pace.rate == pytest.approx(90, abs=10)
    pace.take(21, 5)
    assert pace.rate == 0.0
    pace.take(22, 10)
    assert pace.rate == 5.0


# What is shown of a task


def test_the_table_has_a_column_for_what_is_said() -> None:
    plain = TaskInfo(id="task-1", status="waiting", method="divide", submitted=1000.0)
    assert task_table([plain], 1042.0) == [
        "ID      STATUS   METHOD  AGE",
        "task-1  waiting  divide  42s",
    ]
    rich = TaskInfo(
        id="task-2",
        status="running",
        submitted=1000.0,
        priority=-1,
        attempts=2,
        worker="box-0123456789abcdef0123456789abcdef",
    )
    late = TaskInfo(id="task-3", status="waiting", method="x\x1b[2J", submitted=1040.0, not_before=1100.0)
    assert task_table([plain, rich, late], 1042.0) == [
        "ID      STATUS   METHOD    AGE  BEGINS  PRIORITY  ATTEMPTS  WORKER",
        "task-1  waiting  divide    42s                 0       0/3",
        "task-2  running  -         42s                -1       2/3  box-01234567",
        "task-3  waiting  x\\x1b[2J   2s  in 58s         0       0/3",
    ]


def test_what_others_wrote_is_harmless_on_a_terminal() -> None:
    attempt = Attempt(worker="w\x07", number=1, at=1.0, error="a\nb\x1b[2J")
    bad = TaskInfo(id="task-1", status="failed", error="line\nline\x1b[2J", history=(attempt,))
    text = details(bad, 2.0)
    assert all(line.isprintable() for line in text.splitlines())
    assert "submitted  not known" in text
