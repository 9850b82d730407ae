"""Builds what is in C with the address and undefined-behaviour sanitizers, and runs its tests.

The build goes to ``build/sanitized`` and touches nothing else. The address sanitizer must be
loaded before Python, and sees Python's objects one by one where each is allocated alone.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILT = ROOT / "build" / "sanitized"

SANITIZERS = "-fsanitize=address,undefined -fno-sanitize-recover=all"
COMPILED = f"{SANITIZERS} -g -O1 -fno-omit-frame-pointer"

RUN = """\
import sys
import pytest
import rpcgen
from rpcgen.runtime.sync import turns
from rpcgen.runtime.wire import plain

assert rpcgen.__file__.startswith(sys.argv[1]) and plain.native and turns.serve, "not what was built here"
sys.exit(pytest.main(sys.argv[2:]))
"""

TESTS = (
    *(
        f"tests/runtime/wire/test_{name}.py"
        for name in (
            "native",
            "compiled",
            "messages",
            "values",
            "scan",
            "flow",
            "session",
            "session_model",
            "tailed",
        )
    ),
    *(f"tests/runtime/sync/test_{name}.py" for name in ("turns", "long_turns", "usual", "server")),
    "tests/runtime/test_dispatch.py",
)


def main() -> int:
    """Gives the status of the first step that failed, else 0."""
    shutil.rmtree(BUILT, ignore_errors=True)
    compiler = os.environ.get("CC", "gcc")
    build = [sys.executable, "setup.py", "-q", "build", "--build-base", str(BUILT / "objects")]
    flags = {"CFLAGS": COMPILED, "LDFLAGS": SANITIZERS}
    built = subprocess.run(
        [*build, "--build-lib", str(BUILT / "lib")], cwd=ROOT, env=os.environ | flags, check=False
    )
    if built.returncode != 0:
        return built.returncode
    preloaded = subprocess.run(
        [compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    environment = os.environ | {
        "LD_PRELOAD": preloaded,
        # Python itself keeps some memory to its end; the tests count what is kept by round trips.
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(BUILT / "lib"),
        "RPCGEN_CODEC": "c",
    }
    options = ["-n0", "-q", "-x", "-p", "no:cacheprovider", "-o", "timeout=1200", "-k", "not python", *TESTS]
    # -P: the checkout's own package must not come first.
    command = [sys.executable, "-P", "-c", RUN, str(BUILT), *options]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
