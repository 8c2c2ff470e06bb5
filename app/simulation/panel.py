"""What the hospital's dictionary of tests calls things: the blood count and the sirolimus level.

Codes and units are synthetic examples of a Chinese hospital's dictionary (system 99MRC or 99PUMCH).
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

CBC_PANEL = "CBC^血常规^99MRC"
LEVEL_PANEL = "SIRO^雷帕霉素浓度测定^99PUMCH"
CONTROL_PANEL = "CBCQCR^质控^99MRC"
PLATELETS = "PLT^血小板计数^99MRC"
SIROLIMUS_LEVEL = "SIR^雷帕霉素浓度^99PUMCH"
SIROLIMUS_TABLET = "SIR1^西罗莫司片1mg^99PUMCH"
USUAL_PLATELET_UNIT = "10*9/L"
USUAL_LEVEL_UNIT = "ng/mL"

OTHER_PLATELET_UNITS: tuple[tuple[str, float, int], ...] = (
    ("10^9/L", 1, 0),
    ("x10^9/L", 1, 0),
    ("×10^9/L", 1, 0),
    ("10⁹/L", 1, 0),
    ("×10⁹/L", 1, 0),
    ("10^9／L", 1, 0),
    ("10*3/uL", 1, 0),
    ("10^3/µL", 1, 0),
    ("G/L", 1, 0),
    ("K/uL", 1, 0),
    ("10*4/uL", 0.1, 1),
    ("万/μL", 0.1, 1),
    ("/uL", 1000, 0),
)
"""Unit text, factor from ×10⁹/L, decimals."""

OTHER_LEVEL_UNITS = ("ug/L", "µg/L", "mcg/L", "纳克/毫升")


@dataclass(frozen=True, slots=True)
class Analyte:
    """A part of the blood count that is not platelets: its usual mean, spread and decimals."""

    code: str
    unit: str
    reference: str
    mean: float
    deviation: float
    decimals: int

    def draw(self, random: Random) -> str:
        return f"{max(self.mean / 10, random.gauss(self.mean, self.deviation)):.{self.decimals}f}"


OTHER_ANALYTES: tuple[Analyte, ...] = (
    Analyte("WBC^白细胞计数^99MRC", "10*9/L", "3.50-9.50", 5.6, 1.6, 2),
    Analyte("NEUT#^中性粒细胞绝对值^99MRC", "10*9/L", "2.00-7.50", 3.6, 1.2, 2),
    Analyte("LYMPH#^淋巴细胞绝对值^99MRC", "10*9/L", "0.80-4.00", 1.4, 0.4, 2),
    Analyte("MONO#^单核细胞绝对值^99MRC", "10*9/L", "0.12-0.80", 0.4, 0.1, 2),
    Analyte("EOS#^嗜酸性粒细胞绝对值^99MRC", "10*9/L", "0.02-0.50", 0.12, 0.05, 2),
    Analyte("BASO#^嗜碱性粒细胞绝对值^99MRC", "10*9/L", "0.00-0.10", 0.02, 0.01, 2),
    Analyte("NEUT%^中性粒细胞百分比^99MRC", "%", "50.0-75.0", 63, 6, 1),
    Analyte("LYMPH%^淋巴细胞百分比^99MRC", "%", "20.0-40.0", 26, 5, 1),
    Analyte("MONO%^单核细胞百分比^99MRC", "%", "3.0-8.0", 7, 1.5, 1),
    Analyte("EOS%^嗜酸性粒细胞百分比^99MRC", "%", "0.5-5.0", 2, 0.8, 1),
    Analyte("BASO%^嗜碱性粒细胞百分比^99MRC", "%", "0.0-1.0", 0.4, 0.1, 1),
    Analyte("RBC^红细胞计数^99MRC", "10*12/L", "3.50-5.00", 4.1, 0.4, 2),
    Analyte("HGB^血红蛋白^99MRC", "g/L", "110-150", 118, 12, 0),
    Analyte("HCT^红细胞压积^99MRC", "%", "35.0-50.0", 36, 3.5, 1),
    Analyte("MCV^平均红细胞体积^99MRC", "fL", "82.0-97.0", 88, 4, 1),
    Analyte("MCH^平均红细胞血红蛋白量^99MRC", "pg", "27.0-32.0", 29, 1.5, 1),
    Analyte("MCHC^平均红细胞血红蛋白浓度^99MRC", "g/L", "320-360", 330, 9, 0),
    Analyte("RDW-CV^红细胞分布宽度^99MRC", "%", "0.0-15.0", 13.6, 1.2, 1),
    Analyte("MPV^平均血小板体积^99MRC", "fL", "6.8-13.5", 10.8, 1.1, 1),
    Analyte("PCT^血小板压积^99MRC", "%", "0.11-0.27", 0.12, 0.04, 2),
    Analyte("PDW^血小板分布宽度^99MRC", "fL", "9.8-16.2", 12.9, 1.9, 1),
)


@dataclass(frozen=True, slots=True)
class Written:
    """A value and a unit as the sending system writes them."""

    value: str
    unit: str


def write_platelets(random: Random, platelets: int) -> Written:
    """Four times in five in the usual unit."""
    if random.random() < 0.8:
        return Written(str(platelets), USUAL_PLATELET_UNIT)
    unit, factor, decimals = random.choice(OTHER_PLATELET_UNITS)
    return Written(f"{platelets * factor:.{decimals}f}", unit)


def write_level(random: Random, ng_ml: float) -> Written:
    unit = USUAL_LEVEL_UNIT if random.random() < 0.8 else random.choice(OTHER_LEVEL_UNITS)
    return Written("<2.0" if ng_ml < 2 else f"{ng_ml:.2f}", unit)
