"""Sirolimus: the daily doses, the level before each dose, and the titration by level.

Two exponentials whose areas add up to dose/clearance, so that the average level is what the
published clearance says while the terminal half-life is the published one. Apparent clearance
208 ± 95 mL/h/kg, half-life 62 h: https://doi.org/10.1016/S0009-9236(97)90096-3
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from random import Random

from app.simulation.draws import bounded_lognormal

TROUGH_LOW = 6.0
TROUGH_HIGH = 15.0
LOADING_DAYS = 3
LOADING_MG = 2.0
STARTING_MG = 1.0
LOWEST_MG, HIGHEST_MG = 1.0, 4.0

TERMINAL_RATE = math.log(2) / 62.0
DISTRIBUTION_RATE = math.log(2) / 6.0
TERMINAL_SHARE = 0.8
RESIDUAL_LOG_DEVIATION = 0.15


@dataclass(frozen=True, slots=True)
class Kinetics:
    """What the body still holds of all doses so far, as two falling levels (ng/mL)."""

    clearance_ml_h: float
    terminal: float = 0.0
    distribution: float = 0.0

    @property
    def level(self) -> float:
        return self.terminal + self.distribution

    def after_dose(self, mg: float) -> Kinetics:
        area = mg * 1e6 / self.clearance_ml_h
        return replace(
            self,
            terminal=self.terminal + area * TERMINAL_SHARE * TERMINAL_RATE,
            distribution=self.distribution + area * (1 - TERMINAL_SHARE) * DISTRIBUTION_RATE,
        )

    def after_hours(self, hours: float) -> Kinetics:
        return replace(
            self,
            terminal=self.terminal * math.exp(-TERMINAL_RATE * hours),
            distribution=self.distribution * math.exp(-DISTRIBUTION_RATE * hours),
        )


@dataclass(frozen=True, slots=True)
class DoseDay:
    """One day: the measured level before the dose (None where no blood was drawn), the dose."""

    day: int
    mg: float
    level: float | None


def draw_kinetics(random: Random, weight_kg: float) -> Kinetics:
    return Kinetics(weight_kg * bounded_lognormal(random, 189, 0.435, 90, 420))


def simulate_doses(
    random: Random, kinetics: Kinetics, level_days: frozenset[int], last_day: int
) -> tuple[DoseDay, ...]:
    """Every day from 0 to `last_day`: levels on `level_days` decide the dose from that day on."""
    prescribed, history = STARTING_MG, []
    for day in range(last_day + 1):
        level = _measure(random, kinetics) if day in level_days else None
        if level is not None and day >= LOADING_DAYS:
            prescribed = _titrate(random, prescribed, level)
        mg = LOADING_MG if day < LOADING_DAYS else prescribed
        history.append(DoseDay(day, mg, level))
        kinetics = kinetics.after_dose(mg).after_hours(24)
    return tuple(history)


def _measure(random: Random, kinetics: Kinetics) -> float:
    return kinetics.level * math.exp(random.gauss(0, RESIDUAL_LOG_DEVIATION))


def _titrate(random: Random, mg: float, level: float) -> float:
    """One step of 1 mg towards the range; one physician in twenty waits for the next visit."""
    if random.random() < 0.05:
        return mg
    if level < TROUGH_LOW:
        return min(mg + 1, HIGHEST_MG)
    if level > TROUGH_HIGH:
        return max(mg - 1, LOWEST_MG)
    return mg
