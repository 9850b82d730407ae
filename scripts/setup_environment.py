"""Makes ``.venv`` what the lock says: ``python3.11 scripts/setup_environment.py dev [peers]``.

A stamp in the environment holds a digest of all that it was made from. While it matches,
nothing is done and no network is needed. Otherwise the locked packages are installed into
the environment, which is made anew if it is missing, broken, moved or of another Python.
A lock on a file lets two runs follow each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
BASE_STAMP = ENVIRONMENT / "base.stamp"


def main(groups: list[str]) -> int:
    """Sets up each group in turn; the status is that of the step which failed, else 0."""
    if sys.version_info < (3, 11):  # noqa: UP036 (PYTHON=… can name an older one)
        print(f"rpcgen needs Python 3.11 or newer, and this is {sys.version.split()[0]}", file=sys.stderr)
        return 1
    with open(ROOT / ".venv.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            for group in groups:
                set_up(group)
        except subprocess.CalledProcessError as failure:
            command = " ".join(str(part) for part in failure.cmd)
            print(f"set-up failed (status {failure.returncode}): {command}", file=sys.stderr)
            # Whatever state it is in, the next run starts from nothing.
            BASE_STAMP.unlink(missing_ok=True)
            return 1
    return 0


def set_up(group: str) -> None:
    lock = ROOT / "requirements" / f"{group}.txt"
    stamp = ENVIRONMENT / f"{group}.stamp"
    base = make_base()
    wanted = digest(base, lock)
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)
    print(f"installing {lock.relative_to(ROOT)} into .venv", file=sys.stderr)
    pip("install", "--require-hashes", "--requirement", str(lock))
    if group == "dev":
        # A plain path entry (compat) starts quicker than setuptools' import hook; it builds what is in C
        # beside its sources.
        pip(
            *("install", "--no-deps", "--no-build-isolation", "--no-index"),
            *("--config-settings", "editable_mode=compat", "--editable", str(ROOT)),
        )
    stamp.write_text(wanted)


def make_base() -> str:
    """Makes the bare environment if there is none that works; gives what identifies it."""
    wanted = f"{ROOT} {sys.version} {os.path.realpath(sys.executable)}"
    if BASE_STAMP.is_file() and BASE_STAMP.read_text() == wanted and works():
        return wanted
    print("making .venv", file=sys.stderr)
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    venv.create(ENVIRONMENT, with_pip=True)
    BASE_STAMP.write_text(wanted)
    return wanted


def works() -> bool:
    try:
        check = subprocess.run([PYTHON, "-I", "-S", "-c", ""], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return check.returncode == 0


def digest(base: str, lock: pathlib.Path) -> str:
    told = hashlib.sha256(base.encode())
    sources = sorted(path for path in (ROOT / "rpcgen").rglob("*") if path.suffix in (".c", ".h"))
    for path in (lock, ROOT / "pyproject.toml", ROOT / "setup.py", pathlib.Path(__file__), *sources):
        told.update(path.read_bytes())
    return told.hexdigest()


def pip(*arguments: str) -> None:
    subprocess.run([PYTHON, "-m", "pip", "--disable-pip-version-check", "-qq", *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
