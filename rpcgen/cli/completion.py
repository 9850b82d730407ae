"""``rpcgen completion``: what a shell has to know, made of the options that the commands have."""

from __future__ import annotations

import importlib
import re
import typing

from rpcgen.cli import COMMANDS
from rpcgen.cli.arguments import COMMON, Expected, Parser
from rpcgen.cli.console import Console
from rpcgen.cli.errors import CommandError

if typing.TYPE_CHECKING:
    import types

SHELLS: typing.Final = ("bash", "zsh", "fish")

HELP = f"""\
Writes what lets a shell complete commands, options and files.

Usage: rpcgen completion [OPTIONS] SHELL

SHELL is bash, zsh or fish.

Options:
{COMMON}

Examples:
  echo 'eval "$(rpcgen completion bash)"' >> ~/.bashrc
  rpcgen completion zsh > ~/.zfunc/_rpcgen      where ~/.zfunc is in fpath, before compinit
  rpcgen completion fish > ~/.config/fish/completions/rpcgen.fish

Exit status: 0 written, 2 wrong usage.
"""


def parser() -> Parser:
    """Makes the parser of the command's options."""
    found = Parser("completion")
    found.add_argument("shell", nargs="?", choices=SHELLS)
    return found


def run(words: typing.Sequence[str]) -> int:
    """Runs the command; gives its exit status."""
    arguments = parser().read(words)
    if arguments.shell is None:
        raise CommandError("no SHELL is named", help=f"one of {', '.join(SHELLS)}")
    script = {"bash": _bash, "zsh": _zsh, "fish": _fish}[arguments.shell]
    Console(arguments.color).find(script({name: _command(name) for name in COMMANDS}))
    return 0


class _Command(typing.NamedTuple):
    """A command: what it does, its options, and what may stand beside them."""

    does: str
    options: list[Expected]
    words: Expected | None


def _command(name: str) -> _Command:
    module: types.ModuleType = importlib.import_module(f"rpcgen.cli.{name}")
    expected: list[Expected] = module.parser().expected()
    words = [each for each in expected if not each.names]
    does = re.split(r"[.:;]\s", module.HELP, maxsplit=1)[0].replace("\n", " ")
    return _Command(does, [each for each in expected if each.names], words[0] if words else None)


def _wanted(each: Expected | None) -> str:
    """Gives what a value is: ``folder``, ``interface``, ``file``, ``none`` or the words it is one of."""
    if each is None:
        return "none"
    if each.choices:
        return " ".join(each.choices)
    if each.takes in ("DIR", "FOLDER"):
        return "folder"
    if each.takes in ("FILE", "OLD NEW"):
        return "file" if each.names else "interface"
    return "none"


def _names(command: _Command) -> list[str]:
    return [name for option in command.options for name in option.names]


def _cases(commands: typing.Mapping[str, _Command]) -> str:
    """Gives the branches of a case in sh that set ``wanted``: of ``command:option``, then of ``command``."""
    lines: list[str] = []
    for name, command in commands.items():
        for option in command.options:
            if option.has_value:
                pattern = "|".join(f"{name}:{each}" for each in option.names)
                lines.append(f"        {pattern}) wanted='{_wanted(option)}' ;;")
    for name, command in commands.items():
        lines.append(
            f"        {name}:*) wanted='{_wanted(command.words)}' options='{' '.join(_names(command))}' ;;"
        )
    lines.append(f"        *) wanted='{' '.join(commands)} help' options='--help --version' ;;")
    return "\n".join(lines)


def _asked(words: str, current: str, first: int, commands: typing.Mapping[str, _Command]) -> str:
    """Gives the lines of bash and of zsh that set ``word``, ``command``, ``wanted`` and ``options``.

    Args:
        words: The shell's array of words.
        current: Where it says which of them is being completed.
        first: The place of the word after ``rpcgen``.
        commands: What there is.
    """
    return f"""\
    local word=${{{words}[{current}]}} before=${{{words}[{current} - 1]}}
    local command='' wanted='' options='' number
    for ((number = {first}; number < {current}; number++)); do
        case ${{{words}[number]}} in
        -*) ;;
        *) command=${{{words}[number]}} && break ;;
        esac
    done
    case $command:$before in
{_cases(commands)}
    esac"""


def _bash(commands: typing.Mapping[str, _Command]) -> str:
    return f"""\
# rpcgen's completion for bash: eval "$(rpcgen completion bash)"
_rpcgen() {{
{_asked("COMP_WORDS", "COMP_CWORD", 1, commands)}
    COMPREPLY=()
    local IFS=$'\\n'
    if [[ $word == -* && $options ]]; then
        IFS=' ' read -r -a COMPREPLY <<<"$options"
        COMPREPLY=($(compgen -W "${{COMPREPLY[*]}}" -- "$word"))
        return
    fi
    case $wanted in
    none) ;;
    folder) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$word")) ;;
    file) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$word")) ;;
    interface)
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -d -- "$word") $(compgen -f -X '!*.idl' -- "$word"))
        ;;
    *)
        IFS=' ' read -r -a COMPREPLY <<<"$wanted"
        COMPREPLY=($(compgen -W "${{COMPREPLY[*]}}" -- "$word"))
        ;;
    esac
}}
complete -F _rpcgen rpcgen
"""


def _zsh(commands: typing.Mapping[str, _Command]) -> str:
    described = "\n".join(
        f"        {_quoted(f'{name}:{command.does}')}" for name, command in commands.items()
    )
    return f"""\
#compdef rpcgen
# rpcgen's completion for zsh: rpcgen completion zsh > a folder of fpath, as _rpcgen
_rpcgen() {{
{_asked("words", "CURRENT", 2, commands)}
    local -a described
    described=(
{described}
    )
    if [[ $word == -* && -n $options ]]; then
        compadd -- ${{=options}}
        return
    fi
    case $wanted in
    none) ;;
    folder) _files -/ ;;
    file) _files ;;
    interface) _files -g '*.idl' ;;
    *) if [[ -z $command ]]; then _describe command described; else compadd -- ${{=wanted}}; fi ;;
    esac
}}
if [[ $funcstack[1] == _rpcgen ]]; then _rpcgen "$@"; else compdef _rpcgen rpcgen; fi
"""


def _fish(commands: typing.Mapping[str, _Command]) -> str:
    lines = [
        "# rpcgen's completion for fish: rpcgen completion fish > ~/.config/fish/completions/rpcgen.fish",
        "complete -c rpcgen -f",
        "complete -c rpcgen -n __fish_use_subcommand -s h -l help -d 'Show what there is'",
        "complete -c rpcgen -n __fish_use_subcommand -s V -l version -d 'Show the version'",
    ]
    for name, command in commands.items():
        lines.append(f"complete -c rpcgen -n __fish_use_subcommand -a {name} -d {_quoted(command.does)}")
    values = {"none": "-x", "folder": "-x -a '(__fish_complete_directories)'", "file": "-r -F"}
    for name, command in commands.items():
        here = f"complete -c rpcgen -n '__fish_seen_subcommand_from {name}'"
        for option in command.options:
            parts = [f"-l {each[2:]}" if each.startswith("--") else f"-s {each[1:]}" for each in option.names]
            if option.has_value:
                wanted = _wanted(option)
                parts.append(values.get(wanted, f"-x -a '{wanted}'"))
            lines.append(f"{here} {' '.join(parts)}")
        wanted = _wanted(command.words)
        if wanted == "interface":
            lines.append(f"{here} -a '(__fish_complete_suffix .idl)'")
        elif wanted == "folder":
            lines.append(f"{here} -a '(__fish_complete_directories)'")
        elif wanted not in ("none", "file"):
            lines.append(f"{here} -a '{wanted}'")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "’") + "'"
