"""What is shipped: builds the sdist and the wheel, and uses the wheel where nothing else is."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile

import pytest

import rpcgen
from benchmarks import environments

# One worker builds once for all of them.
pytestmark = pytest.mark.xdist_group("packaging")

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHIPPED = (
    "rpcgen",
    "templates",
    "pyproject.toml",
    "setup.py",
    "MANIFEST.in",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
)

IN_C = ("rpcgen/runtime/wire/_codec", "rpcgen/runtime/sync/_turns")

CALL = """\
from service import Channel, ClientStub, InvalidOperation, ThreadServer
import rpcgen, threading

class Handlers:
    def divide(self, num1: int, num2: int) -> float:
        if num2 == 0:
            raise InvalidOperation("no")
        return num1 / num2

print(rpcgen.__file__)
with ThreadServer("127.0.0.1", 0, Handlers()) as server, Channel("127.0.0.1", server.port) as channel:
    stub = ClientStub(channel)
    print(stub.divide(200, 100))
    try:
        stub.divide(1, 0)
    except InvalidOperation as refusal:
        print("refused:", refusal)
"""


def run(*command: str | pathlib.Path, cwd: pathlib.Path, **also: str) -> str:
    """Runs a command as on a machine that has no checkout; gives its output."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV", "RPCGEN"))
    } | also
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, pathlib.Path]:
    """The sdist, and the wheel that was built from it."""
    source = tmp_path_factory.mktemp("source")
    for name in SHIPPED:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        else:
            shutil.copy(path, source / name)
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source, cwd=source)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(
    packages: tuple[pathlib.Path, pathlib.Path], tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
    """An environment that holds the wheel and what it depends on, and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("installed")
    python = environments.make(folder / "environment", "jinja2", "lark", "msgspec")
    run(
        *(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"),
        *("--python", python, "install", "--no-index", "--no-deps", packages[1]),
        cwd=folder,
    )
    return folder / "environment"


def test_the_wheel_holds_the_package_and_its_data(packages: tuple[pathlib.Path, pathlib.Path]) -> None:
    with zipfile.ZipFile(packages[1]) as wheel:
        names = set(wheel.namelist())
    expected = {str(path.relative_to(ROOT)) for path in (ROOT / "rpcgen").rglob("*.py")}
    expected |= {"rpcgen/py.typed", "rpcgen/compiler/grammar.lark", "rpcgen/runtime/wire/_codec.pyi"}
    expected |= {"rpcgen/runtime/http/page.html"}
    expected |= {f"{module}{sysconfig.get_config_var('EXT_SUFFIX')}" for module in IN_C}
    expected |= {
        f"rpcgen/_templates/{path.relative_to(ROOT / 'templates')}"
        for path in (ROOT / "templates").rglob("*.j2")
    }
    assert expected - names == set()
    assert {name.partition("/")[0] for name in names} == {"rpcgen", f"rpcgen-{rpcgen.__version__}.dist-info"}


def test_the_sdist_holds_no_tests(packages: tuple[pathlib.Path, pathlib.Path]) -> None:
    with tarfile.open(packages[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"LICENSE", "CHANGELOG.md", "templates", "rpcgen/compiler/grammar.lark"} <= names
    assert {f"rpcgen/runtime/wire/c/{name}" for name in ("codec.h", "encode.c")} <= names
    assert [name for name in names if name.startswith("tests")] == []


@pytest.mark.parametrize(
    "command", [["bin/rpcgen"], ["bin/python", "-m", "rpcgen"]], ids=["rpcgen", "python -m rpcgen"]
)
def test_the_installed_wheel_compiles_and_calls(
    installed: pathlib.Path, tmp_path: pathlib.Path, command: list[str]
) -> None:
    program, *arguments = command
    (tmp_path / "service.idl").write_text("float divide(1:int num1, 2:int num2=1) => InvalidOperation\n")
    run(installed / program, *arguments, "compile", "service.idl", cwd=tmp_path)
    (tmp_path / "call.py").write_text(CALL)
    where, *printed = run(installed / "bin" / "python", "call.py", cwd=tmp_path).splitlines()
    assert pathlib.Path(where).is_relative_to(installed)
    assert printed == ["2.0", "refused: no"]


def test_the_version_is_told_in_one_place(
    packages: tuple[pathlib.Path, pathlib.Path], installed: pathlib.Path
) -> None:
    assert packages[1].name.startswith(f"rpcgen-{rpcgen.__version__}-cp")
    told = run(installed / "bin" / "rpcgen", "--version", cwd=installed)
    assert told == f"rpcgen {rpcgen.__version__} (C codec)\n"


def test_without_a_compiler_the_codec_in_python_is_installed(
    packages: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    run(
        *(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel", "--no-deps"),
        *("--no-index", "--no-build-isolation", "--wheel-dir", tmp_path, packages[0]),
        cwd=tmp_path,
        CC="no-such-compiler",
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as built:
        assert [name for name in built.namelist() if name.endswith(".so")] == []
    python = environments.make(tmp_path / "environment", "jinja2", "lark", "msgspec")
    run(
        *(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"),
        *("--python", python, "install", "--no-index", "--no-deps", wheel),
        cwd=tmp_path,
    )
    told = run(python, "-m", "rpcgen", "--version", cwd=tmp_path)
    why = "the one in C is not built, which takes a C compiler"
    assert told == f"rpcgen {rpcgen.__version__} (Python codec: {why})\n"
    (tmp_path / "service.idl").write_text("float divide(1:int num1, 2:int num2=1) => InvalidOperation\n")
    run(python, "-m", "rpcgen", "compile", "service.idl", cwd=tmp_path)
    (tmp_path / "call.py").write_text(CALL)
    assert run(python, "call.py", cwd=tmp_path).splitlines()[1:] == ["2.0", "refused: no"]
