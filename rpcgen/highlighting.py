"""Interface files in colour, for whatever uses Pygments: Sphinx, MkDocs, ``pygmentize``.

Pygments finds it by its entry point. The words are those of the compiler's tables, so that the
language cannot grow past it.
"""

from __future__ import annotations

import re
import typing

from pygments.lexer import RegexLexer, bygroups, words
from pygments.token import (
    Comment,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Whitespace,
)

from rpcgen.compiler import tables

_LANGUAGE: typing.Final = tables.load()
_TYPES: typing.Final = ("list", "set", "map", *(w for w, kind in _LANGUAGE.words.items() if kind == "SCALAR"))
_CONSTANTS: typing.Final = ("true", "false")
_DECLARING: typing.Final = ("struct", "union", "exception", "enum", "service")
_OTHERS: typing.Final = tuple(
    word for word in _LANGUAGE.words if word not in (*_TYPES, *_CONSTANTS, *_DECLARING, "include")
)
_NAME: typing.Final = r"[A-Za-z_][A-Za-z0-9_]*"


class InterfaceLexer(RegexLexer):  # type: ignore[misc]
    """Pygments' lexer of the interface language."""

    name = "rpcgen interface"
    aliases: typing.ClassVar = ["rpcgen", "rpcgen-idl"]
    filenames: typing.ClassVar = ["*.idl"]
    mimetypes: typing.ClassVar = ["text/x-rpcgen"]

    tokens: typing.ClassVar = {
        "root": [
            (r"\s+", Whitespace),
            (r"///(?!/)[^\n]*", String.Doc),
            (r"//[^\n]*", Comment.Single),
            (r"/\*[\s\S]*?\*/", Comment.Multiline),
            (rf"@\s*{_NAME}(?:\.{_NAME})*", Name.Decorator),
            (
                rf"({'|'.join(_DECLARING)})\b(\s+)({_NAME})",
                bygroups(Keyword.Declaration, Whitespace, Name.Class),
            ),
            (r'include\b(?=\s*")', Keyword.Namespace),
            (rf"{_NAME}(?=\s*\()", Name.Function),
            (words(_CONSTANTS, suffix=r"\b"), Keyword.Constant),
            (words(_TYPES, suffix=r"\b"), Keyword.Type),
            (words(_OTHERS, suffix=r"\b"), Keyword.Reserved),
            (rf"({_NAME})(\.)(?={_NAME})", bygroups(Name.Namespace, Punctuation)),
            (_NAME, Name),
            (_LANGUAGE.patterns["STRING"], String.Double),
            (_LANGUAGE.patterns["DURATION"], Number),
            (_LANGUAGE.patterns["FLOAT"], Number.Float),
            (r"-?0[xX][0-9a-fA-F]+", Number.Hex),
            (_LANGUAGE.patterns["INT"], Number.Integer),
            (r"=>|[=?]", Operator),
            (r"[][{}()<>,;:.]", Punctuation),
        ]
    }

    def analyse_text(text: str) -> float:
        """Says how much a text looks like ours: others have interface files called ``.idl``, too."""
        ours = re.search(rf"(?m)^\s*\d+\s*:\s*[\w.<>, ]+\??\s+{_NAME}|\(\s*1\s*:\s*\w|^@\w", text)
        theirs = re.search(r"(?m)^\s*(?:module|interface|library)\b|#include|\[in\b", text)
        return 0.0 if theirs else 0.8 if ours else 0.1
