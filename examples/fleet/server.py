"""One server of several: python server.py. It registers at the URL in RPCGEN_REGISTRY."""

import os

from fleet import InvalidOperation, Quotient, ThreadServer


class Handlers:
    """One method for each of the interface, with its types."""

    def divide(self, num1: int, num2: int) -> Quotient:
        if num2 == 0:
            raise InvalidOperation("num2 must not be 0")
        return Quotient(num1 / num2, os.getpid())


if __name__ == "__main__":
    server = ThreadServer("127.0.0.1", 0, Handlers())  # 0: any free port, as clients ask the registry
    print(f"process {os.getpid()} serves at {server.bind()}", flush=True)
    server.serve()
