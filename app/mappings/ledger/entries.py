"""A leaf of a message with what became of it, and the rules that are the service's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from app.mappings.frame import Span
from app.mappings.reasons import Outcome

Kind = Literal["mapped", "carried", "ignored", "unexplained"]


class Verdict(NamedTuple):
    """What became of a leaf: by which rule, and into which element of which resource."""

    kind: Kind
    rule: str = ""
    target: str = ""


class Entry(NamedTuple):
    """A leaf with its verdict, the bytes it stands on and the place of its fact, where the format
    tells them; its path is written only where somebody asks."""

    write: Callable[..., str]
    place: tuple[Any, ...]
    verdict: Verdict
    span: Span | None = None
    fact: str = ""

    @property
    def path(self) -> str:
        return self.write(*self.place)


Found = Iterator[Entry]

MAPPED, CARRIED, UNEXPLAINED = Verdict("mapped"), Verdict("carried"), Verdict("unexplained")
ALTERNATIVE = Verdict("ignored", "alternative")
HELD = frozenset({Outcome.WAITING, Outcome.QUARANTINED})
LEFT_OUT = frozenset({Outcome.NOT_COLLECTED, Outcome.NOT_RECORDED, Outcome.NOT_SUBJECT_DATA})
USED = ""
"""The end of what was used; any other is the rule why not."""
PENDING = "pending"
BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "alternative": "read only where another field does not say the same",
        "waiting": "the patient is not enrolled: nothing of it is mapped",
        "quarantined": "its fact, or the whole message, is in quarantine",
        "not-collected": "the protocol does not collect it",
        "not-recorded": "it tells nothing that would be recorded",
        "not-subject-data": "quality control, training or a test, or after participation",
        PENDING: "no fact tells of it: the message is not processed yet",
        "identity": "whom it is about, by a keyed token: the number itself is not kept, a name and"
        " a birth date are compared",
        "key": "which result, dose or order it is: a keyed token of it is kept, never itself",
        "content": "goes into the resource, as the site's dictionary and the protocol have it",
        "state": "status or action",
        "moment": "when it happened",
        "order": "which of two versions is the newer",
        "link": "finds what belongs together within the document",
        "decision": "decides whether it is collected, or how it is read",
        "envelope": "the Bundle or SOAP envelope around: links, hits, wishes of a search",
        "column": "the name of a column: says what its cells mean",
        "deletion": "a deletion says no more than which record it is",
    }
)
"""Rules that are the service's own: they follow from how a leaf is used, or from what became of
the facts."""


def ignored(rule: str) -> Verdict:
    return Verdict("ignored", rule)
