"""Did you mean: the name that a misspelt one is nearest to."""

from __future__ import annotations

import difflib
import re
import typing

_CLOSE = 0.85
_LONG = 8
_LONGEST = 64
_DIGIT = re.compile("[0-9]+")
_NO_DIGIT = re.compile("[^0-9]+")


class Speller:
    """Suggests names; shared by a whole check, so that a file of nothing but faults stays quick."""

    def __init__(self, comparisons: int = 100_000) -> None:
        self._left = comparisons

    def afford(self, comparisons: int) -> bool:
        """Tells whether so many names may be compared with a word."""
        return comparisons <= self._left

    def nearest(self, word: str, names: typing.Collection[str]) -> str | None:
        """Gives the name most like word, or None."""
        if not self.afford(len(names)) or len(word) > _LONGEST:
            return None
        self._left -= len(names)
        folded = {name.lower(): name for name in sorted(names, reverse=True) if len(name) <= _LONGEST}
        close = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.7)
        return folded[close[0]] if close else None


class Typos:
    """Finds names that are so close to a word that the word is taken for a slip.

    An index of names with letters left out, so that a look-up does not go through them all.
    Digits are no slip: Error1 and Error2 are two names.
    """

    def __init__(self, names: typing.Iterable[str]) -> None:
        self._names: dict[tuple[str, str], list[str]] = {}
        for name in names:
            for key in _keys(name) if len(name) <= _LONGEST else ():
                self._names.setdefault(key, []).append(name)

    def meant(self, word: str) -> str | None:
        """Gives the name that word is a slip of, or None."""
        if not self._names or len(word) > _LONGEST:
            return None
        candidates = {name for key in _keys(word) for name in self._names.get(key, ())}
        rated = sorted((-_likeness(word, name), name) for name in candidates)
        return rated[0][1] if rated and -rated[0][0] >= _CLOSE else None


def _keys(name: str) -> list[tuple[str, str]]:
    """Gives its digits, and its letters: all, one left out, or two if there are many."""
    digits = _NO_DIGIT.sub("", name)
    letters = {_DIGIT.sub("", name.lower())}
    for _ in range(2 if len(name) >= _LONG else 1):
        letters |= {word[:i] + word[i + 1 :] for word in letters for i in range(len(word))}
    return [(digits, word) for word in letters]


def _likeness(word: str, name: str) -> float:
    return difflib.SequenceMatcher(None, word.lower(), name.lower()).ratio()
