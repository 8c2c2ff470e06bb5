"""Which endpoint is computed by which module. The catalogue (`app.endpoints.catalogue`) says the
same to the web worker, which must not load these; a test holds the two together."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from app.endpoints.analyses.adverse_events import ADVERSE_EVENTS
from app.endpoints.analyses.analysis import Analysis
from app.endpoints.analyses.characteristics import BASELINE_CHARACTERISTICS
from app.endpoints.analyses.complete_remission import COMPLETE_REMISSION
from app.endpoints.analyses.ctd_activity import CTD_ACTIVITY
from app.endpoints.analyses.deviations import PROTOCOL_DEVIATIONS
from app.endpoints.analyses.disposition import DISPOSITION
from app.endpoints.analyses.exposure import EXPOSURE
from app.endpoints.analyses.grade_shift import PLATELET_GRADE_SHIFT
from app.endpoints.analyses.platelet_change import PLATELET_CHANGE
from app.endpoints.analyses.platelet_change_model import PLATELET_CHANGE_MODEL
from app.endpoints.analyses.responders import RESPONDERS
from app.endpoints.analyses.response_rate import RESPONSE_MONTH_6, RESPONSE_RATE
from app.endpoints.analyses.serious_adverse_events import SERIOUS_ADVERSE_EVENTS
from app.endpoints.analyses.sustained_response import SUSTAINED_RESPONSE
from app.endpoints.analyses.time_to_ctd_remission import TIME_TO_CTD_REMISSION
from app.endpoints.analyses.time_to_remission import TIME_TO_COMPLETE_REMISSION
from app.endpoints.analyses.trough import TROUGH_IN_RANGE

ANALYSES: Mapping[str, Analysis] = MappingProxyType(
    {
        "adverse-events": ADVERSE_EVENTS,
        "ctd-activity": CTD_ACTIVITY,
        "platelet-grade-shift": PLATELET_GRADE_SHIFT,
        "serious-adverse-events": SERIOUS_ADVERSE_EVENTS,
        "platelet-change": PLATELET_CHANGE,
        "platelet-change-model": PLATELET_CHANGE_MODEL,
        "complete-remission": COMPLETE_REMISSION,
        "response-rate": RESPONSE_RATE,
        "response-month-6": RESPONSE_MONTH_6,
        "responders": RESPONDERS,
        "sustained-response": SUSTAINED_RESPONSE,
        "time-to-complete-remission": TIME_TO_COMPLETE_REMISSION,
        "time-to-ctd-remission": TIME_TO_CTD_REMISSION,
        "exposure": EXPOSURE,
        "baseline-characteristics": BASELINE_CHARACTERISTICS,
        "disposition": DISPOSITION,
        "protocol-deviations": PROTOCOL_DEVIATIONS,
        "trough-in-range": TROUGH_IN_RANGE,
    }
)
