"""Installs the ZooKeeper that the tests start, where apt-get can; says what to do elsewhere.

No daemon is started: the packages hold the program alone. Where ZooKeeper is found already,
nothing is done. Without it the tests that need one are skipped, but in CI this fails.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support import zookeeper  # noqa: E402  (the path must be set first)

JAVA = ("openjdk-17-jre-headless", "default-jre-headless")


def main() -> int:
    """Installs what is missing; the status is 0 if the tests can go on."""
    if not is_missing():
        return 0
    if shutil.which("apt-get") is None:
        return give_up(zookeeper.MISSING)
    rights = [] if os.geteuid() == 0 else ["sudo", "-n"]
    apt = [*rights, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    print("installing ZooKeeper for the tests (apt-get)", file=sys.stderr)
    try:
        # Slim images lack the folder that Java's package puts links into.
        subprocess.run([*rights, "mkdir", "-p", "/usr/share/man/man1"], check=True)
        subprocess.run([*apt, "update"], check=True, stdout=sys.stderr)
        packages = ["libzookeeper-java"] if zookeeper.find_class_path() is None else []
        if zookeeper.find_java() is None:
            packages.append(next((name for name in JAVA if is_offered(name)), JAVA[-1]))
        subprocess.run(
            [*apt, "install", "-y", "--no-install-recommends", *packages], check=True, stdout=sys.stderr
        )
    except (OSError, subprocess.CalledProcessError) as error:
        return give_up(f"{error}\n{zookeeper.MISSING}")
    return give_up(zookeeper.MISSING) if is_missing() else 0


def is_missing() -> bool:
    return zookeeper.find_class_path() is None or zookeeper.find_java() is None


def is_offered(package: str) -> bool:
    found = subprocess.run(["apt-cache", "policy", package], capture_output=True, text=True, check=False)
    return "Candidate: " in found.stdout and "Candidate: (none)" not in found.stdout


def give_up(problem: str) -> int:
    print(problem, file=sys.stderr)
    if os.environ.get("CI"):
        return 1
    print("tests that need it are skipped", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
