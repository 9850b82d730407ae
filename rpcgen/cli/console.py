"""The command's two voices: findings go to standard output, what is done to standard error.

Neither may end a command halfway: a reader that went away (``| head``) silences its stream,
a character that the terminal cannot show is written as an escape.
"""

from __future__ import annotations

import os
import sys
import typing

from rpcgen.cli.errors import refused


class Console:
    """Standard output and standard error, as they are at the time of each line.

    Args:
        color: ``always``, ``never``, or ``auto``: on a terminal that is not ``dumb``, unless
            NO_COLOR is set.
    """

    def __init__(self, color: str = "auto") -> None:
        self._color = color
        self.is_heard = True
        """Whether the reader of standard output is still there, as far as writing has shown."""

    @property
    def color(self) -> bool:
        """Whether findings are coloured."""
        if self._color != "auto":
            return self._color == "always"
        return (
            not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and _is_terminal(sys.stdout)
        )

    @property
    def interactive(self) -> bool:
        """Whether standard error is a terminal that can take a line back."""
        return os.environ.get("TERM") != "dumb" and _is_terminal(sys.stderr)

    @property
    def redraws(self) -> bool:
        """Whether standard output is a terminal that ``draw`` can use."""
        return os.environ.get("TERM") != "dumb" and _is_terminal(sys.stdout)

    def draw(self, lines: typing.Sequence[str]) -> None:
        """Fills the terminal with lines; those that have no room are counted, long ones are cut."""
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
        shown = list(lines)
        if len(shown) > rows > 2:
            shown[rows - 2 :] = [f"… and {len(shown) - rows + 1} more"]
        text = "\n".join(line[: columns or None] for line in shown)
        self.find(f"\x1b[H\x1b[2J{text}")

    def find(self, text: str) -> None:
        """Writes findings to standard output.

        Raises:
            CommandError: It cannot be written to, for another reason than a reader that left.
        """
        self.is_heard = _write(sys.stdout, text, "standard output") and self.is_heard

    def log(self, text: str) -> None:
        """Writes what was done, or why not, to standard error."""
        _write(sys.stderr, text, "standard error")

    def arrow(self) -> str:
        """Gives ``→``, or ``->`` where standard error cannot show it."""
        try:
            "→".encode(getattr(sys.stderr, "encoding", None) or "utf-8")
        except UnicodeEncodeError:
            return "->"
        return "→"


def hush() -> None:
    """Keeps what the runtime logs, for programs that run on, from standard error: the command itself says it."""
    import logging

    for name in ("rpcgen", "kazoo"):
        logging.getLogger(name).addHandler(logging.NullHandler())


def plural(count: int, what: str) -> str:
    """Gives ``1 method``, ``2 methods``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def tolerate_characters() -> None:
    """Makes standard output escape what its encoding lacks, as standard error does anyway."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _is_terminal(stream: typing.TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def _write(stream: typing.TextIO | None, text: str, name: str) -> bool:
    """Writes a text; says whether its reader was there."""
    if stream is None or stream.closed or not text:
        return True
    try:
        stream.write(text if text.endswith("\n") else text + "\n")
        stream.flush()
    except OSError as error:
        # Python flushes what is left once more at its end, and would complain then.
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), stream.fileno())
        if not isinstance(error, BrokenPipeError) and stream is not sys.stderr:
            raise refused(f"write to {name}", error) from error
        return False
    return True
