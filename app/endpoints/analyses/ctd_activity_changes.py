"""Changes of a score or a dose: pairs of baseline and visit, and their figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from app.endpoints.answers import Answer
from app.endpoints.cohort.activity import Chosen, Score
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.figures.proportions import compute_proportion
from app.endpoints.figures.summaries import compute_signed_rank, compute_summary
from app.trial import ActivityInstrument

NO_CUT = "no responder cut is defined for the instrument"


@dataclass(frozen=True, slots=True)
class Pair:
    baseline: Decimal
    value: Decimal

    @property
    def change(self) -> Decimal:
        return self.value - self.baseline


def build_pairs(
    baseline: Chosen, chosen: Chosen, places: Iterable[int], *, platelet_item: bool = True
) -> list[Pair]:
    """Of the participants with both scores; without the platelet item those where it is told."""
    found = []
    for place in places:
        if place not in baseline or place not in chosen:
            continue
        before, after = (value_of(each[place], platelet_item) for each in (baseline, chosen))
        if before is not None and after is not None:
            found.append(Pair(before, after))
    return found


def value_of(score: Score, platelet_item: bool) -> Decimal | None:
    return score.value if platelet_item else score.value_without_platelets


def summarize(cohort: Cohort, pairs: Sequence[Pair]) -> Answer:
    """Baseline, value and change of the same participants, and whether the change is about 0."""
    changes = [float(pair.change) for pair in pairs]
    return {
        "n": len(pairs),
        "baseline": compute_summary([float(pair.baseline) for pair in pairs], cohort.confidence),
        "observed": compute_summary([float(pair.value) for pair in pairs], cohort.confidence),
        "change": compute_summary(changes, cohort.confidence),
        "signedRank": compute_signed_rank(changes),
    }


def tell_changes(
    cohort: Cohort, instrument: ActivityInstrument, pairs: Sequence[Pair], with_baseline: int
) -> Answer:
    """`with_baseline`: how many have a baseline, whether or not a score at the visit."""
    told = summarize(cohort, pairs)
    cut = instrument.responder_decrease
    if cut is None:
        return told | {"responders": None, "reasons": {"responders": NO_CUT}}
    fallen = sum(pair.change <= -cut for pair in pairs)
    return told | {
        "responders": {
            "observed": compute_proportion(fallen, len(pairs), cohort.confidence),
            "assumingNoResponse": compute_proportion(fallen, with_baseline, cohort.confidence),
            "couldRespond": sum(pair.baseline >= cut for pair in pairs),
        },
        "reasons": {},
    }
