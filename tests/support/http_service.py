"""What real HTTP servers run in tests: ``uvicorn tests.support.http_service:app``."""

from __future__ import annotations

from rpcgen import runtime as rpc
from tests.support import services
from tests.support.aio import Handlers


class SafeProtocol(rpc.MessageProtocol[str]):
    """@idempotent string safe(1: string word)"""

    name = "safe"
    params = (rpc.Param(1, "word", rpc.STRING),)
    returns = rpc.STRING
    idempotent = True


class SafeStub(rpc.ServerStub):
    """Dispatches calls of safe."""

    protocols = (SafeProtocol,)


class Safe:
    """Gives back what it is given."""

    @staticmethod
    def safe(word: str) -> str:
        rpc.context().reply_metadata["length"] = str(len(word)).encode()
        return word


handlers: Handlers = Handlers(running=lambda: handlers.running, cancelled=lambda: len(handlers.cancelled))
app = rpc.http.asgi(services.ServerStub(handlers), SafeStub(Safe), limits=rpc.Limits(receive_time=2.0))
