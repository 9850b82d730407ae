"""Options and their mistakes: argparse reads them, the words to the user are ours.

Each command writes its own help text, so that it reads well and is the same under every Python;
a test compares it with the options that there are.
"""

from __future__ import annotations

import argparse
import os
import typing

from rpcgen.cli.errors import CommandError, did_you_mean

COMMON = """\
  --color auto|always|never   colour what is found (default: auto)
  --traceback                 show where in rpcgen an internal error happened
  -h, --help                  show this text"""
"""The part of every command's help that is the same."""


class Expected(typing.NamedTuple):
    """An option, or a word that may stand by itself.

    Args:
        names: The option's, such as ``-I`` and ``--include``; empty for a word by itself.
        takes: What its value is called: ``DIR``; empty if it takes none, or gives it no name.
        choices: The values that there are, if it takes one of a few.
        has_value: It takes a value.
    """

    names: tuple[str, ...]
    takes: str
    choices: tuple[str, ...]
    has_value: bool


class Parser(argparse.ArgumentParser):
    """The options of one command.

    Args:
        command: Its name.
    """

    def __init__(self, command: str) -> None:
        super().__init__(
            prog=f"rpcgen {command}",
            add_help=False,
            allow_abbrev=False,
            # argparse makes a formatter for each option, and one without a width imports shutil.
            formatter_class=lambda prog: argparse.HelpFormatter(prog, width=80),
        )
        self.add_argument("--color", choices=("auto", "always", "never"), default="auto")
        self.add_argument("--traceback", action="store_true")
        self.add_argument("-h", "--help", action="store_true")

    def options(self) -> list[str]:
        """Gives every option, long and short."""
        return list(self._option_string_actions)

    def expected(self) -> list[Expected]:
        """Gives what may stand after the command's name."""
        return [
            Expected(
                tuple(action.option_strings),
                action.metavar if isinstance(action.metavar, str) else "",
                tuple(map(str, action.choices or ())),
                action.nargs != 0,
            )
            for action in self._actions
        ]

    def read(self, words: typing.Sequence[str]) -> argparse.Namespace:
        """Reads the words after the command's name; files and options may stand mixed.

        Raises:
            CommandError: An option is unknown, lacks its value or has a wrong one.
        """
        if "--" in words:
            # argparse forgets what it stood for when files and options are mixed; all are paths.
            end = words.index("--")
            after = [
                os.path.join(os.curdir, word) if word.startswith("-") else word for word in words[end + 1 :]
            ]
            words = [*words[:end], *after]
        found, unknown = self.parse_known_intermixed_args(words)
        for word in unknown:
            if word.startswith("-") and word != "-":
                option = word.partition("=")[0]
                long = [name for name in self.options() if name.startswith("--")]
                meant = did_you_mean(option, long) if option.startswith("--") else ""
                raise CommandError(f"there is no option {option}", help=meant or self._pointer())
            raise CommandError(f"there is no place for {word!r}", help=self._pointer())
        return found

    def error(self, message: str) -> typing.NoReturn:
        raise CommandError(message.removeprefix("argument "), help=self._pointer())

    def _pointer(self) -> str:
        return f"`{self.prog} --help` says how it is used"
