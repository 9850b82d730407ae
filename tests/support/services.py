"""Services as the compiler generates them, written by hand: the runtime's tests need no compiler."""

from __future__ import annotations

import threading
import typing

from rpcgen import runtime as rpc


class InvalidOperation(rpc.RemoteException):
    """Raised by divide."""

    default_message = "invalid operation"


class Undeclared(rpc.RemoteException):
    """An exception that no method declares."""


class Narrower(InvalidOperation):
    """What a handler may raise for it."""


class DivideProtocol(rpc.MessageProtocol[float]):
    """float divide(1: int num1, 2: int num2 = 1) => InvalidOperation"""

    name = "divide"
    params = (rpc.Param(1, "num1", rpc.INT), rpc.Param(2, "num2", rpc.INT, default=1))
    returns = rpc.FLOAT
    raises = (InvalidOperation,)


class EchoProtocol(rpc.MessageProtocol[bytes]):
    """bytes echo(1: bytes data)"""

    name = "echo"
    params = (rpc.Param(1, "data", rpc.BYTES),)
    returns = rpc.BYTES


class WaitProtocol(rpc.MessageProtocol[int]):
    """int wait(1: int number)"""

    name = "wait"
    params = (rpc.Param(1, "number", rpc.INT),)
    returns = rpc.INT


class LogProtocol(rpc.MessageProtocol[None]):
    """oneway void log(1: string line)"""

    name = "log"
    params = (rpc.Param(1, "line", rpc.STRING),)
    oneway = True


class RunProtocol(rpc.MessageProtocol[int]):
    """int run(1: string what)"""

    name = "run"
    params = (rpc.Param(1, "what", rpc.STRING),)
    returns = rpc.INT
    raises = (InvalidOperation,)


class OldProtocol(rpc.MessageProtocol[None]):
    """void old()"""

    name = "old"
    deprecated = "use new"


class HurryProtocol(rpc.MessageProtocol[int]):
    """@timeout(50ms) int hurry()"""

    name = "hurry"
    returns = rpc.INT
    timeout = 0.05


INTERFACE = rpc.Interface("service.idl", "float divide(1: int num1, 2: int num2 = 1) => InvalidOperation\n")


class ClientStub(rpc.ClientStub):
    """Calls the service."""

    def divide(self, num1: int, num2: int = 1) -> float:
        return self._call(DivideProtocol, num1, num2)

    def echo(self, data: bytes) -> bytes:
        return self._call(EchoProtocol, data)

    def wait(self, number: int) -> int:
        return self._call(WaitProtocol, number)

    def log(self, line: str) -> None:
        return self._call(LogProtocol, line)

    def run(self, what: str) -> int:
        return self._call(RunProtocol, what)

    def old(self) -> None:
        return self._call(OldProtocol)

    def hurry(self) -> int:
        return self._call(HurryProtocol)


class ServerStub(rpc.ServerStub):
    """Dispatches calls to handlers."""

    protocols = (
        DivideProtocol,
        EchoProtocol,
        WaitProtocol,
        LogProtocol,
        RunProtocol,
        OldProtocol,
        HurryProtocol,
    )
    interface = INTERFACE


class Server(rpc.Server):
    """Serves the service, one connection at a time."""

    def __init__(
        self, host: str, port: int | None, handlers: object, **options: typing.Unpack[rpc.ServerOptions]
    ) -> None:
        super().__init__(host, port, ServerStub(handlers), **options)


class ThreadServer(rpc.ThreadServer):
    """Serves the service, many connections at once."""

    def __init__(
        self, host: str, port: int | None, handlers: object, **options: typing.Unpack[rpc.ThreadServerOptions]
    ) -> None:
        super().__init__(host, port, ServerStub(handlers), **options)


Kind: typing.TypeAlias = "type[Server] | type[ThreadServer]"


class Handlers:
    """Handlers whose ``wait`` ends when the test says so.

    Args:
        actions: What ``run`` does, by name.
    """

    def __init__(self, **actions: typing.Callable[[], object]) -> None:
        self.actions = actions
        self.entered = threading.Semaphore(0)
        """Released by each call that waits."""
        self.go_on = threading.Event()
        self.lines: list[str] = []
        self.logged = threading.Semaphore(0)
        self.threads: set[str] = set()

    def divide(self, num1: int, num2: int) -> float:
        self.threads.add(threading.current_thread().name)
        if num2 == 0:
            raise InvalidOperation("division by zero")
        return num1 / num2

    def echo(self, data: bytes) -> bytes:
        return data

    def wait(self, number: int) -> int:
        self.entered.release()
        assert self.go_on.wait(30)
        return number

    def log(self, line: str) -> None:
        self.lines.append(line)
        self.logged.release()

    def run(self, what: str) -> typing.Any:
        return self.actions[what]()

    def old(self) -> None:
        pass

    def hurry(self) -> int:
        return self.wait(1)


class BasePingProtocol(rpc.MessageProtocol[str]):
    """string ping()"""

    name = "Base.ping"
    returns = rpc.STRING


class BaseServerStub(rpc.ServerStub):
    """Dispatches calls of Base."""

    protocols: typing.ClassVar[tuple[type[rpc.MessageProtocol[typing.Any]], ...]] = (BasePingProtocol,)
    interface = rpc.Interface("base.idl", "service Base {\n    string ping()\n}\n")


class DirectoryPingProtocol(BasePingProtocol):
    """string ping()"""

    name = "Directory.ping"


class DirectoryClassProtocol(rpc.MessageProtocol[int]):
    """int class(1: int if = 3)"""

    name = "Directory.class"
    attr = "class_"
    params = (rpc.Param(1, "if", rpc.INT, default=3, attr="if_"),)
    returns = rpc.INT


class DirectoryServerStub(BaseServerStub):
    """Dispatches calls of Directory, which extends Base."""

    protocols: typing.ClassVar[tuple[type[rpc.MessageProtocol[typing.Any]], ...]] = (
        *BaseServerStub.protocols,
        DirectoryPingProtocol,
        DirectoryClassProtocol,
    )
    interface = rpc.Interface(
        "directory.idl", "service Directory extends base.Base {}\n", includes=(BaseServerStub.interface,)
    )


class BaseHandlers:
    """Answers Base.

    Args:
        name: What ``ping`` answers.
    """

    def __init__(self, name: str = "base") -> None:
        self.name = name

    def ping(self) -> str:
        return self.name


class DirectoryHandlers(BaseHandlers):
    """Answers Directory."""

    def class_(self, if_: int) -> int:
        return if_
