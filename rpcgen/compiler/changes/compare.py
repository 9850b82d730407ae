"""Two versions of an interface in, changes out: services by name, methods by name, types by their shape.

Types are compared wherever methods meet them, and by name where both files declare them. Pairs that are
still to be compared wait in a list, each pair once: recursive types end, and depth costs nothing.
"""

from __future__ import annotations

import typing

from rpcgen.compiler import model
from rpcgen.compiler.changes import fields
from rpcgen.compiler.changes.contracts import Contract, Declared, Index
from rpcgen.compiler.changes.findings import GONE, Change, Changes
from rpcgen.compiler.changes.rules import Level

_Item = typing.TypeVar("_Item")
_Placed: typing.TypeAlias = "dict[tuple[str, str], tuple[model.Module, _Item]]"

_OF_ONE: typing.Final = (model.ListOf, model.SetOf, model.OptionalOf)
_KINDS: typing.Final[dict[type, str]] = {
    model.Const: "constant",
    model.Typedef: "typedef",
    model.Enum: "enum",
    model.Struct: "struct",
    model.Union: "union",
    model.ExceptionType: "exception",
}


def compare(old: Contract, new: Contract, level: Level | None = None) -> list[Change]:
    """Gives what breaks peers of the old version that meet the new one, either way round.

    Args:
        level: ``wire``: what breaks peers that speak bytes; ``json``: those that speak JSON, too;
            ``source``: programs that are compiled anew, too. None: all, those of source as warnings.
    """
    comparison = _Comparison(old, new, Changes(level))
    comparison.run()
    return comparison.changes.all()


class _Comparison:
    def __init__(self, old: Contract, new: Contract, changes: Changes) -> None:
        self._old, self._new = old, new
        self.changes = changes
        self._index = Index()
        self._waiting: list[tuple[model.Module, Declared, model.Module, Declared]] = []
        self._met: set[tuple[str, int, str, int]] = set()
        self._methods: set[tuple[str, int, str, int]] = set()

    def run(self) -> None:
        self._compare_services()
        self._compare_declarations()
        while self._waiting:
            self._compare_types(*self._waiting.pop())

    # Services

    def _compare_services(self) -> None:
        new_services = _placed(self._new, model.Service)
        for (file, name), (old_home, old) in _placed(self._old, model.Service).items():
            found = _counterpart(new_services, file, name)
            if found is not None:
                self._compare_service(old_home, old, *found)
            elif self._old.is_partial or self._new.is_partial:
                continue
            elif name:
                self.changes.add("B001", None, old.span, (), GONE, name=name)
            else:
                for method in old.methods:
                    self._gone(method, method.wire_name, None, ())

    def _gone(
        self,
        method: model.Method,
        name: str,
        service: model.Service | None,
        annotations: tuple[model.Annotation, ...],
    ) -> None:
        place = service.span if service is not None and service.name else None
        self.changes.add("B002", place, method.span, annotations, GONE, name=name)

    def _compare_service(
        self, old_home: model.Module, old: model.Service, new_home: model.Module, new: model.Service
    ) -> None:
        methods = {method.name: method for method in _methods(new)}
        for method in _methods(old):
            name = f"{old.name}.{method.name}" if old.name else method.name
            found = methods.get(method.name)
            if found is None:
                self._gone(method, name, new, new.annotations)
                continue
            pair = (*_at(method), *_at(found))
            if pair not in self._methods:
                self._methods.add(pair)
                self._compare_method(name, old_home, method, new_home, found, new.annotations)
        parents = {origin.name for origin, _ in new.inherited} | {new.extends and new.extends.name}
        for parent in dict.fromkeys(origin.name for origin, _ in old.inherited):
            if parent not in parents:
                self.changes.add("B003", new.span, old.span, new.annotations, name=old.name, parent=parent)

    def _compare_method(
        self,
        name: str,
        old_home: model.Module,
        old: model.Method,
        new_home: model.Module,
        new: model.Method,
        around: tuple[model.Annotation, ...],
    ) -> None:
        annotations = new.annotations + around
        if not self._same_type(old_home, old.returns, new_home, new.returns):
            before, after = model.idl(old.returns), model.idl(new.returns)
            self.changes.add("B004", new.span, old.span, annotations, name=name, old=before, new=after)
        if old.oneway != new.oneway:
            words = ("answered", "oneway")
            before, after = words[old.oneway], words[new.oneway]
            self.changes.add("B005", new.span, old.span, annotations, name=name, old=before, new=after)
        self._compare_raises(name, old_home, old, new_home, new, annotations)
        fields.compare_lists(
            self.changes,
            lambda one, other: self._same_type(old_home, one, new_home, other),
            fields.List("parameter", name, old.params, old.reserved, old.span, ()),
            fields.List("parameter", name, new.params, new.reserved, new.span, annotations),
        )

    def _compare_raises(
        self,
        name: str,
        old_home: model.Module,
        old: model.Method,
        new_home: model.Module,
        new: model.Method,
        annotations: tuple[model.Annotation, ...],
    ) -> None:
        before, after = [each.name for each in old.raises], [each.name for each in new.raises]
        for one, other in zip(old.raises, new.raises):  # noqa: B905 - the rest is looked at below
            renamed = one.name != other.name
            if renamed and (
                one.name in after or other.name in before or one.name in self._index.types(new_home)
            ):
                self.changes.add(
                    "B006", new.span, old.span, annotations, name=name, old=one.name, new=other.name
                )
                continue
            if renamed:
                self.changes.add(
                    "B044",
                    new.span,
                    old.span,
                    annotations,
                    name=one.name,
                    owner=name,
                    old=one.name,
                    new=other.name,
                )
            self._meet(old_home, one, new_home, other)
        for each in old.raises[len(new.raises) :]:
            self.changes.add("B007", new.span, old.span, annotations, name=name, old=each.name)

    # Types

    def _compare_declarations(self) -> None:
        for kind in _KINDS:
            self._compare_kind(kind)
        if self._old.is_source and self._new.is_source:
            names = {module.name for module in self._new.modules()}
            for module in self._old.roots:
                if module.name not in names and len(self._old.roots) > 1:
                    place = module.declarations[0].span if module.declarations else None
                    self.changes.add("B064", None, place, (), ("", "of it"), name=module.path)

    def _compare_kind(self, kind: type[model.Declaration]) -> None:
        roots = {module.path for module in self._old.roots}
        anything: _Placed[model.Declaration] = _placed(self._new, tuple(_KINDS))
        is_source = self._old.is_source and self._new.is_source
        earlier: _Placed[model.Declaration] = _placed(self._old, (kind,))
        for (file, name), (old_home, old) in earlier.items():
            found = _counterpart(anything, file, name)
            if found is None:
                if is_source and old_home.path in roots:
                    self.changes.add("B060", None, old.span, (), GONE, what=_KINDS[kind], name=name)
            elif type(found[1]) is not type(old):
                if is_source:
                    before, after = _KINDS[kind], _KINDS[type(found[1])]
                    self.changes.add(
                        "B063",
                        found[1].span,
                        old.span,
                        found[1].annotations,
                        name=name,
                        old=before,
                        new=after,
                    )
            elif not isinstance(old, model.Const | model.Typedef | model.Service):
                self._wait(old_home, old, found[0], typing.cast(Declared, found[1]))

    def _same_type(
        self, old_home: model.Module, old: model.Type, new_home: model.Module, new: model.Type
    ) -> bool:
        """Tells whether two types have one form; what they name is compared later."""
        match old, new:
            case (model.Named(), model.Named()) if old.kind == new.kind:
                self._meet(old_home, old, new_home, new)
                return True
            case (model.Scalar(), model.Scalar()):
                return old.name == new.name
            case (model.MapOf(), model.MapOf()):
                same = self._same_type(old_home, old.key, new_home, new.key)
                return self._same_type(old_home, old.value, new_home, new.value) and same
        if isinstance(old, _OF_ONE) and isinstance(new, _OF_ONE) and type(old) is type(new):
            return self._same_type(old_home, old.item, new_home, new.item)
        return False

    def _meet(
        self, old_home: model.Module, old: model.Named, new_home: model.Module, new: model.Named
    ) -> None:
        old_home, one = self._index.find(old_home, old)
        new_home, other = self._index.find(new_home, new)
        self._wait(old_home, one, new_home, other)

    def _wait(self, old_home: model.Module, old: Declared, new_home: model.Module, new: Declared) -> None:
        pair = (old_home.path, id(old), new_home.path, id(new))
        if pair not in self._met:
            self._met.add(pair)
            self._waiting.append((old_home, old, new_home, new))

    def _compare_types(
        self, old_home: model.Module, old: Declared, new_home: model.Module, new: Declared
    ) -> None:
        if isinstance(old, model.Enum) and isinstance(new, model.Enum):
            fields.compare_enums(self.changes, old, new)
            return
        if _is_message(old) != _is_message(new):
            had, has = ("a message alone" if _is_message(each) else "fields" for each in (old, new))
            self.changes.add("B030", new.span, old.span, new.annotations, name=new.name, old=had, new=has)
            return
        fields.compare_lists(
            self.changes,
            lambda one, other: self._same_type(old_home, one, new_home, other),
            _list(old),
            _list(new),
        )


def _is_message(node: Declared) -> bool:
    return isinstance(node, model.ExceptionType) and node.fields is None


def _list(node: Declared) -> fields.List:
    assert not isinstance(node, model.Enum)
    what: fields.What = "member" if isinstance(node, model.Union) else "field"
    items = node.members if isinstance(node, model.Union) else node.fields or ()
    return fields.List(what, node.name, items, node.reserved, node.span, node.annotations)


def _methods(service: model.Service) -> tuple[model.Method, ...]:
    return (*service.methods, *(method for _, method in service.inherited))


def _at(method: model.Method) -> tuple[str, int]:
    return method.span.source.path, method.span.start


def _placed(contract: Contract, kind: type[_Item] | tuple[type, ...]) -> _Placed[_Item]:
    """Gives what a side declares of a kind, by its file's name and its own."""
    found: _Placed[_Item] = {}
    for module in contract.modules():
        for node in module.declarations:
            if isinstance(node, kind):
                found.setdefault((module.name, node.name), (module, typing.cast(_Item, node)))
    return found


def _counterpart(found: _Placed[_Item], file: str, name: str) -> tuple[model.Module, _Item] | None:
    """Gives what goes by a name: of the file so called, else of the only one that has it."""
    exact = found.get((file, name))
    if exact is not None:
        return exact
    others = [place for (_, other), place in found.items() if other == name]
    return others[0] if len(others) == 1 else None
