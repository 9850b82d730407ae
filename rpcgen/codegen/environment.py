"""The templates: ours, in a checkout or in an installed package, and a user's in front of them.

Ours are kept as Python too (translated.py), so that Jinja is loaded for a user's alone.
"""

from __future__ import annotations

import functools
import pathlib
import typing
import zlib

from rpcgen.codegen import GenerateError, translated
from rpcgen.codegen.view import ModuleView
from rpcgen.compiler.diagnostics import diagnose

if typing.TYPE_CHECKING:
    import jinja2

MODULE: typing.Final = "module.py.j2"


@functools.cache
def environment(templates: pathlib.Path | None = None) -> jinja2.Environment:
    """Gives the environment that renders modules.

    Args:
        templates: A folder whose templates replace ours of the same name.
    """
    import jinja2

    folders = [ours()] if templates is None else [templates, ours()]
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
        # --watch compiles again when a user's template has changed.
        auto_reload=templates is not None,
    )


@functools.cache
def ours() -> pathlib.Path:
    """Gives the folder of our templates."""
    package = pathlib.Path(__file__).parent.parent
    installed = package / "_templates" / "python"
    return installed if installed.is_dir() else package.parent / "templates" / "python"


@functools.cache
def checksum(folder: pathlib.Path) -> int:
    """Gives a number that tells whether the templates of a folder are other ones than when it was translated."""
    found = 0
    for path in sorted(folder.glob("*.j2")):
        found = zlib.crc32(path.read_bytes(), zlib.crc32(path.name.encode(), found))
    return found


def render(module: ModuleView, templates: pathlib.Path | None = None) -> str:
    """Gives a module's text.

    Raises:
        GenerateError: A template is faulty; the diagnostic names it, the line and the cause.
    """
    if templates is None and checksum(ours()) == translated.CHECKSUM:
        return translated.render(module)
    import jinja2

    try:
        return environment(templates).get_template(MODULE).render(module=module)
    except jinja2.TemplateSyntaxError as error:
        raise _faulty(error.filename or error.name, error.lineno, error.message) from error
    except jinja2.TemplateNotFound as error:
        raise _faulty(str(error.name), None, "it does not exist") from error
    except Exception as error:
        # A template may do whatever Python can: what goes wrong there is its author's to read.
        if templates is None:
            raise
        name, line = _place(error)
        raise _faulty(name, line, f"{error}" or type(error).__name__) from error


def _place(error: BaseException) -> tuple[str | None, int | None]:
    """Gives the innermost line of a template that an error passed through."""
    name, line = None, None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.endswith(".j2"):
            name, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
    return name, line


def _faulty(template: str | None, line: int | None, what: str | None) -> GenerateError:
    path = template or MODULE
    shown = f"{pathlib.Path(path).name}:{line}" if line else pathlib.Path(path).name
    reason = " ".join((what or "no reason is known").split()).rstrip(".")
    return GenerateError([diagnose("E502", None, path=path, template=shown, what=reason)])
