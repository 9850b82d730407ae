"""Nothing is left behind by any test here."""

from tests.support.leaks import no_leaks

__all__ = ["no_leaks"]
