"""Which codec runs: the one in C where it was built, else the one in Python.

``RPCGEN_CODEC=c`` or ``python`` in the environment decides instead.
"""

from __future__ import annotations

import functools
import os

from rpcgen.runtime.records import Record

NAME = "RPCGEN_CODEC"


class Choice(Record):
    """What runs.

    Args:
        native: The codec in C.
        why: If not, the reason.
    """

    native: bool
    why: str = ""


@functools.cache
def choice() -> Choice:
    """Decides, once a process.

    Raises:
        RuntimeError: The environment asks for what there is not.
    """
    wanted = os.environ.get(NAME, "")
    if wanted == "python":
        return Choice(False, f"{NAME} says so")
    if wanted not in ("", "c"):
        raise RuntimeError(f"{NAME} is c, python or unset; not {wanted!r}")
    try:
        import rpcgen.runtime.wire._codec  # noqa: F401
    except ImportError as error:
        if wanted:
            raise RuntimeError(
                f"{NAME}=c, but the codec in C is not there: install rpcgen where a C compiler is ({error})"
            ) from error
        return Choice(False, "the one in C is not built, which takes a C compiler")
    return Choice(True)


def codec_in_use() -> str:
    """Gives the codec's name for people: ``C codec``, or ``Python codec`` and why.

    Raises:
        RuntimeError: As ``choice``.
    """
    native, why = choice()
    return "C codec" if native else f"Python codec: {why}"
