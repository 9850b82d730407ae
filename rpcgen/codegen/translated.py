"""Our templates as one function. Made by ``python -m rpcgen.codegen.translate``: do not edit."""

from __future__ import annotations

from rpcgen.codegen.view import ModuleView

CHECKSUM = 1850384912


def render(module: ModuleView) -> str:
    """Gives a module's text, as the templates do."""
    parts: list[str] = []
    add = parts.append
    add(f"{module.mark}\n")
    if module.docstring:
        add(f"{module.docstring}\n\n")
    add("from __future__ import annotations\n\n")
    for name in module.standard:
        add(f"import {name}\n")
    if module.standard:
        add("\n")
    add("from rpcgen import runtime as rpc\n")
    if module.imports:
        add("\n")
    for statement in module.imports:
        add(f"{statement}\n")
    add("\n")
    add(f"rpc.check_abi({module.abi}, {module.command})\n")
    for type in module.enums:
        add("\n\n")
        add(f"{type.header}\n")
        if type.docstring:
            add(f"    {type.docstring}\n\n")
        for field in type.fields:
            add(f"    {field.declaration}\n")
            if field.docstring:
                add(f"    {field.docstring}\n")
    for number1, constant in enumerate(module.constants):
        if number1 == 0:
            add("\n\n")
        add(f"{constant.assignment}\n")
        if constant.docstring:
            add(f"{constant.docstring}\n")
    for type in module.types:
        add("\n\n")
        if type.decorator:
            add(f"{type.decorator}\n")
        add(f"{type.header}\n")
        if type.docstring:
            add(f"    {type.docstring}\n")
        if type.docstring and type.body:
            add("\n")
        if type.message:
            add(f"    {type.message}\n")
        for field in type.fields:
            add(f"    {field.declaration}\n")
        for case in type.cases:
            add(f"    {case.header}\n")
            add(f"        {case.value}\n\n")
        if type.alias:
            add("    class Unknown(rpc.UnknownCase): ...\n\n\n")
            add(f"{type.alias}\n")
        if type.init:
            if type.message or type.fields:
                add("\n")
            add(f"    {type.init.header}\n")
            add(f"        {type.init.call}\n")
        if type.empty:
            add("    pass\n")
    for number1, typedef in enumerate(module.typedefs):
        if number1 == 0:
            add("\n\n")
        add(f"{typedef.assignment}\n")
        if typedef.docstring:
            add(f"{typedef.docstring}\n")
    for service in module.services:
        for method in service.methods:
            add("\n\n")
            add(f"{method.protocol_header}\n")
            add(f"    {method.protocol_docstring}\n\n")
            for attribute in method.attributes:
                add(f"    {attribute}\n")
    for service in module.services:
        add("\n\n")
        add(f"{service.handlers_header}\n")
        add('    """What a server must offer: an instance, or a class with static methods."""\n')
        for method in service.methods:
            if method.handler:
                add("\n")
                add(f"    {method.handler}\n")
        add("\n\n")
        add(f"{service.async_handlers_header}\n")
        add('    """What an AsyncServer must offer: functions, of which some may be coroutines."""\n')
        if service.has_handlers:
            add("\n")
            add("    if typing.TYPE_CHECKING:\n")
        for method in service.methods:
            if method.async_handler:
                add("\n")
                add(f"        {method.async_handler}\n")
        add("\n\n")
        add(f"{service.client_header}\n")
        add(f"    {service.client_docstring}\n")
        for method in service.methods:
            add("\n")
            add(f"    {method.header}\n")
            if method.docstring:
                add(f"        {method.docstring}\n")
            add(f"        {method.call}\n")
        add("\n\n")
        add(f"{service.async_client_header}\n")
        add(f"    {service.async_client_docstring}\n")
        if service.methods:
            add("\n")
            add("    if typing.TYPE_CHECKING:\n")
        for method in service.methods:
            add(f"        {method.awaited}\n")
        add("\n\n")
        add(f"{service.task_header}\n")
        add(f"    {service.task_docstring}\n")
        if service.methods:
            add("\n")
            add("    if typing.TYPE_CHECKING:\n")
        for method in service.methods:
            add(f"        {method.queued}\n")
    add("\n\n")
    add(f"{module.interface}\n")
    for service in module.services:
        add("\n\n")
        add(f"{service.stub_header}\n")
        add('    """Dispatches calls to handlers."""\n\n')
        add(f"    {service.protocols}\n")
        add("    interface = INTERFACE\n\n")
        add(f"    {service.stub_init}\n")
        add("        super().__init__(handlers)\n")
        for server in service.servers:
            add("\n\n")
            add(f"{server.header}\n")
            add(f"    {server.docstring}\n\n")
            add(f"    {server.init}\n")
            add(f"        {server.call}\n")
    if module.handed_on:
        add("\n\n")
        for line in module.bindings:
            add(f"{line}\n")
        for line in module.handed_on:
            add(f"{line}\n")
    return "".join(parts)
