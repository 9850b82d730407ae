"""The calls that are measured, as rpcgen serves and makes them, and the floors beneath: texts of scripts.

``small`` is divide(int, int) → float, ``error`` the same refused, ``medium`` a Person there and back of
which five fields are read, ``bulk`` 1 MiB there and back. A server prints its port. A client of many calls
at once is ``CONNECT`` (how it connects and calls) and ``TASKS`` or ``THREADS`` (how that is timed).
"""

from __future__ import annotations

INTERFACE = """\
float divide(1:int num1, 2:int num2=1) => InvalidOperation
struct Address { 1: string street  2: string city  3: int zip }
struct Person {
    1: long id  2: string name  3: string email  4: list<string> tags  5: list<double> scores  6: Address address
}
Person echo(1: Person person)
bytes blob(1: bytes data)
"""

PINNED = "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"

WORK = """\
import io, sys
import calls
PERSON = calls.Person(
    7, "Ann Example", "ann.example@mail.test", ["red", "green", "blue", "black", "white"],
    [i / 7 for i in range(20)], calls.Address("1 Long Street", "Springfield", 12345))
DATA = bytes(1 << 20)
WORKS = {  # its protocol, its arguments, its reply
    "small": (calls.DivideProtocol(), (200, 100), 2.0),
    "error": (calls.DivideProtocol(), (1, 0), calls.InvalidOperation("no")),
    "medium": (calls.EchoProtocol(), (PERSON,), PERSON),
    "bulk": (calls.BlobProtocol(), (DATA,), DATA),
}
"""

READ = """\
def read(person):
    return person.id, person.name, person.tags, person.scores, person.address
"""

HANDLERS = """\
class Handlers:
    def divide(self, num1, num2):
        if num2 == 0:
            raise calls.InvalidOperation("no")
        return num1 / num2
    def echo(self, person):
        return person
    def blob(self, data):
        return data
"""

ASYNC_SERVER = """\
import asyncio
async def main():
    async with calls.AsyncServer("127.0.0.1", 0, Handlers(), inline={inline}) as server:
        print(server.port, flush=True)
        await asyncio.Event().wait()
"""

RUN = """\
import sys
if sys.argv[-1] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


def async_server(handlers: str) -> str:
    """Gives rpcgen's server for asyncio, its handlers ``inline``, ``coroutine`` or in a ``thread``."""
    text = HANDLERS.replace("    def ", "    async def ") if handlers == "coroutine" else HANDLERS
    return "import calls\n" + text + ASYNC_SERVER.format(inline=handlers == "inline") + RUN


THREAD_SERVER = f"""\
import calls
{HANDLERS}
server = calls.ThreadServer("127.0.0.1", 0, Handlers())
print(server.bind().port, flush=True)
server.serve()
"""

RAW_SERVER = """\
import socket, threading
def talk(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    name = connection.recv(16).decode().strip()
    protocol, args, reply = WORKS[name]
    size, reply = len(protocol.args_encode(*args)), protocol.result_encode(reply)
    buffer = memoryview(bytearray(size))
    connection.send(b".")
    while True:
        got = connection.recv_into(buffer)
        if not got:
            break
        while got < size:
            got += connection.recv_into(buffer[got:])
        connection.sendall(reply)
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=talk, args=(connection,), daemon=True).start()
"""

ECHO_SERVER = """\
import asyncio
class Echo(asyncio.Protocol):
    # Answers so many bytes by so many, whatever they are; the first message says how many.
    sizes = None
    def connection_made(self, transport):
        self.transport, self.left = transport, 0
    def data_received(self, data):
        if self.sizes is None:
            self.sizes = list(map(int, data.split()))
            self.transport.write(b".")
            return
        count, self.left = divmod(self.left + len(data), self.sizes[0])
        if count:
            self.transport.write(bytes(self.sizes[1] * count))
async def main():
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()
"""

ECHO_CLIENT = """\
import asyncio, sys, time
work, port, at_once, count = sys.argv[1], *map(int, sys.argv[2:5])
protocol, args, reply = WORKS[work]
CALL, REPLY = 10 + 5 + len(protocol.args_encode(*args)) - 8, 10 + len(protocol.result_encode(reply))
class Client(asyncio.Protocol):
    sized = False
    def connection_made(self, transport):
        self.transport, self.left, self.got = transport, 0, 0
        self.ready = asyncio.get_running_loop().create_future()
        transport.write(b"%d %d" % (CALL, REPLY))
    def data_received(self, data):
        if not self.ready.done():
            self.ready.set_result(None)
            return
        came, self.left = divmod(self.left + len(data), REPLY)
        self.got += came
        if self.got < self.count:
            self.transport.write(bytes(CALL * came))
        elif not self.done.done():
            self.done.set_result(None)
    async def calls(self, count):
        self.got, self.count, self.done = 0, count, asyncio.get_running_loop().create_future()
        self.transport.write(bytes(CALL * at_once))
        await self.done
async def main():
    _, client = await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", port)
    await client.ready
    await client.calls(max(at_once, count // 10))
    begin = time.perf_counter()
    await client.calls(count)
    print((time.perf_counter() - begin) / count * 1e6)
    client.transport.close()
"""

TASKS = """\
import asyncio, sys, time
work, port, at_once, count = sys.argv[1], *map(int, sys.argv[2:5])
async def main():
    async with connected(port) as make:
        call = make(work)
        async def calls(count):
            for _ in range(count):
                await call()
        await asyncio.gather(*[calls(max(3, count // 10 // at_once)) for _ in range(at_once)])
        begin = time.perf_counter()
        await asyncio.gather(*[calls(count // at_once) for _ in range(at_once)])
        print((time.perf_counter() - begin) / (count // at_once * at_once) * 1e6)
"""

_CONNECT = """\
import contextlib, calls
@contextlib.asynccontextmanager
async def connected(port):
    async with calls.AsyncChannel("127.0.0.1", port, timeout=TIMEOUT) as channel:
        stub = calls.AsyncClientStub(channel)
        async def medium():
            read(await stub.echo(PERSON))
        def make(work):
            divide, blob = stub.divide, stub.blob
            return {"small": lambda: divide(200, 100), "medium": medium, "bulk": lambda: blob(DATA)}[work]
        yield make
"""


def connect(timeout: float | None = None) -> str:
    """Gives how a client of many calls at once connects and calls, with so many seconds for each."""
    return _CONNECT.replace("TIMEOUT", repr(timeout))


CONNECT = connect()

THREADS = """\
import sys, threading, time
work, port, at_once, count = sys.argv[1], *map(int, sys.argv[2:5])
ready, go = threading.Barrier(at_once + 1), threading.Barrier(at_once + 1)
def calls():
    call = connected(port)[work]
    for _ in range(max(3, count // 10 // at_once)):
        call()
    ready.wait()
    go.wait()
    for _ in range(count // at_once):
        call()
threads = [threading.Thread(target=calls) for _ in range(at_once)]
for thread in threads:
    thread.start()
ready.wait()
begin = time.perf_counter()
go.wait()
for thread in threads:
    thread.join()
print((time.perf_counter() - begin) / (count // at_once * at_once) * 1e6)
"""

STUB = """\
stub = calls.ClientStub(calls.Channel("127.0.0.1", int(sys.argv[2]), {options}))
def connected(port):
    return {{
        "small": lambda: stub.divide(200, 100),
        "medium": lambda: read(stub.echo(PERSON)),
        "bulk": lambda: stub.blob(DATA),
    }}
"""
