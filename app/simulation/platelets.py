"""The true platelet count over time (×10⁹/L): a sigmoid on the log scale from baseline to plateau.

Bounds are chosen so that visit noise can never move a participant out of the response drawn for
them: that keeps the cohort calibrated to the published rates, seed by seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from app.simulation.draws import bounded_gauss, bounded_lognormal
from app.simulation.person import Response

NOISE_LOG_DEVIATION = 0.12
NOISE_LIMIT = 1.8 * NOISE_LOG_DEVIATION
TURN_DAYS = 11.0
HIGHEST_BEFORE_TREATMENT = 95
"""Nobody with 100 or more is enrolled."""


@dataclass(frozen=True, slots=True)
class PlateletCourse:
    """Baseline, plateau, and the day half of the way (on the log scale) is done."""

    baseline: float
    plateau: float
    half_way_day: float

    def at(self, day: float) -> float:
        done = 1 / (1 + math.exp(-(day - self.half_way_day) / TURN_DAYS)) if day > 0 else 0.0
        return self.baseline * math.pow(self.plateau / self.baseline, done)


def draw_course(random: Random, response: Response) -> PlateletCourse:
    highest_baseline = 25 if response is Response.PARTIAL else 95
    baseline = bounded_lognormal(random, 32, 0.6, 2, highest_baseline)
    return PlateletCourse(
        baseline,
        _draw_plateau(random, response, baseline),
        bounded_lognormal(random, 55, 0.45, 25, 105),
    )


def measure_count(random: Random, course: PlateletCourse, day: float) -> int:
    noise = bounded_gauss(random, 0, NOISE_LOG_DEVIATION, -NOISE_LIMIT, NOISE_LIMIT)
    count = max(1, round(course.at(day) * math.exp(noise)))
    return min(count, HIGHEST_BEFORE_TREATMENT) if day <= 0 else count


def _draw_plateau(random: Random, response: Response, baseline: float) -> float:
    if response is Response.COMPLETE:
        return bounded_lognormal(random, 155, 0.15, 132, 240)
    if response is Response.PARTIAL:
        return min(baseline * 3.15, 79)
    return min(baseline * random.uniform(0.8, 1.25), 79)
