"""What generated code and its users stand on: ``from rpcgen import runtime as rpc``.

Every public name is here. Each is loaded from its own module when it is first used, so
that a program pays for what it calls alone.
"""

from __future__ import annotations

import importlib
import typing

if typing.TYPE_CHECKING:
    from rpcgen.runtime.abi import (
        check_abi as check_abi,
    )
    from rpcgen.runtime.errors import (
        CallError as CallError,
    )
    from rpcgen.runtime.errors import (
        Cancelled as Cancelled,
    )
    from rpcgen.runtime.errors import (
        ConnectionLost as ConnectionLost,
    )
    from rpcgen.runtime.errors import (
        DeadlineExceeded as DeadlineExceeded,
    )
    from rpcgen.runtime.errors import (
        DecodeError as DecodeError,
    )
    from rpcgen.runtime.errors import (
        EncodeError as EncodeError,
    )
    from rpcgen.runtime.errors import (
        FaultCode as FaultCode,
    )
    from rpcgen.runtime.errors import (
        NoServers as NoServers,
    )
    from rpcgen.runtime.errors import (
        ProtocolError as ProtocolError,
    )
    from rpcgen.runtime.errors import (
        RemoteException as RemoteException,
    )
    from rpcgen.runtime.errors import (
        RemoteFault as RemoteFault,
    )
    from rpcgen.runtime.errors import (
        RpcError as RpcError,
    )
    from rpcgen.runtime.errors import (
        Unavailable as Unavailable,
    )
    from rpcgen.runtime.options import (
        deadline as deadline,
    )
    from rpcgen.runtime.options import (
        with_options as with_options,
    )
    from rpcgen.runtime.schema import (
        BOOL as BOOL,
    )
    from rpcgen.runtime.schema import (
        BYTE as BYTE,
    )
    from rpcgen.runtime.schema import (
        BYTES as BYTES,
    )
    from rpcgen.runtime.schema import (
        DATE as DATE,
    )
    from rpcgen.runtime.schema import (
        DECIMAL as DECIMAL,
    )
    from rpcgen.runtime.schema import (
        DEFAULT as DEFAULT,
    )
    from rpcgen.runtime.schema import (
        DOUBLE as DOUBLE,
    )
    from rpcgen.runtime.schema import (
        DURATION as DURATION,
    )
    from rpcgen.runtime.schema import (
        FLOAT as FLOAT,
    )
    from rpcgen.runtime.schema import (
        INT as INT,
    )
    from rpcgen.runtime.schema import (
        LONG as LONG,
    )
    from rpcgen.runtime.schema import (
        SHORT as SHORT,
    )
    from rpcgen.runtime.schema import (
        STRING as STRING,
    )
    from rpcgen.runtime.schema import (
        TIMESTAMP as TIMESTAMP,
    )
    from rpcgen.runtime.schema import (
        UBYTE as UBYTE,
    )
    from rpcgen.runtime.schema import (
        UINT as UINT,
    )
    from rpcgen.runtime.schema import (
        ULONG as ULONG,
    )
    from rpcgen.runtime.schema import (
        USHORT as USHORT,
    )
    from rpcgen.runtime.schema import (
        UUID as UUID,
    )
    from rpcgen.runtime.schema import (
        VOID as VOID,
    )
    from rpcgen.runtime.schema import (
        Enum as Enum,
    )
    from rpcgen.runtime.schema import (
        Field as Field,
    )
    from rpcgen.runtime.schema import (
        ListOf as ListOf,
    )
    from rpcgen.runtime.schema import (
        MapOf as MapOf,
    )
    from rpcgen.runtime.schema import (
        OptionalOf as OptionalOf,
    )
    from rpcgen.runtime.schema import (
        Param as Param,
    )
    from rpcgen.runtime.schema import (
        Ref as Ref,
    )
    from rpcgen.runtime.schema import (
        Reserved as Reserved,
    )
    from rpcgen.runtime.schema import (
        SetOf as SetOf,
    )
    from rpcgen.runtime.schema import (
        fields as fields,
    )
    from rpcgen.runtime.stubs import (
        ClientStub as ClientStub,
    )
    from rpcgen.runtime.stubs import (
        Interface as Interface,
    )
    from rpcgen.runtime.stubs import (
        MessageProtocol as MessageProtocol,
    )
    from rpcgen.runtime.stubs import (
        MethodProtocol as MethodProtocol,
    )
    from rpcgen.runtime.stubs import (
        Protocols as Protocols,
    )
    from rpcgen.runtime.stubs import (
        ServerStub as ServerStub,
    )
    from rpcgen.runtime.sync.channel import (
        Channel as Channel,
    )
    from rpcgen.runtime.sync.options import (
        ServerOptions as ServerOptions,
    )
    from rpcgen.runtime.sync.options import (
        ThreadServerOptions as ThreadServerOptions,
    )
    from rpcgen.runtime.sync.server import (
        Server as Server,
    )
    from rpcgen.runtime.sync.server import (
        ThreadServer as ThreadServer,
    )
    from rpcgen.runtime.urls import (
        connect as connect,
    )
    from rpcgen.runtime.values import (
        Case as Case,
    )
    from rpcgen.runtime.values import (
        Struct as Struct,
    )
    from rpcgen.runtime.values import (
        Union as Union,
    )
    from rpcgen.runtime.values import (
        UnknownCase as UnknownCase,
    )
    from rpcgen.runtime.values import (
        field as field,
    )
    from rpcgen.runtime.wire.limits import (
        Limits as Limits,
    )

_HOMES = {
    "errors": (
        "CallError",
        "Cancelled",
        "ConnectionLost",
        "DeadlineExceeded",
        "DecodeError",
        "EncodeError",
        "FaultCode",
        "NoServers",
        "ProtocolError",
        "RemoteException",
        "RemoteFault",
        "RpcError",
        "Unavailable",
    ),
    "schema": (
        "BOOL",
        "BYTE",
        "BYTES",
        "DATE",
        "DECIMAL",
        "DEFAULT",
        "DOUBLE",
        "DURATION",
        "Enum",
        "FLOAT",
        "Field",
        "INT",
        "ListOf",
        "LONG",
        "MapOf",
        "OptionalOf",
        "Param",
        "Ref",
        "Reserved",
        "SHORT",
        "STRING",
        "SetOf",
        "TIMESTAMP",
        "UBYTE",
        "UINT",
        "ULONG",
        "USHORT",
        "UUID",
        "VOID",
        "fields",
    ),
    "values": ("Case", "Struct", "Union", "UnknownCase", "field"),
    "abi": ("check_abi",),
    "wire.limits": ("Limits",),
    "stubs": ("ClientStub", "Interface", "MessageProtocol", "MethodProtocol", "Protocols", "ServerStub"),
    "options": ("deadline", "with_options"),
    "urls": ("connect",),
    "sync.channel": ("Channel",),
    "sync.options": ("ServerOptions", "ThreadServerOptions"),
    "sync.server": ("Server", "ThreadServer"),
}

_HOME = {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> typing.Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_HOME)
