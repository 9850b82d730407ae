"""Installs programs that tests start, where apt-get can: ``install_programs.py zookeeper chromium nginx``.

No daemon is started. What is found already is left alone. Without one of them the tests that need it are skipped; in CI
ZooKeeper must be there.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import typing

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support import browser, nginx, zookeeper  # noqa: E402  (the path must be set first)

POLICY = pathlib.Path("/usr/sbin/policy-rc.d")
JAVA = ("openjdk-17-jre-headless", "default-jre-headless")


class Program(typing.NamedTuple):
    """What can be installed.

    Args:
        is_missing: Whether it is not found.
        packages: Gives Debian's for what is missing of it.
        help: What to do by hand.
    """

    is_missing: typing.Callable[[], bool]
    packages: typing.Callable[[], list[str]]
    help: str


def main(names: list[str]) -> int:
    """Installs what is missing; the status is 0 if the tests can go on."""
    missing = [PROGRAMS[name] for name in names if PROGRAMS[name].is_missing()]
    if missing and shutil.which("apt-get") is not None:
        print(f"installing what tests start (apt-get): {', '.join(names)}", file=sys.stderr)
        try:
            install(missing)
        except (OSError, subprocess.CalledProcessError) as error:
            print(error, file=sys.stderr)
    missing = [program for program in missing if program.is_missing()]
    for program in missing:
        print(program.help, file=sys.stderr)
    if os.environ.get("CI") and PROGRAMS["zookeeper"] in missing:
        return 1
    if missing:
        print("tests that need it are skipped", file=sys.stderr)
    return 0


def install(programs: list[Program]) -> None:
    rights = [] if os.geteuid() == 0 else ["sudo", "-n"]
    apt = [*rights, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    # Slim images lack the folder that Java's package puts links into.
    run([*rights, "mkdir", "-p", "/usr/share/man/man1"])
    run([*apt, "update"])
    with no_daemons(rights):
        for program in programs:
            run([*apt, "install", "-y", "--no-install-recommends", *program.packages()])


@contextlib.contextmanager
def no_daemons(rights: list[str]) -> typing.Iterator[None]:
    """Keeps Debian from starting what it installs, as its policy of start scripts has it."""
    if POLICY.exists():
        yield
        return
    with tempfile.NamedTemporaryFile("w") as refusal:
        refusal.write("#!/bin/sh\nexit 101\n")
        refusal.flush()
        run([*rights, "install", "-m", "755", refusal.name, str(POLICY)])
    try:
        yield
    finally:
        run([*rights, "rm", "-f", str(POLICY)])


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr)


def zookeeper_packages() -> list[str]:
    packages = ["libzookeeper-java"] if zookeeper.find_class_path() is None else []
    if zookeeper.find_java() is None:
        packages.append(next((name for name in JAVA if is_offered(name)), JAVA[-1]))
    return packages


def is_offered(package: str) -> bool:
    found = subprocess.run(["apt-cache", "policy", package], capture_output=True, text=True, check=False)
    return "Candidate: " in found.stdout and "Candidate: (none)" not in found.stdout


PROGRAMS: typing.Final = {
    "zookeeper": Program(
        lambda: zookeeper.find_class_path() is None or zookeeper.find_java() is None,
        zookeeper_packages,
        zookeeper.MISSING,
    ),
    "chromium": Program(lambda: browser.find_chromium() is None, lambda: ["chromium"], browser.MISSING),
    "nginx": Program(lambda: nginx.find_nginx() is None, lambda: ["nginx-light"], nginx.MISSING),
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
