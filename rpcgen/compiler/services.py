"""Services: methods, what they raise, and what they inherit."""

from __future__ import annotations

import typing

from rpcgen.compiler import annotate, canonical, cycles, model, syntax
from rpcgen.compiler.members import read_fields
from rpcgen.compiler.resolve import Resolver
from rpcgen.compiler.scope import KINDS, LONGEST_NAME, Declared, Scope, a, check_name, too_long, written
from rpcgen.compiler.source import Span

MOST_RAISED: typing.Final = 254
"""A reply's kind is one byte; 0 and 1 are taken."""

LONGEST_LINE: typing.Final = 64

_VOID: typing.Final = model.Scalar("void")


def read_service(scope: Scope, resolver: Resolver, node: syntax.Service) -> model.Service:
    """Gives a named service without what it inherits; see ``inherit``."""
    name = node.name.text
    seen: dict[str, Span] = {}
    methods: list[model.Method] = []
    for part in node.methods:
        check_name(scope, part.name)
        first = seen.setdefault(part.name.text, part.name.span)
        if first is not part.name.span:
            place = ((first, "first declared here"),)
            scope.error(
                "E102", part.name.span, "again here", place, what="method", name=part.name.text, owner=name
            )
        methods.append(read_method(scope, resolver, part, name))
    read = annotate.read(scope, node.annotations, "service")
    return model.Service(name, None, tuple(methods), (), node.doc, read.all, read.deprecated, node.name.span)


def own_service(scope: Scope, resolver: Resolver) -> model.Service | None:
    """Gives the file's own service: the methods outside services; None if there are none."""
    if not scope.methods:
        return None
    methods = tuple([read_method(scope, resolver, node, "") for node in scope.methods])
    return model.Service("", None, methods, (), "", (), None, scope.methods[0].name.span)


def read_method(scope: Scope, resolver: Resolver, node: syntax.Method, service: str) -> model.Method:
    """Gives a method of a service; ``service`` is empty for the file's own."""
    name = node.name.text
    wire_name = f"{service}.{name}" if service else name
    if len(wire_name) > LONGEST_NAME >= max(len(name), len(service)):
        too_long(scope, wire_name, node.name.span)
    params, reserved = read_fields(scope, resolver, node.params, wire_name, "parameter")
    returns = resolver.resolve(node.returns, void=True)
    raises = _raises(scope, node)
    if node.oneway is not None:
        place = ((node.oneway, "because it is oneway"),)
        if returns != _VOID:
            scope.error("E401", node.returns.span, "", place, help="write void")
        if node.raises:
            scope.error("E402", node.raises[0].span, "", place)
    read = annotate.read(scope, node.annotations, "method")
    return model.Method(
        name,
        wire_name,
        params,
        reserved,
        returns,
        raises,
        node.oneway is not None,
        read.idempotent,
        read.timeout,
        read.attempts,
        read.priority,
        read.deprecated,
        canonical.signature(node),
        node.doc,
        read.all,
        node.name.span,
    )


def _raises(scope: Scope, node: syntax.Method) -> tuple[model.Named, ...]:
    found: list[model.Named] = []
    first: dict[str, Span] = {}
    for reference in node.raises:
        name = written(reference.qualifier, reference.name)
        seen = first.setdefault(name, reference.span)
        if seen is not reference.span:
            scope.error("E404", reference.span, "again here", ((seen, "first here"),), name=name)
            continue
        target = scope.find(reference.qualifier, reference.name, "exception", (syntax.ExceptionType,))
        if target is None:
            continue
        declared = target[1]
        if not isinstance(declared, syntax.ExceptionType):
            _wrong_kind(scope, "E403", reference, declared)
            continue
        file = reference.qualifier.text if reference.qualifier else ""
        found.append(model.Named("exception", reference.name.text, file))
    if len(node.raises) > MOST_RAISED:
        scope.error("E414", node.raises[MOST_RAISED].span, limit=MOST_RAISED)
    return tuple(found)


def _wrong_kind(scope: Scope, code: str, reference: syntax.Reference, declared: Declared) -> None:
    place = ((declared.name.span, "declared here"),)
    name = written(reference.qualifier, reference.name)
    scope.error(code, reference.span, "", place, name=name, what=a(KINDS[type(declared)]))


def inherit(scope: Scope) -> None:
    """Completes the services of a scope with what they inherit, parents first."""
    nodes = {name: node for name, node in scope.declared.items() if isinstance(node, syntax.Service)}
    parents: dict[str, list[str]] = {name: [] for name in nodes}
    extended: dict[str, tuple[syntax.Reference, Scope]] = {}
    for name, node in nodes.items():
        reference = node.extends
        found = reference and scope.find(reference.qualifier, reference.name, "service", (syntax.Service,))
        if not reference or not found:
            continue
        if not isinstance(found[1], syntax.Service):
            _wrong_kind(scope, "E406", reference, found[1])
            continue
        extended[name] = reference, found[0]
        if found[0] is scope:
            parents[name].append(reference.name.text)
    for group in cycles.components(nodes, parents.__getitem__):
        if not cycles.is_cycle(group, parents.__getitem__):
            if group[0] in extended:
                _extend(scope, group[0], *extended[group[0]])
            continue
        chain = cycles.shortest_cycle(group, parents.__getitem__)
        span = extended[chain[0]][0].span
        scope.error("E407", span, name=chain[0], chain=" -> ".join([*chain, chain[0]]))


def _extend(scope: Scope, name: str, reference: syntax.Reference, home: Scope) -> None:
    service, parent = scope.services[name], home.services[reference.name.text]
    depth = home.lines.get(parent.name, 1) + 1
    if depth > LONGEST_LINE:
        if depth == LONGEST_LINE + 1:
            scope.error("E409", reference.span, limit=LONGEST_LINE)
        scope.lines[name] = depth
        return
    scope.lines[name] = depth
    above = (
        *((model.ServiceName(parent.name), method) for method in parent.methods),
        *parent.inherited,
    )
    if home is not scope:
        above = tuple([_adopt(scope, home, origin, method) for origin, method in above])
    known = {method.name: (origin, method) for origin, method in above}
    for method in service.methods:
        if method.name in known:
            origin, other = known[method.name]
            label = f"{origin.name} declares it here"
            scope.error("E408", method.span, "", ((other.span, label),), name=method.name, owner=name)
    way = scope.adopt_name("", home)
    scope.services[name] = model.Service(
        service.name,
        model.ServiceName(parent.name, way),
        service.methods,
        above,
        service.doc,
        service.annotations,
        service.deprecated,
        service.span,
    )


def _adopt(
    scope: Scope, home: Scope, origin: model.ServiceName, method: model.Method
) -> tuple[model.ServiceName, model.Method]:
    """Gives an inherited method of another file as this file sees it."""
    params = tuple([_adopt_field(scope, home, field) for field in method.params])
    reserved = tuple(
        [model.Reserved(kept.tag, scope.adopt(kept.type, home), kept.span) for kept in method.reserved]
    )
    raises = tuple(
        [model.Named("exception", name.name, scope.adopt_name(name.file, home)) for name in method.raises]
    )
    return model.ServiceName(origin.name, scope.adopt_name(origin.file, home)), model.Method(
        method.name,
        method.wire_name,
        params,
        reserved,
        scope.adopt(method.returns, home),
        raises,
        method.oneway,
        method.idempotent,
        method.timeout,
        method.attempts,
        method.priority,
        method.deprecated,
        method.signature,
        method.doc,
        method.annotations,
        method.span,
    )


def _adopt_field(scope: Scope, home: Scope, field: model.Field) -> model.Field:
    default = field.default and model.Default(
        scope.adopt_value(field.default.value, home), field.default.written
    )
    return model.Field(
        field.tag,
        field.name,
        scope.adopt(field.type, home),
        default,
        field.doc,
        field.annotations,
        field.deprecated,
        field.span,
        field.alias,
    )
