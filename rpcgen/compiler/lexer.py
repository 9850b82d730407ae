"""Text to tokens: three lists of equal length, so that a large file costs no object a token.

The expressions are the grammar's; this adds what stands where no token can begin. Each fault
is reported here and gives a token all the same, or is passed over, so that the parser need
not complain again: see ``Tokens.poor`` and ``Tokens.gaps``.
"""

from __future__ import annotations

import functools
import itertools
import re
import typing

from rpcgen.compiler import tables
from rpcgen.compiler.diagnostics import Diagnostic, Report, diagnose
from rpcgen.compiler.source import Source, Span

SHOWN: typing.Final = 25
"""So many syntax errors of a file are reported one by one, and so many stray doc comments."""

NAMES: typing.Final = re.compile(r"[A-Za-z_]\w*+", re.ASCII)
ENOUGH: typing.Final = 2_000
"""After so many syntax errors a file is not read on."""

LONGEST_NUMBER: typing.Final = 400

# Neither text editors show these nor can Python source hold them all.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]+")
_ESCAPE = re.compile(
    r"""\\(?:["\\/nrt0]|x[0-9A-Fa-f]{2}|u(?![dD][89A-Fa-f])[0-9A-Fa-f]{4}"""
    r"""|U(?:0000(?![dD][89A-Fa-f])|000[1-9A-Fa-f]|0010)[0-9A-Fa-f]{4}|(?P<unknown>[uU][0-9A-Fa-f]*|x[0-9A-Fa-f]?|.))"""
)
_SPACES = " \t\n"
# What the parser sees in place of what cannot be read.
_STAND_IN: typing.Final = {
    "number": "INT",
    "open_string": "STRING",
    "quoted": "STRING",
    "thin_arrow": "ARROW",
}
_FOREIGN_QUOTES = frozenset("\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb`")


class Faults:
    """The syntax errors of one file: the first are kept, the rest are counted.

    ``partial`` is to be set when the file was not read to its end.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        self.kept: list[Diagnostic] = []
        self.count = 0
        self.partial = False

    @property
    def full(self) -> bool:
        """No more are kept: a fault need only be counted."""
        return len(self.kept) >= 2 * SHOWN

    def add(self, found: Diagnostic) -> None:
        self.count += 1
        if not self.full:
            self.kept.append(found)

    def hand_over(self) -> None:
        """Puts the first ones into the report, and a last one that says how many more there are."""
        self.kept.sort(key=lambda found: found.span.start if found.span else 0)
        for found in self.kept[:SHOWN]:
            self.report.add(found)
        more = self.count - SHOWN
        last = self.kept[SHOWN - 1].span if more > 0 else None
        if last:
            end = len(last.source.text)
            count = f"at least {more}" if self.partial else more
            self.report.add(diagnose("E029", Span(last.source, end, end), count=count))


class Tokens:
    """The tokens of a file, ending with one of kind ``$END``.

    Attributes:
        kinds: The grammar's terminals.
        starts, ends: Offsets.
        docs: Doc comments by the offset of the token that they stand before.
        file_doc, file_doc_span: The file's own doc comment, and its place if it says anything.
        poor: Offsets of tokens that could not be read as what they are.
        gaps: Offsets of the tokens before which something was passed over.
        cut: The file goes on behind the last token.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.kinds: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.docs: dict[int, tuple[str, Span]] = {}
        self.file_doc = ""
        self.file_doc_span: Span | None = None
        self.poor: set[int] = set()
        self.gaps: set[int] = set()
        self.cut = False

    def text(self, number: int) -> str:
        return self.source.text[self.starts[number] : self.ends[number]]

    def span(self, number: int) -> Span:
        return Span(self.source, self.starts[number], self.ends[number])

    def same_line(self, number: int) -> bool:
        """Tells whether a token stands on the line on which the one before it ends."""
        return number > 0 and self.source.text.find("\n", self.ends[number - 1], self.starts[number]) < 0


@functools.cache
def expression() -> re.Pattern[str]:
    """Gives what matches one token, comment or fault, with the blanks before it; its last group is the kind."""
    language = tables.load()
    marks = "|".join(re.escape(mark) for mark in sorted(language.marks, key=len, reverse=True))
    marks = marks.replace(r"\.", r"\.(?![0-9])")
    kinds = language.patterns
    return re.compile(
        rf"""{kinds["SPACE"].removesuffix("+")}*+(?:"""
        rf"""(?P<NAME>{kinds["NAME"]})|(?P<mark>{marks})"""
        rf"""|(?P<INT>{kinds["INT"]})|(?P<DURATION>{kinds["DURATION"]})|(?P<FLOAT>{kinds["FLOAT"]})"""
        rf"""|(?P<STRING>{kinds["STRING"]})|(?P<DOC>{kinds["DOC"]})|(?P<COMMENT>{kinds["COMMENT"]})"""
        r"""|(?P<number>[-+]?[0-9][\w.]*|\.[0-9][\w.]*)|(?P<open_string>"[^\n]*)|(?P<quoted>'(?:[^'\\\n]|\\.)*+'?)"""
        r"""|(?P<open_comment>/\*[\s\S]*)|(?P<thin_arrow>->)|(?P<hash>\#[^\n]*)|(?P<odd>[^ \t\n"'()+,./0-9:;<=>?@A-Z\[\]_a-z{}-]+|[-+/])|(?P<end>\Z))"""
    )


def tokens(source: Source, found_faults: Faults, most: int | None = None) -> Tokens:
    """Cuts a file into tokens. What cannot be one is a fault; a stray doc comment is a warning.

    With ``most``, about so many are read: the ``$END`` stands where it stopped.
    """
    found = Tokens(source)
    gaps: list[int] = []
    literals: list[int] = []
    faults: list[tuple[str, int, int]] = []
    docs: list[tuple[int, int]] = []
    language = tables.load()
    words, marks = language.words, language.marks
    kinds, starts, ends = found.kinds, found.starts, found.ends
    add_kind, add_start, add_end = kinds.append, starts.append, ends.append
    text = source.text
    matches = expression().finditer(text)
    for match in itertools.islice(matches, most):
        kind = match.lastgroup or "end"
        start, end = match.span(kind)
        if kind == "NAME":
            add_kind(words.get(match[kind], "NAME"))
        elif kind == "mark":
            add_kind(marks[match[kind]])
        elif kind in ("INT", "STRING", "DURATION", "FLOAT"):
            if kind == "STRING" or end - start > LONGEST_NUMBER:
                literals.append(len(kinds))
            add_kind(kind)
        elif kind == "COMMENT":
            continue
        elif kind == "DOC":
            docs.append((start, end))
            continue
        elif kind == "end":
            break
        else:
            faults.append((kind, start, end))
            if kind in ("odd", "open_comment", "hash"):
                gaps.append(len(kinds))
                continue
            found.poor.add(start)
            add_kind(_STAND_IN[kind])
        add_start(start)
        add_end(end)
    rest = next(matches, None)
    found.cut = rest is not None and rest.lastgroup != "end"
    stop = rest.start(rest.lastgroup or 0) if rest else len(text)
    add_kind(tables.END)
    add_start(stop)
    add_end(stop)
    faults.extend(("unfit", *match.span()) for match in _UNFIT.finditer(text, 0, stop))
    _check_literals(found, literals, faults)
    if docs:
        _place_docs(found, docs, found_faults.report)
    found.gaps.update(starts[number] for number in gaps)
    faults.sort(key=lambda fault: fault[1])
    before = -1
    for kind, start, end in faults:
        touching, before = start == before, end
        if touching and kind in ("number", "open_string"):
            continue
        if found_faults.full:
            found_faults.count += 1
        else:
            _report(kind, Span(source, start, end), found_faults)
    return found


def _check_literals(found: Tokens, literals: list[int], faults: list[tuple[str, int, int]]) -> None:
    """Finds unknown escapes in strings, and numbers of a size that only takes time to read."""
    for number in literals:
        start, end = found.starts[number], found.ends[number]
        if found.kinds[number] != "STRING":
            faults.append(("number", start, end))
            found.poor.add(start)
            continue
        escapes = _ESCAPE.finditer(found.source.text, start, end)
        unknown = (escape.span() for escape in escapes if escape["unknown"] is not None)
        for place in itertools.islice(unknown, SHOWN):
            faults.append(("escape", *place))
            found.poor.add(start)


def _report(kind: str, span: Span, report: Faults) -> None:
    """Reports one fault of the text."""
    source, start, _ = span
    text = span.text
    if kind == "hash":
        place = Span(source, start, start + 1)
        report.add(diagnose("E010", place, what="`#`", help="a comment begins with `//`"))
    elif kind == "odd":
        if _UNFIT.fullmatch(text):
            return  # reported as unfit
        shown = f"`{text[0]}`" if text[0].isprintable() else f"U+{ord(text[0]):04X}"
        hint = ""
        if text[0] in _FOREIGN_QUOTES:
            hint = 'strings stand in straight double quotes: "text"'
        elif text[0] == "*":
            hint = "there are no pointers; a comment is written `/* … */`"
        elif text[0].isalpha():
            hint = "names are made of the letters a to z and A to Z, digits and `_`"
        elif text[0].isspace():
            hint = "write a plain space"
        report.add(diagnose("E010", span, what=shown, help=hint))
    elif kind == "unfit":
        code = ord(text[0])
        what = f"the lone surrogate U+{code:04X}" if code >= 0xD800 else f"the control character U+{code:04X}"
        report.add(
            diagnose(
                "E011", span, what=what, help="write it as an escape, in a string" if code < 0xD800 else ""
            )
        )
    elif kind == "open_string":
        report.add(diagnose("E012", span, "no closing quote on this line", help='end it with `"`'))
    elif kind == "open_comment":
        report.add(diagnose("E013", Span(source, start, start + 2), "opened here", help="end it with `*/`"))
    elif kind == "escape":
        if text[1] in "xuU":
            hint = "\\xHH, \\uHHHH and \\UHHHHHHHH take 2, 4 and 8 hexadecimal digits of a character"
        else:
            hint = (
                'the escapes are \\" \\\\ \\/ \\n \\r \\t \\0 \\xHH \\uHHHH \\UHHHHHHHH; a backslash is \\\\'
            )
        report.add(diagnose("E014", span, what=f"`{text}`", help=hint))
    elif kind == "thin_arrow":
        report.add(diagnose("E025", span, help="write `=>`"))
    elif kind == "quoted":
        inner = text[1:].removesuffix("'")
        hint = f'"{inner}"' if len(inner) <= 40 and '"' not in inner else 'write "…"'
        report.add(diagnose("E015", span, help=hint if hint.startswith("write") else f"write {hint}"))
    else:
        report.add(diagnose("E016", span, what=_number(text), help=_number_help(text)))


def _number(text: str) -> str:
    return f"`{text}`" if len(text) <= 40 else f"`{text[:37]}…`"


def _number_help(text: str) -> str:
    plain = text.lstrip("+-")
    if len(text) > LONGEST_NUMBER:
        return f"a number has at most {LONGEST_NUMBER} characters"
    if text.startswith("+"):
        return f"write {plain[:40]}"
    if re.fullmatch(r"0[0-9]+", plain):
        return f"write {'-' if text[0] == '-' else ''}{plain.lstrip('0') or '0'}; there are no octal numbers"
    if plain.startswith("."):
        return f"write {'-' if text[0] == '-' else ''}0{plain[:40]}"
    if plain.endswith(".") and plain[:-1].isdigit():
        return f"write {text[:40]}0"
    if "_" in plain and plain.replace("_", "").isdigit():
        return f"write {plain.replace('_', '')[:40]}"
    if re.fullmatch(r"[0-9]+(?:\.[0-9]+)?[A-Za-z]+", plain):
        return "the units of a duration are us, ms, s, m, h and d"
    return ""


def _place_docs(found: Tokens, docs: list[tuple[int, int]], report: Report) -> None:
    """Gives each block of doc comment lines to the token after it; reports those before none."""
    text, starts, ends = found.source.text, found.starts, found.ends

    strays = 0

    def stray(span: Span, help: str) -> None:
        nonlocal strays
        strays += 1
        if strays <= SHOWN:
            report.add(diagnose("W001", span, help=help))

    after = 0
    for block in _blocks(text, docs):
        span = Span(found.source, block[0][0], block[-1][1])
        while starts[after] < span.start:
            after += 1
        own = not after and (_empty_line(text, span.end) or found.kinds[0] in ("INCLUDE", tables.END))
        earlier = found.docs.get(starts[after])
        if after and text.find("\n", ends[after - 1], span.start) < 0:
            stray(span, "write it on the lines before what it describes, or as `//`")
        elif found.kinds[after] == tables.END and after:
            stray(span, "nothing follows it; write it as `//`")
        elif own and not found.file_doc:
            found.file_doc = _plain(text, block)
            found.file_doc_span = span if found.file_doc else None
        else:
            if earlier:
                stray(earlier[1], "another one follows it")
            found.docs[starts[after]] = _plain(text, block), span


def _blocks(text: str, docs: list[tuple[int, int]]) -> typing.Iterator[list[tuple[int, int]]]:
    """Groups doc comments that stand on lines of their own, one after the other."""
    block: list[tuple[int, int]] = []
    for start, end in docs:
        if block:
            between = text[block[-1][1] : start]
            if between.strip(_SPACES) or between.count("\n") != 1:
                yield block
                block = []
        block.append((start, end))
    yield block


def report_stray(tokens: Tokens, report: Report) -> None:
    """Reports the doc comments that no declaration has taken."""
    for _, span in itertools.islice(tokens.docs.values(), SHOWN):
        report.add(
            diagnose("W001", span, help="a doc comment stands before a declaration or a member of one")
        )


def _empty_line(text: str, offset: int) -> bool:
    end = text.find("\n", offset)
    following = text.find("\n", end + 1) if end >= 0 else -1
    return following >= 0 and not text[end:following].strip(_SPACES)


def _plain(text: str, block: list[tuple[int, int]]) -> str:
    lines = [text[start + 3 : end].rstrip() for start, end in block]
    if all(not line or line.startswith(" ") for line in lines):
        lines = [line[1:] for line in lines]
    return "\n".join(lines).strip("\n")
