"""Versions of an interface as they are named: a file, a folder, or either as a revision of git has it.

A revision's files are read by git and compiled from memory under paths that no disk has,
``git:REV:/PATH``: includes are found among them, never beside today's files.
"""

from __future__ import annotations

import os
import posixpath
import subprocess
import typing

from rpcgen.compiler import compile_file, model
from rpcgen.compiler.changes.contracts import Contract
from rpcgen.compiler.diagnostics import Report
from rpcgen.compiler.loader import Loader

GIT: typing.Final = "git:"

_REMEDIES: typing.Final = {
    "not a git repository": "run it in the repository",
    "Not a valid object name": "`git branch -a` shows what there is; a clone of CI may have one commit alone: "
    "`git fetch origin main`, then git:origin/main:PATH",
}
"""What git says, and what to do then."""


class SideError(Exception):
    """A version cannot be had.

    Args:
        problem: Why, in one line; empty if the report says it.
        report: Of what was compiled.
        help: What to do about it, where one answer exists.
    """

    def __init__(self, problem: str, report: Report | None = None, *, help: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.report = report
        self.help = help


def read_side(name: str, include_dirs: typing.Iterable[str] = ()) -> Contract:
    """Gives a version of an interface.

    Args:
        name: A file, a folder (then all ``*.idl`` in it, not in folders below), or ``git:REV:PATH``
            with the path of either from the root of the repository, or from here if it begins with
            ``./`` or ``../``.
        include_dirs: Where to look for includes that are not beside the file that names them.

    Raises:
        SideError: It is not there, has errors, or git does not give it.
    """
    if name.startswith(GIT):
        return _of_revision(name, tuple(include_dirs))
    paths = [name]
    if os.path.isdir(name):
        paths = [os.path.join(name, entry) for entry in sorted(os.listdir(name)) if entry.endswith(".idl")]
        if not paths:
            raise SideError(f"{name}: there is no interface file in this folder")
    return compiled(paths, Loader(include_dirs))


def read_texts(texts: typing.Mapping[str, str]) -> Contract:
    """Gives a version whose files are in memory, by path; all of them count.

    Raises:
        SideError: One has errors.
    """
    return compiled(list(texts), Loader(texts=texts))


def compiled(paths: typing.Sequence[str], loader: Loader) -> Contract:
    """Gives the version that consists of these files.

    Raises:
        SideError: One has errors.
    """
    report = Report()
    modules: list[model.Module] = []
    for path in paths:
        compilation = compile_file(path, loader=loader)
        for found in compilation.report.diagnostics:
            report.add(found)
        if compilation.module is not None:
            modules.append(compilation.module)
    if report.failed:
        raise SideError("", report)
    return Contract(tuple(modules))


def _of_revision(name: str, include_dirs: tuple[str, ...]) -> Contract:
    revision, colon, path = name[len(GIT) :].partition(":")
    if not colon or not revision or not path:
        raise SideError(f"{name}: a version of git is git:REV:PATH, such as git:main:idl/service.idl")
    if revision.startswith("-"):
        raise SideError(f"{name}: {revision} is no revision")
    top = _git(name, "rev-parse", "--show-prefix").decode().strip()
    here = posixpath.join(top, path) if path.startswith(("./", "../")) else path.lstrip("/")
    path = posixpath.normpath(here or ".")
    listed = _git(name, "ls-tree", "-r", "-z", "--full-tree", "--name-only", revision)
    files = [entry for entry in os.fsdecode(listed).split("\0") if entry.endswith(".idl")]
    root = "" if path == "." else f"{path}/"
    chosen = [entry for entry in files if entry.startswith(root) and "/" not in entry[len(root) :]]
    if path in files:
        chosen = [path]
    if not chosen:
        raise SideError(
            f"{name}: no interface file is there in that revision",
            help="PATH is from the root of the repository, or from here if it begins with ./",
        )
    before = f"{GIT}{revision}:/"
    contents = _contents(name, [f"{revision}:{entry}" for entry in files])
    texts = {before + entry: text for entry, text in zip(files, contents, strict=True)}
    folders = [before + posixpath.normpath(posixpath.join(top, folder)) for folder in include_dirs]
    return compiled([before + entry for entry in chosen], Loader(folders, texts))


def _contents(name: str, objects: list[str]) -> typing.Iterator[str]:
    """Gives what git keeps under these names; bytes that are no UTF-8 stay faulty, for the compiler to tell."""
    data = _git(name, "cat-file", "--batch", given="".join(f"{each}\n" for each in objects).encode())
    at = 0
    for _ in objects:
        head, at = data[at : data.index(b"\n", at)], data.index(b"\n", at) + 1
        size = int(head.rpartition(b" ")[2])
        yield data[at : at + size].decode(errors="surrogateescape")
        at += size + 1


def _git(name: str, *words: str, given: bytes = b"") -> bytes:
    try:
        # What it says is looked at: not in the user's language.
        spoken = {**os.environ, "LC_ALL": "C"}
        done = subprocess.run(["git", *words], input=given, capture_output=True, check=False, env=spoken)
    except OSError as error:
        raise SideError(f"{name}: cannot run git: {error.strerror or error}") from error
    if done.returncode:
        said = (done.stderr.decode(errors="replace").strip() or "failed").splitlines()[0]
        help = next((help for known, help in _REMEDIES.items() if known in said), "")
        raise SideError(f"{name}: git {words[0]}: {said}", help=help)
    return done.stdout
