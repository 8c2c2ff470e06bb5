"""Text as searches compare it: without case and accents, and as words.
https://hl7.org/fhir/R4/search.html#string

Chinese, Japanese and Korean are written without spaces: a run of such characters counts as its
characters and its pairs of neighbours, so that any part of it is found.
"""

from __future__ import annotations

import functools
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator

MAX_STRING = 500
"""Characters of a string that are compared; `exact` tells longer ones apart by their digest."""
MAX_REMEMBERED = 100
"""Characters of a text whose words may be remembered."""
_WORD = re.compile(r"[^\W_]+")
_EAST_ASIAN = (
    "\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff"
)
_RUN = re.compile(f"[{_EAST_ASIAN}]+|[^{_EAST_ASIAN}]+")


def fold(text: str) -> str:
    """Case and accents away, as string search compares."""
    if text.isascii():
        return text.lower()[:MAX_STRING]
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))[:MAX_STRING]


def exact(text: str) -> str:
    """The text as `:exact` compares it."""
    if len(text) <= MAX_STRING:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return text[: MAX_STRING - len(digest)] + digest


def words_of(text: str, *, single: bool = True) -> Iterable[str]:
    """The folded words of a text. `single`: each East Asian character is a word too, not only
    pairs of them (as it is kept); a search asks for a single one only where it stands alone."""
    if single and len(text) <= MAX_REMEMBERED:
        return _words_of_short(text)
    return _find_words(text, single=single)


@functools.lru_cache(maxsize=4096)
def _words_of_short(text: str) -> tuple[str, ...]:
    """Systems, codes and displays are the same in most resources."""
    return tuple(_find_words(text, single=True))


def _find_words(text: str, *, single: bool) -> Iterator[str]:
    for word in _WORD.findall(text):
        for run in _RUN.findall(fold(word)):
            if re.match(f"[{_EAST_ASIAN}]", run):
                yield from _neighbours(run, single=single)
            else:
                yield run


def _neighbours(run: str, *, single: bool) -> Iterator[str]:
    if single or len(run) == 1:
        yield from run
    yield from (run[n : n + 2] for n in range(len(run) - 1))
