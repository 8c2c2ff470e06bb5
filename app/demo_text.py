"""What the demo shows once the cohort is fed: the primary endpoint by visit, the addresses to open,
and lines to paste for the three users."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass
from typing import Any

import httpx
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from app.simulation import Participant, build_further_count

HL7_V2 = "x-application/hl7-v2+er7"
MEANINGS = {
    "PATIENT_UNKNOWN": "of people who are not enrolled: kept encrypted, shown nowhere",
    "ANALYTIC_SUSPECT": "clumped platelets: stored and marked, not counted in an endpoint",
    "WRONG_PATIENT": "withdrawn by the laboratory: stored as entered in error",
}
ADDRESSES = (
    ("/docs", "every address, to try out (OpenAPI)"),
    ("/fhir/metadata", "what the FHIR server can do"),
    ("/fhir/ResearchStudy/SSCI", "the study"),
    ("/endpoints/platelet-change", "the figures with their inputs"),
    ("/feeds", "the feeds; quarantine at /feeds/quarantine"),
    ("/trial/subjects", "the enrolled subjects"),
    ("/health", "whether the service can answer"),
)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A participant of the cohort and the subject number they were given."""

    participant: Participant
    number: str


async def show_open_facts(client: httpx.AsyncClient, console: Console) -> None:
    """What is in quarantine or waits for a person's eye, by reason."""
    feeds = (await fetch(client, "/feeds"))["feeds"]
    numbers = Counter[str]()
    for feed in feeds:
        numbers.update(feed["open"])
    console.print("\n[bold]What did not simply go in[/bold] (facts, by reason)")
    if not numbers:
        console.print("  nothing")
    for reason, number in sorted(numbers.items()):
        console.print(f"  {number:5}  {reason:17} {MEANINGS.get(reason, '')}", soft_wrap=True)


async def show_figures(client: httpx.AsyncClient, console: Console) -> None:
    """The primary endpoint, by visit."""
    answer = await fetch(client, "/endpoints/platelet-change")
    definition, figures = answer["definition"], answer["figures"]
    console.print(f"\n[bold]{definition['title']}[/bold] ({figures['unit']}, synthetic data)")
    console.print(
        f"{answer['population']['name']} population, n = {answer['population']['n']};"
        f" definition {definition['version']}; as known at {answer['asOf']}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(build_table(figures["baseline"], figures["visits"]))


def build_table(baseline: dict[str, Any], visits: list[dict[str, Any]]) -> Table:
    """A row per visit: counts, the change from baseline with its interval, and the test."""
    table = Table(box=SIMPLE, pad_edge=False, caption="p: Wilcoxon signed-rank test of the change")
    table.add_column("visit", no_wrap=True)
    for heading in ("n", "missing", "median (Q1–Q3)", "mean change (95 % CI)", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row(
        "Baseline",
        str(baseline["n"]),
        str(baseline["missing"]["n"]),
        _quartiles(baseline["observed"]),
        "",
        "",
    )
    for visit in visits:
        table.add_row(
            visit["label"],
            str(visit["n"]),
            str(visit["missing"]["n"]),
            _quartiles(visit["observed"]),
            _interval(visit["change"]),
            _probability(visit["tests"]["signedRank"]["p"]),
        )
    return table


def show_addresses(console: Console, address: str) -> None:
    console.print("\n[bold]Open[/bold]")
    for path, text in ADDRESSES:
        console.print(f"  {address}{path:27} {text}", highlight=False, soft_wrap=True)


async def show_requests(client: httpx.AsyncClient, console: Console, enrolled: Enrolled) -> None:
    """Lines for a shell, one block per user."""
    address = str(client.base_url).rstrip("/")
    observation = f"{address}/fhir/Observation"
    corrected = await _corrected_observation(client)
    blocks = {
        "The hospital sends a result": [hospital_line(address, enrolled.participant)],
        "The EDC fetches a subject's laboratory results, and polls for what is new": [
            curl(
                f"{observation}?patient={enrolled.number}&category=laboratory&_sort=-date&_count=3"
            ),
            curl(f"{observation}?_lastUpdated=ge2000-01-01&_sort=_lastUpdated&_count=3"),
        ],
        "The auditor follows a corrected result, and asks for an earlier data cut": [
            curl(f"{observation}/{corrected}/_history"),
            curl(f"{address}/fhir/Provenance?target=Observation/{corrected}"),
            curl(f"{address}/endpoints/platelet-change?cutoff=2018-06-30"),
        ],
    }
    for title, lines in blocks.items():
        console.print(f"\n[bold]{title}[/bold]")
        for line in lines:
            console.print(line, soft_wrap=True, highlight=False, markup=False)
    console.print("\nAdd  | python3 -m json.tool  to see an answer laid out.")


def hospital_line(address: str, participant: Participant) -> str:
    """A new count for the participant, as the laboratory system would send it."""
    message = build_further_count(participant)
    text = message.payload.decode("utf-8")
    for character, escaped in (("\\", "\\\\"), ("%", "%%"), ("\r", "\\r")):
        text = text.replace(character, escaped)
    return (
        f"printf {shlex.quote(text)} | curl -s --data-binary @-"
        f" -H 'Content-Type: {HL7_V2}' -H 'Accept: application/json'"
        f" {address}/feeds/{message.feed}/hl7v2"
    )


def curl(address: str) -> str:
    return f"curl -s {shlex.quote(address)}"


async def fetch(client: httpx.AsyncClient, path: str) -> Any:
    answer = await client.get(path)
    answer.raise_for_status()
    return answer.json()


async def _corrected_observation(client: httpx.AsyncClient) -> str:
    """One with a history, if there is any."""
    for query in ("status=corrected", "_sort=-date"):
        found = await fetch(client, f"/fhir/Observation?{query}&_count=1")
        for entry in found.get("entry", []):
            return str(entry["resource"]["id"])
    return "none"


def _quartiles(summary: dict[str, Any]) -> str:
    median, q1, q3 = (_number(summary[key], "g") for key in ("median", "q1", "q3"))
    return f"{median} ({q1}–{q3})"


def _interval(summary: dict[str, Any]) -> str:
    low, high = _number(summary["ciLow"]), _number(summary["ciHigh"])
    return f"{_number(summary['mean'], '+.1f')} ({low} to {high})"


def _number(value: float | None, form: str = ".1f") -> str:
    return "–" if value is None else f"{value:{form}}"


def _probability(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
