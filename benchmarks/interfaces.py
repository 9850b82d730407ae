"""Interfaces of any size in two shapes, for us and for gRPC.

*Lean* methods are like the one-line file; gRPC's share one pair of messages. *Rich* ones are as
people write them: a struct for every ten, documentation, defaults, optional parameters,
containers and exceptions.
"""

from __future__ import annotations

import typing

Shape: typing.TypeAlias = 'typing.Literal["lean", "rich"]'
SHAPES: tuple[Shape, ...] = ("lean", "rich")
SIZES = (10, 1_000, 10_000)

_RICH = (
    "/// Adds a record and gives its number.\nlong add{n}(1: Record{s} record) => Refused",
    "/// Finds what matches, best first.\n"
    "list<Record{s}> find{n}(1: string query, 2: int limit = 20, 3: int offset = 0) => Refused, NotFound",
    "Record{s}? get{n}(1: long id)",
    "@idempotent\nbool touch{n}(1: long id, 2: timestamp? when)",
    "/// Divides one number by another.\ndouble divide{n}(1: int num1, 2: int num2 = 1) => Refused",
    "void rename{n}(1: long id, 2: string name, 3: bool force = false) => NotFound",
    "map<string, long> totals{n}(1: list<string> keys)",
    "oneway void log{n}(1: string line)",
    'string join{n}(1: list<string> parts, 2: string separator = ", ")',
    '/// Removes records by number.\nint remove{n}(1: list<long> ids, 2: string reason = "") => NotFound',
)

_STRUCT = """\
/// What method {n} and the ones after it pass about.
struct Record{s} {{
    1: long id
    2: string name
    3: list<string> tags = []
    4: double weight = 1.0
    5: string? note
}}
"""

_RICH_GRPC = (
    ("add", "Record{s} record = 1;", "int64 result = 1;"),
    ("find", "string query = 1; int32 limit = 2; int32 offset = 3;", "repeated Record{s} result = 1;"),
    ("get", "int64 id = 1;", "Record{s} result = 1;"),
    ("touch", "int64 id = 1; optional int64 when = 2;", "bool result = 1;"),
    ("divide", "int32 num1 = 1; int32 num2 = 2;", "double result = 1;"),
    ("rename", "int64 id = 1; string name = 2; bool force = 3;", ""),
    ("totals", "repeated string keys = 1;", "map<string, int64> result = 1;"),
    ("log", "string line = 1;", ""),
    ("join", "repeated string parts = 1; string separator = 2;", "string result = 1;"),
    ("remove", "repeated int64 ids = 1; string reason = 2;", "int32 result = 1;"),
)

_MESSAGE = (
    "message Record{s} {{ int64 id = 1; string name = 2; repeated string tags = 3; double weight = 4;"
    " optional string note = 5; }}\n"
)


def interface(shape: Shape, methods: int) -> str:
    """Gives an interface of so many methods."""
    if shape == "lean":
        lean = "float divide{n}(1:int num1, 2:int num2=1) => InvalidOperation\n"
        return "".join(lean.format(n=number) for number in range(methods))
    parts = ["exception NotFound\n", "exception Refused {\n    1: string reason\n    2: int code = 0\n}\n"]
    for number in range(methods):
        names = {"n": number, "s": number // 10}
        if number % 10 == 0:
            parts.append(_STRUCT.format_map(names))
        parts.append(_RICH[number % 10].format_map(names) + "\n")
    return "\n".join(parts)


def grpc_interface(shape: Shape, methods: int) -> str:
    """Gives the same for gRPC, as the text of a .proto file."""
    parts = ['syntax = "proto3";\n']
    calls = []
    if shape == "lean":
        parts.append(
            "message Call { int32 num1 = 1; int32 num2 = 2; }\nmessage Reply { float result = 1; }\n"
        )
        calls = [f"  rpc Divide{number} (Call) returns (Reply);\n" for number in range(methods)]
    else:
        for number in range(methods):
            name, params, result = _RICH_GRPC[number % 10]
            names = {"s": number // 10}
            if number % 10 == 0:
                parts.append(_MESSAGE.format_map(names))
            title = f"{name.capitalize()}{number}"
            parts.append(f"message {title}Call {{ {params.format_map(names)} }}\n")
            parts.append(f"message {title}Reply {{ {result.format_map(names)} }}\n")
            calls.append(f"  rpc {title} ({title}Call) returns ({title}Reply);\n")
    return "".join([*parts, "service Peer {\n", *calls, "}\n"])
