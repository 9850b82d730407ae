"""Runs a ZooKeeper for a while: ``python scripts/throwaway_zookeeper.py``, until SIGINT or SIGTERM.

It is the one that the tests start, on a free port of 127.0.0.1, with its data in a temporary
folder; nothing of it is left when it ends. Its URL is printed as soon as it serves.
"""

from __future__ import annotations

import pathlib
import signal
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support import zookeeper  # noqa: E402  (the path must be set first)


def main() -> int:
    """Runs it; the status is 1 if there is none to run, else 0."""
    if zookeeper.find_java() is None or zookeeper.find_class_path() is None:
        print(zookeeper.MISSING, file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = zookeeper.ZooKeeper()
    try:
        server.start()
        print(f"ZooKeeper at zk://{server.hosts}/rpc; Ctrl-C ends", flush=True)
        signal.pause()
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        server.close(keep_log=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
