"""A user's program over the generated modules, under mypy and pyright."""

from __future__ import annotations

import json
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = pathlib.Path(__file__).parent / "program"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Gives a folder with the generated modules and the program."""
    made = tmp_path_factory.mktemp("user")
    for path in (ROOT / "generated").glob("*.py"):
        shutil.copy(path, made)
    # Not .py in the repository: there they would be checked without the modules beside them.
    for path in PROGRAM.glob("*.py.txt"):
        shutil.copy(path, made / path.stem)
    settings = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "extraPaths": [str(ROOT)]}
    (made / "pyrightconfig.json").write_text(json.dumps(settings))
    return made


def test_mypy(folder: pathlib.Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--no-incremental",
            *sorted(p.name for p in folder.glob("*.py")),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    found = set(re.findall(r"^(\S+):(\d+): error: .*\[([a-z-]+)\]$", done.stdout, re.MULTILINE))
    lines = (PROGRAM / "wrong.py.txt").read_text().splitlines()
    wanted = {
        ("wrong.py", str(number), line.partition("# wrong: ")[2])
        for number, line in enumerate(lines, 1)
        if "# wrong: " in line
    }
    assert found == wanted, done.stdout


def test_pyright(folder: pathlib.Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout)["generalDiagnostics"]
    marked = {
        number
        for number, line in enumerate((PROGRAM / "wrong.py.txt").read_text().splitlines())
        if "# wrong: " in line and "misc" not in line  # a Final of another module is mypy's alone
    }
    places = {(pathlib.Path(one["file"]).name, one["range"]["start"]["line"]) for one in found}
    assert {place for place in places if place[0] != "wrong.py"} == set(), found
    assert marked <= {line for _, line in places}, found
