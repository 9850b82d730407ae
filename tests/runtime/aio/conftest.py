"""Every test here runs in loops of both kinds, and leaves no thread and no descriptor."""

from __future__ import annotations

from tests.support.leaks import no_leaks
from tests.support.loops import loop_kind

__all__ = ["loop_kind", "no_leaks"]
