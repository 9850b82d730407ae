"""Named tuples that are cheap to define.

``typing.NamedTuple`` compiles each annotation that is a string, and the first ``compile`` of a process makes all the
classes of its syntax trees: 1.5 ms and 0.4 MiB, of which nothing here has any use. A program that calls one
method would pay for that at its start.
"""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    from typing import NamedTuple as Record
else:
    import collections

    class _RecordType(type):
        def __new__(mcs, name, bases, namespace):
            if not bases:
                return super().__new__(mcs, name, bases, namespace)
            fields = namespace.get("__annotations__", {})
            defaults = [namespace.pop(field) for field in fields if field in namespace]
            made = collections.namedtuple(name, fields, defaults=defaults, module=namespace["__module__"])
            for key, value in namespace.items():
                if key not in _MADE:
                    setattr(made, key, value)
            return made

    _MADE = frozenset(("__module__", "__slots__"))

    class Record(metaclass=_RecordType):
        """The base of named tuples, as ``typing.NamedTuple`` is."""


__all__ = ["Record"]
