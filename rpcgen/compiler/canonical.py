"""Syntax to interface text in its one canonical form: what ``rpc.describe`` gives.

Four spaces, one member a line, `1: int num1 = 1`, an empty line between declarations; what
would not fit a line has its parameters, items or annotations one a line. Values stand as they
were written; ordinary comments are left out: ``formatter`` puts them back. Compiling the result
gives the same model.
"""

from __future__ import annotations

import typing

from rpcgen.compiler import syntax

WIDTH: typing.Final = 100
"""Columns that a list may take on one line."""

_INDENT = "    "
_NOWHERE: typing.Final[frozenset[int]] = frozenset()
_SHORT = (syntax.Include, syntax.Const, syntax.Typedef, syntax.Method)


def write_file(file: syntax.File, apart: typing.Collection[int] = _NOWHERE) -> str:
    """Gives a whole file.

    Args:
        apart: Where parameter lists, and lists and maps of constants, begin in the source that
            have to stand one part a line even if they fit one.
    """
    parts: list[str] = []
    before: syntax.Declaration | None = None
    if file.doc:
        parts.append(_doc(file.doc, "") + ("\n" if file.items else ""))
    for item in file.items:
        if before is not None and not (type(item) is type(before) and _is_line(item) and _is_line(before)):
            parts.append("\n")
        parts.append(write_declaration(item, apart))
        before = item
    return "".join(parts)


def write_declaration(item: syntax.Declaration, apart: typing.Collection[int] = _NOWHERE) -> str:
    """Gives a declaration with its doc comment and annotations, and a line end."""
    head = _doc(item.doc, "") + _annotation_line(item.annotations, "")
    match item:
        case syntax.Include():
            body = f"include {item.path_span.text}"
        case syntax.Const():
            body = f"const {write_type(item.type)} {item.name.text} = "
            fits = len(body) + len(value := write_value(item.value)) <= WIDTH
            body += value if fits and item.value.span.start not in apart else _open_value(item.value)
        case syntax.Typedef():
            body = f"typedef {write_type(item.type)} {item.name.text}"
        case syntax.Method():
            return write_method(item, "", apart)
        case syntax.ExceptionType(name, None):
            body = f"exception {name.text}"
        case syntax.Service():
            extends = f" extends {write_type(item.extends)}" if item.extends else ""
            methods = [write_method(method, _INDENT, apart) for method in item.methods]
            body = f"service {item.name.text}{extends} " + _block(methods)
        case syntax.Enum():
            body = f"enum {item.name.text} " + _block([_member(member) for member in item.members])
        case syntax.Struct() | syntax.Union() | syntax.ExceptionType():
            word = _WORDS[type(item)]
            body = f"{word} {item.name.text} " + _block([_member(member) for member in item.members or ()])
    return f"{head}{body}\n"


def write_method(method: syntax.Method, indent: str, apart: typing.Collection[int] = _NOWHERE) -> str:
    """Gives a method with its doc comment and annotations, and a line end."""
    head = _doc(method.doc, indent) + _annotation_line(method.annotations, indent)
    documented = any(param.doc for param in method.params if isinstance(param, syntax.Field))
    line = _method(method, ", ".join([write_field(param, True) for param in method.params]))
    fits = len(indent) + len(line) <= WIDTH and method.params_span.start not in apart
    if method.params and (documented or not fits):
        deeper = indent + _INDENT
        inner = ",\n".join(
            _doc_of(param, deeper) + deeper + write_field(param, True) for param in method.params
        )
        line = _method(method, f"\n{inner}\n{indent}")
    return f"{head}{indent}{line}\n"


def signature(method: syntax.Method) -> str:
    """Gives a method on one line, without annotations and docs."""
    return _method(method, ", ".join([write_field(param, False) for param in method.params]))


def write_type(node: syntax.Type) -> str:
    """Gives a type."""
    match node:
        case syntax.Scalar(name, _):
            return name
        case syntax.Reference(None, name, _):
            return name.text
        case syntax.Reference(syntax.Name(qualifier, _), name, _):
            return f"{qualifier}.{name.text}"
        case syntax.ListType(item, _):
            return f"list<{write_type(item)}>"
        case syntax.SetType(item, _):
            return f"set<{write_type(item)}>"
        case syntax.MapType(key, value, _):
            return f"map<{write_type(key)}, {write_type(value)}>"
        case syntax.OptionalType(item, _, _):
            return f"{write_type(item)}?"
    return node.span.text


def write_value(node: syntax.Value) -> str:
    """Gives a value; single ones as they were written."""
    match node:
        case syntax.ListValue(items, _):
            return f"[{', '.join(map(write_value, items))}]"
        case syntax.MapValue(entries, _):
            return f"{{{', '.join(f'{write_value(key)}: {write_value(value)}' for key, value in entries)}}}"
        case syntax.NameValue(parts, _):
            return ".".join(part.text for part in parts)
    return node.span.text


def _open_value(node: syntax.Value) -> str:
    """Gives a list or map with one item or entry a line; another value as it is."""
    match node:
        case syntax.ListValue(items, _) if items:
            opened, parts, closed = "[", [write_value(item) for item in items], "]"
        case syntax.MapValue(entries, _) if entries:
            opened, closed = "{", "}"
            parts = [f"{write_value(key)}: {write_value(value)}" for key, value in entries]
        case _:
            return write_value(node)
    return f"{opened}\n{_INDENT}" + f",\n{_INDENT}".join(parts) + f"\n{closed}"


_WORDS: typing.Final = {syntax.Struct: "struct", syntax.Union: "union", syntax.ExceptionType: "exception"}


def _is_line(item: syntax.Declaration) -> bool:
    return isinstance(item, _SHORT) and not item.doc and not item.annotations


def _block(members: list[str]) -> str:
    return "{\n" + "".join(members) + "}" if members else "{}"


def _method(method: syntax.Method, params: str) -> str:
    oneway = "oneway " if method.oneway else ""
    raises = f" => {', '.join([write_type(name) for name in method.raises])}" if method.raises else ""
    return f"{oneway}{write_type(method.returns)} {method.name.text}({params}){raises}"


def _member(member: syntax.Field | syntax.Reserved | syntax.EnumMember) -> str:
    head = _doc_of(member, _INDENT) + _annotation_line(member.annotations, _INDENT)
    if isinstance(member, syntax.EnumMember):
        return f"{head}{_INDENT}{member.name.text} = {member.number_span.text}\n"
    return f"{head}{_INDENT}{write_field(member, False)}\n"


def write_field(field: syntax.Field | syntax.Reserved, annotated: bool) -> str:
    """Gives a field, parameter or union member on one line, its annotations before it if they are wanted."""
    before = _annotations(field.annotations) if annotated and field.annotations else ""
    if isinstance(field, syntax.Reserved):
        kind = f": {write_type(field.type)}" if field.type else ""
        return f"{before}reserved {field.tag}{kind}"
    default = f" = {write_value(field.default)}" if field.default is not None else ""
    return f"{before}{field.tag}: {write_type(field.type)} {field.name.text}{default}"


def _doc_of(member: syntax.Field | syntax.Reserved | syntax.EnumMember, indent: str) -> str:
    return "" if isinstance(member, syntax.Reserved) else _doc(member.doc, indent)


def _doc(doc: str, indent: str) -> str:
    if not doc:
        return ""
    return "".join(f"{indent}///{' ' if line else ''}{line}\n" for line in doc.split("\n"))


def _annotation_line(annotations: tuple[syntax.Annotation, ...], indent: str) -> str:
    if not annotations:
        return ""
    line = _annotations(annotations).rstrip()
    if len(indent) + len(line) > WIDTH:
        return "".join(f"{indent}{_annotation(annotation)}\n" for annotation in annotations)
    return f"{indent}{line}\n"


def _annotations(annotations: tuple[syntax.Annotation, ...]) -> str:
    return "".join(f"{_annotation(annotation)} " for annotation in annotations)


def _annotation(annotation: syntax.Annotation) -> str:
    if not annotation.arguments:
        return f"@{annotation.name.text}"
    return f"@{annotation.name.text}({', '.join(map(write_value, annotation.arguments))})"
