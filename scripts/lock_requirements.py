"""Writes ``requirements/`` anew: exact versions and hashes, for every system and Python from 3.11 on.

Each group of pyproject.toml's ``[dependency-groups]`` becomes one file. Nothing of this
machine (index hosts, folders of wheels) gets into it. The peers go into the same environment,
so they take the versions that are locked there.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
UV = "uv==0.13.8"


def main() -> int:
    tool = ROOT / "build" / "uv"
    subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "install", "--upgrade", "--target", tool, UV], check=True
    )
    with_dev = ("--constraint", "requirements/dev.txt")
    for group, constraints in {"dev": (), "peers": with_dev, "fuzz": with_dev}.items():
        subprocess.run(
            [
                *(tool / "bin" / "uv", "pip", "compile", "--quiet"),
                *("--no-config", "--native-tls", "--upgrade"),
                *("--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate"),
                *("--no-emit-index-url", "--no-emit-find-links"),
                *constraints,
                *("pyproject.toml", "--group", group, "--output-file", f"requirements/{group}.txt"),
            ],
            cwd=ROOT,
            env={**os.environ, "UV_CUSTOM_COMPILE_COMMAND": "make lock"},
            check=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
