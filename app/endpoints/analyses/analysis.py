"""What an endpoint is to the statistics process: pure functions over a cohort."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from app.endpoints.answers import Answer, Input
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.members import Members


def no_inputs(_cohort: Cohort, _members: Members) -> Iterator[Input]:
    return iter(())


@dataclass(frozen=True, slots=True)
class Analysis:
    """`figures` are those of the members, also of a subgroup's; `subjects` gives `subjects` (one
    entry per participant) and `rows` (one per row that a figure may rest on, with why it does not);
    `inputs` every resource version that a figure rests on. `methods` and `notes` are told in every
    answer: how figures are computed, and what a reader could mistake."""

    figures: Callable[[Cohort, Members], Answer]
    subjects: Callable[[Cohort, Members], Answer]
    inputs: Callable[[Cohort, Members], Iterator[Input]] = no_inputs
    methods: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
