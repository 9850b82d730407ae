"""``python -m rpcgen`` is the command ``rpcgen``, whatever else has that name on the PATH."""

from __future__ import annotations

import sys

from rpcgen.cli import main

if __name__ == "__main__":
    sys.exit(main())
