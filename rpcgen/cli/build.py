"""From settings to what should stand in the output folders: compiles everything, then decides.

Nothing is written before every file has compiled, so that a fault leaves the output as it was.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shlex
import typing

from rpcgen import codegen
from rpcgen.cli.console import Console
from rpcgen.cli.errors import CommandError, refused
from rpcgen.cli.findings import Findings, render
from rpcgen.cli.inputs import Settings
from rpcgen.cli.progress import Progress
from rpcgen.codegen import output
from rpcgen.codegen.output import Generated
from rpcgen.compiler import compile_file, model
from rpcgen.compiler.diagnostics import Diagnostic, Report, diagnose
from rpcgen.compiler.loader import Loader


@dataclasses.dataclass(frozen=True, slots=True)
class Build:
    """What the interface files give.

    Args:
        report: Every finding, each once; nothing may be written if it failed.
        files: The modules as they should stand on disk, dependencies first.
        read: The paths that were read or looked for.
    """

    report: Report
    files: tuple[Generated, ...]
    read: frozenset[str]

    def finish(self, console: Console, error_format: str, prefix: str = "") -> int:
        """Shows the findings and, if there are no errors, writes what differs from what is there.

        Args:
            prefix: Stands before each line about what was done.

        Returns:
            The exit status.

        Raises:
            CommandError: A file cannot be written.
        """
        if not self.report.failed:
            # All of them before the first is written.
            for file in self.files:
                if _state(file) == "foreign":
                    self.report.add(output.foreign(file))
        render(self.report, console, error_format)
        if self.report.failed:
            console.log(f"{prefix}nothing was written")
            return 1
        written = [file for file in self.files if _write(file)]
        for file in written:
            console.log(f"{prefix}{file.source} {console.arrow()} {file.path}")
        if not written:
            count = len(self.files)
            what = f"{self.files[0].path} is" if count == 1 else f"{count} files are"
            console.log(f"{prefix}nothing changed: {what} up to date")
        return 0

    def differences(self, mend: str, sources: typing.Iterable[str]) -> Report:
        """Finds how the output differs from what should stand there, files left over included.

        Args:
            mend: The command that writes what should.
            sources: Folders besides those of the files, where interface files may be too.

        Raises:
            CommandError: What stands there cannot be read.
        """
        report = Report()
        for file in self.files:
            state = _state(file)
            if state == "foreign":
                report.add(output.foreign(file))
            elif state != "same":
                code = "E505" if state == "missing" else "E506"
                report.add(diagnose(code, None, path=str(file.path), help=mend, source=file.source))
        planned = [file.path for file in self.files]
        places = [pathlib.Path(file.source).parent for file in self.files] + [
            pathlib.Path(at) for at in sources
        ]
        for folder in dict.fromkeys(path.parent for path in planned):
            try:
                left = output.orphans(folder, planned, places)
            except OSError as error:
                raise refused(f"read {os.fsdecode(error.filename or folder)}", error) from error
            for path in left:
                report.add(diagnose("E507", None, path=str(path), help=f"rm {shlex.quote(str(path))}"))
        return report

    def diff(self) -> str:
        """Gives the unified diff to what should stand on disk.

        Raises:
            CommandError: What stands there cannot be read.
        """
        return "".join(output.diff(file) for file in self.files if _state(file) != "same")


def build(wanted: Settings, console: Console) -> Build:
    """Compiles files, with progress on a terminal."""
    findings = Findings()
    read: set[str] = set(wanted.files)
    modules: list[tuple[str, model.Module]] = []
    with Progress(console) as progress:
        for path in wanted.files:
            progress.stage(f"reading {path}")
            loader = Loader(wanted.include)
            compiled = compile_file(path, loader=loader)
            read.update(loader.read.values())
            findings.add(compiled.report.diagnostics)
            if compiled.module is not None:
                folder = wanted.output if wanted.output is not None else os.path.dirname(path)
                modules.append((folder, compiled.module))
        plan = _Plan(wanted, findings)
        for folder, module in modules:
            for one in module.closure():
                progress.stage(f"generating {one.name}.py")
                plan.add(pathlib.Path(folder), one)
    return Build(findings.report, tuple(plan.files), frozenset(read))


class _Plan:
    """Collects what is to stand where; each module once in each folder."""

    def __init__(self, wanted: Settings, findings: Findings) -> None:
        self.files: list[Generated] = []
        self._wanted = wanted
        self._findings = findings
        self._origins: dict[str, str] = {}

    def add(self, folder: pathlib.Path, module: model.Module) -> None:
        path = folder / f"{module.name}.py"
        place = os.path.realpath(path)
        first = self._origins.get(place)
        if first is None:
            self._origins[place] = module.path
            self._generate(path, module)
        elif os.path.realpath(first) != os.path.realpath(module.path):
            self._findings.add([_both(path, first, module.path)])

    def _generate(self, path: pathlib.Path, module: model.Module) -> None:
        try:
            text = codegen.generate(
                module,
                imports=self._wanted.imports,
                templates=self._wanted.templates,
                package=output.is_package(path.parent),
            )
        except codegen.GenerateError as error:
            self._findings.add(error.diagnostics)
            text = ""
        self.files.append(Generated(path, text, module.path))


def _both(path: pathlib.Path, first: str, second: str) -> Diagnostic:
    remedy = "compile them into different folders, or rename one"
    return diagnose("E504", None, path=str(path), help=remedy, one=first, other=second)


def _state(file: Generated) -> output.State:
    try:
        return output.compare(file)
    except NotADirectoryError:
        return "missing"
    except OSError as error:
        raise refused(f"read {file.path}", error) from error


def _write(file: Generated) -> bool:
    # Moving a new file over it would succeed, but somebody said that it must stay as it is.
    if _state(file) == "differs" and not os.access(file.path, os.W_OK):
        raise CommandError(f"cannot write {file.path}: it is read-only")
    try:
        return output.write(file)
    except OSError as error:
        raise refused(f"write {file.path}", error) from error
