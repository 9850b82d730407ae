"""Did you mean: the name that a misspelt one is nearest to."""

from __future__ import annotations

import difflib
import typing

_CLOSE = 0.85
_LONG = 8


class Speller:
    """Suggests names; shared by a whole check, so that a file of nothing but faults stays quick."""

    def __init__(self, comparisons: int = 100_000) -> None:
        self._left = comparisons

    def nearest(self, word: str, names: typing.Collection[str]) -> str | None:
        """Gives the name most like word, or None."""
        if len(names) > self._left:
            return None
        self._left -= len(names)
        folded = {name.lower(): name for name in sorted(names, reverse=True)}
        close = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.7)
        return folded[close[0]] if close else None


class Typos:
    """Finds names that are so close to a word that the word is taken for a slip.

    An index of names with letters left out, so that a look-up does not go through them all.
    """

    def __init__(self, names: typing.Iterable[str]) -> None:
        self._names: dict[str, list[str]] = {}
        for name in names:
            for key in _shortened(name):
                self._names.setdefault(key, []).append(name)

    def meant(self, word: str) -> str | None:
        """Gives the name that word is a slip of; names that differ in digits alone are not."""
        if not self._names:
            return None
        candidates = {name for key in _shortened(word) for name in self._names.get(key, ())}
        rated = sorted(
            (-_likeness(word, name), name) for name in candidates if not _numbered_alike(word, name)
        )
        return rated[0][1] if rated and -rated[0][0] >= _CLOSE else None


def _shortened(name: str) -> set[str]:
    """Gives the name folded, and without one letter of it; without two if it is long."""
    found = {name.lower()}
    for _ in range(2 if len(name) >= _LONG else 1):
        found |= {word[:i] + word[i + 1 :] for word in found for i in range(len(word))}
    return found


def _likeness(word: str, name: str) -> float:
    return difflib.SequenceMatcher(None, word.lower(), name.lower()).ratio()


def _numbered_alike(word: str, name: str) -> bool:
    bare = str.maketrans("", "", "0123456789")
    return word != name and word.translate(bare) == name.translate(bare)
