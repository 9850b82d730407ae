"""Channels over HTTP, blocking and asyncio alike: what a stub does over tcp:// it does here, with the application."""

from __future__ import annotations

import asyncio
import os
import threading
import typing

import pytest

from rpcgen import runtime as rpc
from tests.support import services
from tests.support.aio import AsyncClientStub, Handlers, runs
from tests.support.certificates import authority
from tests.support.http_clients import (
    CLIENTS,
    Asyncio,
    Blocking,
    BrokenServer,
    Client,
    response,
    under_uvicorn,
)
from tests.support.http_service import SafeProtocol
from tests.support.waiting import PATIENCE, until

HALF = bytes.fromhex("01 3f000000")
"""The reply 0.5 of divide."""


class Seen:
    """Answers ``safe`` with what came with the call.

    Args:
        contexts: What was seen.
    """

    def __init__(self) -> None:
        self.contexts: list[rpc.Context] = []

    def safe(self, word: str) -> str:
        context = rpc.context()
        self.contexts.append(context)
        context.reply_metadata["length"] = str(len(word)).encode()
        context.reply_metadata["Größe"] = b"\0\xff"
        return word


class SafeStub(rpc.ServerStub):
    """Dispatches calls of safe."""

    protocols = (SafeProtocol,)


class Served(typing.NamedTuple):
    """An application that runs."""

    url: str
    handlers: services.Handlers
    seen: Seen


@pytest.fixture
def served() -> typing.Iterator[Served]:
    """An application under uvicorn, in this process."""
    handlers, seen = services.Handlers(fail=lambda: 1 // 0), Seen()
    app = rpc.http.asgi(services.ServerStub(handlers), SafeStub(seen))
    with under_uvicorn(app) as port:
        yield Served(f"http://127.0.0.1:{port}", handlers, seen)
        handlers.go_on.set()


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> Client:
    """Each of both channels."""
    return typing.cast("Client", request.param)


def test_results_exceptions_and_faults(client: Client, served: Served) -> None:
    with client(served.url) as call:
        assert call(services.DivideProtocol, 7, 2) == 3.5
        assert call(services.DivideProtocol, 7, rpc.DEFAULT) == 7.0
        with pytest.raises(services.InvalidOperation, match="division by zero") as declared:
            call(services.DivideProtocol, 1, 0)
        assert declared.value.__notes__ == [f"raised by divide at {served.url}"]
        with pytest.raises(rpc.RemoteFault, match="INTERNAL") as fault:
            call(services.RunProtocol, "fail")
        assert (fault.value.code, fault.value.method) == (rpc.FaultCode.INTERNAL, "run")
        assert fault.value.peer == served.url
        with pytest.raises(rpc.RemoteFault, match=r"UNKNOWN_METHOD.*no service 'Base'"):
            call(services.BasePingProtocol)
        with pytest.raises(rpc.EncodeError, match="num1"):
            call(services.DivideProtocol, "x", 1)
        assert call(services.OldProtocol) is None
        assert call(services.LogProtocol, "line") is None
        assert served.handlers.logged.acquire(timeout=PATIENCE)
        data = os.urandom(3_000_000)
        assert call(services.EchoProtocol, data) == data


def test_stubs_call_as_over_any_channel(served: Served) -> None:
    with rpc.connect(served.url) as channel:
        stub = services.ClientStub(channel)
        assert stub.divide(4, 2) == 2.0
        with pytest.warns(DeprecationWarning, match="use new"):
            stub.old()
        assert repr(channel) == f"<channel to {served.url}>"
    assert repr(channel) == f"<closed channel to {served.url}>"
    with pytest.raises(rpc.Unavailable, match="the channel is closed; the call was not sent"):
        stub.divide(4, 2)
    channel.close()


@runs
async def test_asyncio_stubs_call_as_over_any_channel(served: Served) -> None:
    async with rpc.connect_async(served.url, max_connections=8) as channel:
        stub = AsyncClientStub(channel)
        assert await asyncio.gather(*(stub.divide(number) for number in range(100))) == list(range(100))
        assert repr(channel) == f"<asyncio channel to {served.url}>"
    with pytest.raises(rpc.Unavailable, match="the channel is closed; the call was not sent"):
        await stub.divide(4, 2)
    await channel.close()


def test_metadata_go_both_ways(client: Client, served: Served) -> None:
    with client(served.url) as call, rpc.reply_metadata() as received:
        sent = {"trace": b"\0\1", "Größe": b"", "authorization": b"Bearer x"}
        assert call(SafeProtocol, "abc", metadata=sent, timeout=PATIENCE) == "abc"
    context = served.seen.contexts[-1]
    assert context.metadata == sent
    assert received == {"length": b"3", "Größe": b"\0\xff"}
    assert context.deadline is not None
    with client(served.url) as call:
        call(SafeProtocol, "abc")
        assert served.seen.contexts[-1].deadline is None
        with pytest.raises(rpc.EncodeError, match="the limit is 16384"):
            call(SafeProtocol, "abc", metadata={"long": bytes(16 * 1024)})


def test_deadlines(client: Client, served: Served) -> None:
    with client(served.url, timeout=0.2) as call:
        with pytest.raises(rpc.DeadlineExceeded):
            call(services.WaitProtocol, 1)
        with pytest.raises(rpc.DeadlineExceeded):
            call(services.HurryProtocol)
        with rpc.deadline(0), pytest.raises(rpc.DeadlineExceeded, match="has not run"):
            call(services.DivideProtocol, 1, 1)
        assert call(services.DivideProtocol, 1, 2, timeout=PATIENCE) == 0.5


def test_interceptors(client: Client, served: Served) -> None:
    import contextlib

    calls: list[rpc.Call] = []

    @contextlib.contextmanager
    def noted(call: rpc.Call) -> typing.Iterator[None]:
        call.metadata["added"] = b"1"
        calls.append(call)
        yield
        call.result = call.result.upper()

    with client(served.url, interceptors=[noted, rpc.send_token("secret")]) as call:
        assert call(SafeProtocol, "word") == "WORD"
    assert calls[0].reply_metadata["length"] == b"4"
    assert calls[0].peer == served.url
    assert served.seen.contexts[-1].metadata == {"added": b"1", "authorization": b"Bearer secret"}


def test_tokens(client: Client) -> None:
    seen = Seen()
    app = rpc.http.asgi(SafeStub(seen), authenticate=rpc.Tokens({"secret": "ann"}))
    with under_uvicorn(app) as port:
        url = f"http://127.0.0.1:{port}"
        with client(url, credentials="secret") as call:
            call(SafeProtocol, "x")
            assert seen.contexts[-1].identity == "ann"
        with client(url, interceptors=[rpc.send_token("secret")]) as call:
            call(SafeProtocol, "x")
            assert seen.contexts[-1].identity == "ann"
        with client(url, credentials="wrong") as call, pytest.raises(rpc.RemoteFault) as fault:
            call(SafeProtocol, "x")
        assert fault.value.code is rpc.FaultCode.UNAUTHENTICATED
        assert fault.value.message == "the access token is not known"


@pytest.mark.parametrize("compress", [("gzip",), ("zstd", "gzip")])
def test_compression(client: Client, served: Served, compress: tuple[str, ...]) -> None:
    with client(served.url, compress=compress) as call:
        for size in (10, 1_000_000):
            assert call(services.EchoProtocol, bytes(size)) == bytes(size)
    with BrokenServer(response(HALF)) as server, client(server.url, compress=compress) as call:
        with pytest.raises(rpc.RpcError):
            call(services.EchoProtocol, bytes(100_000))
        (request,) = server.requests
        assert len(request) < 2000
        assert f"content-encoding: {compress[0]}".encode() in request.lower()
        assert f"accept-encoding: {', '.join(compress)}".encode() in request.lower()


def test_connections_are_kept(client: Client) -> None:
    def kept(connection: typing.Any) -> bool:
        connection.sendall(response(HALF))
        return True

    with BrokenServer(kept) as server, client(f"{server.url}/api/v1") as call:
        for _ in range(5):
            assert call(services.DivideProtocol, 1, 2) == 0.5
        assert server.connections == 1
        assert len(server.requests) == 5
        head = server.requests[0].lower()
        assert head.startswith(b"post /api/v1/ http/1.1\r\nhost: 127.0.0.1:")
        assert b"accept-encoding" not in head


def test_a_turn_that_does_not_come(served: Served) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(connection: typing.Any) -> bool:
        entered.set()
        go_on.wait(PATIENCE)
        connection.sendall(response(HALF))
        return True

    with BrokenServer(slow) as server, Blocking(server.url, max_connections=1) as call:
        thread = threading.Thread(target=call, args=(services.DivideProtocol, 1, 2))
        thread.start()
        assert entered.wait(PATIENCE)
        with pytest.raises(rpc.DeadlineExceeded, match="other calls took all the time"):
            call(services.DivideProtocol, 1, 2, timeout=0.1)
        go_on.set()
        thread.join(PATIENCE)
        assert call(services.DivideProtocol, 1, 2) == 0.5
        assert server.connections == 1


def silent(connection: typing.Any) -> bool:
    connection.recv(1)
    return False


def test_closing_ends_calls_of_other_threads() -> None:
    errors: list[Exception] = []

    def run(call: Blocking) -> None:
        try:
            call(services.DivideProtocol, 1, 2)
        except rpc.RpcError as error:
            errors.append(error)

    with BrokenServer(silent) as server, Blocking(server.url) as call:
        threads = [threading.Thread(target=run, args=(call,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: len(server.requests) == 3)
        call.channel.close()
        for thread in threads:
            thread.join(PATIENCE)
    assert [type(error) for error in errors] == [rpc.Cancelled] * 3


@runs
async def test_closing_ends_calls_of_other_tasks() -> None:
    with BrokenServer(silent) as server:
        channel = rpc.connect_async(server.url)
        stub = AsyncClientStub(channel)
        tasks = [asyncio.create_task(stub.divide(1)) for _ in range(3)]
        while len(server.requests) < 3:
            await asyncio.sleep(0.01)
        await channel.close()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [rpc.Cancelled] * 3


@runs
async def test_a_cancelled_task_tells_the_server() -> None:
    handlers = Handlers()
    with under_uvicorn(rpc.http.asgi(services.ServerStub(handlers))) as port:
        async with rpc.connect_async(f"http://127.0.0.1:{port}") as channel:
            task = asyncio.create_task(AsyncClientStub(channel).wait(7))
            while not handlers.running:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while handlers.cancelled != [7]:
                await asyncio.sleep(0.01)
            assert await AsyncClientStub(channel).divide(1) == 1.0


def test_many_threads_share_few_connections(served: Served) -> None:
    import concurrent.futures

    with rpc.connect(served.url, max_connections=3) as channel:
        stub = services.ClientStub(channel)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert list(pool.map(stub.divide, range(200))) == list(range(200))


@runs
async def test_cancelled_calls_leave_nothing_behind(served: Served) -> None:
    """At whatever step tasks are cancelled: nothing of theirs is kept for ever."""
    async with rpc.connect_async(served.url, max_connections=4) as channel:
        stub = AsyncClientStub(channel)
        for steps in range(60):
            task = asyncio.create_task(stub.divide(steps))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            outcome = (await asyncio.gather(task, return_exceptions=True))[0]
            assert isinstance(outcome, asyncio.CancelledError) or outcome == steps
        assert await asyncio.gather(*(stub.divide(number) for number in range(20))) == list(range(20))
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_a_channel_in_several_event_loops(served: Served) -> None:
    async def settled() -> None:
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)

    with asyncio.Runner() as one, asyncio.Runner() as other:
        channel = rpc.connect_async(served.url)
        stub = AsyncClientStub(channel)
        assert [runner.run(stub.divide(3)) for runner in (one, other, one, other)] == [3.0] * 4
        one.run(channel.close())
        other.run(settled())  # what the other loop has is closed once that goes on
        with pytest.raises(rpc.Unavailable, match="closed"):
            other.run(stub.divide(3))


def test_forked_children_make_their_own_connections(client: Client) -> None:
    def kept(connection: typing.Any) -> bool:
        connection.sendall(response(HALF))
        return True

    with BrokenServer(kept) as server, client(server.url) as call:
        assert call(services.DivideProtocol, 1, 2) == 0.5
        child = os.fork()
        if child == 0:
            status = 1
            try:
                if isinstance(call, Asyncio):
                    call.runner = asyncio.Runner()
                status = 0 if call(services.DivideProtocol, 1, 2) == 0.5 else 2
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert server.connections == 2
        assert call(services.DivideProtocol, 1, 2) == 0.5
        assert server.connections == 2


def test_tls(client: Client) -> None:
    ours, theirs = authority(), authority("theirs")
    app = rpc.http.asgi(services.ServerStub(services.Handlers()))
    files = {"ssl_certfile": str(ours.folder / "server.pem"), "ssl_keyfile": str(ours.folder / "server.key")}
    with under_uvicorn(app, **files) as port:
        url = f"https://127.0.0.1:{port}"
        with client(url, tls=ours.client()) as call:
            for _ in range(3):
                assert call(services.DivideProtocol, 1, 2) == 0.5
        with client(f"https://127.0.0.1:{port}", tls=ours.client(name="localhost")) as call:
            assert call(services.DivideProtocol, 1, 2) == 0.5
        for tls in (None, theirs.client()):
            with client(url, tls=tls) as call, pytest.raises(rpc.Unavailable, match="TLS handshake failed"):
                call(services.DivideProtocol, 1, 2)
        with client(f"http://127.0.0.1:{port}") as call, pytest.raises(rpc.RpcError):
            call(services.DivideProtocol, 1, 2)


def test_clients_show_certificates(client: Client) -> None:
    import ssl

    ours = authority()
    app = rpc.http.asgi(services.ServerStub(services.Handlers()))
    files = {"ssl_certfile": str(ours.folder / "server.pem"), "ssl_keyfile": str(ours.folder / "server.key")}
    with under_uvicorn(app, **files, ssl_ca_certs=str(ours.ca), ssl_cert_reqs=ssl.CERT_REQUIRED) as port:
        with client(f"https://127.0.0.1:{port}", tls=ours.client(shows=ours)) as call:
            assert call(services.DivideProtocol, 1, 2) == 0.5
        with client(f"https://127.0.0.1:{port}", tls=ours.client()) as call, pytest.raises(rpc.CallError):
            call(services.DivideProtocol, 1, 2)


def test_no_server(client: Client) -> None:
    with BrokenServer(b"") as server:
        url = server.url
    with client(url) as call, pytest.raises(rpc.Unavailable, match="is the server running") as error:
        call(services.DivideProtocol, 1, 2)
    assert isinstance(error.value.__cause__, ConnectionRefusedError)
    with client("http://does.not.exist.invalid") as call, pytest.raises(rpc.Unavailable, match="cannot find"):
        call(services.DivideProtocol, 1, 2, timeout=PATIENCE)


def test_another_path_than_the_application_s(client: Client, served: Served) -> None:
    with (
        client(f"{served.url}/nowhere") as call,
        pytest.raises(rpc.ProtocolError, match="mounted at this path"),
    ):
        call(services.DivideProtocol, 1, 2)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://", "is no URL of HTTP"),
        ("http://:80", "is no URL of HTTP"),
        ("http://[::1", "Invalid IPv6 URL"),
        ("http://h:99999", "out of range"),
        ("http://u:secret@h:x", "does not belong into a URL"),
        ("http://u:secret@h", "does not belong into a URL"),
        ("http://h/?a=1", "a query means nothing"),
        ("http://h/#a", "a query means nothing"),
    ],
)
def test_urls_that_name_nothing(client: Client, url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as error:
        client(url)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "kind", "problem"),
    [
        ({"tls": True}, ValueError, "is without TLS"),
        ({"max_connections": 0}, ValueError, "at least 1"),
        ({"timeout": 0}, ValueError, "above 0"),
        ({"compress": ["lz4"]}, ValueError, "not HTTP's"),
        ({"compress": ["lzma"]}, ValueError, "no compression 'lzma'"),
        ({"credentials": "a\nb"}, ValueError, "printable ASCII"),
        ({"zone": "a", "protocol": "plain"}, TypeError, "has no option protocol, zone"),
        ({"tires": 1}, TypeError, "tires"),
    ],
)
def test_options_that_mean_nothing(
    client: Client, options: dict[str, object], kind: type[Exception], problem: str
) -> None:
    with pytest.raises(kind, match=problem):
        client("http://127.0.0.1:1", **options)


def test_hosts_in_other_writings(client: Client) -> None:
    from rpcgen.runtime.http.target import Target

    assert Target.parse("HTTP://[::1]:80/a b/")[2:] == (b"[::1]", b"/a%20b/", False)
    target = Target.parse("https://bücher.example")
    assert (target.host, target.address.port, target.path) == (b"xn--bcher-kva.example", 443, b"/")


def test_channels_are_not_pickled() -> None:
    import pickle

    with Blocking("http://127.0.0.1:1") as call, pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(call.channel)
    with Asyncio("http://127.0.0.1:1") as other, pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(other.channel)
