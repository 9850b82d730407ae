"""Parameters that several methods have."""

from __future__ import annotations

import copy
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.schema import REQUIRED


def test_equal_parameters_of_scalars_are_one() -> None:
    assert rpc.Param(1, "id", rpc.LONG) is rpc.Param(1, "id", rpc.LONG)
    assert rpc.Param(2, "limit", rpc.INT, default=20) is rpc.Param(2, "limit", rpc.INT, default=20)
    assert rpc.Param(1, "class", rpc.STRING, attr="class_").attr == "class_"


@pytest.mark.parametrize(
    ("default", "other"),
    [(1, True), (0, False), (0, 0.0), (0.0, -0.0), ("", REQUIRED), (None, REQUIRED), ([], [])],
)
def test_defaults_that_only_look_alike_are_kept_apart(default: object, other: object) -> None:
    one, two = (rpc.Param(1, "value", rpc.INT, default=value) for value in (default, other))
    assert one is not two
    assert one.default is default
    assert two.default is other


@pytest.mark.parametrize("type", [rpc.ListOf(rpc.INT), rpc.OptionalOf(rpc.INT), rpc.RemoteException])
def test_nothing_is_kept_of_other_types(type: typing.Any) -> None:
    assert rpc.Param(1, "value", type) is not rpc.Param(1, "value", type)


def test_a_parameter_is_still_a_class() -> None:
    param = rpc.Param(1, "id", rpc.LONG)
    assert isinstance(param, rpc.Param)
    assert isinstance(param, rpc.Field)
    assert repr(copy.copy(param)) == "Param(1, 'id', rpc.LONG)"
