"""The canonical form: one way to write each thing, and nothing lost."""

from __future__ import annotations

from hypothesis import given

from rpcgen.compiler import compile_file
from rpcgen.compiler.source import Span
from tests.support.interfaces import Interface, compile_interface, interfaces


def meaning(found: object) -> object:
    """Gives a model without its places, to be compared."""
    if isinstance(found, Span):
        return "span"
    if isinstance(found, tuple):
        return tuple(map(meaning, found))
    slots = getattr(type(found), "__struct_fields__", None)
    if slots is None:
        return type(found), repr(found)
    return type(found), tuple((name, meaning(getattr(found, name))) for name in slots if name != "path")


@given(interfaces())
def test_every_generated_interface_compiles(interface: Interface) -> None:
    """The strategy and the checker agree on what is valid."""
    compilation = compile_interface(interface)
    assert not compilation.report.failed, compilation.report.diagnostics
    assert compilation.module is not None


@given(interfaces())
def test_the_canonical_form_means_the_same_and_is_its_own(interface: Interface) -> None:
    """Compiling the canonical text gives the same model, and the same text again."""
    first = compile_interface(interface).module
    assert first is not None
    includes = {include.path: include.module.interface for include in first.includes}
    second = compile_interface(Interface(first.interface, includes)).module
    assert second is not None
    assert meaning(second) == meaning(first)
    assert second.interface == first.interface


def test_the_file_of_one_line() -> None:
    """``rpc.describe`` of service.idl."""
    module = compile_file("idl/service.idl").module
    assert module is not None
    assert module.interface == "float divide(1: int num1, 2: int num2 = 1) => InvalidOperation\n"
