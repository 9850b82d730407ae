"""The example of every construct, served over HTTP: ``uvicorn tests.support.http_features:app``."""

from __future__ import annotations

import features
from starlette.applications import Starlette
from starlette.routing import Mount

from rpcgen import runtime as rpc


class Handlers:
    """Answers whatever it is asked, and raises what the interface declares."""

    def ping(self) -> None:
        pass

    def version(self) -> str:
        return "1.0"

    def find(self, query: str, limit: int, page: object) -> list[features.Person]:
        if query == "nobody":
            raise features.NotFound(7, ["somebody"])
        return [features.Person(number, query, children=[features.Person(1, "Ann")]) for number in range(2)]

    def log(self, line: str) -> None:
        pass

    def get(self, id: int) -> features.Person | None:
        return None if id < 0 else features.Person(id, "Ann")

    def groups(self) -> dict[str, list[int]]:
        return {"all": [1, 2**60]}

    def everything(self, kinds: set[features.Kind]) -> dict[str, features.Everything]:
        shape = features.Shape.Square(features.Square(1.5))
        return {str(int(kind)): features.Everything(shape=shape) for kind in kinds}

    def remove(self, id: int, force: bool) -> None:
        if not force:
            raise features.NotFound(id)

    def divide(self, num1: int, num2: int) -> float:
        if num2 == 0:
            raise features.InvalidOperation("division by zero")
        return num1 / num2

    def area(self, shape: features.AnyShape) -> float:
        if isinstance(shape, features.Shape.Unknown):
            raise features.NoArea
        return 0.25


def stubs() -> tuple[rpc.ServerStub, ...]:
    """Gives what is served."""
    return features.DirectoryServerStub(Handlers()), features.ServerStub(Handlers())


app = rpc.http.asgi(*stubs())
secured = rpc.http.asgi(*stubs(), authenticate=rpc.Tokens({"secret": "ann"}))
both = Starlette(routes=[Mount("/secured", secured), Mount("/", app)])
