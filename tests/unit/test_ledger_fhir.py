"""The coverage ledger of FHIR documents: each value by its pointer, what became of it and why.
https://hl7.org/fhir/R4/json.html"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pytest

from app.fhir import dump_json, load_registry, parse_json
from app.fhir.rules import RuleBook
from app.mappings.formats.decoders import DECODERS
from app.mappings.formats.fhir import bundle as bundles
from app.mappings.formats.fhir import patients
from app.mappings.formats.fhir.decoder import EXAMPLE
from app.mappings.formats.fhir.reads import fhir_reads
from app.mappings.formats.fhir.results import ABSENT
from app.mappings.formats.fhir.shapes import find_wrong
from app.mappings.ledger.entries import BUILT_IN
from app.mappings.ledger.leaves import list_entries
from app.mappings.ledger.rules import LedgerRow, build_rules
from app.simulation import simulate_participants
from app.simulation.bundles import build_bundle
from tests.feed_support import HIS, LIS, MRN, map_bytes, site
from tests.fhir_feed_support import (
    CODES,
    PLACERS,
    SPECIMENS,
    TESTS,
    Resource,
    administration,
    concept,
    condition,
    dump,
    encounter,
    identifier,
    observation,
    patient,
    prescription,
    quantity,
    report,
)
from tests.fhir_feed_support import bundle as pack
from tests.ledger_support import assert_each_once, leaves_of, told, unexplained


def bundle(*resources: Resource, **more: Any) -> bytes:
    """A Bundle of resources without the elements that are None."""
    return pack(*(but(each) for each in resources), **more)


def but(resource: Resource) -> Resource:
    return {key: value for key, value in resource.items() if value is not None}


TYPED = {
    "type": concept("http://terminology.hl7.org/CodeSystem/v2-0203", "FILL"),
    "value": "L1",
}
SPECIMEN = {
    "resourceType": "Specimen",
    "id": "S",
    "identifier": [identifier(SPECIMENS, "S1")],
    "accessionIdentifier": identifier(SPECIMENS, "S2"),
    "collection": {"collectedDateTime": "2019-03-14T08:00:00+08:00"},
    "type": concept("http://terminology.hl7.org/CodeSystem/v2-0487", "BLD"),
}
REQUEST = {
    "resourceType": "ServiceRequest",
    "id": "Q",
    "identifier": [TYPED, identifier(PLACERS, "P-L1")],
    "status": "active",
    "intent": "order",
    "code": concept(TESTS, "CBC"),
    "subject": {"reference": "Patient/17"},
    "authoredOn": "2019-03-14T07:00:00+08:00",
}
WHO = patient(
    name=[{"text": "测试", "family": "测", "given": ["试"], "use": "official"}],
    birthDate="1979-05-04",
    gender="female",
    telecom=[{"system": "phone", "value": "13900000000"}],
    address=[{"text": "某街1号"}],
    text={"status": "generated", "div": "<div>测试</div>"},
    extension=[{"url": "http://example.org/nation", "valueString": "某"}],
)
RICH = observation(
    performer=[{"reference": "Practitioner/1", "display": "某医生"}],
    method=concept(TESTS, "M"),
    interpretation=[concept("http://terminology.hl7.org/CodeSystem/v3", "L")],
    referenceRange=[{"low": quantity("100", "10*9/L"), "high": quantity("300", "10*9/L")}],
    note=[{"text": "标本正常", "authorString": "某"}],
    specimen={"reference": "Specimen/S"},
    basedOn=[{"reference": "ServiceRequest/Q"}],
    encounter={"reference": "Encounter/E1"},
    language="zh",
    _issued={"extension": [{"url": "http://example.org/x", "valueCode": "y"}]},
)


def part(value: Resource) -> Resource:
    return {"code": concept(TESTS, "PLT")} | value


def without_value(**more: Any) -> Resource:
    found = observation(**more)
    del found["valueQuantity"]
    return found


def of_value(**value: Any) -> Resource:
    return without_value(**value)


RANGE = {"low": {"value": 30}, "high": {"value": 40}}
RATIO = {"numerator": {"value": 1}, "denominator": {"value": 2, "comparator": "<"}}
PERIOD = {"start": "2019-03-14T08:00:00+08:00", "end": "2019-03-14T09:00:00+08:00"}
BEFORE = {"start": "2015-06", "end": "2016"}
MEDICINE = {"resourceType": "Medication", "id": "D", "code": concept(CODES, "SIR1")}
BY_REFERENCE = {"medicationReference": {"reference": "Medication/D"}}
TIMED = {
    "timing": {
        "repeat": {
            "boundsPeriod": PERIOD,
            "count": 1,
            "frequency": 1,
            "frequencyMax": 2,
            "period": 1,
            "periodMax": 2,
            "periodUnit": "d",
            "dayOfWeek": ["mon"],
        }
    },
    "asNeededBoolean": False,
    "doseAndRate": [{"doseRange": {"low": quantity("1", "mg"), "high": quantity("2", "mg")}}],
}
CODED = {"timing": {"code": concept(CODES, "QD")}, "asNeededCodeableConcept": concept(CODES, "P")}
SAID = {"timing": {"code": {"text": "QD"}}, "route": {"text": "口服"}}
PACED = {
    "timing": {
        "event": ["2019-03-14T08:00:00+08:00"],
        "repeat": {
            "boundsDuration": quantity("14", "d"),
            "countMax": 3,
            "duration": 1,
            "durationMax": 2,
            "durationUnit": "h",
            "timeOfDay": ["08:00:00"],
        },
    },
    "doseAndRate": [{"doseQuantity": quantity("2", "mg"), "rateRatio": RATIO}],
    "maxDosePerPeriod": RATIO,
    "maxDosePerAdministration": quantity("2", "mg"),
    "maxDosePerLifetime": quantity("9", "g"),
}
BOUND = {
    "timing": {"repeat": {"boundsRange": RANGE, "when": ["ACM"], "offset": 30}},
    "doseAndRate": [{"rateRange": RANGE, "doseQuantity": quantity("2", "mg")}],
}
RATED = {"doseAndRate": [{"rateQuantity": quantity("2", "mg/h") | {"comparator": "<"}}]}
COUNTED = {
    "timing": {"code": concept(CODES, "QD")},
    "doseAndRate": [{"doseRange": {"high": quantity("2", "mg")}}],
}


VALUES: Sequence[Resource] = (
    {"valueString": "<3", "interpretation": [{"text": "偏低"}]},
    {"valueInteger": 38, "interpretation": [concept("x", "L")]},
    {"valueRange": RANGE, "referenceRange": [{"low": {"value": 1}, "high": {"value": 2}}]},
    {"valueRatio": RATIO},
    {"valueCodeableConcept": {"coding": [{"code": "x"}]}},
    {"valueCodeableConcept": {"text": "x"}},
    {"dataAbsentReason": {"text": "溶血"}},
    {"dataAbsentReason": {"coding": [{"system": ABSENT, "code": "error"}]}},
)


def of_medicine(found: Resource, **more: Any) -> Resource:
    return {key: each for key, each in found.items() if key != "medicationCodeableConcept"} | more


BUNDLES: Sequence[tuple[str, bytes]] = (
    (LIS, EXAMPLE.encode()),
    (LIS, bundle(WHO, RICH, report(specimen=[{"reference": "Specimen/S"}]), SPECIMEN, REQUEST)),
    (LIS, bundle(patient(), REQUEST)),
    (LIS, bundle(patient(), {**REQUEST, "doNotPerform": True}, {**REQUEST, "intent": "plan"})),
    (LIS, bundle(patient(), without_value(component=[part({"valueQuantity": quantity("38", "1")}),
                                                     part(of_value(valueString="x"))]))),
    *((LIS, bundle(patient(), of_value(**value))) for value in (
        {"valueString": "<3"}, {"valueInteger": 38}, {"valueRange": RANGE}, {"valueRatio": RATIO},
        {"valueCodeableConcept": concept(TESTS, "x")}, {"dataAbsentReason": {"text": "溶血"}},
        {"dataAbsentReason": concept("http://terminology.hl7.org/CodeSystem/data-absent-reason",
                                     "error")},
        {"valuePeriod": PERIOD}, {"effectivePeriod": PERIOD, "effectiveDateTime": None},
    )),
    (LIS, bundle(patient(), observation(category=[concept("x", "vital")], code={"text": "x"}))),
    (LIS, bundle(patient(), observation(subject={"identifier": identifier("x", MRN),
                                                 "type": "Patient"}))),
    (LIS, bundle(patient(), observation(subject={"identifier": {"type": {"text": "MR"},
                                                                "value": MRN}}))),
    (LIS, bundle(patient(), observation(interpretation=[{"text": "偏低"}], component=[part(
        {"dataAbsentReason": {"text": "溶血"}, "referenceRange": [{"text": "100-300"}]})]))),
    (LIS, bundle(patient(), without_value(component=[part(value) for value in VALUES]))),
    (LIS, bundle(patient(), observation(), report(effectiveDateTime=None,
                                                  effectiveInstant="2019-03-14T08:00:00Z"))),
    (LIS, bundle(patient(), observation(subject={"identifier": {**TYPED, "value": MRN}},
                                        specimen={"reference": "Specimen/T"}),
                 {"resourceType": "Specimen", "id": "T",
                  "collection": {"collectedPeriod": PERIOD}})),
    (HIS, bundle(patient(), administration(effectiveDateTime=None,
                                           effectiveInstant="2019-03-14T08:00:00Z"))),
    (LIS, bundle(patient(), report(result=(), issued=None, basedOn=[{"identifier": TYPED}]))),
    (LIS, bundle(patient(), without_value(hasMember=[{"reference": "Observation/9"}], id="P"),
                 observation())),
    (LIS, bundle(patient(), observation(implicitRules="http://example.org"))),
    (LIS, bundle(patient(), observation(status=1))),
    (LIS, bundle(patient(), observation(specimen={"identifier": identifier(SPECIMENS, "S9")}))),
    (LIS, dump(observation(contained=[patient("p", name=[{"text": "测"}]), SPECIMEN],
                           subject={"reference": "#p"}, specimen={"reference": "#S"}))),
    (LIS, bundle({"resourceType": "AllergyIntolerance", "id": "1", "code": {"text": "x"}},
                 {"resourceType": "Nonsense", "id": "2"})),
    (LIS, bundle(patient(), observation(), kind="searchset", total=2, timestamp="2019-03-14",
                 link=[{"relation": "self", "url": "http://x"}], id="b",
                 meta={"lastUpdated": "2019-03-14T10:00:00Z"})),
    (LIS, bundle(observation(), kind="message", identifier={"value": "4711"})),
    (LIS, dump({"resourceType": "Bundle", "type": "collection"})),
    (LIS, dump({"resourceType": "Bundle", "type": "history", "id": "x"})),
    (LIS, dump({"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "DELETE", "url": "Patient/1"}}]})),
    (HIS, bundle(WHO, administration())),
    (HIS, bundle(patient(), of_medicine(administration(), **BY_REFERENCE, effectivePeriod=PERIOD,
                                        effectiveDateTime=None, status="not-done"), MEDICINE)),
    (HIS, bundle(patient(), administration(request={"reference": "MedicationRequest/M1"}),
                 prescription())),
    (HIS, bundle(patient(), of_medicine(prescription(dosageInstruction=[TIMED]), **BY_REFERENCE),
                 MEDICINE)),
    (HIS, bundle(patient(), prescription(dosageInstruction=[CODED]))),
    (HIS, bundle(patient(), prescription(dosageInstruction=[SAID]))),
    *((HIS, bundle(patient(), prescription(dosageInstruction=[each])))
      for each in (COUNTED, PACED, BOUND, RATED)),
    (HIS, bundle(patient(), encounter(location=[{"location": {"display": "某科"}}]))),
    (HIS, bundle(patient(), condition(identifier=[identifier("x", "1")], onsetDateTime=None,
                                      onsetPeriod=BEFORE, verificationStatus={"text": "confirmed"},
                                      recordedDate="2019-03-01"))),
    (HIS, bundle(patient(), condition(code="I10"))),
    *((LIS, dump_json(build_bundle(each))) for each in simulate_participants(2, seed=4)),
)  # fmt: skip


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("feed", "data"), BUNDLES)
def test_every_value_of_a_document_stands_once_in_the_ledger_and_none_is_unexplained(
    feed: str, data: bytes, known: bool
) -> None:
    leaves = leaves_of(data, "fhir", feed, known=known)
    assert_each_once(data, leaves)
    assert unexplained(leaves) == []
    named = {*site().feeds[feed].ledger.texts, *BUILT_IN}
    assert {each.verdict.rule for each in leaves} <= named


LAB = bundle(WHO, RICH, report(), SPECIMEN, REQUEST)


@pytest.mark.parametrize(
    ("pointer", "what"),
    [
        ("/type", "the message's type"),
        ("/entry/0/fullUrl", "references within the document"),
        ("/entry/0/resource/identifier/0/value", "Patient"),
        ("/entry/0/resource/name/0/family", "Patient"),
        ("/entry/0/resource/birthDate", "Patient.birthDate"),
        ("/entry/0/resource/gender", "Patient.gender"),
        ("/entry/0/resource/telecom/0/value", "direct-identifier"),
        ("/entry/0/resource/address/0/text", "direct-identifier"),
        ("/entry/0/resource/text/div", "narrative"),
        ("/entry/0/resource/extension/0/valueString", "unknown-extension"),
        ("/entry/1/resource/valueQuantity/value", "Observation.value[x]"),
        ("/entry/1/resource/meta/lastUpdated", "Observation.extension(result-order)"),
        ("/entry/1/resource/performer/0/display", "staff"),
        ("/entry/1/resource/method/coding/0/code", "dictionary"),
        ("/entry/1/resource/_issued/extension/0/valueCode", "unknown-extension"),
        ("/entry/1/resource/language", "server"),
        ("/entry/2/resource/identifier/0/value", "Observation.id, DiagnosticReport.id"),
        ("/entry/3/resource/identifier/0/value", "Specimen.id, Specimen.identifier"),
        ("/entry/3/resource/type/coding/0/code", "dictionary"),
        ("/entry/4/resource/code/coding/0/code", "ServiceRequest.code"),
        ("/entry/4/resource/status", "not-recorded"),
    ],
)
def test_what_became_of_a_value_and_why_is_told(pointer: str, what: str) -> None:
    assert told(leaves_of(LAB, "fhir"))[pointer] == what


def test_of_a_stranger_only_who_it_is_counts() -> None:
    leaves = leaves_of(LAB, "fhir", known=False)
    mapped = {each.path for each in leaves if each.verdict.kind == "mapped" and each.fact}
    assert "/entry/0/resource/identifier/0/value" in mapped
    assert {each.verdict.rule for each in leaves if each.path in mapped} == {"identity"}
    assert told(leaves)["/entry/1/resource/valueQuantity/value"] == "waiting"
    assert told(leaves)["/entry/3/resource/identifier/0/value"] == "waiting"


def test_each_component_has_the_end_of_its_own_fact() -> None:
    data = bundle(
        patient(),
        without_value(
            code=concept(TESTS, "CBC"),
            component=[
                part({"valueQuantity": quantity("38", "10*9/L")}),
                {"code": concept(TESTS, "WBC"), "valueQuantity": quantity("6", "10*9/L")},
            ],
        ),
    )
    found = told(leaves_of(data, "fhir"))
    value = "/entry/1/resource/component/{}/valueQuantity/value"
    assert found[value.format(0)] == "Observation.value[x]"
    assert found[value.format(1)] == "not-collected"
    assert found["/entry/1/resource/status"] == "Observation.status"


def test_a_specimen_that_nothing_refers_to_is_not_recorded() -> None:
    found = told(leaves_of(bundle(patient(), observation(), SPECIMEN), "fhir"))
    assert found["/entry/2/resource/identifier/0/value"] == "not-recorded"


def test_an_element_that_no_row_names_is_unexplained() -> None:
    data = bundle(patient(), observation(mood="x", T000000009="y"))
    leaves = leaves_of(data, "fhir")
    assert unexplained(leaves) == ["/entry/1/resource/mood", "/entry/1/resource/*"]


def test_an_entry_with_a_modifier_deep_in_it_is_in_quarantine() -> None:
    dosage = {"modifierExtension": [{"url": "http://example.org/not", "valueBoolean": True}]}
    leaves = leaves_of(bundle(patient(), prescription(dosageInstruction=[dosage])), "fhir", HIS)
    found = told(leaves)
    place = "/entry/1/resource/dosageInstruction/0/modifierExtension/0"
    assert {found[f"{place}/url"], found[f"{place}/valueBoolean"]} == {"quarantined"}


@pytest.mark.parametrize(
    "broken", [b'{"a": 1, "a": 2}', b'{"resource": {"id": 1e999999999}}', b"7"]
)
def test_an_entry_that_cannot_be_read_is_one_leaf(broken: bytes) -> None:
    sound = bundle(patient())
    data = sound.replace(b'"entry":[', b'"entry":[' + broken + b",")
    assert data != sound
    leaves = [each for each in leaves_of(data, "fhir") if each.fact == "entry[0]"]
    assert [each.verdict.rule for each in leaves] == ["quarantined"]


def test_bytes_that_are_no_document_are_one_leaf() -> None:
    (leaf,) = leaves_of(b"{", "fhir")
    assert (leaf.path, leaf.verdict.rule) == ("message", "quarantined")


def test_without_facts_a_message_is_not_processed_yet() -> None:
    setting = site().feeds[LIS]
    read = DECODERS["fhir"].read(LAB, setting, site())
    rules = {each.verdict.rule for each in list_entries(read, (), setting) or () if each.fact}
    assert rules == {"pending", "identity"}


# The declared table is what the mappers read, and all of R4 has a rule


def element_paths(book: RuleBook, kind: str, path: str = "", depth: int = 0) -> Iterator[str]:
    """The paths of R4 below a type, as deep as data types go."""
    for name, rule in book.rules(kind).rules.items():
        below = f"{path}.{name}".lstrip(".")
        if rule.lexical is not None or rule.type == "Extension" or depth > 4:
            yield below
        elif name != "contained":
            yield from element_paths(book, rule.type, below, depth + 1)


@pytest.mark.parametrize("kind", sorted(fhir_reads()))
def test_every_element_of_r4_is_read_or_left_out_by_a_named_rule(kind: str) -> None:
    rules, uses = site().feeds[LIS].ledger, fhir_reads()[kind]
    paths = list(element_paths(RuleBook(load_registry()), kind))
    left = [
        path for path in paths
        if path not in uses and not rules.rule_of_element(kind, path)
        and "modifierExtension" not in path and path != "implicitRules"
    ]  # fmt: skip
    assert left == []
    assert set(uses) - set(paths) <= {"effectiveInstant"}


class Recording(dict[str, Any]):
    """An object that writes down which of its members are asked for, by type and path."""

    asked: ClassVar[set[tuple[str, str]]] = set()
    place: tuple[str, str]

    def _ask(self, key: Any) -> None:
        kind, path = self.place
        self.asked.add((kind, f"{path}.{key}".lstrip(".")))

    def get(self, key: Any, default: Any = None) -> Any:
        self._ask(key)
        return super().get(key, default)

    def __getitem__(self, key: Any) -> Any:
        self._ask(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self._ask(key)
        return super().__contains__(key)


def recorded(value: Any, kind: str = "", path: str = "") -> Any:
    if isinstance(value, list):
        return [recorded(each, kind, path) for each in value]
    if not isinstance(value, dict):
        return value
    if "resourceType" in value:
        kind, path = str(value["resourceType"]), ""
    made = Recording(
        {key: recorded(each, kind, f"{path}.{key}".lstrip(".")) for key, each in value.items()}
    )
    made.place = (kind, path)
    return made


def unrecorded(*given: Any) -> Any:
    """Looking at shapes is no reading."""
    before = set(Recording.asked)
    found = find_wrong(*given)
    Recording.asked.clear()
    Recording.asked.update(before)
    return found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[tuple[str, str]]]:
    monkeypatch.setattr(bundles, "parse_json", lambda data: recorded(parse_json(data)))
    for module in (bundles, patients):
        monkeypatch.setattr(module, "find_wrong", unrecorded)
    Recording.asked.clear()
    yield Recording.asked
    Recording.asked.clear()


NOT_USED = {
    *((kind, "effectivePeriod.end") for kind in ("Observation", "DiagnosticReport")),
    *((kind, "collection.collectedPeriod.end") for kind in ("Specimen",)),
}
"""Asked for on the way, and not used."""
STRUCTURES = frozenset({"contained", "modifierExtension", "implicitRules"})


@pytest.mark.parametrize(("feed", "data"), BUNDLES)
def test_all_that_a_mapper_asks_for_is_declared(
    feed: str, data: bytes, asked: set[tuple[str, str]]
) -> None:
    map_bytes(data, feed, format="fhir")
    undeclared = {
        (kind, path) for kind, path in asked - NOT_USED
        if (uses := fhir_reads().get(kind))
        and not any(use == path or use.startswith(f"{path}.") for use in uses)
        and STRUCTURES.isdisjoint(path.split("."))
        and not site().feeds[feed].ledger.rule_of_element(kind, path).startswith("value-type")
    }  # fmt: skip
    assert {each for each in undeclared if exists(each)} == set()


def exists(place: tuple[str, str]) -> bool:
    """Whether R4 has the element there: mappers ask every type for what some of them have."""
    return place[1] in set(element_paths(BOOK, place[0]))


BOOK = RuleBook(load_registry())


def test_all_that_is_declared_is_asked_for_by_a_mapper(asked: set[tuple[str, str]]) -> None:
    for feed, data in BUNDLES:
        map_bytes(data, feed, format="fhir")
    tails = {tail for _, path in asked for tail in tails_of(path)}
    lacking = {
        (kind, path) for kind, uses in fhir_reads().items() for path in uses
        if "asNeededCodeableConcept" not in path  # that it is there says all
        and not (is_asked_for(kind, path, asked) and set(tails_of(path)) <= tails)
    }  # fmt: skip
    assert lacking == set()


def tails_of(path: str) -> list[str]:
    """`code.coding.system`, `coding.system`: parts of data types are asked for alike."""
    steps = path.split(".")
    return [".".join(steps[n:]) for n in range(1, len(steps))]


def is_asked_for(kind: str, path: str, asked: set[tuple[str, str]]) -> bool:
    """The element itself, by the mapper of its own type."""
    steps = path.split(".")
    known = 2 if steps[0] in ("component", "dosageInstruction", "dosage", "collection") else 1
    return (kind, ".".join(steps[:known])) in asked


def test_a_row_about_an_element_names_its_line_where_it_is_wrong() -> None:
    explained = LedgerRow(2, "rule", "not-needed", "nobody needs it")
    for row, reason in (
        (LedgerRow(3, "fhir", "Patient", "not-needed"), "line 3: place"),
        (LedgerRow(3, "fhir", "Patient.photo", "other"), "line 3: rule: 'other'"),
    ):
        with pytest.raises(ValueError, match=reason):
            build_rules([explained, row])
    twice = LedgerRow(3, "fhir", "Patient.photo", "not-needed")
    with pytest.raises(ValueError, match="named by another row too"):
        build_rules([explained, twice, twice])
