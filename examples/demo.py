"""``make demo``: from an interface to calls between two processes, with every command shown."""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SECONDS = 30
"""How long any step may take before the demo gives up."""

NEXT = """\
Next
    less generated/service.py       what was compiled: your interface, in Python
    idl/shop.idl                    a realistic interface; docs/idl.md has the whole language
    .venv/bin/rpcgen init DIR       a first interface, server and client of your own
    README.md                       the tour, in five minutes
"""


def main() -> int:
    """Shows the steps; the status is 1 as soon as one fails."""
    try:
        show()
    except (subprocess.SubprocessError, EOFError) as failure:
        print(f"the demo failed: {failure}", file=sys.stderr)
        return 1
    return 0


def show() -> None:
    step("An interface: one method, in one line", "cat idl/service.idl")
    say((ROOT / "idl" / "service.idl").read_text(encoding="utf-8"))

    step("Compile it to one Python module", "rpcgen compile idl/service.idl -o examples/divide")
    (ROOT / "examples" / "divide" / "service.py").unlink(missing_ok=True)
    say(run("-m", "rpcgen", "compile", "idl/service.idl", "-o", "examples/divide"))

    step("Serve it", "python examples/divide/server.py &")
    with subprocess.Popen(
        [sys.executable, "examples/divide/server.py"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            call_and_end(server)
        finally:
            server.kill()
    print(NEXT, end="")


def call_and_end(server: subprocess.Popen[str]) -> None:
    assert server.stdout is not None
    line = server.stdout.readline()
    if not line:
        raise EOFError(f"the server ended with status {server.wait(SECONDS)}")
    say(line)
    port = line.split(":")[-1].strip()

    step("Call it from another process", f"python examples/divide/client.py {port}")
    say(run("examples/divide/client.py", port))

    step("End it: calls under way are finished first", "kill -TERM %1")
    server.send_signal(signal.SIGTERM)
    status = server.wait(SECONDS)
    if status != 0:
        raise subprocess.CalledProcessError(status, "server.py")
    say(f"ended with status {status}")


def run(*arguments: str) -> str:
    """Runs Python with the arguments; gives all that the process wrote.

    Raises:
        subprocess.SubprocessError: It failed, or took too long.
    """
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode != 0:
        say(done.stdout)
        raise subprocess.CalledProcessError(done.returncode, arguments)
    return done.stdout


def step(title: str, command: str) -> None:
    bold, dim, plain = ("\33[1m", "\33[2m", "\33[0m") if sys.stdout.isatty() else ("", "", "")
    print(f"{bold}{title}{plain}\n    {dim}$ {command}{plain}", flush=True)


def say(text: str) -> None:
    """Prints what a command said, indented, and an empty line."""
    print("".join(f"    {line}\n" for line in text.splitlines()), flush=True)


if __name__ == "__main__":
    sys.exit(main())
