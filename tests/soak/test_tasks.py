"""Masters, workers and ZooKeeper fail at random while tasks are queued; each is done once, and nothing is left.

``SOAK_TASKS=10000 SOAK_SEED=7 pytest tests/soak/test_tasks.py`` takes longer, by another plan
(``make soak-tasks``). The seed is in the account of a failure.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import time
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.tasks.layout import Layout
from rpcgen.runtime.tasks.master import Mastering
from rpcgen.runtime.tasks.picture import Picture
from tests.soak.queued import (
    MASTERS,
    WORKERS,
    Feeder,
    Ledger,
    Member,
    judge,
    judge_nodes,
    left,
    tally,
    wait_until_lean,
)
from tests.soak.survival import Mischief, Trouble
from tests.support.leaks import no_leaks
from tests.support.waiting import until
from tests.support.zookeeper import Ensemble, client

__all__ = ["no_leaks"]

TASKS = int(os.environ.get("SOAK_TASKS", "150"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
A_SECOND = 25
"""Tasks that are queued in a second: the failures are what is tested, not the speed."""

SESSION = 1.5
ROOT = "/rpc"


@pytest.mark.timeout(TASKS / A_SECOND + 600)
@pytest.mark.xdist_group("soak")
def test_each_task_is_done_once_and_nothing_is_left(tmp_path: pathlib.Path) -> None:
    ran = tmp_path / "ran"
    ran.mkdir()
    seconds = TASKS / A_SECOND
    with Ensemble(tmp_path) as ensemble, contextlib.ExitStack() as stack:
        url = f"zk://{ensemble.hosts}{ROOT}?timeout={SESSION}"
        roles = [("master", number) for number in range(MASTERS)]
        roles += [("worker", number) for number in range(WORKERS)]
        members = [Member(role, url, ran) for role, _ in roles]
        for member in members:
            stack.enter_context(member)
        troubles = [
            trouble
            for number, (member, (role, index)) in enumerate(zip(members, roles, strict=True))
            for trouble in member.troubles(f"{role} {index}", number, SESSION)
        ]
        leader = leader_dies(ensemble)
        mischief = Mischief([*troubles, leader], SEED, at_once=3, pause=(0.3, 1.5))
        with rpc.TaskQueue(url, timeout=120) as queue:
            with Feeder(queue, TASKS, seconds, SEED) as feeder:
                mischief.begin(leader)
                mischief.play(seconds)
            account = f"seed {SEED}: {', '.join(mischief.happened)}"
            print(account)
            assert feeder.problem is None, account
            feeder.collect()
            until(lambda: (queue.counts().waiting, queue.counts().running) == (0, 0), queue.counts)
        with client(ensemble.hosts) as operator:
            broken = judge(feeder.queued, Ledger(ran))
            assert not broken, "\n".join([account, *broken])
            broken = judge_nodes(operator, ROOT, feeder.queued)
            assert not broken, "\n".join([account, *broken])
            wait_until_lean(members)
            for member in members:
                member.terminate()
            with later(url, 2 * 24 * 3600.0):
                until(lambda: left(operator, ROOT) == [], lambda: (account, left(operator, ROOT)))
            assert operator.exists(f"{ROOT}/master") is None
        print(f"{len(feeder.queued)} tasks done; {tally(ran)}")


def leader_dies(ensemble: Ensemble) -> Trouble:
    def die() -> typing.Callable[[], None]:
        # Those that are still starting, after the last time, are let be: without a quorum nothing happens.
        if all("Mode: " in node.ask("srvr") for node in ensemble.nodes):
            with contextlib.suppress(StopIteration):
                ensemble.leader.kill()

        def heal() -> None:
            for node in ensemble.nodes:
                node.start(wait=False)

        return heal

    return Trouble("the leader of ZooKeeper dies", None, die, (0.5, 3.0))


def later(url: str, seconds: float) -> rpc.Master:
    """Gives a master whose clock is ahead: whatever is kept for a time has been kept for that."""
    master = rpc.Master(url)
    layout = Layout(ROOT)
    master._duty = Mastering(url, layout, lambda: Picture(), lambda: time.time() + seconds)
    return master
