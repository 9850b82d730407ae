"""Runs a target: ``python -m fuzz TARGET [--seconds N]``, or keeps what was found: ``python -m fuzz TARGET --keep``.

What a run has found is in build/fuzz/TARGET: inputs that reach something new in ``corpus``, failing ones beside it.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import typing

from fuzz import corpus

BUILD = pathlib.Path(__file__).resolve().parent.parent / "build" / "fuzz"

LONGEST = 4096
"""Bytes of an input."""

KEPT = 256
"""Bytes of an input that is kept; longer ones that reach something stay where they were found."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Fuzz what reads bytes.")
    parser.add_argument(
        "target", help="server_session, client_session, plain_calls, arguments, replies, registry_lines"
    )
    parser.add_argument("--seconds", type=int, default=60, help="how long (60)")
    parser.add_argument(
        "--keep", action="store_true", help="add what reaches more to the corpus in the repository"
    )
    chosen = parser.parse_args()
    folder = BUILD / chosen.target
    found, seeds = folder / "corpus", folder / "seeds"
    for each in (found, seeds):
        each.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(corpus.inputs(chosen.target)):
        (seeds / f"{number:04}").write_bytes(data)
    if chosen.keep:
        print(f"{_keep(chosen.target, found)} inputs added to {corpus.FOLDER / chosen.target}.txt")
        return
    options = [f"-max_total_time={chosen.seconds}", f"-artifact_prefix={folder}/", f"-max_len={LONGEST}"]
    _fuzz(chosen.target, [*options, "-timeout=20", "-rss_limit_mb=2048", str(found), str(seeds)])


def _keep(target: str, found: pathlib.Path) -> int:
    """Adds what reached something new and is short."""
    inputs = [path.read_bytes() for path in found.iterdir()]
    return corpus.add(target, [data for data in inputs if len(data) <= KEPT])


def _fuzz(target: str, arguments: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=["rpcgen"]):
        from fuzz import targets
    run: typing.Any = targets.TARGETS[target]
    atheris.Setup([sys.argv[0], *arguments], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
