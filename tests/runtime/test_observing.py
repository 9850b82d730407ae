from __future__ import annotations

import contextlib
import logging

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.interceptors import through
from rpcgen.runtime.observing import BUCKETS
from tests.support.services import DivideProtocol, InvalidOperation


def called(interceptor: rpc.Interceptor, error: BaseException | None = None) -> None:
    call = rpc.Call(DivideProtocol, (), metadata={}, reply_metadata={}, peer="tcp://127.0.0.1:1")

    def proceed() -> float:
        if error is not None:
            raise error
        return 1.0

    with contextlib.suppress(Exception):
        through([interceptor], call, proceed)


ENDS = [
    (None, "ok", logging.INFO),
    (InvalidOperation(), "InvalidOperation", logging.INFO),
    (rpc.RemoteFault(rpc.FaultCode.INTERNAL, "x"), "INTERNAL", logging.WARNING),
    (rpc.Refused(rpc.FaultCode.UNAUTHENTICATED), "UNAUTHENTICATED", logging.WARNING),
    (rpc.DeadlineExceeded("late"), "DeadlineExceeded", logging.WARNING),
    (KeyError("secret"), "KeyError", logging.WARNING),
]


@pytest.mark.parametrize(("error", "outcome", "level"), ENDS)
def test_each_call_is_a_line_in_the_log(
    error: Exception | None, outcome: str, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "rpcgen.calls"):
        called(rpc.log_calls(), error)
    (record,) = caplog.records
    assert record.levelno == level
    assert record.getMessage().startswith(f"divide with tcp://127.0.0.1:1: {outcome} in ")
    assert "secret" not in record.getMessage()


def test_quick_calls_can_be_left_out_failures_not(caplog: pytest.LogCaptureFixture) -> None:
    log = rpc.log_calls("elsewhere", slower_than=60, level=logging.DEBUG)
    with caplog.at_level(logging.DEBUG, "elsewhere"):
        called(log)
        called(log, InvalidOperation())
        called(log, ValueError())
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_calls_are_counted_by_method_and_outcome() -> None:
    metrics = rpc.Metrics()
    for error, _, _ in ENDS:
        called(metrics, error)
        called(metrics, error)
    tallies = metrics.tallies()
    assert {key: tally.calls for key, tally in tallies.items()} == {
        ("divide", outcome): 2 for _, outcome, _ in ENDS
    }
    assert all(sum(tally.buckets) == 2 and tally.seconds > 0 for tally in tallies.values())
    assert metrics.running() == {"divide": 0}
    tallies[("divide", "ok")].buckets[0] += 100
    assert sum(metrics.tallies()[("divide", "ok")].buckets) == 2


def test_the_text_is_what_prometheus_reads() -> None:
    metrics = rpc.Metrics("shop")
    called(metrics)
    called(metrics)
    lines = metrics.text().splitlines()
    labels = 'method="divide",outcome="ok"'
    assert lines[:2] == [
        "# HELP shop_call_seconds How long calls took.",
        "# TYPE shop_call_seconds histogram",
    ]
    buckets = [line for line in lines if line.startswith(f"shop_call_seconds_bucket{{{labels}")]
    counts = [int(line.rpartition(" ")[2]) for line in buckets]
    assert len(counts) == len(BUCKETS) + 1
    assert counts == sorted(counts)
    assert buckets[-1] == f'shop_call_seconds_bucket{{{labels},le="+Inf"}} 2'
    assert f"shop_call_seconds_count{{{labels}}} 2" in lines
    assert lines[-1] == 'shop_calls_running{method="divide"} 0'
