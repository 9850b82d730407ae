"""The agreement between generated code and the runtime that it runs on."""

from __future__ import annotations

ABI = 1
"""Raised when generated code of earlier compilers no longer runs on this runtime."""


def check_abi(wanted: int, command: str) -> None:
    """Called first by every generated module.

    Raises:
        ImportError: The module was compiled for another ABI; the message holds the command
            that compiles it again.
    """
    if wanted != ABI:
        mend = f"run `{command}` again" if wanted < ABI else "upgrade rpcgen (pip install -U rpcgen)"
        raise ImportError(f"compiled for rpcgen's ABI {wanted}, but the installed runtime has {ABI}: {mend}")
