"""Every test here leaves no thread and no descriptor."""

from __future__ import annotations

from tests.support.leaks import no_leaks

__all__ = ["no_leaks"]
