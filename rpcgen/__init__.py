"""rpcgen: typed remote calls in Python from one interface file.

``rpcgen.runtime`` is what programs stand on; ``rpcgen.load`` gives an interface file's module
without writing one; ``rpcgen.breaking`` compares two versions. All are loaded when first used.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # type checkers know the name; typing itself would cost a client 4 ms
if TYPE_CHECKING:
    from rpcgen.compiler.changes import breaking as breaking
    from rpcgen.loading import IdlError as IdlError, load as load
else:

    def __getattr__(name: str) -> object:
        if name in ("IdlError", "load"):
            from rpcgen import loading

            globals().update(IdlError=loading.IdlError, load=loading.load)
            return globals()[name]
        if name == "breaking":
            from rpcgen.compiler.changes import breaking

            globals()["breaking"] = breaking
            return breaking
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
