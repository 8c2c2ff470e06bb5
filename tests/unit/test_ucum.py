"""Canonical values of UCUM quantities. https://ucum.org/ucum"""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import pytest

from app.fhir import ucum
from app.fhir.ucum import canonical

EQUIVALENT = """
    1      10*3/uL     1        10*9/L
    1      10*9/L      1        /nL
    150    10^9/L      150000   {platelets}/uL
    5      ug/L        5        ng/mL
    5      ng/mL       5        mg/m3
    13.5   g/dL        135      g/L
    1.50   mmol/L      1500     umol/L
    0.45   L/L         45       %
    7.6    kPa         7600     Pa
    120    mm[Hg]      15.99864 kPa
    30     /min        0.5      /s
    60     U/L         1        ukat/L
    1      U/L         1        umol/min/L
    90     min         1.5      h
    2      d           48       h
    3      wk          21       d
    37.0   Cel         98.6     [degF]
    37     Cel         310.15   K
    1      [lb_av]     453.59237 g
    2      [IU]/mL     2000     [iU]/L
    10     g/(8.h)     30       g/d
    1      10.uN.s/(cm5.m2)  1  dyn.s/(cm5.m2)
    1      [stone_av]  14       [lb_av]
"""


def rows(table: str) -> list[list[str]]:
    return [line.split() for line in table.strip().splitlines()]


@pytest.mark.parametrize("row", rows(EQUIVALENT), ids=" ".join)
def test_equivalent_quantities_have_one_canonical_form(row):
    value, unit, other_value, other_unit = row
    one = canonical(Decimal(value), unit)
    assert one is not None
    assert one == canonical(Decimal(other_value), other_unit)


DIFFERENT = """
    1  10*3/uL  1  10*6/L
    1  G/L      1  10*9/L
    1  K/uL     1  10*3/uL
    1  mmol/L   1  meq/L
    1  mmol/kg  1  mosm/kg
    1  [IU]/L   1  U/L
    1  m[Hg]    1  mm[Hg]
    1  Mg       1  mg
    1  mo       1  min
"""


@pytest.mark.parametrize("row", rows(DIFFERENT), ids=" ".join)
def test_what_only_looks_alike_stays_apart(row):
    value, unit, other_value, other_unit = row
    assert canonical(Decimal(value), unit) != canonical(Decimal(other_value), other_unit)


@pytest.mark.parametrize(
    "code",
    [
        "foo",
        "[pH]",
        "dB",
        "mCel",
        "W/Cel",
        "10*3//uL",
        "(g",
        "g/(L",
        "m^2",
        "kmin",
        "0",
        "g{",
        "/-",
        "10*999",
        "",
        "g L",
        "g" * 101,
        "m99.m99.km99.km99",
    ],
)
def test_what_is_no_unit_with_a_ratio_has_no_canonical_form(code):
    assert canonical(Decimal(1), code) is None


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1E+40000", "1E-999999"])
def test_a_number_that_could_not_be_stored_has_no_canonical_form(value):
    assert canonical(Decimal(value), "g") is None


@pytest.mark.parametrize("code", ["mg/dL", "[pH]", "dB", "10*3/uL", "{score}", "%[slope]"])
def test_codes_without_a_ratio_are_units_too(code):
    assert ucum.is_unit(code)


@pytest.mark.parametrize("code", ["mgg", "m[pH]", "", "K per L"])
def test_other_words_are_no_units(code):
    assert not ucum.is_unit(code)


def test_rounding_happens_once_so_that_thirds_are_equal_too():
    assert canonical(Decimal("1"), "/min") == canonical(Decimal("60"), "/h")
    assert canonical(Decimal("10"), "/[degF]") is None
    assert canonical(Decimal("98.7"), "[degF]") != canonical(Decimal("98.8"), "[degF]")


def test_the_key_names_base_units():
    assert canonical(Decimal(1), "10*9/L") == (Decimal("1E12"), "m-3")
    assert canonical(Decimal(40), "%") == (Decimal("0.4"), "1")
    assert canonical(Decimal(1), "mg/dL") == (Decimal(10), "g.m-3")


def test_the_daily_atoms_mean_what_the_table_of_ucum_says():
    own = {"mol", "eq", "osm"}
    daily, official = ucum._daily_atoms(), ucum._rare_atoms()
    for name in daily.keys() & official.keys() - own:
        assert daily[name].metric == official[name].metric, name
        assert ucum._unit_of_atom(name, daily[name]) == ucum._unit_of_atom(name, official[name])


def test_no_atom_of_ucum_is_mistaken_for_a_prefix_and_another_atom():
    for name, atom in ucum._rare_atoms().items():
        if name not in ucum._daily_atoms():
            assert ucum._unit_of_symbol(name) == ucum._unit_of_atom(name, atom), name


def test_daily_units_cost_no_import_of_a_unit_library():
    code = (
        "import sys; from decimal import Decimal; from app.fhir.ucum import canonical;"
        "canonical(Decimal(1), '10*9/L'); canonical(Decimal(1), '[stone_av]');"
        "sys.exit('pint' in sys.modules or 'ucumvert' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
