"""Draws one plot of one endpoint as SVG or PNG."""

from __future__ import annotations

from collections.abc import Callable

from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.members import Members
from app.endpoints.plots.change import draw_change
from app.endpoints.plots.kaplan_meier import draw_complete_remission, draw_ctd_remission
from app.endpoints.plots.rates import draw_rates
from app.endpoints.plots.swimmer import draw_swimmer
from app.endpoints.plots.trough import draw_trough
from app.endpoints.plots.waterfall import draw_waterfall

Draw = Callable[[Cohort, Members, str], bytes]

PLOTS: dict[tuple[str, str], Draw] = {
    ("exposure", "swimmer"): draw_swimmer,
    ("platelet-change", "change"): draw_change,
    ("platelet-change", "waterfall"): draw_waterfall,
    ("response-rate", "rates"): draw_rates,
    ("trough-in-range", "trough"): draw_trough,
    ("time-to-complete-remission", "kaplan-meier"): draw_complete_remission,
    ("time-to-ctd-remission", "kaplan-meier"): draw_ctd_remission,
}
"""Endpoint and plot → what draws it, in a format (`svg`, `png`)."""


def draw(cohort: Cohort, plot: str, form: str) -> bytes:
    return PLOTS[cohort.request.definition.id, plot](cohort, cohort.members(), form)
