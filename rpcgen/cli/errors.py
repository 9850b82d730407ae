"""What ends a command early and is the user's to mend."""

from __future__ import annotations

import typing


class CommandError(Exception):
    """Wrong usage, a faulty configuration, or a file system that refuses: exit status 2 by default.

    Args:
        problem: What is wrong and where, on one line, lower case, without a full stop.
        help: What to do about it, where one answer exists.
        status: The command's exit status.
    """

    def __init__(self, problem: str, *, help: str = "", status: int = 2) -> None:
        super().__init__(problem)
        self.problem = problem
        self.help = help
        self.status = status

    def lines(self) -> str:
        """Gives it as it is shown, without the name of the command."""
        return f"{self.problem}\n  = help: {self.help}" if self.help else self.problem


def refused(doing: str, error: OSError) -> CommandError:
    """Says which file system call failed, in the system's words: ``cannot write x: Is a directory``."""
    return CommandError(f"cannot {doing}: {error.strerror or error}")


def lacking(what: str, library: str, extra: str, error: ImportError) -> CommandError:
    """Says which extra brings the library that could not be imported.

    Raises:
        ImportError: It is a module of ours that is missing, which no extra brings.
    """
    if (error.name or "").startswith("rpcgen"):
        raise error
    return CommandError(f"{what} needs {library}", help=f"pip install 'rpcgen[{extra}]'")


def did_you_mean(word: str, names: typing.Collection[str]) -> str:
    """Gives ``did you mean NAME?`` for the name that a wrong word is nearest to, or nothing."""
    import difflib

    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {close[0]}?" if close else ""
