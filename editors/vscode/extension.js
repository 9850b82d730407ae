// Starts `rpcgen lsp` for interface files. Without the command, or without the library that speaks to
// it, there is a message, and colours, comments and brackets work as before.
"use strict";

const { execFile } = require("node:child_process");
const vscode = require("vscode");

let client;

async function activate(context) {
  context.subscriptions.push(
    vscode.workspace.onDidChangeConfiguration(async (event) => {
      if (event.affectsConfiguration("rpcgen.command")) {
        await deactivate();
        await start();
      }
    }),
  );
  await start();
}

async function deactivate() {
  const old = client;
  client = undefined;
  // One that never came to run has nothing to stop.
  await old?.stop().catch(() => undefined);
}

async function start() {
  const [command, ...words] = configured();
  if (!command) {
    return; // an empty list: colours alone, as wished
  }
  try {
    const version = await said(command, [...words, "--version"]);
    if (!/^rpcgen \d/.test(version)) {
      throw new Error("it is another program of that name");
    }
    const { LanguageClient } = require("vscode-languageclient/node");
    client = new LanguageClient(
      "rpcgen",
      "rpcgen",
      { command, args: [...words, "lsp"] },
      { documentSelector: [{ language: "rpcgen" }] },
    );
    await client.start();
  } catch (error) {
    client = undefined;
    vscode.window.showWarningMessage(
      `rpcgen: ${[command, ...words].join(" ")} lsp does not run (${error.message}), so there are colours alone. ` +
        "Install it by: pip install 'rpcgen[lsp]', and say in the setting rpcgen.command where it is.",
    );
  }
}

function configured() {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath ?? "";
  const words = vscode.workspace.getConfiguration("rpcgen").get("command", ["rpcgen"]);
  return words.map((word) => word.replace("${workspaceFolder}", folder));
}

function said(command, words) {
  return new Promise((resolve, reject) => {
    execFile(command, words, { timeout: 20_000 }, (error, output) => {
      if (error) {
        reject(error);
      } else {
        resolve(output);
      }
    });
  });
}

module.exports = { activate, deactivate };
