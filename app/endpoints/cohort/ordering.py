"""Counts in the order of participant and time: two million of them in a fraction of a second."""

from __future__ import annotations

import numpy as np

from app.endpoints.cohort.choosing import Index
from app.endpoints.cohort.placing import Counts

_SPAN = 1 << 32
_MIDDLE = 1 << 31


def order_in_time(counts: Counts, rows: Index) -> Index:
    """Rows (positions in `counts`, each with a day) by participant and day, then by instant, value
    and key. Participant and day are sorted as one number; the rest only where these are tied."""
    subject, day = counts.subject[rows].astype(np.int64), counts.day[rows].astype(np.int64)
    place = subject * _SPAN + day + _MIDDLE
    order = np.argsort(place, kind="stable")
    rows, place = rows[order], place[order]
    same = place[1:] == place[:-1]
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    among = rows[tied]
    keys = (counts.key[among], counts.value[among], counts.begin[among], place[tied])
    rows[tied] = among[np.lexsort(keys)]
    return rows
