"""A site's folder is checked before it is activated: every finding names file, line and reason."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

import pytest

from app.mappings.activation.check import check_folder, is_loinc
from app.mappings.activation.diff import compare_facts
from app.mappings.facts import Fact
from app.mappings.reasons import Failure, Reason
from tests.feed_support import map_one, oru, site


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with resources.as_file(resources.files("app.mappings").joinpath("sites", "pumch")) as shipped:
        return Path(shutil.copytree(shipped, tmp_path / "pumch"))


def change(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def findings(folder: Path) -> list[str]:
    return [str(each) for each in check_folder("pumch", folder, site()).findings]


def test_nothing_is_wrong_with_the_shipped_site(folder: Path) -> None:
    assert findings(folder) == []


@pytest.mark.parametrize("code", ["777-3", "26515-7", "12345-5", "29247-4", "58410-2"])
def test_loinc_codes_have_a_check_digit(code: str) -> None:
    number, digit = code.split("-")
    assert is_loinc(code)
    assert not is_loinc(f"{number}-{(int(digit) + 1) % 10}")


@pytest.mark.parametrize("text", ["", "777", "LP777-3", "-3", "777-33", "77７-3"])
def test_what_has_another_form_is_no_loinc_code(text: str) -> None:
    assert not is_loinc(text)


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("tests.csv", ",777-3,", ",777-8,", "tests.csv line 2: loinc: '777-8' is no LOINC"),
        ("tests.csv", ",777-3,LN,", ",777-8,LN,", "code: '777-8' is no LOINC code"),
        ("medications.csv", ",35302,", ",X35302,", "medications.csv line 2: rxnorm: 'X35302'"),
        ("medications.csv", ",L04AH01,", ",L04AH1,", "medications.csv line 2: atc: 'L04AH1'"),
        ("conditions.csv", ",M32,", ",32M,", "conditions.csv line 2: code: '32M'"),
        ("words.csv", "absent,NA,", "absent,n/a,", "words.csv line 3: says again what line 2 says"),
        ("words.csv", "error,yes,clumped", "error,maybe,clumped", "suspect: 'maybe'"),
        ("site.toml", '"hl7v2", "csv"', '"hl8", "csv"', "feeds.pumch-lis.formats: 'hl8'"),
        (
            "site.toml",
            'key_authority = "pumch-lis"',
            'key_authority = "x"',
            "must stay 'pumch-lis'",
        ),
        ("ledger.csv", "*,PID-2,", "*,PID-3x,", "ledger.csv line"),
        (
            "systems.csv",
            "code,http://loinc.org,",
            "code,loinc.org,",
            "systems.csv line 2: system: 'loinc.org' is neither a URI nor an OID",
        ),
        (
            "systems.csv",
            "code,http://loinc.org,LN,",
            "code,http://loinc.org,LOIN,",
            "systems.csv line 2: meaning: no dictionary has a code of 'LOIN'",
        ),
        (
            "systems.csv",
            "/order,filler,",
            "/order,fill,",
            "systems.csv line 21: meaning: 'fill' is none of",
        ),
        (
            "systems.csv",
            "code,2.16.840.1.113883.6.1,LN",
            "code,http://loinc.org,LN",
            "systems.csv line 3: says again what line 2 says",
        ),
        (
            "panels.csv",
            "pumch-lis,CBC,99PUMCH,CBC",
            "pumch-lis,CBC,99PUMCH,CBX",
            "panels.csv line 3: panel: no test and no order is in 'CBX'",
        ),
        (
            "columns.toml",
            'phone", ',
            'phone", "Phone ", ',
            "columns.toml line 76: ignored.direct-identifier: 'Phone ' stands twice",
        ),
        (
            "columns.toml",
            'kind = "dose"',
            'kind = "dose"\nneedful = 1',
            "columns.toml line 15: feeds.pumch-his.needful: nothing reads it",
        ),
        (
            "columns.toml",
            "[words.result.flag]",
            "[words.result.flags]",
            "columns.toml line 92: words.result.flags: no words stand for this element",
        ),
        (
            "columns.toml",
            "[words.result.flag]",
            "[colours]",
            "columns.toml line 92: colours: nothing reads it",
        ),
        ("orders.csv", ",58410-2,,", ",58410-3,,", "orders.csv line"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    folder: Path, file: str, old: str, new: str, told: str
) -> None:
    change(folder, file, old, new)
    assert any(told in each for each in findings(folder)), findings(folder)


def test_a_unit_that_needs_no_approval_is_no_approved_unit(folder: Path) -> None:
    with (folder / "units.csv").open("a", encoding="utf-8") as file:
        file.write("pumch-lis,count,10^9/L,1,,Dr X,2019-03-14,why\n")
        file.write("pumch-lis,count,109/L,1,,Dr X,14.3.2019,why\n")
    found = findings(folder)
    assert "units.csv line 2: unit: '10^9/L' is read without an approval" in found
    assert "units.csv line 3: approved_on: '14.3.2019' is no date (2019-03-14)" in found


def test_all_findings_are_told_at_once(folder: Path) -> None:
    change(folder, "tests.csv", ",777-3,", ",777-8,")
    change(folder, "medications.csv", ",35302,", ",X,")
    assert len(findings(folder)) == 2


# Differences


def test_equal_facts_do_not_differ() -> None:
    fact = map_one(oru())
    assert compare_facts(1, [fact], [fact]) == []


def test_another_value_differs_in_that_element() -> None:
    (found,) = compare_facts(7, [map_one(oru(value="38"))], [map_one(oru(value="39"))])
    assert (found.message, found.place, found.code) == (7, "OBX[1]", "PLT")
    assert "Observation.valueQuantity" in found.elements


def test_another_outcome_differs() -> None:
    fact = map_one(oru())
    failed: Fact = fact.failed(Failure(Reason.CODE_UNMAPPED, "not in the dictionary"))
    (found,) = compare_facts(7, [fact], [failed])
    assert (found.before, found.after) == ("to be stored", "quarantined: CODE_UNMAPPED")


def test_a_fact_that_is_there_no_more_differs() -> None:
    (found,) = compare_facts(7, [map_one(oru())], [])
    assert found.after == "no fact"
