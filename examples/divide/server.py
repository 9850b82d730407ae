"""Serves service.idl on a port that the system chooses, until it is told to end."""

from service import InvalidOperation, ThreadServer


class Handlers:
    """One method for each of the interface, with its types."""

    def divide(self, num1: int, num2: int) -> float:
        if num2 == 0:
            raise InvalidOperation("num2 must not be 0")
        return num1 / num2


if __name__ == "__main__":
    server = ThreadServer("127.0.0.1", 0, Handlers())
    print(f"serving at {server.bind()}", flush=True)
    server.serve()
