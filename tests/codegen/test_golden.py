"""What idl/ compiles to, whole: the checked-in files, and the same in a package."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

from rpcgen.codegen import generate
from rpcgen.compiler import compile_file, model

ROOT = pathlib.Path(__file__).parents[2]
NAMES = {"common", "features", "fleet", "jobs", "service", "shop"}


def compiled(name: str) -> model.Module:
    compilation = compile_file(ROOT / "idl" / f"{name}.idl")
    assert compilation.module is not None, compilation.report.diagnostics
    return compilation.module


def test_the_set_of_files() -> None:
    assert {path.stem for path in (ROOT / "idl").iterdir()} == NAMES
    assert {path.name for path in (ROOT / "generated").iterdir() if path.is_file()} == {
        "ruff.toml",
        *(f"{name}.py" for name in NAMES),
    }


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_files(name: str) -> None:
    assert generate(compiled(name)) == (ROOT / "generated" / f"{name}.py").read_text()


@pytest.mark.parametrize("name", ["common", "service"])
def test_without_includes_a_package_changes_nothing(name: str) -> None:
    assert generate(compiled(name), package=True) == generate(compiled(name))


@pytest.mark.parametrize("name", ["features", "shop"])
def test_a_package_imports_relatively(name: str) -> None:
    plain = generate(compiled(name))
    packaged = plain.replace("\nimport common\n", "\nfrom . import common\n")
    assert packaged != plain
    assert generate(compiled(name), package=True) == packaged
    assert generate(compiled(name), imports="relative") == packaged
    assert generate(compiled(name), imports="absolute", package=True) == plain


@pytest.mark.parametrize("depth", [1, 3])
def test_a_package_of_any_depth_imports(tmp_path: pathlib.Path, depth: int) -> None:
    packages = [f"level{i}" for i in range(depth)]
    folder = tmp_path.joinpath(*packages)
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / f"{name}.py").write_text(generate(compiled(name), imports="relative"))
    code = f"import {'.'.join(packages)}.shop"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_the_same_every_time() -> None:
    code = (
        "import sys; from rpcgen.codegen import generate; from rpcgen.compiler import compile_file\n"
        "module = compile_file('idl/features.idl').module\n"
        "assert module is not None\n"
        "sys.stdout.write(generate(module))"
    )
    texts = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert texts[0] == texts[1] == (ROOT / "generated" / "features.py").read_bytes()
