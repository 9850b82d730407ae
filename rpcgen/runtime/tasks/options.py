"""The options of queued calls; stubs load without them."""

from __future__ import annotations

import typing


class TaskOptions(typing.TypedDict, total=False):
    """Options of ``rpc.with_task_options``; ``rpc.TaskQueue.call`` says what they mean."""

    timeout: float | None
    key: str | None
    priority: int | None
    delay: float
    attempts: int | None
    keep: float | None
