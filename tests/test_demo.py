"""``make demo``, ``make demo-zk`` and ``make demo-tasks`` show what they promise, and leave nothing running."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import typing

import pytest

from tests.support import zookeeper

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Both compile into one folder, and one of them bears a ZooKeeper.
pytestmark = pytest.mark.xdist_group("zookeeper")


@pytest.fixture
def demo() -> typing.Iterator[typing.Callable[..., subprocess.Popen[str]]]:
    """Starts the demo with some words; afterwards nothing that it started may run."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str, script: str = "demo.py") -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, f"examples/{script}", *words],
                cwd=ROOT,
                env=os.environ | {"PYTHONUTF8": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                start_new_session=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        with process:
            process.kill()
        left = _left(process.pid)
        if left:
            os.killpg(process.pid, signal.SIGKILL)
        assert not left, "the demo left processes running"


def _left(group: int) -> bool:
    """Says whether processes of a group still run, once the system had time to bury the dead."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize(
    ("words", "scheme"), [((), "registry://"), (("zookeeper",), "zk://")], ids=["registry", "zookeeper"]
)
def test_a_server_dies_and_calls_go_on(
    demo: typing.Callable[..., subprocess.Popen[str]], words: tuple[str, ...], scheme: str
) -> None:
    if words:
        zookeeper.require()
    process = demo(*words)
    out, errors = process.communicate(timeout=110)
    assert (process.returncode, errors) == (0, ""), out + errors
    assert "    idl/fleet.idl → examples/fleet/fleet.py\n" in out
    assert re.search(rf"^    \$ export RPCGEN_REGISTRY={scheme}127\.0\.0\.1:\d+", out, re.MULTILINE)
    servers = re.findall(r"^    process (\d+) serves at (tcp://127\.0\.0\.1:\d+)$", out, re.MULTILINE)
    assert len(servers) == 4
    listed = out.partition("$ rpcgen ls\n")[2].partition("\n\n")[0]
    assert [address for _, address in servers if address in listed] == [address for _, address in servers[:3]]
    victim = re.findall(r"kill -9 (\d+)", out)
    assert victim == [servers[0][0]]
    counted = re.findall(r"^    (\d+) calls, (\d+) failed; this second: (.*)$", out, re.MULTILINE)
    assert {failed for _, failed, _ in counted} == {"0"}
    assert set(re.findall(r"(\d+) ×", counted[-1][2])) == {pid for pid, _ in servers[1:]}
    ends = re.findall(r"^    (\d+) calls, 0 failed$", out, re.MULTILINE)
    assert int(ends[-1]) >= int(counted[-1][0]) > 0


def test_a_worker_dies_and_its_task_is_finished(
    demo: typing.Callable[..., subprocess.Popen[str]],
) -> None:
    zookeeper.require()
    process = demo(script="demo_tasks.py")
    out, errors = process.communicate(timeout=110)
    assert (process.returncode, errors) == (0, ""), out + errors
    (task,) = re.findall(r"^    (task-\w+)$", out, re.MULTILINE)
    assert re.search(rf"^    {task}  waiting  render ", out, re.MULTILINE)
    workers = dict(re.findall(r"^    worker (\S+) at zk://\S+: process (\d+), 1 method", out, re.MULTILINE))
    (victim,) = re.findall(r"kill -9 (\d+)", out)
    begun, _, finished = out.partition("kill -9")
    assert f"process {victim}: Metropolis, 10 of 30 frames" in begun
    assert f"process {victim}:" not in finished.partition("What happened")[0]
    (survivor,) = re.findall(r"Rendered\(film='Metropolis', frames=30, worker=(\d+)\)", finished)
    assert {victim, survivor} == set(workers.values())
    shown = finished.partition("rpcgen tasks show")[2]
    assert "attempts   2 of 5" in shown
    died = next(name for name, pid in workers.items() if pid == victim)
    assert re.search(rf"attempt 1  on {died}, .*was lost", shown)


def test_it_can_be_interrupted(demo: typing.Callable[..., subprocess.Popen[str]]) -> None:
    process = demo()
    assert process.stdout is not None
    for line in process.stdout:
        if "rpcgen ls" in line:
            break
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130


def test_make_says_what_it_can_do() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert re.findall(r"make (demo\S*)", done.stdout) == ["demo", "demo-zk", "demo-tasks"]
