"""Interface files that a command changes: read, shown as a difference, replaced whole or not at all."""

from __future__ import annotations

import dataclasses
import os
import pathlib

from rpcgen.cli.errors import CommandError, refused
from rpcgen.codegen import output


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """A file that is to be another one.

    Args:
        path: As it is shown to the user.
        before: Its text, with plain line ends.
        after: What it should be.
    """

    path: str
    before: str
    after: str

    @property
    def is_due(self) -> bool:
        """Whether the file differs: in what the text does not show, such as line ends, too.

        Raises:
            CommandError: It cannot be read any more.
        """
        if self.before != self.after:
            return True
        try:
            return pathlib.Path(self.path).read_bytes() != self.after.encode()
        except OSError as error:
            raise refused(f"read {self.path}", error) from error

    def diff(self) -> str:
        """Gives the unified difference; of line ends alone there is none to be seen."""
        return output.unified(self.before, self.after, self.path, self.path)

    def write(self) -> None:
        """Replaces the file; of a symbolic link, the one that it leads to.

        Raises:
            CommandError: It is read-only, or cannot be written.
        """
        # Moving a new file over it would succeed, but somebody said that it must stay as it is.
        if not os.access(self.path, os.W_OK):
            raise CommandError(f"cannot write {self.path}: it is read-only")
        try:
            output.replace(pathlib.Path(os.path.realpath(self.path)), self.after.encode())
        except OSError as error:
            raise refused(f"write {self.path}", error) from error
