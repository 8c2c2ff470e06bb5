"""Alerts without a flood: a line for the first open fact of a kind, then a digest every hour.

Lines name feed, group of reasons, reason and number: never a value, a patient or a message's text.
Patients who are not enrolled are the normal case and no alert.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from app.mappings.reasons import Reason
from app.mappings.working.quarantine import Settled

PERIOD_SECONDS = 3600.0

_GROUPS = {
    "message": "FRAME_BROKEN TOO_LARGE CHARSET_UNDECODABLE CHARSET_MISMATCH PARSE STRUCTURE"
    " UNSUPPORTED_TYPE CONTROL_ID_REUSE",
    "patient": "PATIENT_AMBIGUOUS PATIENT_MISMATCH WRONG_PATIENT",
    "dictionary": "CODE_UNMAPPED UNIT_UNMAPPED STATUS_UNMAPPED",
    "value": "UNIT_DIMENSION UNIT_SUSPECT_SCALE VALUE_UNPARSABLE VALUE_IMPLAUSIBLE VALUE_WITHDRAWN"
    " ANALYTIC_SUSPECT TIME_INVALID",
    "order": "CORRECTION_WITHOUT_ORIGINAL OUT_OF_ORDER WEAK_KEY_CONFLICT RESULT_DELETED",
    "service": "FHIR_INVALID POISON INTERNAL",
}
GROUPS: Mapping[str, str] = MappingProxyType(
    {reason: group for group, reasons in _GROUPS.items() for reason in reasons.split()}
)
"""Reason → who has to act: the sender, the trial's staff, the keeper of the dictionary, …"""

SILENT = frozenset({Reason.PATIENT_UNKNOWN, Reason.NOT_SUBJECT_DATA})
OTHER = "other"

Key = tuple[str, str]


class Alerts:
    """Tells (`say`, a logging function) the first of each feed and group, then digests. A group
    that was silent for a whole period begins anew."""

    def __init__(self, say: Callable[..., object], clock: Callable[[], float]) -> None:
        self._say = say
        self._clock = clock
        self._told: set[Key] = set()
        self._counts: Counter[Key] = Counter()
        self._due = clock() + PERIOD_SECONDS

    @property
    def seconds_left(self) -> float:
        """Until the next digest."""
        return max(0.0, self._due - self._clock())

    def note(self, feed: str, settled: Sequence[Settled]) -> None:
        """What became of the facts of one message."""
        for each in settled:
            reason = each.fact.reason
            if each.state != "open" or reason is None or reason in SILENT:
                continue
            key = (feed, GROUPS.get(reason, OTHER))
            self._counts[key] += 1
            if key not in self._told:
                self._told.add(key)
                self._say("feed alert: feed=%s group=%s first=%s", *key, reason.value)

    def digest(self) -> None:
        """A line per feed and group that had open facts since the last digest."""
        for (feed, group), number in sorted(self._counts.items()):
            self._say("feed alert digest: feed=%s group=%s facts=%d", feed, group, number)
        self._told = set(self._counts)
        self._counts.clear()
        self._due = self._clock() + PERIOD_SECONDS
