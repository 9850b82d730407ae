"""``make demo``: servers in a registry, a client that survives their death; every command is shown.

``python examples/demo.py zookeeper`` is the same on a ZooKeeper: another registry is started,
and RPCGEN_REGISTRY has its URL. Nothing is left running, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import typing

ROOT = pathlib.Path(__file__).resolve().parent.parent
SECONDS = 60.0
"""How long any step may take before the demo gives up."""

REGISTRIES = {
    "registry": ("A registry: who serves what. This one is for a single machine", "rpcgen registry --port 0"),
    "zookeeper": (
        "A registry: a ZooKeeper of our own, for as long as this takes",
        "python scripts/throwaway_zookeeper.py",
    ),
}
"""What to run → its title and command; it prints its URL."""

NEXT = {
    "registry": """\
The same on ZooKeeper, for more than one machine: another URL, nothing else
    $ export RPCGEN_REGISTRY=zk://zk1:2181,zk2:2181,zk3:2181/rpc
    $ make demo-zk                  does it, on a ZooKeeper that it starts for the purpose
""",
    "zookeeper": """\
All that differs from `make demo` is the registry's URL.
""",
}
MORE = """\

Next
    examples/fleet/                 the server and the client of this demo, to copy
    .venv/bin/rpcgen init DIR       a first interface, server and client of your own
    README.md                       the tour, in five minutes
    docs/discovery.md               what happens when servers, networks or registries fail
"""


class Failure(Exception):
    """A step did not do what it should."""


class Background:
    """A program that runs beside the demo; its lines can be waited for.

    Args:
        command: As it is shown: ``python FILE …`` or ``rpcgen …``.
        environment: Its variables.
    """

    def __init__(self, command: str, environment: dict[str, str]) -> None:
        self.command = command
        self.process = subprocess.Popen(
            words(command),
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")

    def line(self) -> str:
        """Gives the next line that it prints; ``""`` once it has ended."""
        try:
            return self._lines.get(timeout=SECONDS)
        except queue.Empty:
            raise Failure(f"{self.command} said nothing for {SECONDS:g} s") from None

    def first(self) -> str:
        """Gives the line that says that it is ready."""
        line = self.line()
        if not line:
            raise Failure(f"{self.command} ended with status {self.process.wait(SECONDS)}")
        return line

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Waits until it has ended; gives its status."""
        try:
            return self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.command} does not end") from None

    def close(self) -> None:
        """Ends it by force, if it still runs."""
        self.process.kill()
        self.process.wait()
        self._reader.join()


class Demo:
    """The steps, one after the other; what they start belongs to ``started``."""

    def __init__(self, started: contextlib.ExitStack, registry: str) -> None:
        self._started = started
        self._registry = registry
        self._environment = os.environ | {"PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}
        self._environment.pop("RPCGEN_REGISTRY", None)

    def show(self) -> None:
        title(
            "An interface: what is called, with what, what comes back, what may go wrong", "cat idl/fleet.idl"
        )
        say((ROOT / "idl" / "fleet.idl").read_text(encoding="utf-8"))

        title("Compile it to one Python module", "rpcgen compile idl/fleet.idl -o examples/fleet")
        (ROOT / "examples" / "fleet" / "fleet.py").unlink(missing_ok=True)
        say(self.run("rpcgen compile idl/fleet.idl -o examples/fleet"))

        registry = self.start_registry()

        title("Three servers. They register by themselves", *3 * ["python examples/fleet/server.py &"])
        servers = [self.start("python examples/fleet/server.py") for _ in range(3)]
        say("".join(server.first() for server in servers))

        title("Who is there?", "rpcgen ls")
        say(self.listed(servers))

        title(
            "A client calls, 2 ms between two calls. It knows the registry alone",
            "python examples/fleet/client.py &",
        )
        client = self.start("python examples/fleet/client.py")
        answering(client, servers)

        victim = servers.pop(0)
        title("Kill a server, so that it can say goodbye to nobody", f"kill -9 {victim.process.pid}")
        victim.send(signal.SIGKILL)
        answering(client, servers, without=victim)

        title("What is wrong?", "rpcgen doctor")
        say(self.run("rpcgen doctor", 1, 0))  # 0: its entry is gone by now

        title("Start another one: it gets its share at once", "python examples/fleet/server.py &")
        servers.append(self.start("python examples/fleet/server.py"))
        print(f"    {servers[-1].first()}", end="")
        answering(client, servers)

        self.end(client, servers, registry)

    def listed(self, servers: list[Background]) -> str:
        """Gives what `rpcgen ls` says once all the servers are in it: they register while they serve already."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            text = self.run("rpcgen ls", 0, 1)
            if all(str(server.process.pid) in text for server in servers):
                return text
        raise Failure("the servers do not register")

    def start_registry(self) -> Background:
        what, command = REGISTRIES[self._registry]
        title(what, f"{command} &")
        registry = self.start(command)
        line = registry.first()
        say(line)
        found = re.search(r"(registry|zk)://[^\s;,]+", line)
        if found is None:
            raise Failure(f"{command} says no URL")
        self._environment["RPCGEN_REGISTRY"] = found[0]
        title("Servers and clients find it by its URL", f"export RPCGEN_REGISTRY={found[0]}")
        print()
        return registry

    def end(self, client: Background, servers: list[Background], registry: Background) -> None:
        every = " ".join(str(one.process.pid) for one in (client, *servers, registry))
        title("End: servers withdraw first, and finish what they were asked", f"kill {every}")
        client.send(signal.SIGTERM)
        last = ""
        while line := client.line():
            last = line
        say(last)
        if not re.match(r"\d+ calls, 0 failed", last):
            raise Failure("calls failed")
        for server in servers:
            server.send(signal.SIGTERM)
        for server in servers:
            if (status := server.ended()) != 0:
                raise Failure(f"a server ended with status {status}")
        registry.send(signal.SIGTERM)
        registry.ended()

    def start(self, command: str) -> Background:
        background = Background(command, self._environment)
        self._started.callback(background.close)
        return background

    def run(self, command: str, *statuses: int) -> str:
        """Runs a command that should end with one of these statuses (default: 0); gives all that it wrote."""
        done = subprocess.run(
            words(command),
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=SECONDS,
            check=False,
        )
        if done.returncode not in (statuses or (0,)):
            say(done.stdout)
            raise Failure(f"{command} ended with status {done.returncode}")
        return done.stdout


def answering(
    client: Background, servers: typing.Iterable[Background], without: Background | None = None
) -> None:
    """Shows what the client says until all the servers, and not the one without, answer."""
    names = {str(server.process.pid) for server in servers}
    gone: set[str] = {str(without.process.pid)} if without is not None else set()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        line = client.first()
        print(f"    {line}", end="", flush=True)
        answered = set(re.findall(r"(\d+) ×", line))
        if names <= answered and not gone & answered:
            print(flush=True)
            return
    raise Failure(f"not all of the servers {', '.join(sorted(names))} answer")


def words(command: str) -> list[str]:
    """Gives a shown command as it is run here: by this Python, wherever ``python`` and ``rpcgen`` are."""
    program, *rest = command.split()
    return [sys.executable, *(["-m", "rpcgen"] if program == "rpcgen" else []), *rest]


def title(what: str, *commands: str) -> None:
    bold, dim, plain = ("\33[1m", "\33[2m", "\33[0m") if sys.stdout.isatty() else ("", "", "")
    print(f"{bold}{what}{plain}", flush=True)
    for command in commands:
        print(f"    {dim}$ {command}{plain}", flush=True)


def say(text: str) -> None:
    """Prints what a command said, indented, and an empty line."""
    print("".join(f"    {line}\n" for line in text.splitlines()), flush=True)


def main(registry: str = "registry") -> int:
    """Shows the steps; the status is 1 as soon as one fails."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with contextlib.ExitStack() as started:
            Demo(started, registry).show()
    except (Failure, subprocess.SubprocessError) as failure:
        print(f"the demo failed: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(NEXT[registry] + MORE, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
