"""Nothing is left behind by a test: no thread, no descriptor."""

from __future__ import annotations

from tests.support.leaks import no_leaks

__all__ = ["no_leaks"]
