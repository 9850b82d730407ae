"""``rpcgen init``: the newcomer's first programs run, and nothing of theirs is touched."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

from tests.cli.command import Ended, environment, rpcgen, write

STEPS = """\
Start the server:

{enter}  python server.py

and in another terminal call it:

{enter}  python client.py

To change the interface, edit {name}.idl, then:

  rpcgen compile {name}.idl
"""


def client(folder: pathlib.Path, port: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "client.py", str(port)],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("words", [[], ["hello", "--name", "greeter"]])
def test_what_it_writes_runs(tmp_path: pathlib.Path, words: list[str], end: signal.Signals) -> None:
    folder = tmp_path / words[0] if words else tmp_path
    name = words[2] if words else "service"
    shown = [
        f"{words[0]}/{file}" if words else file
        for file in (f"{name}.idl", f"{name}.py", "server.py", "client.py")
    ]
    steps = STEPS.format(enter=f"  cd {words[0]}\n" if words else "", name=name)
    assert rpcgen("init", *words, cwd=tmp_path) == Ended(0, steps, "".join(f"{file}\n" for file in shown))
    server = subprocess.Popen(
        [sys.executable, "server.py", "0"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        first = server.stdout.readline()
        listening = re.fullmatch(r"listening at tcp://127\.0\.0\.1:(\d+); Ctrl-C ends\n", first)
        assert listening, first
        called = client(folder, int(listening[1]))
        assert (called.returncode, called.stderr) == (0, "")
        assert called.stdout == "200 / 100 = 2.0\n200       = 200.0\n1 / 0     : cannot divide by zero\n"
        server.send_signal(end)
        out, err = server.communicate(timeout=30)
        assert (server.returncode, out) == (0, "")
        assert "Traceback" not in err
    finally:
        server.kill()
        server.communicate()
    assert rpcgen("compile", "--check", f"{name}.idl", cwd=folder).status == 0


def test_what_it_writes_is_typed_and_tidy(tmp_path: pathlib.Path) -> None:
    assert rpcgen("init", cwd=tmp_path).status == 0
    root = pathlib.Path(__file__).parent.parent.parent
    for command in (
        ["mypy", "--strict", "--cache-dir", str(tmp_path / "cache")],
        ["ruff", "check"],
        ["ruff", "format", "--check"],
    ):
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                *command,
                "--config-file" if "mypy" in command else "--config",
                str(root / "pyproject.toml"),
                "server.py",
                "client.py",
            ],
            cwd=tmp_path,
            env=environment(MYPYPATH=str(root)),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("there", ["service.idl", "service.py", "server.py", "client.py"])
def test_it_never_overwrites(tmp_path: pathlib.Path, there: str) -> None:
    write(tmp_path, {there: "mine\n"})
    ended = rpcgen("init", cwd=tmp_path)
    assert ended == Ended(
        2,
        "",
        f"rpcgen init: {there} is there already; nothing was written\n"
        "  = help: name another folder: rpcgen init hello\n",
    )
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(there, "mine\n")]


def test_a_dangling_link_is_there_too(tmp_path: pathlib.Path) -> None:
    (tmp_path / "client.py").symlink_to("nowhere")
    assert rpcgen("init", cwd=tmp_path).status == 2
    assert os.listdir(tmp_path) == ["client.py"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "my-service",
            "--name my-service cannot be the name of a Python module\n  = help: --name my_service\n",
        ),
        ("class", "--name class cannot be the name of a Python module\n"),
        ("", "--name  cannot be the name of a Python module\n"),
        ("../up", "--name ../up cannot be the name of a Python module\n  = help: --name up\n"),
        ("server", "--name server is the program's own\n  = help: --name server_service\n"),
        ("json", "--name json is another module's\n  = help: --name json_service\n"),
        ("rpcgen", "--name rpcgen is another module's\n  = help: --name rpcgen_service\n"),
    ],
)
def test_names_that_cannot_be(tmp_path: pathlib.Path, name: str, said: str) -> None:
    assert rpcgen("init", "--name", name, cwd=tmp_path) == Ended(2, "", f"rpcgen init: {said}")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_a_file(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {"hello": "a file"})
    ended = rpcgen("init", "hello", cwd=tmp_path)
    assert (ended.status, ended.log) == (2, "rpcgen init: cannot write hello: File exists\n")
