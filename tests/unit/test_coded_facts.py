"""Codes and terms that come from public terminologies say what those terminologies say.

https://ctep.cancer.gov (CTCAE 5.0) · https://loinc.org · https://atcddd.fhi.no
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from importlib import resources

import pytest

from app.mappings.crf.codes import load_terms, load_treatments
from app.mappings.resources import REPORT_STATUSES
from app.trial import load_protocol
from tests.feed_support import site

LOINC_FORM = re.compile(r"[1-9]\d{0,5}-\d")
TERMS_BY_CLASS = {
    "Blood and lymphatic system disorders": 12,
    "Cardiac disorders": 34,
    "Congenital, familial and genetic disorders": 1,
    "Ear and labyrinth disorders": 8,
    "Endocrine disorders": 14,
    "Eye disorders": 26,
    "Gastrointestinal disorders": 122,
    "General disorders and administration site conditions": 25,
    "Hepatobiliary disorders": 18,
    "Immune system disorders": 6,
    "Infections and infestations": 88,
    "Injury, poisoning and procedural complications": 79,
    "Investigations": 42,
    "Metabolism and nutrition disorders": 26,
    "Musculoskeletal and connective tissue disorders": 44,
    "Neoplasms benign, malignant and unspecified (incl cysts and polyps)": 7,
    "Nervous system disorders": 68,
    "Pregnancy, puerperium and perinatal conditions": 4,
    "Psychiatric disorders": 21,
    "Renal and urinary disorders": 23,
    "Reproductive system and breast disorders": 49,
    "Respiratory, thoracic and mediastinal disorders": 62,
    "Skin and subcutaneous tissue disorders": 39,
    "Social circumstances": 1,
    "Surgical and medical procedures": 1,
    "Vascular disorders": 17,
}


def test_every_term_of_ctcae_5_is_there_in_its_system_organ_class() -> None:
    found = Counter(each.soc for each in load_terms().values())
    assert found == TERMS_BY_CLASS
    assert found.total() == 837


def test_a_term_of_ctcae_is_told_from_every_other_by_its_code() -> None:
    assert len({each.code for each in load_terms().values()}) == 837


@pytest.mark.parametrize("term", ["Acute coronary syndrome", "Cystitis", "Spleen disorder"])
def test_a_term_that_ctcae_5_has_not_is_not_there(term: str) -> None:
    assert term not in load_terms()


def test_each_system_organ_class_has_a_term_for_what_has_none() -> None:
    others = [each.soc for each in load_terms().values() if each.display.endswith("Other, specify")]
    assert sorted(others) == sorted(TERMS_BY_CLASS)


def _rows(file: str) -> Iterator[dict[str, str]]:
    text = resources.files("app.mappings").joinpath("sites", "pumch", file).read_text("utf-8")
    yield from csv.DictReader(text.splitlines())


def _loinc_codes() -> set[str]:
    rows = [*_rows("tests.csv"), *_rows("orders.csv"), *_rows("panels.csv")]
    sent = {row["code"] for row in rows if row["system"] == "LN"}
    meant = {row.get(column, "") for row in rows for column in ("loinc", "more_loinc")}
    kinds = load_protocol().measurements.values()
    return (sent | meant | {each.code for kind in kinds for each in kind.codes}) - {""}


def test_every_loinc_code_ends_in_its_check_digit() -> None:
    assert [code for code in sorted(_loinc_codes()) if not _is_loinc(code)] == []


def _is_loinc(code: str) -> bool:
    """LOINC's check digit: modulus 10, each second digit doubled from the right."""
    if not LOINC_FORM.fullmatch(code):
        return False
    digits = [int(digit) for digit in reversed(code.partition("-")[0])]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[::2]]
    return (sum(doubled) + sum(digits[1::2]) + int(code[-1])) % 10 == 0


def test_a_loinc_code_has_one_name_in_the_protocol_and_in_the_site_data() -> None:
    names = {row["loinc"]: row["display"] for row in _rows("tests.csv") if row["display"]}
    told = [each for kind in load_protocol().measurements.values() for each in kind.codes]
    assert {each.code: names[each.code] for each in told if each.code in names} == {
        each.code: each.display for each in told if each.code in names
    }


def test_the_count_of_large_platelets_is_a_count_and_an_x_ray_is_no_plateletcrit() -> None:
    found = site().find_test("pumch-lis", "CBC", "P-LCC", "99MRC")
    assert found is not None
    assert found.loinc == "96354-6"
    assert site().find_test("pumch-lis", "CBC", "37854-7", "LN") is None


@pytest.mark.parametrize(
    ("treatment", "atc"),
    [
        ("rituximab", "L01FA01"),
        ("leflunomide", "L04AK01"),
        ("belimumab", "L04AG04"),
        ("tofacitinib", "L04AF01"),
        ("mycophenolate", "L04AA06"),
        ("avatrombopag", "B02BX08"),
    ],
)
def test_a_treatment_has_the_atc_code_in_force(treatment: str, atc: str) -> None:
    assert load_treatments()[treatment].atc == atc


def test_what_a_report_stores_unverified_is_a_partial_report() -> None:
    assert (REPORT_STATUSES["R"], REPORT_STATUSES["P"]) == ("partial", "preliminary")
