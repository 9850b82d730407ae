"""What a result was measured on: processor, memory, system, Python, compiler, peers, and how busy it was."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import pathlib
import platform
import shutil
import subprocess

import rpcgen
from rpcgen.runtime.wire.plain import native

PACKAGES = (
    *("msgspec", "protobuf", "pycapnp", "thriftpy2", "grpcio", "connect-python", "rpyc", "pyro5"),
    *("fastapi", "uvicorn", "httptools", "uvloop"),
)
"""Distributions whose versions say what was measured beside."""


def describe() -> dict[str, str]:
    """Gives what stays the same while it is measured, under the names that a report shows."""
    return {
        "rpcgen": f"{rpcgen.__version__}, codec in {'C' if native else 'Python'}",
        "commit": _first_line(
            "git", "-C", str(pathlib.Path(__file__).parent), "describe", "--always", "--dirty"
        ),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _after(pathlib.Path("/proc/cpuinfo"), "model name") or platform.processor() or "unknown",
        "cores": f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "C compiler": _first_line("cc", "--version"),
        "peers": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
    }


def load() -> str:
    """Gives how many processes wanted to run, on average, in the last 1, 5 and 15 minutes."""
    return ", ".join(f"{average:.2f}" for average in os.getloadavg())


def _first_line(program: str, *arguments: str) -> str:
    if shutil.which(program) is None:
        return "not installed"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    return done.stdout.partition("\n")[0] if done.returncode == 0 else "unknown"


def _after(path: pathlib.Path, name: str) -> str:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
