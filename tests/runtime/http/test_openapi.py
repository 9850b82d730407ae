"""GET /openapi.json: what it says is true, valid to others, and what schemathesis does by it is answered."""

from __future__ import annotations

import datetime
import decimal
import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import typing
import uuid

import features
import jsonschema
import pytest
import shop
from hypothesis import given, settings, strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator

from rpcgen import runtime as rpc
from rpcgen.runtime.errors import DecodeError
from rpcgen.runtime.http.doc_comments import DocComments, comments
from rpcgen.runtime.http.examples import example
from rpcgen.runtime.http.json_schema import Schemas
from rpcgen.runtime.http.openapi import document
from rpcgen.runtime.wire.forms import from_json, to_json
from tests.support import http_features, services
from tests.support.aio import Handlers, runs
from tests.support.http import Client, served
from tests.support.http_servers import server
from tests.support.processes import ROOT
from tests.support.schemas import values

TYPES: list[typing.Any] = [
    *(
        features.Person,
        features.Everything,
        features.Shape,
        features.Kind,
        features.NotFound,
        shop.Order,
        shop.Payment,
    ),
    *(
        rpc.MapOf(scalar, rpc.BOOL)
        for scalar in (rpc.BOOL, rpc.BYTE, rpc.INT, rpc.ULONG, rpc.UUID, rpc.DATE, rpc.STRING)
    ),
    *(
        rpc.ListOf(rpc.OptionalOf(scalar))
        for scalar in (rpc.FLOAT, rpc.DECIMAL, rpc.DURATION, rpc.BYTES, rpc.LONG)
    ),
    *(rpc.MapOf(features.Kind, rpc.ULONG), rpc.SetOf(rpc.LONG), services.InvalidOperation),
]


@functools.cache
def validator(type_: typing.Any) -> jsonschema.Draft202012Validator:
    schemas = Schemas(DocComments([]), [type_])
    schema = schemas.of(type_)
    return jsonschema.Draft202012Validator({**schema, "components": {"schemas": schemas.components}})


def made(*stubs: rpc.ServerStub) -> dict[str, typing.Any]:
    found = document(stubs or http_features.stubs(), has_tokens=False)
    return typing.cast("dict[str, typing.Any]", json.loads(json.dumps(found)))


def test_a_validator_takes_it() -> None:
    OpenAPIV31SpecValidator(made()).validate()
    OpenAPIV31SpecValidator(made(services.ServerStub(Handlers()))).validate()


def test_a_method() -> None:
    paths = made()["paths"]
    assert paths["/divide"].keys() == {"post"}
    post = paths["/divide"]["post"]
    assert post["summary"] == "Divides, and rounds to what 32 bits can hold."
    body = post["requestBody"]["content"]["application/json"]
    assert body["example"] == {"num1": 1}
    assert body["schema"]["required"] == ["num1"]
    assert body["schema"]["properties"]["num2"] == {
        "type": "integer",
        "format": "int32",
        "minimum": -(2**31),
        "maximum": 2**31 - 1,
        "default": 1,
    }
    assert paths["/Directory/get"]["post"]["deprecated"]
    assert paths["/Directory/get"]["post"]["description"] == "Deprecated: use find"
    assert paths["/Directory/find"]["get"]["parameters"][0] == {
        "name": "query",
        "in": "query",
        "required": True,
        "schema": {"type": "string"},
        "description": "A part of the name, in any case.",
    }
    assert paths["/Directory/ping"]["post"]["summary"].startswith("Answers at once")


def test_declared_exceptions() -> None:
    found = made()
    responses = found["paths"]["/Directory/find"]["post"]["responses"]
    assert responses["404"]["description"] == "NotFound: Raised when someone is sought who is not there."
    reference = responses["404"]["content"]["application/problem+json"]["schema"]["$ref"]
    problem = found["components"]["schemas"][reference.rpartition("/")[2]]["properties"]
    assert problem["type"] == {"enum": ["urn:rpcgen:exception:NotFound"]}
    assert problem["status"] == {"const": 404}
    assert problem["error"]["properties"]["fields"] == {"$ref": "#/components/schemas/NotFound"}
    assert len(responses["409"]["content"]["application/problem+json"]["schema"]["anyOf"]) == 2
    assert responses["400"] == {"$ref": "#/components/responses/bad-request"}


def test_types() -> None:
    schemas = made()["components"]["schemas"]
    assert schemas["Person"]["description"] == "Someone in the directory."
    assert schemas["Person"]["required"] == ["id", "name"]
    assert schemas["Person"]["properties"]["name"]["description"] == "As on the passport."
    assert schemas["Person"]["properties"]["kind"]["default"] == "HOME"
    assert schemas["Kind"]["anyOf"][0]["enum"] == ["HOME", "WORK", "OFFICE", "UNKNOWN"]
    assert schemas["Kind"]["anyOf"][0]["description"] == "- `HOME`: They live together."
    assert schemas["Everything"]["properties"]["exact"]["default"] == "10.50"


def test_types_of_one_name() -> None:
    stubs = (*http_features.stubs(), rpc.ServerStub.__new__(shop.OrdersServerStub))
    stubs[-1].methods = tuple((protocol, len) for protocol in shop.OrdersServerStub.protocols)
    found = made(*stubs)
    assert {"features.Address", "shop.Address"} <= found["components"]["schemas"].keys()
    OpenAPIV31SpecValidator(found).validate()
    assert found["info"]["title"] == "Directory, features, Orders"


@settings(max_examples=40)
@given(st.data())
def test_values_are_what_their_schema_says(data: st.DataObject) -> None:
    type_ = data.draw(st.sampled_from(TYPES))
    validator(type_).validate(to_json(type_, data.draw(values(type_))))


@pytest.mark.parametrize("type_", TYPES, ids=repr)
def test_examples(type_: typing.Any) -> None:
    found = example(type_)
    validator(type_).validate(found)
    from_json(type_, found)


WRONG: list[tuple[typing.Any, list[object]]] = [
    (rpc.INT, [2**31, "1", True, 1.5, None]),
    (rpc.LONG, [2**63, str(2**63), "01", "-9223372036854775809", "+1", ""]),
    (rpc.ULONG, [-1, "-1", str(2**64)]),
    (rpc.FLOAT, [3.5e38, "1", "nan", True]),
    (rpc.BYTES, ["AAE", "A===", "AA==AAEC", "ä"]),
    (
        rpc.TIMESTAMP,
        [
            "2024-02-29",
            "2024-13-01T00:00:00Z",
            "2024-02-29T24:00:00Z",
            "2024-02-29T12:00:00",
            "2024-02-29T12:00:00+12:75",
            "2024-02-29T12:60:00Z",
        ],
    ),
    (rpc.DATE, ["2024-2-9", "0000-01-01", "2024-01-32"]),
    (rpc.DURATION, ["P1Y", "P", "PT", "1H", "PT0.1234567S"]),
    (rpc.DECIMAL, ["1,5", "NaN", "", "1e"]),
    (rpc.MapOf(rpc.SHORT, rpc.BOOL), [{"32768": True}, {"01": True}, {"-32769": True}]),
    (rpc.MapOf(features.Kind, rpc.BOOL), [{"home": True}]),
    (
        features.Shape,
        [{}, {"triangle": 1}, {"name": "a", "circle": {"radius": 1}}, {"1": "AAEC"}, {"256": "AAEC"}],
    ),
    (features.Kind, ["home", 2**31, None]),
    (features.Person, [{"id": 1}, {"id": 1, "name": None}]),
]


@pytest.mark.parametrize(("type_", "data"), [(type_, data) for type_, several in WRONG for data in several])
def test_what_is_refused_is_no_value_of_the_schema(type_: typing.Any, data: object) -> None:
    assert not validator(type_).is_valid(data)
    with pytest.raises(DecodeError):
        from_json(type_, data)


def test_the_ends_of_ranges() -> None:
    for type_, value in (
        (rpc.LONG, -(2**63)),
        (rpc.ULONG, 2**64 - 1),
        (rpc.FLOAT, 3.4028234663852886e38),
        (rpc.DOUBLE, -1.7976931348623157e308),
        (rpc.TIMESTAMP, datetime.datetime.max.replace(tzinfo=datetime.UTC)),
        (rpc.DATE, datetime.date.min),
        (rpc.DURATION, -datetime.timedelta(days=999_999, microseconds=1)),
        (rpc.DECIMAL, decimal.Decimal("-1E+6144")),
        (rpc.UUID, uuid.UUID(int=0)),
    ):
        validator(type_).validate(to_json(type_, value))


def test_doc_comments_of_a_text() -> None:
    text = """\
/// The file.
///
/// And more.

const map<string, int> WEIGHTS = {
    "heavy": 10
}

/// An old one.
@deprecated("1: int no, but yes")
struct Old {
    /// First.
    @acme.column("a = 1") @other
    1: map<string, list<int>>? first = {}
    reserved 2
    3: int third
}

enum Kind {
    /// Zero.
    ZERO = 0
}

service S extends common.Base {
    /// Calls.
    ///
    ///     indented
    @idempotent @timeout(2s)
    list<Old> call(
        /// What.
        @acme.x("a, b") 1: string what = "a /// b",
        2: int other
    ) => Refused

    oneway void log(1: string line)
}

/// Bare.
exception Refused
"""
    assert comments(text) == {
        "": "The file.\n\nAnd more.",
        "Old": "An old one.",
        "Old.first": "First.",
        "Kind.ZERO": "Zero.",
        "S.call": "Calls.\n\n    indented",
        "S.call.what": "What.",
        "Refused": "Bare.",
    }


@runs
async def test_where_it_is_mounted_and_who_may_read_it() -> None:
    tokens = rpc.Tokens({"secret": "ann"})
    async with served(services.ServerStub(Handlers()), authenticate=tokens) as client:
        answer = await client.ask("GET", "/openapi.json")
        assert (answer.status, answer.json["error"]["type"]) == (401, "UNAUTHENTICATED")
        below = Client(client.app, "/api/v1")
        answer = await below.ask("GET", "/openapi.json", headers={"authorization": "Bearer secret"})
        assert answer.json["servers"] == [{"url": "/api/v1"}]
        assert answer.json["security"] == [{"token": []}]
        OpenAPIV31SpecValidator(answer.json).validate()


CONFIGURATION = """\
[checks.not_a_server_error]
# A call that has no time left is answered so.
expected-statuses = ["2xx", "3xx", "4xx", "504"]
"""


@pytest.mark.timeout(240)
def test_schemathesis_finds_nothing(tmp_path: pathlib.Path) -> None:
    (tmp_path / "st.toml").write_text(CONFIGURATION)
    with server("uvicorn", "tests.support.http_features:app") as port:
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", "st.toml", "--no-color", "run"]
        limits = ["--checks", "all", "--max-examples", "2", "--seed", "1", "--generation-database", "none"]
        paths = ("/divide", "/area", "/Directory/find", "/healthz")
        done = subprocess.run(
            [
                *command,
                f"http://127.0.0.1:{port}/openapi.json",
                *limits,
                *(f"--include-path={path}" for path in paths),
            ],
            cwd=tmp_path,
            env=os.environ
            | {"PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    found = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert found is not None, done.stdout
    assert found[1] == found[2]
    assert int(found[1]) > 100
