"""The protocol file: every value has its source; a bad entry is told by file, key and reason."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.errors import SsciError
from app.trial import load_protocol, parse_protocol
from app.trial.protocol_file import PROTOCOL_FILE

TEXT = PROTOCOL_FILE.read_text("utf-8")


def altered(old: str, new: str) -> str:
    assert TEXT.count(old) >= 1
    return TEXT.replace(old, new, 1)


def problems(text: str) -> str:
    with pytest.raises(SsciError) as raised:
        parse_protocol(text)
    assert raised.value.http_status == 500  # the service must not start
    return str(raised.value)


def test_visits_have_their_windows():
    visits = load_protocol().visits
    assert [(v.code, v.target, v.low, v.high, v.tolerance) for v in visits] == [
        ("M1", 30, 1, 45, 7),
        ("M2", 61, 46, 91, 7),
        ("M4", 122, 92, 152, 14),
        ("M6", 183, 153, 274, 14),
        ("M12", 365, 275, 425, 30),
    ]


def test_the_study_record_s_primary_endpoint_is_the_default():
    definition = load_protocol().endpoints["platelet-change"]
    assert (definition.role, definition.source, definition.version) == ("primary", "S", "1.0.0")


def test_the_other_sources_primary_endpoints_are_definitions_of_their_own():
    endpoints = load_protocol().endpoints.values()
    elsewhere = {(each.id, each.source) for each in endpoints if each.role == "primary-elsewhere"}
    assert elsewhere == {("complete-remission", "R"), ("response-month-6", "P")}


def test_assumed_values_that_a_definition_reads_are_among_its_assumptions():
    told = " ".join(load_protocol().endpoints["platelet-change"].assumptions)
    assert "baseline: window = 28 d" in told
    assert "visits.M12: target = 365 d, low = 275 d, high = 425 d, tolerance = 30 d" in told
    assert "trough" not in told


def test_an_assumption_follows_its_value():
    text = altered("window = { value = 28", "window = { value = 21")
    told = " ".join(parse_protocol(text).endpoints["platelet-change"].assumptions)
    assert "baseline: window = 21 d" in told


def test_every_value_has_a_source_mark():
    marks = load_protocol().marks
    assert {mark.source for mark in marks.values()} == {"S", "R", "P", "L", "A"}
    assert marks["trough.low"].source == "S"
    assert marks["visits.M6.low"].source == "A"
    assert marks["contradictions.primary-endpoint.statements.2"].source == "P"


def test_platelet_rich_plasma_and_estimates_are_no_platelet_counts():
    counted = load_protocol().measurements["platelets"].counted
    assert "777-3" in counted
    assert counted.isdisjoint({"74775-8", "49497-1", "13056-7"})


def test_unit_factors_are_exact():
    factors = load_protocol().measurements["platelets"].conversions
    assert factors["/uL"] == Decimal("0.001")
    assert factors["10*3/uL"] == 1


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            'target = { value = 30, unit = "d", source = "A" }',
            'target = { value = 30, unit = "d" }',
            "protocol.toml: visits.M1.target: has no source mark",
        ),
        (
            'target = { value = 30, unit = "d", source = "A" }',
            'target = { value = 30, unit = "d", source = "Z" }',
            "visits.M1.target: source must be one of S, R, P, L, A",
        ),
        (
            'target = { value = 30, unit = "d", source = "A" }',
            'target = { value = "30", unit = "d", source = "A" }',
            "visits.M1.target: must be a whole number",
        ),
        (
            'target = { value = 30, unit = "d", source = "A" }',
            'target = { value = true, unit = "d", source = "A" }',
            "visits.M1.target: must be a whole number",
        ),
        (
            'target = { value = 30, unit = "d", source = "A" }',
            'target = { value = -3, unit = "d", source = "A" }',
            "visits.M1.target: must not be negative",
        ),
        (
            'target = { value = 30, unit = "d", source = "A" }',
            'target = { value = 30, unit = "wk", source = "A" }',
            "visits.M1.target: must have the unit d",
        ),
        (
            'target = { value = 30, unit = "d", source = "A" }',
            'target = { value = 30, unit = "d", source = "A", why = "so" }',
            "visits.M1.target.why: is not a known key",
        ),
        (
            'target = { value = 30, unit = "d", source = "A" }',
            'target = { unit = "d", source = "A" }',
            "visits.M1.target.value: is missing",
        ),
        (
            'target = { value = 30, unit = "d", source = "A" }',
            "target = 30",
            "visits.M1.target: must be a table with value and source",
        ),
        (
            'target = { value = 30, unit = "d", source = "A" }',
            'target = { value = 99, unit = "d", source = "A" }',
            "visits.M1.target: must lie in the window 1-45",
        ),
        (
            "low = { value = 46",
            "low = { value = 45",
            "visits.M2.low: the window 45-91 overlaps or precedes that of M1, 1-45",
        ),
        ('code = "M2"', 'code = "M1"', "visits.M1: is there twice"),
        ('label = "Month 1"\n', "", "visits.M1.label: is missing"),
        ('label = "Month 1"', 'label = "Month 1"\nroom = 5', "visits.M1.room: is not a known key"),
        ("[trough]", "[troughs]", "trough: is missing"),
        ("[trough]", "[troughs]", "troughs: is not a known key"),
        (
            'source = "L", note = "LOINC" }',
            'source = "L" }',
            "measurements.platelets.codes.777-3: names no standard or method in its note",
        ),
        (
            '{ unit = "10*3/uL", factor = 1,',
            '{ unit = "10*3/uL", factor = 0,',
            "measurements.platelets.conversions.10*3/uL.factor: must be above 0",
        ),
        (
            '{ unit = "10*3/uL", factor = 1,',
            '{ unit = "10*3/uL", factor = inf,',
            "measurements.platelets.conversions.10*3/uL.factor: must be a finite number",
        ),
        (
            '{ unit = "10*9/L", factor = 1,',
            '{ unit = "10*9/L", factor = 2,',
            "measurements.platelets.conversions: the canonical unit 10*9/L must have factor 1",
        ),
        ('code = "29247-4"', 'code = "777-3"', "LOINC 777-3 counts as more than one kind"),
        (
            "low = { value = 6, unit",
            "low = { value = 16, unit",
            "trough.low: must be below high",
        ),
        (
            'population = "efficacy"',
            'population = "everyone"',
            "endpoints.platelet-change|1.0.0.population: must be one of enrolled",
        ),
        (
            '  "baseline",',
            '  "basline",',
            "endpoints.platelet-change|1.0.0.reads: basline is no part of the protocol",
        ),
        (
            'response_rule = "REGISTRY"',
            'response_rule = "OTHER"',
            "endpoints.complete-remission|1.0.0.response_rule: must be one of REGISTRY",
        ),
        (
            'role = "primary-elsewhere"',
            'role = "primary"',
            "endpoints: exactly one default definition must be primary",
        ),
        (
            'value = ["M6", "M12"]',
            'value = ["M6", "M9"]',
            "response.sustained_visits: M9 is not a visit",
        ),
        (
            'change = { value = "hypothetical"',
            'change = { value = "wishful"',
            "intercurrent_events.rescue.change: must be one of hypothetical",
        ),
    ],
)
def test_a_bad_entry_is_told_by_file_key_and_reason(old: str, new: str, told: str):
    assert told in problems(altered(old, new))


def test_the_same_endpoint_may_have_a_second_version_beside_the_default():
    first = TEXT.index("[[endpoints]]")
    second = TEXT.index("[[endpoints]]", first + 1)
    copy = (
        TEXT[first:second]
        .replace('"1.0.0"', '"1.1.0"')
        .replace("default = true", "default = false")
    )
    protocol = parse_protocol(TEXT + "\n" + copy)
    versions = [each.version for each in protocol.endpoint_versions if each.id == "platelet-change"]
    assert versions == ["1.0.0", "1.1.0"]
    assert protocol.endpoints["platelet-change"].version == "1.0.0"


def test_all_problems_are_told_at_once():
    text = altered('label = "Month 1"\n', "").replace(
        "low = { value = 6, unit", "low = { value = 16, unit"
    )
    told = problems(text)
    assert "visits.M1.label" in told
    assert "trough.low" in told


def test_what_is_not_toml_is_told_with_its_line():
    told = problems("version = 1\nversion = 2\n")
    assert "protocol.toml: " in told
    assert "line 2" in told
