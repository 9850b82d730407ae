"""The page at GET /: in a real browser, by its keyboard, and what the browser is told beside it."""

from __future__ import annotations

import re
import typing

import pytest

from rpcgen import runtime as rpc
from tests.support import services
from tests.support.aio import Handlers, runs
from tests.support.browser import Browser, browser
from tests.support.http import served
from tests.support.http_servers import server
from tests.support.waiting import until


@pytest.fixture(scope="module")
def root() -> typing.Iterator[str]:
    """Where it is served, and below ``/secured`` the same for those who have the token."""
    with server("uvicorn", "tests.support.http_features:both") as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def window() -> typing.Iterator[Browser]:
    """A browser."""
    with browser() as found:
        yield found


@pytest.fixture
def page(root: str, window: Browser) -> typing.Iterator[Browser]:
    """The page, read; it complains of nothing in the end."""
    window.open("about:blank")
    window.open(f"{root}/")
    window.wait_for("nav", "divide")
    yield window
    assert window.complaints == []


def test_a_call_by_the_keyboard_alone(page: Browser) -> None:
    assert "Every construct of the interface language" in page.text("main")
    page.press("/")
    page.write("divide")
    until(lambda: page.value("document.querySelectorAll('nav a').length") == 1)
    page.press("Tab", "Enter")
    page.wait_for("main", "float divide(1: int num1, 2: int num2 = 1) => InvalidOperation")
    assert "Divides, and rounds to what 32 bits can hold." in page.text("main")
    assert "409 InvalidOperation: Raised when an argument makes no sense." in page.text("main")
    page.press("Tab")
    page.write("200")
    page.press("Tab")
    assert page.value("document.activeElement.placeholder") == "1"
    page.write("100")
    page.press("Enter")
    page.wait_for("#answer", "200 OK")
    assert page.text("#answer pre") == "2.0"
    page.write("0")
    page.press("Enter")
    page.wait_for("#answer", "409 Conflict · InvalidOperation")
    assert "division by zero" in page.text("#answer p")
    assert page.value("document.title").startswith("divide")


def test_values_with_parts(page: Browser, root: str) -> None:
    page.open(f"{root}/#/area")
    page.wait_for("main h2", "area")
    assert '"circle"' in page.value("document.querySelector('main textarea').value")
    page.focus("main textarea")
    page.press("Enter", modifiers=2)
    page.wait_for("#answer pre", "0.25")
    page.write('{"circle": ')
    page.press("Enter", modifiers=2)
    page.wait_for("#answer", "shape is no JSON")
    page.write('{"triangle": 1}')
    page.press("Enter", modifiers=2)
    page.wait_for("#answer", "there is no member of Shape 'triangle'")


def test_a_declared_error_with_fields(page: Browser, root: str) -> None:
    page.open(f"{root}/#/Directory/find")
    page.wait_for("main h2", "Directory.find")
    assert "A part of the name, in any case." in page.text("form")
    page.focus("form input")
    page.write("nobody")
    page.press("Enter")
    answer = page.wait_for("#answer", "404 Not Found · NotFound")
    assert '"similar": [' in answer
    page.write("Ann")
    page.press("Enter")
    assert '"children": [' in page.wait_for("#answer", "200 OK")


def test_large_numbers_stand_as_they_came(page: Browser, root: str) -> None:
    page.open(f"{root}/#/Directory/everything")
    page.wait_for("main h2", "Directory.everything")
    page.value("document.querySelector('form').requestSubmit()")
    answer = page.wait_for("#answer", "200 OK")
    assert '"ularge": "18446744073709551615"' in answer
    assert '"real": 1e' in answer


def test_arguments_as_json(page: Browser, root: str) -> None:
    page.open(f"{root}/#/divide")
    page.wait_for("main h2", "divide")
    page.value("document.querySelector('form button[type=button]').click()")
    assert page.value("document.activeElement.value").split() == ["{", '"num1":', "1", "}"]
    page.write('{"num1": 1, "number": 2}')
    page.press("Enter", modifiers=2)
    page.wait_for("#answer", "there is no argument 'number'")


def test_light_and_dark(page: Browser) -> None:
    colours = []
    for scheme in ("light", "dark"):
        page.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        shown = page.value("getComputedStyle(document.body).backgroundColor")
        colours.append(sum(map(int, re.findall(r"\d+", shown))))
    page.do("Emulation.setEmulatedMedia", features=[])
    assert colours[0] > 600 > 150 > colours[1]


def test_an_access_token(page: Browser, root: str) -> None:
    page.open(f"{root}/secured/")
    page.wait_for("main", "This server wants an access token")
    page.write("secret")
    page.press("Enter")
    page.wait_for("nav", "divide")
    page.open(f"{root}/secured/#/divide")
    page.wait_for("main h2", "divide")
    page.focus("form input")
    page.write("3")
    page.press("Enter")
    page.wait_for("#answer pre", "3.0")


def stub() -> rpc.ServerStub:
    return services.ServerStub(Handlers())


@runs
async def test_nothing_from_elsewhere() -> None:
    async with served(stub()) as client:
        answer = await client.ask("GET", "/")
        assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe" not in policy
        assert not re.search(rb"(?:src|href)=[\"']?(?!data:)\w", answer.body)
        assert b"http://" not in answer.body
        assert b"https://" not in answer.body
        assert len(answer.body) < 20_000
        again = await client.ask("GET", "/", headers={"accept-encoding": "gzip"})
        assert again.headers["content-encoding"] == "gzip"
        assert (await client.ask("HEAD", "/")).status == 200


@runs
async def test_without_a_page() -> None:
    async with served(stub(), page=False) as client:
        assert (await client.ask("GET", "/")).status == 405
        assert (await client.ask("GET", "/openapi.json")).status == 404
