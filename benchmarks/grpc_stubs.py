"""The same interfaces for gRPC: what its stubs take to compile and to import, if it is installed."""

from __future__ import annotations

import importlib.util
import pathlib

from benchmarks.interfaces import Bench

_METHODS = (
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

_RECORD = (
    "message Record{s} {{ int64 id = 1; string name = 2; repeated string tags = 3; double weight = 4;"
    " optional string note = 5; }}\n"
)


def installed() -> bool:
    return importlib.util.find_spec("grpc_tools") is not None


def write(bench: Bench, methods: int) -> pathlib.Path:
    """Writes the interface that ``interfaces.interface`` gives, as a .proto file."""
    messages = []
    calls = []
    for number in range(methods):
        name, params, result = _METHODS[number % 10]
        names = {"s": number // 10}
        if number % 10 == 0:
            messages.append(_RECORD.format_map(names))
        title = f"{name.capitalize()}{number}"
        messages.append(f"message {title}Call {{ {params.format_map(names)} }}\n")
        messages.append(f"message {title}Reply {{ {result.format_map(names)} }}\n")
        calls.append(f"  rpc {title} ({title}Call) returns ({title}Reply);\n")
    path = bench.folder / f"peer{methods}.proto"
    service = f"service Peer {{\n{''.join(calls)}}}\n"
    path.write_text('syntax = "proto3";\n' + "".join(messages) + service, encoding="utf-8")
    return path


def compile(bench: Bench, methods: int) -> float:
    """Gives the seconds of the whole process."""
    folder = str(bench.folder)
    return bench.seconds(
        *("-m", "grpc_tools.protoc", f"-I{folder}", f"--python_out={folder}", f"--grpc_python_out={folder}"),
        f"peer{methods}.proto",
    )


def load(bench: Bench, methods: int) -> float:
    """Gives the seconds of a whole process that imports the stubs."""
    return bench.seconds("-c", f"import peer{methods}_pb2_grpc")
