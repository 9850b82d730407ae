"""When findings are looked for: a moment after the last change, off the event loop, for all concerned.

Whatever has come in between makes what was found out of date: it is dropped, and looked for again.
"""

from __future__ import annotations

import asyncio
import logging
import typing

from rpcgen.compiler.diagnostics import Diagnostic
from rpcgen.lsp import findings
from rpcgen.lsp.documents import Document, Documents
from rpcgen.lsp.findings import ByFile, Checked
from rpcgen.lsp.workspace import Texts, Workspace

DELAY: typing.Final = 0.15
"""Seconds without a change before a text is looked at."""

_T = typing.TypeVar("_T")
Run: typing.TypeAlias = "typing.Callable[[typing.Callable[[], _T]], typing.Awaitable[_T]]"
Publish: typing.TypeAlias = "typing.Callable[[str, list[Diagnostic]], None]"


class Checking:
    """Keeps the findings of the open texts up to date. For one event loop.

    Args:
        run: Runs a function where the workspace may be used, one after the other.
        publish: Tells all findings about a path; those that were told before are gone.
    """

    def __init__(
        self, documents: Documents, workspace: Workspace, run: Run[typing.Any], publish: Publish
    ) -> None:
        self._documents = documents
        self._workspace = workspace
        self._run = run
        self._publish = publish
        self._waiting: dict[str, None] = {}  # real paths: for the timer
        self._due: dict[str, None] = {}  # for the task
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._reads: dict[str, frozenset[str]] = {}
        self._told: dict[str, ByFile] = {}  # by the real path of the open text that it comes from
        self._shown: dict[str, list[Diagnostic]] = {}  # by path

    def changed(self, real: str) -> None:
        """Looks at a text again, and at the open ones that include it."""
        concerned = [root for root, read in self._reads.items() if real in read and root != real]
        self._soon([real, *concerned])

    def all(self) -> None:
        """Looks at all open texts again."""
        self._soon([document.real for document in self._documents])

    def closed(self, document: Document) -> None:
        """Takes back what was told of a text that is no longer open."""
        self._reads.pop(document.real, None)
        self._told.pop(document.real, None)
        self._show()
        self.changed(document.real)

    def close(self) -> None:
        """Looks at nothing any more."""
        self._waiting.clear()
        self._due.clear()
        for running in (self._timer, self._task):
            if running is not None:
                running.cancel()

    def _soon(self, reals: typing.Iterable[str]) -> None:
        self._waiting.update(dict.fromkeys(reals))
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(DELAY, self._start)

    def _start(self) -> None:
        self._due.update(self._waiting)
        self._waiting.clear()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while self._due:
            real = next(iter(self._due))
            del self._due[real]
            try:
                await self._check(real)
            except Exception:
                logging.getLogger(__name__).exception("cannot check %s", real)

    async def _check(self, real: str) -> None:
        document = self._documents.at(real)
        if document is None:
            return
        texts = self._documents.texts()
        checked: Checked = await self._run(lambda: findings.check(self._workspace, document.path, texts))
        if self._is_late(real, texts, checked):
            return
        self._reads[real] = checked.read
        if not checked.judgeable:
            self._tell(real, checked.findings)
            return
        # The linter takes longer: that an error is gone should show at once.
        if any(one.severity == "error" for found in self._told.get(real, {}).values() for one in found):
            self._tell(real, checked.findings)
        judged: ByFile = await self._run(lambda: findings.judge(self._workspace, checked, texts))
        if not self._is_late(real, texts, checked):
            self._tell(real, judged)

    def _is_late(self, real: str, texts: Texts, checked: Checked) -> bool:
        """Tells whether a text has changed, or one that it includes; then it is looked at again."""
        now = self._documents.texts()
        late = any(now.get(one) is not texts.get(one) for one in {real, *checked.read})
        if late and real in now and real not in self._waiting and real not in self._due:
            self._soon([real])
        return late

    def _tell(self, real: str, found: ByFile) -> None:
        self._told[real] = found
        self._show()

    def _show(self) -> None:
        """Publishes what differs from what is shown. An open text speaks for itself, others through those that include it."""
        wanted: dict[str, list[Diagnostic]] = {}
        for real, by_file in self._told.items():
            for path, found in by_file.items():
                document = self._documents.at(path)
                if document is None or document.real == real:
                    place = wanted.setdefault(document.path if document else path, [])
                    place.extend([one for one in found if one not in place] if place else found)
        for path in {**self._shown, **wanted}:
            if path not in self._shown or self._shown[path] != wanted.get(path, []):
                self._publish(path, wanted.get(path, []))
        self._shown = {path: found for path, found in wanted.items() if found or self._documents.at(path)}
