"""Each test here is held to leaving nothing behind."""

from tests.support.leaks import no_leaks

__all__ = ["no_leaks"]
