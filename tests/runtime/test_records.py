"""Named tuples as ``typing.NamedTuple`` makes them, and what a program does not pay for them."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import typing

import pytest

from rpcgen.runtime.records import Record


class Place(Record):
    """Where something is."""

    name: str
    port: int = 1
    """Of TCP."""
    tags: tuple[NotDefined, ...] = ()  # type: ignore[name-defined]  # noqa: F821

    @property
    def shown(self) -> str:
        return f"{self.name}:{self.port}"

    def __repr__(self) -> str:
        return f"<{self.shown}>"


class Usual(typing.NamedTuple):
    """Beside it."""

    name: str
    port: int = 1
    tags: tuple[object, ...] = ()


def test_it_is_what_a_named_tuple_is() -> None:
    place: typing.Any = Place("a", tags=(1,))
    usual: typing.Any = Usual("a", tags=(1,))
    assert place == usual == ("a", 1, (1,))
    assert (place._fields, place._field_defaults) == (usual._fields, usual._field_defaults)
    assert place._replace(port=2) == ("a", 2, (1,))
    assert place._asdict() == usual._asdict()
    assert Place.__annotations__.keys() == Usual.__annotations__.keys()
    assert (repr(place), place.shown, Place.__doc__) == ("<a:1>", "a:1", "Where something is.")
    assert (Place.__module__, Place.__qualname__) == (__name__, "Place")
    assert pickle.loads(pickle.dumps(place)) == copy.deepcopy(place) == place
    assert not hasattr(place, "__dict__")
    with pytest.raises(TypeError):
        Place()  # type: ignore[call-arg]
    match place:
        case Place(name, port):
            assert (name, port) == ("a", 1)


def test_a_client_compiles_nothing() -> None:
    """The first compile of a process takes as long as ten of our modules."""
    code = """if True:
        import builtins, sys
        compiled, real = [], builtins.compile
        def compile(source, name, *args, **named):
            if name == "<string>":  # not a module without its bytecode
                compiled.append(source)
            return real(source, name, *args, **named)
        builtins.compile = compile
        import service
        service.ClientStub(service.Channel("127.0.0.1", 1))
        print(compiled)
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
