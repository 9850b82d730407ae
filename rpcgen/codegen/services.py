"""Services: protocols, handlers, stubs and servers, from the model to the view."""

from __future__ import annotations

from rpcgen.codegen import docstrings
from rpcgen.codegen.declarations import (
    Declarations,
    default_words,
    deprecation,
    entry,
    paragraphs,
    parameter,
)
from rpcgen.codegen.layout import Expression, Group, statement, tuple_of
from rpcgen.codegen.literals import number, quote
from rpcgen.codegen.names import SERVICE, MethodNames, find_service
from rpcgen.codegen.types import Types
from rpcgen.codegen.view import MethodView, ServerView, ServiceView
from rpcgen.compiler import model

_FLOAT = model.Scalar("float")


class Services:
    """Makes the views of one module's services."""

    def __init__(self, types: Types, declarations: Declarations) -> None:
        self.types = types
        self.declarations = declarations
        self.names = types.names
        self.home = types.module
        self._exceptions: dict[tuple[str, str], str] = {}

    def service(self, service: model.Service) -> ServiceView:
        names = self.names.services[service.name]
        parent: dict[str, str] = {}
        if service.extends is not None:
            home, base = find_service(self.home, service.extends)
            prefix = "" if home.path == self.home.path else f"{self.types.local(home)}."
            kinds = self.types.book.of(home).services[base.name]
            parent = {kind: prefix + kinds[kind] for kind in SERVICE}

        methods = []
        for home, declaring in reversed([*self.types.book.parents(self.home, service)]):
            methods += [self._inherited(service, method, home) for method in declaring.methods]
        methods += [self._method(service, method) for method in service.methods]

        def offered(kind: str) -> str:
            return _class(names[kind], *([parent[kind]] if parent else []), "typing.Protocol")

        called = service.name or "the service"
        said = paragraphs(service.doc or f"Calls {called} over a channel.", deprecation(service.deprecated))
        protocols: list[Expression] = [method.protocol for method in methods]
        if parent:
            protocols.insert(0, f"*{parent['ServerStub']}.protocols")
        return ServiceView(
            name=service.name,
            names={kind: names[kind] for kind in SERVICE},
            methods=tuple(methods),
            handlers_header=offered("Handlers"),
            async_handlers_header=offered("AsyncHandlers"),
            has_handlers=bool(service.methods),
            client_header=_class(names["ClientStub"], parent.get("ClientStub", "rpc.ClientStub")),
            client_docstring=docstrings.docstring(said, 4),
            async_client_header=_class(
                names["AsyncClientStub"],
                parent.get("AsyncClientStub", "rpc.AsyncClientStub"),
                f"like={names['ClientStub']}",
            ),
            async_client_docstring=docstrings.docstring([f"{names['ClientStub']} for asyncio."], 4),
            task_header=_class(
                names["TaskStub"], parent.get("TaskStub", "rpc.TaskStub"), f"like={names['ClientStub']}"
            ),
            task_docstring=docstrings.docstring([f"{names['ClientStub']} whose calls are queued."], 4),
            stub_header=_class(names["ServerStub"], parent.get("ServerStub", "rpc.ServerStub")),
            protocols=statement(
                # A child's tuple is of another type than its parent's: both are declared.
                "protocols: typing.ClassVar[rpc.Protocols] = " if service.name else "protocols = ",
                tuple_of(protocols),
                indent=4,
            ),
            stub_init=_def(
                "__init__",
                ["self", f"handlers: {names['Handlers']} | {names['AsyncHandlers']}"],
                "None",
                ":",
            ),
            servers=(
                self._server(names, "Server", f"Serves {called}, one connection at a time."),
                self._server(names, "ThreadServer", f"Serves {called}, many connections at a time."),
                # Its workers may be AsyncServers: whether they are, it says when it is made.
                self._server(
                    names, "ProcessServer", f"Serves {called} in several processes.", "AsyncHandlers"
                ),
                self._server(names, "AsyncServer", f"Serves {called} in an event loop.", "AsyncHandlers"),
            ),
            model=service,
        )

    def _server(
        self, names: dict[str, str], kind: str, docstring: str, handlers: str = "Handlers"
    ) -> ServerView:
        parameters = [
            "self",
            "host: str",
            "port: int | None",
            f"handlers: {names[handlers]}",
            f"**options: typing.Unpack[rpc.{kind}Options]",
        ]
        arguments = ["host", "port", f"{names['ServerStub']}(handlers)", "**options"]
        return ServerView(
            name=names[kind],
            header=_class(names[kind], f"rpc.{kind}"),
            docstring=docstrings.docstring([docstring], 4),
            init=_def("__init__", parameters, "None", ":"),
            call=statement("", Group("super().__init__(", arguments, ")"), indent=8),
        )

    def _method(self, service: model.Service, method: model.Method) -> MethodView:
        names = self.names.methods[service.name, method.name]
        home = self.home
        returns = self.types.annotation(method.returns, home)
        header, call, beside = self._stub(service, method, names, home)
        plain = [
            f"{name}: {self.types.annotation(param.type, home)}"
            for name, param in zip(names.params, method.params, strict=True)
        ]
        return MethodView(
            name=names.attr,
            protocol=names.protocol,
            protocol_header=_class(names.protocol, f"rpc.MessageProtocol[{returns}]"),
            protocol_docstring=docstrings.docstring([method.signature], 4),
            attributes=tuple(self._attributes(method, names)),
            handler=_def(names.attr, ["self", *plain], returns, ": ..."),
            async_handler=_def(
                names.attr, ["self", *plain], f"{returns} | typing.Awaitable[{returns}]", ": ...", 8
            ),
            header=header,
            docstring=self._docstring(method, names),
            call=call,
            awaited=beside[0],
            queued=beside[1],
            model=method,
        )

    def _inherited(self, service: model.Service, method: model.Method, home: model.Module) -> MethodView:
        """A method of a parent, called by the name of the service that offers it here."""
        names = self.names.methods[service.name, method.name]
        assert service.extends is not None
        nearest, base = find_service(self.home, service.extends)
        above = self.types.book.of(nearest).methods[base.name, method.name].protocol
        if nearest.path != self.home.path:
            above = f"{self.types.local(nearest)}.{above}"
        header, call, beside = self._stub(service, method, names, home)
        wire_name = f"{service.name}.{method.name}"
        return MethodView(
            name=names.attr,
            protocol=names.protocol,
            protocol_header=_class(names.protocol, above),
            protocol_docstring=docstrings.docstring([method.signature], 4),
            attributes=(statement("name = ", quote(wire_name), indent=4),),
            handler=None,
            async_handler=None,
            header=header,
            docstring=None,
            call=call,
            awaited=beside[0],
            queued=beside[1],
            model=method,
        )

    def _stub(
        self, service: model.Service, method: model.Method, names: MethodNames, home: model.Module
    ) -> tuple[str, str, list[str]]:
        """Gives a method's header and body in ClientStub, and its lines in AsyncClientStub and TaskStub."""
        parameters = ["self"]
        for name, param in zip(names.params, method.params, strict=True):
            annotation = self.types.annotation(param.type, home)
            parameters.append(parameter(name, annotation, self.declarations.default(param, home)))
        returns = self.types.annotation(method.returns, home)
        method_of_client = f"{self.names.services[service.name]['ClientStub']}.{names.attr}"
        return (
            _def(names.attr, parameters, returns, ":"),
            # Of a method without a result, too: AsyncClientStub's is to be awaited, TaskStub's gives a task.
            statement("return ", Group("self._call(", [names.protocol, *names.params], ")"), indent=8),
            [
                statement(f"{names.attr} = ", Group(f"rpc.{how}(", [method_of_client], ")"), indent=8)
                for how in ("awaited", "queued")
            ],
        )

    def _attributes(self, method: model.Method, names: MethodNames) -> list[str]:
        home = self.home
        params = [
            self.declarations.descriptor("Param", param, name, home)
            for name, param in zip(names.params, method.params, strict=True)
        ]
        raises = [self.types.name(raised, home) for raised in method.raises]
        attributes: list[tuple[str, Expression]] = [("name", quote(method.wire_name))]
        if names.attr != method.name:
            attributes.append(("attr", quote(names.attr)))
        attributes.append(("params", tuple_of(params, spread=True)))
        if method.reserved:
            attributes.append(("reserved", tuple_of(self.declarations.reserved(method.reserved, home))))
        attributes.append(("returns", self.types.descriptor(method.returns, home)))
        attributes.append(("raises", tuple_of(raises)))
        if method.oneway:
            attributes.append(("oneway", "True"))
        if method.idempotent:
            attributes.append(("idempotent", "True"))
        if method.timeout is not None:
            attributes.append(("timeout", number(float(method.timeout))))
        if method.attempts is not None:
            attributes.append(("attempts", str(method.attempts)))
        if method.priority:
            attributes.append(("priority", str(method.priority)))
        if method.deprecated is not None:
            attributes.append(("deprecated", quote(method.deprecated)))
        return [statement(f"{name} = ", value, indent=4) for name, value in attributes]

    def _docstring(self, method: model.Method, names: MethodNames) -> str:
        facts = []
        if method.oneway:
            facts.append("Returns once the server has received the call.")
        if method.idempotent:
            facts.append("Idempotent: it may be sent again.")
        if method.timeout is not None:
            facts.append(f"Times out after {method.timeout:g} s, unless a caller says otherwise.")
        if method.attempts is not None:
            times = "once" if method.attempts == 1 else f"{method.attempts} times"
            facts.append(f"Queued, it is tried {times} at most.")
        lines = paragraphs(method.doc or method.signature, " ".join(facts), deprecation(method.deprecated))
        if method.params:
            lines += ["", "Args:"]
            for name, param in zip(names.params, method.params, strict=True):
                words = default_words(param, self.types, self.home)
                about = param.alias or model.idl(param.type)
                lines += entry(name, about, words, doc=param.doc, deprecated=param.deprecated)
        if method.returns != model.Scalar("void"):
            note = ": 32 bits, so 1/3 comes back as 0.3333333432674408" if method.returns == _FLOAT else ""
            lines += ["", "Returns:", f"    {model.idl(method.returns)}{note}"]
        if method.raises:
            lines += ["", "Raises:"]
            for raised in method.raises:
                lines += entry(self.types.name(raised, self.home), "", doc=self._exception_doc(raised))
        return docstrings.docstring(lines, 8)

    def _exception_doc(self, raised: model.Named) -> str:
        """Gives the first line of an exception's doc: the whole of it stands on its class."""
        module = self.home
        if raised.file:
            module = next(i.module for i in module.includes if i.alias == raised.file)
        found = self._exceptions.get((module.path, raised.name))
        if found is None:
            for exception in module.of(model.ExceptionType):
                self._exceptions[module.path, exception.name] = exception.doc.strip().partition("\n")[0]
            found = self._exceptions[module.path, raised.name]
        return found


def _class(name: str, *bases: str) -> str:
    return statement("class ", Group(f"{name}(", bases, ")"), ":")


def _def(name: str, parameters: list[str], returns: str, after: str, indent: int = 4) -> str:
    return statement("def ", Group(f"{name}(", parameters, ")"), f" -> {returns}{after}", indent)
