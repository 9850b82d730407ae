"""The calls of ``contestants`` over HTTP, each as an ASGI application that uvicorn runs: texts of scripts.

The client is the same for all of them: it sends one prepared request again and again on each of its
connections, and reads as far as to know where the answer ends. ``floor`` answers without looking.
"""

from __future__ import annotations

RUN = """\
import socket, sys, uvicorn
# With its protocol named: asyncio turns Nagle's algorithm off on no other, and an answer in two writes waits 40 ms.
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
listener.bind(("127.0.0.1", 0))
listener.listen(1024)
print(listener.getsockname()[1], flush=True)
config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off")
uvicorn.Server(config).run(sockets=[listener])
"""

RPCGEN = """\
import calls
from rpcgen import runtime as rpc
class Handlers:
    async def divide(self, num1, num2):
        return num1 / num2
    async def echo(self, person):
        return person
    async def blob(self, data):
        return data
app = rpc.http.asgi(calls.ServerStub(Handlers()))
"""

FLOOR = """\
async def app(scope, receive, send):
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    answer = body if scope["path"] == "/echo" else b'{"result":2.0}'
    headers = [(b"content-length", b"%d" % len(answer)), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
"""

FASTAPI = """\
import fastapi, pydantic
class Operands(pydantic.BaseModel):
    num1: int
    num2: int = 1
class Quotient(pydantic.BaseModel):
    result: float
class Address(pydantic.BaseModel):
    street: str
    city: str
    zip: int
class Person(pydantic.BaseModel):
    id: int
    name: str
    email: str
    tags: list[str]
    scores: list[float]
    address: Address
app = fastapi.FastAPI()
@app.post("/divide")
async def divide(operands: Operands) -> Quotient:
    return Quotient(result=operands.num1 / operands.num2)
@app.post("/echo")
async def echo(person: Person) -> Person:
    return person
"""

CONNECT = """\
import calc_pb2
from connectrpc.method import IdempotencyLevel, MethodInfo
from connectrpc.server import ConnectASGIApplication, Endpoint
class Handlers:
    async def divide(self, request, context):
        return calc_pb2.Quotient(value=request.num1 / request.num2)
    async def echo(self, request, context):
        return request
def unary(name, given, gives, function):
    method = MethodInfo(
        name=name, service_name="Calc", input=given, output=gives, idempotency_level=IdempotencyLevel.UNKNOWN)
    return Endpoint.unary(method=method, function=function)
class Application(ConnectASGIApplication):  # as its code generator writes it
    path = "/Calc"
    def __init__(self, service):
        super().__init__(service=service, endpoints=lambda service: {
            "/Calc/Divide": unary("Divide", calc_pb2.Operands, calc_pb2.Quotient, service.divide),
            "/Calc/Echo": unary("Echo", calc_pb2.Person, calc_pb2.Person, service.echo)})
app = Application(Handlers())
"""

PERSON = """\
PERSON = {"id": 7, "name": "Ann Example", "email": "ann.example@mail.test",
    "tags": ["red", "green", "blue", "black", "white"], "scores": [i / 7 for i in range(20)],
    "address": {"street": "1 Long Street", "city": "Springfield", "zip": 12345}}
"""

REQUESTS = (
    PERSON
    + """\
import json
def binary(name):
    import calls
    if name == "small":
        return calls.DivideProtocol().args_encode(200, 100)
    address = calls.Address(**PERSON["address"])
    return calls.EchoProtocol().args_encode(calls.Person(**{**PERSON, "address": address}))
def protobuf(name):
    import calc_pb2
    if name == "small":
        return calc_pb2.Operands(num1=200, num2=100).SerializeToString()
    address = calc_pb2.Address(**PERSON["address"])
    return calc_pb2.Person(**{**PERSON, "address": address}).SerializeToString()
def as_json(name, key=None):
    found = {"num1": 200, "num2": 100} if name == "small" else PERSON
    return json.dumps({key: found} if key and name == "medium" else found, separators=(",", ":")).encode()
PATHS = {"small": "divide", "medium": "echo"}
def request(who, form, work):
    path, kind = "/" + PATHS[work], "application/json"
    if who == "connect-python":
        path = "/Calc/" + PATHS[work].capitalize()
        kind, body = ("application/proto", protobuf(work)) if form == "binary" else (kind, as_json(work))
    elif form == "binary":
        path, kind, body = "/", "binary", binary(work)
    else:
        body = as_json(work, "person" if who == "rpcgen" else None)
    head = f"POST {path} HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nContent-Type: {kind}\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n"
    return head.encode() + body
"""
)

CLIENT = """\
import asyncio, sys, time
who, form, work, port, at_once, count = *sys.argv[1:4], *map(int, sys.argv[4:7])
REQUEST = request(who, form, work)
class Connection(asyncio.Protocol):
    left = 0
    def connection_made(self, transport):
        self.transport, self.got = transport, b""
    def begin(self, count):
        self.left, self.done = count, asyncio.get_running_loop().create_future()
        self.transport.write(REQUEST)
        return self.done
    def data_received(self, data):
        got = self.got = self.got + data if self.got else data
        head = got.find(b"\\r\\n\\r\\n")
        if head < 0:
            return
        at = got.lower().find(b"content-length: ", 0, head)
        if at >= 0:
            size = head + 4 + int(got[at + 16:got.index(b"\\r", at)])
            if len(got) < size:
                return
        elif not got.endswith(b"0\\r\\n\\r\\n"):
            return
        if got[9:12] != b"200":
            raise SystemExit(got)
        self.got = b""
        self.left -= 1
        if self.left:
            self.transport.write(REQUEST)
        else:
            self.done.set_result(None)
    def connection_lost(self, error):
        if self.left and not self.done.done():
            self.done.set_exception(ConnectionError("the server left"))
async def main():
    loop = asyncio.get_running_loop()
    connections = [(await loop.create_connection(Connection, "127.0.0.1", port))[1] for _ in range(at_once)]
    async def calls(count):
        await asyncio.gather(*[one.begin(count) for one in connections])
    await calls(max(3, count // 10 // at_once))
    begin = time.perf_counter()
    await calls(count // at_once)
    print((time.perf_counter() - begin) / (count // at_once * at_once) * 1e6)
    for one in connections:
        one.transport.close()
"""
