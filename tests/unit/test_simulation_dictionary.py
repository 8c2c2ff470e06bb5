"""What the synthetic hospital sends is what the site's dictionary knows: codes, units, statuses.

The generator and the mapper share no code, so this is where they are held against each other."""

from __future__ import annotations

import pytest

from app.mappings.dictionary.site import Site, load_site
from app.mappings.parsing.units import Unit, parse_unit
from app.simulation import LIS, PHARMACY, panel


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site("pumch")


def role_of(site: Site, panel_code: str, code: str) -> str | None:
    panel_id, _, panel_system = panel_code.split("^")
    identifier, _, system = code.split("^")
    entry = site.find_test(LIS, site.panel(LIS, panel_id, panel_system), identifier, system)
    return entry.role if entry else None


def test_platelets_and_levels_are_collected(site):
    assert role_of(site, panel.CBC_PANEL, panel.PLATELETS) == "collected"
    assert role_of(site, panel.LEVEL_PANEL, panel.SIROLIMUS_LEVEL) == "collected"


@pytest.mark.parametrize("analyte", panel.OTHER_ANALYTES, ids=lambda analyte: analyte.code)
def test_the_rest_of_the_blood_count_is_known_and_not_collected(site, analyte):
    assert role_of(site, panel.CBC_PANEL, analyte.code) == "not-collected"


def test_sirolimus_tablets_are_collected(site):
    code, _, system = panel.SIROLIMUS_TABLET.split("^")
    entry = site.find_medication(PHARMACY, code, system)
    assert entry is not None
    assert entry.role == "collected"


@pytest.mark.parametrize(("text", "factor", "decimals"), panel.OTHER_PLATELET_UNITS)
def test_each_platelet_unit_has_the_factor_that_the_mapper_reads(text, factor, decimals):
    unit = parse_unit(text, "count", {})
    assert isinstance(unit, Unit)
    assert float(unit.factor) * factor == pytest.approx(1)


@pytest.mark.parametrize("text", panel.OTHER_LEVEL_UNITS)
def test_each_level_unit_means_nanograms_per_millilitre(text):
    unit = parse_unit(text, "mass-concentration", {})
    assert isinstance(unit, Unit)
    assert unit.factor == 1


def test_control_material_is_told_by_the_ending_of_its_panel(site):
    suffixes = site.feeds[LIS].quality_control_suffixes
    assert panel.CONTROL_PANEL.split("^")[0].endswith(suffixes)
