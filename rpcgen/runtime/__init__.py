"""What generated code and its users stand on: ``from rpcgen import runtime as rpc``.

Every public name is here. Each is loaded from its own module when it is first used, so
that a program pays for what it calls alone.
"""

from __future__ import annotations

import importlib
import typing

if typing.TYPE_CHECKING:
    import rpcgen.runtime.http  # noqa: F401 (it is an attribute for type checkers, too)
    from rpcgen.runtime.abi import (
        check_abi as check_abi,
    )
    from rpcgen.runtime.aio.client.channel import (
        AsyncChannel as AsyncChannel,
    )
    from rpcgen.runtime.aio.options import (
        AsyncChannelOptions as AsyncChannelOptions,
        AsyncServerOptions as AsyncServerOptions,
    )
    from rpcgen.runtime.aio.server.server import (
        AsyncServer as AsyncServer,
    )
    from rpcgen.runtime.beside import (
        awaited as awaited,
    )
    from rpcgen.runtime.contexts import (
        Context as Context,
        context as context,
    )
    from rpcgen.runtime.discovery.async_distributed import (
        AsyncDistributedChannel as AsyncDistributedChannel,
    )
    from rpcgen.runtime.discovery.balancers import (
        Balancer as Balancer,
        LeastLoaded as LeastLoaded,
        Picker as Picker,
        Random as Random,
        RoundRobin as RoundRobin,
    )
    from rpcgen.runtime.discovery.distributed import (
        DistributedChannel as DistributedChannel,
    )
    from rpcgen.runtime.discovery.embedded.client import (
        EmbeddedRegistry as EmbeddedRegistry,
    )
    from rpcgen.runtime.discovery.embedded.server import (
        RegistryServer as RegistryServer,
    )
    from rpcgen.runtime.discovery.hashing import (
        ConsistentHash as ConsistentHash,
    )
    from rpcgen.runtime.discovery.health import (
        Endpoint as Endpoint,
    )
    from rpcgen.runtime.discovery.static import (
        StaticRegistry as StaticRegistry,
    )
    from rpcgen.runtime.discovery.zookeeper import (
        ZooKeeperRegistry as ZooKeeperRegistry,
    )
    from rpcgen.runtime.errors import (
        CallError as CallError,
        Cancelled as Cancelled,
        ConnectionLost as ConnectionLost,
        ContractMismatch as ContractMismatch,
        DeadlineExceeded as DeadlineExceeded,
        DecodeError as DecodeError,
        EncodeError as EncodeError,
        FaultCode as FaultCode,
        NoServers as NoServers,
        ProtocolError as ProtocolError,
        RemoteException as RemoteException,
        RemoteFault as RemoteFault,
        RpcError as RpcError,
        Unavailable as Unavailable,
    )
    from rpcgen.runtime.handlers import (
        inline as inline,
    )
    from rpcgen.runtime.interceptors import (
        Call as Call,
        Interceptor as Interceptor,
        Refused as Refused,
    )
    from rpcgen.runtime.observing import (
        Metrics as Metrics,
        Tally as Tally,
        log_calls as log_calls,
    )
    from rpcgen.runtime.options import (
        deadline as deadline,
        reply_metadata as reply_metadata,
        with_options as with_options,
    )
    from rpcgen.runtime.registry import (
        Contents as Contents,
        Entry as Entry,
        Instance as Instance,
        Registration as Registration,
        Registry as Registry,
        Snapshot as Snapshot,
        Watch as Watch,
        open_registry as open_registry,
    )
    from rpcgen.runtime.schema import (
        BOOL as BOOL,
        BYTE as BYTE,
        BYTES as BYTES,
        DATE as DATE,
        DECIMAL as DECIMAL,
        DEFAULT as DEFAULT,
        DOUBLE as DOUBLE,
        DURATION as DURATION,
        FLOAT as FLOAT,
        INT as INT,
        LONG as LONG,
        SHORT as SHORT,
        STRING as STRING,
        TIMESTAMP as TIMESTAMP,
        UBYTE as UBYTE,
        UINT as UINT,
        ULONG as ULONG,
        USHORT as USHORT,
        UUID as UUID,
        VOID as VOID,
        Enum as Enum,
        Field as Field,
        Interface as Interface,
        ListOf as ListOf,
        MapOf as MapOf,
        OptionalOf as OptionalOf,
        Param as Param,
        Ref as Ref,
        Reserved as Reserved,
        SetOf as SetOf,
        fields as fields,
    )
    from rpcgen.runtime.stubs import (
        AsyncClientStub as AsyncClientStub,
        ClientStub as ClientStub,
        MessageProtocol as MessageProtocol,
        MethodProtocol as MethodProtocol,
        Protocols as Protocols,
        ServerStub as ServerStub,
    )
    from rpcgen.runtime.sync.client.channel import (
        Channel as Channel,
    )
    from rpcgen.runtime.sync.options import (
        ChannelOptions as ChannelOptions,
        ProcessServerOptions as ProcessServerOptions,
        ServerOptions as ServerOptions,
        ThreadServerOptions as ThreadServerOptions,
    )
    from rpcgen.runtime.sync.processes.server import (
        ProcessServer as ProcessServer,
    )
    from rpcgen.runtime.sync.server.server import (
        Server as Server,
        ThreadServer as ThreadServer,
    )
    from rpcgen.runtime.tasks.inspection import (
        TaskInfo as TaskInfo,
    )
    from rpcgen.runtime.tasks.master import (
        Master as Master,
    )
    from rpcgen.runtime.tasks.options import (
        TaskOptions as TaskOptions,
    )
    from rpcgen.runtime.tasks.queue import (
        TaskQueue as TaskQueue,
    )
    from rpcgen.runtime.tasks.stubs import (
        TaskStub as TaskStub,
        queued as queued,
        with_task_options as with_task_options,
    )
    from rpcgen.runtime.tasks.task import (
        Task as Task,
        as_completed as as_completed,
    )
    from rpcgen.runtime.tasks.worker import (
        Worker as Worker,
    )
    from rpcgen.runtime.tls import (
        TLS as TLS,
    )
    from rpcgen.runtime.tokens import (
        Tokens as Tokens,
        require_token as require_token,
        send_token as send_token,
    )
    from rpcgen.runtime.urls import (
        connect as connect,
        connect_async as connect_async,
    )
    from rpcgen.runtime.values import (
        Case as Case,
        Struct as Struct,
        Union as Union,
        UnknownCase as UnknownCase,
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
        "ContractMismatch",
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
        "Interface",
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
    "aio.client.channel": ("AsyncChannel",),
    "aio.options": ("AsyncChannelOptions", "AsyncServerOptions"),
    "aio.server.server": ("AsyncServer",),
    "beside": ("awaited",),
    "contexts": ("Context", "context"),
    "handlers": ("inline",),
    "interceptors": ("Call", "Interceptor", "Refused"),
    "wire.limits": ("Limits",),
    "stubs": (
        "AsyncClientStub",
        "ClientStub",
        "MessageProtocol",
        "MethodProtocol",
        "Protocols",
        "ServerStub",
    ),
    "observing": ("Metrics", "Tally", "log_calls"),
    "options": ("deadline", "reply_metadata", "with_options"),
    "registry": (
        "Contents",
        "Entry",
        "Instance",
        "Registration",
        "Registry",
        "Snapshot",
        "Watch",
        "open_registry",
    ),
    "urls": ("connect", "connect_async"),
    "discovery.async_distributed": ("AsyncDistributedChannel",),
    "discovery.balancers": ("Balancer", "LeastLoaded", "Picker", "Random", "RoundRobin"),
    "discovery.distributed": ("DistributedChannel",),
    "discovery.embedded.client": ("EmbeddedRegistry",),
    "discovery.embedded.server": ("RegistryServer",),
    "discovery.hashing": ("ConsistentHash",),
    "discovery.health": ("Endpoint",),
    "discovery.static": ("StaticRegistry",),
    "discovery.zookeeper": ("ZooKeeperRegistry",),
    "sync.client.channel": ("Channel",),
    "sync.options": ("ChannelOptions", "ProcessServerOptions", "ServerOptions", "ThreadServerOptions"),
    "sync.processes.server": ("ProcessServer",),
    "sync.server.server": ("Server", "ThreadServer"),
    "tasks.inspection": ("TaskInfo",),
    "tasks.master": ("Master",),
    "tasks.options": ("TaskOptions",),
    "tasks.queue": ("TaskQueue",),
    "tasks.stubs": ("TaskStub", "queued", "with_task_options"),
    "tasks.task": ("Task", "as_completed"),
    "tasks.worker": ("Worker",),
    "tls": ("TLS",),
    "tokens": ("Tokens", "require_token", "send_token"),
}

_HOME = {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> typing.Any:
    if name == "http":  # a room of its own, whose names are not repeated here
        return importlib.import_module(f"{__name__}.http")
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_HOME)
