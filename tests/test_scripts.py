"""What ``make`` runs to get ready."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(("ci", "status"), [({}, 0), ({"CI": "true"}, 1)], ids=["at home", "in CI"])
def test_without_java_and_apt_the_message_says_what_to_do(
    ci: dict[str, str], status: int, tmp_path: pathlib.Path
) -> None:
    done = subprocess.run(
        [sys.executable, "scripts/install_programs.py", "zookeeper"],
        cwd=ROOT,
        env={"PATH": str(tmp_path), "JAVA_HOME": str(tmp_path), **ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert "brew install zookeeper" in done.stderr
    assert "ZOOKEEPER_HOME" in done.stderr
    assert ("tests that need it are skipped" in done.stderr) == (status == 0)
