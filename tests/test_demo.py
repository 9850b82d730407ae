"""``make demo`` shows what it promises."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def test_the_demo_compiles_serves_calls_and_ends() -> None:
    done = subprocess.run(
        [sys.executable, "examples/demo.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    for shown in (
        "    float divide(1:int num1, 2:int num2=1) => InvalidOperation",
        "    divide(200, 100) → 2.0",
        "    divide(1, 0)     → InvalidOperation: ",
        "    ended with status 0",
    ):
        assert shown in done.stdout
    assert re.search(r"client\.py \d+$", done.stdout, re.MULTILINE)
