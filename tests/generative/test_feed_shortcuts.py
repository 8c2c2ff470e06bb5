"""The short cuts of a message's way end where the long way does."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import SsciError
from app.fhir import Validator, copy_json, meets_profile
from app.fhir.profiles.checking import check_profile
from app.mappings.context import Context
from app.mappings.facts import Fact, Source
from app.mappings.formats.decoders import DECODERS
from app.mappings.formats.hl7v2.er7 import Message, parse_message
from app.mappings.formats.hl7v2.results import read_orders
from app.mappings.frame import (
    HEADER,
    Frames,
    Span,
    _find_lines,
    _join_continuations,
    find_frames,
    find_segments,
)
from app.mappings.ledger.leaves import build_ledger, list_entries
from app.mappings.rules.results import is_left_out, map_orders
from app.mappings.subjects import resolve
from app.trial.claims import study_profiles
from tests.feed_support import (
    FEED_KEYS,
    LIS,
    PLT,
    SUBJECT,
    map_bytes,
    message,
    msh,
    obr,
    obx,
    oru,
    pid,
    site,
)
from tests.fhir_support import open_validator

CODES = (PLT, "WBC^白细胞^99MRC", "WBC^^99MRC^6690-2^^LN", "PLT-AGG^^99MRC", "??^x^L", "")
TEXTS = st.text(st.sampled_from("a1 ^~&\\|聚集未见\r"), max_size=8)


@st.composite
def blood_counts(draw: st.DrawFn) -> bytes:
    """Collected and not collected results with odd fields, which may tell of clumps."""
    results = [
        obx(
            draw(st.sampled_from(CODES)),
            draw(st.sampled_from(["38", "聚集", "未见聚集", "1O2", "", " ", "+"])),
            draw(st.sampled_from(["10*9/L", "10^9/L", "", "%"])),
            f2=draw(st.sampled_from(["NM", "ST", ""])),
            f4=str(n),
            f8=draw(st.sampled_from(["", "L~H", "A", " "])),
            f11=draw(st.sampled_from(["F", "P", "C", "N", "Z", ""])),
            f14=draw(st.sampled_from(["", "20190314080000+0800", "x"])),
            f17=draw(TEXTS),
        )
        for n in range(draw(st.integers(1, 5)))
    ]
    return message(msh(), pid(), obr(), obx(f14="20190314080000+0800"), *results)


@given(blood_counts())
@settings(max_examples=150, deadline=None)
def test_results_that_are_not_collected_are_the_same_facts_when_read_in_brief(data: bytes) -> None:
    read = parse_message(data, "utf-8")
    assert isinstance(read, Message)
    source = Source(LIS, "0" * 64, datetime(2019, 3, 15, tzinfo=UTC), site().version)
    context = Context(site(), site().feeds[LIS], FEED_KEYS.result_hmac, source)
    whom = dict.fromkeys(read.segments, SUBJECT) | {None: resolve(None, None)}

    def mapped(*, brief: bool) -> list[Fact]:
        orders = read_orders(
            read, lambda codings, panel: brief and is_left_out(codings, panel, context)
        )
        return map_orders(orders, context, whom)

    assert mapped(brief=True) == mapped(brief=False)


@given(blood_counts())
@settings(max_examples=150, deadline=None)
def test_leaves_that_are_only_counted_are_as_many_as_are_listed(data: bytes) -> None:
    setting = site().feeds[LIS]
    read, facts = DECODERS["hl7v2"].read(data, setting, site()), map_bytes(data)
    ledger, entries = build_ledger(read, facts, setting), list_entries(read, facts, setting)
    assert ledger is not None
    assert entries is not None
    kinds = [entry.verdict.kind for entry in entries]
    counted = (ledger.mapped, ledger.carried, ledger.ignored, ledger.unexplained)
    assert counted == tuple(map(kinds.count, ("mapped", "carried", "ignored", "unexplained")))


PIECES = st.sampled_from(
    ["MSH|^~\\&|A", "PID|1", "OBX|1|NM", "obx|2", "NTE", "ZZZ|", "free text", "", " ", "BHS|x",
     "\x1c", "OBX|1\x00", "MSH", "\n", "\r\n", " PID|2", "XMSH|"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=8), st.sampled_from(["\r", "\n", "\r\n"]))
@settings(max_examples=600)
def test_segments_are_cut_the_same_way_where_nothing_is_odd(pieces: list[str], end: str) -> None:
    data = ("MSH|^~\\&|B\r" + end.join(pieces)).encode()
    start, separator = data.find(b"MSH"), b"|"
    assert find_segments(data) == _join_continuations(data, _find_lines(data, start), separator)


@given(st.lists(PIECES, max_size=6), st.sampled_from(["\r", "\n"]))
@settings(max_examples=600)
def test_one_message_is_found_the_same_way_where_nothing_is_odd(
    pieces: list[str], end: str
) -> None:
    body = end.join(pieces).encode()
    names = [found.group(1) for found in HEADER.finditer(body)]
    found = find_frames(body)
    assert (len(found.messages), len(found.envelope)) == (
        names.count(b"MSH"),
        len(names) - names.count(b"MSH"),
    )
    if names == [b"MSH"]:
        assert found == Frames((Span(0, len(body)),), ())


OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "meta": {"security": [{"system": "urn:x:s", "code": "HTEST"}]},
    "extension": [{"url": "urn:x:e", "valueString": "1"}],
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "777-3", "display": "Platelets"}]},
    "category": [{"coding": [{"system": "urn:x:c", "code": "laboratory"}], "text": "Laboratory"}],
    "subject": {"reference": "Patient/SSCI-001"},
    "interpretation": [{"coding": [{"system": "urn:x:i", "code": "H"}]}],
}
SPOILT = st.sampled_from([None, "", " ", 1, True, [], {}, [{}], "x y", {"code": ""}])


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all elements of a resource."""
    items = (
        node.items() if isinstance(node, dict) else enumerate(node if type(node) is list else ())
    )
    return [*([path] if path else []), *(p for key, n in items for p in places(n, (*path, key)))]


@given(st.sampled_from(places(OBSERVATION)), SPOILT)
@settings(max_examples=300, deadline=None)
def test_what_was_found_right_before_hides_nothing_that_is_wrong(
    path: tuple[Any, ...], value: Any
) -> None:
    spoilt = copy_json(OBSERVATION)
    node = spoilt
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    assert refusal(experienced(), spoilt) == refusal(open_validator(), spoilt)


_EXPERIENCED: list[Validator] = []


def experienced() -> Validator:
    """One that has seen the right resource before, and all that was spoilt so far."""
    if not _EXPERIENCED:
        _EXPERIENCED.append(open_validator())
    _EXPERIENCED[0].validate(copy.deepcopy(OBSERVATION), "Observation")
    return _EXPERIENCED[0]


def refusal(validator: Validator, resource: dict[str, Any]) -> Any:
    try:
        validator.validate(resource, "Observation")
    except SsciError as refused:
        return refused.category, refused.issues
    return None


@pytest.mark.parametrize("data", [oru(), oru(value="340"), oru(status="P"), oru(status="X")])
def test_a_profile_is_met_where_nothing_is_found_that_breaks_it(data: bytes) -> None:
    resources = [f.candidate.resource for f in map_bytes(data) if f.candidate]
    for profile in study_profiles().values():
        for resource in [*resources, OBSERVATION, {"resourceType": profile.type}]:
            assert meets_profile(profile, resource) == (not check_profile(profile, resource))
