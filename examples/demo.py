"""``make demo``: servers in a registry, a client that survives their death; every command is shown.

``python examples/demo.py zookeeper`` is the same on a ZooKeeper: another registry is started,
and RPCGEN_REGISTRY has its URL. Nothing is left running, however it ends.
"""

from __future__ import annotations

import re
import signal
import sys
import time
import typing

from stage import SECONDS, Background, Failure, Stage, perform, say, title

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


class Demo:
    """The steps, one after the other."""

    def __init__(self, stage: Stage, registry: str) -> None:
        self._stage = stage
        self._registry = registry

    def show(self) -> None:
        stage = self._stage
        stage.compile("fleet", "examples/fleet")

        registry = stage.start_registry(*REGISTRIES[self._registry])
        title(
            "Servers and clients find it by its URL",
            f"export RPCGEN_REGISTRY={stage.environment['RPCGEN_REGISTRY']}",
        )
        print()

        title("Three servers. They register by themselves", *3 * ["python examples/fleet/server.py &"])
        servers = [stage.start("python examples/fleet/server.py") for _ in range(3)]
        say("".join(server.first() for server in servers))

        title("Who is there?", "rpcgen ls")
        say(self.listed(servers))

        title(
            "A client calls, 2 ms between two calls. It knows the registry alone",
            "python examples/fleet/client.py &",
        )
        client = stage.start("python examples/fleet/client.py")
        answering(client, servers)

        victim = servers.pop(0)
        title("Kill a server, so that it can say goodbye to nobody", f"kill -9 {victim.process.pid}")
        victim.send(signal.SIGKILL)
        answering(client, servers, without=victim)

        title("What is wrong?", "rpcgen doctor")
        say(stage.run("rpcgen doctor", 1, 0))  # 0: its entry is gone by now

        title("Start another one: it gets its share at once", "python examples/fleet/server.py &")
        servers.append(stage.start("python examples/fleet/server.py"))
        print(f"    {servers[-1].first()}", end="")
        answering(client, servers)

        self.end(client, servers, registry)

    def listed(self, servers: list[Background]) -> str:
        """Gives what `rpcgen ls` says once all the servers are in it: they register while they serve already."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            text = self._stage.run("rpcgen ls", 0, 1)
            if all(str(server.process.pid) in text for server in servers):
                return text
        raise Failure("the servers do not register")

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


def main(registry: str = "registry") -> int:
    """Shows the steps."""
    return perform(lambda stage: Demo(stage, registry).show(), NEXT[registry] + MORE)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
