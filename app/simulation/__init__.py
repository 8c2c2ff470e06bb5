"""Synthetic participants for the demo, tests and load runs: the same seed gives the same bytes.

Pure: no clock, no files, no network; one participant at a time, so that a hundred thousand fit in
memory. Nothing here is a real person's; nothing here is read by the service itself."""

from app.simulation.bundles import build_bundle
from app.simulation.case_report_forms import CRF, build_case_report_forms
from app.simulation.enrolment import build_enrolment
from app.simulation.feeds import LIS, PHARMACY, Message, build_further_count, build_messages
from app.simulation.participant import Participant, simulate_participants
from app.simulation.person import Person

__all__ = [
    "CRF",
    "LIS",
    "PHARMACY",
    "Message",
    "Participant",
    "Person",
    "build_bundle",
    "build_case_report_forms",
    "build_enrolment",
    "build_further_count",
    "build_messages",
    "simulate_participants",
]
