"""A newcomer's first programs, as ``rpcgen init`` writes them. NAME stands for the module's name."""

from __future__ import annotations

INTERFACE = """\
/// Divides num1 by num2.
float divide(1: int num1, 2: int num2 = 1) => InvalidOperation
"""

SERVER = '''\
"""Serves NAME.idl: python server.py [PORT]"""

import sys

from NAME import InvalidOperation, ThreadServer


class Handlers:
    """What the server does: one method for each of the interface."""

    def divide(self, num1: int, num2: int) -> float:
        if num2 == 0:
            raise InvalidOperation("cannot divide by zero")
        return num1 / num2


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    server = ThreadServer("127.0.0.1", port, Handlers())
    print(f"listening at {server.bind()}; Ctrl-C ends", flush=True)
    server.serve()
'''

CLIENT = '''\
"""Calls the server: python client.py [PORT]"""

import sys

from NAME import Channel, ClientStub, InvalidOperation

if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    with Channel("127.0.0.1", port) as channel:
        stub = ClientStub(channel)
        print("200 / 100 =", stub.divide(200, 100))
        print("200       =", stub.divide(200))
        try:
            stub.divide(1, 0)
        except InvalidOperation as refusal:
            print("1 / 0     :", refusal)
'''


def files(name: str) -> dict[str, str]:
    """Gives the programs by file name, without the module, which is compiled."""
    programs = {f"{name}.idl": INTERFACE, "server.py": SERVER, "client.py": CLIENT}
    return {file: text.replace("NAME", name) for file, text in programs.items()}
