"""rpcgen: typed remote calls in Python from one interface file."""

from __future__ import annotations

__version__ = "0.1.0"
