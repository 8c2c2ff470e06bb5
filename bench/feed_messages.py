"""Blood counts as a laboratory sends them, and the invented people whom they are about."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

SUBJECTS = 60
PLATELETS = "PLT^血小板计数^99MRC"


def mrn_of(n: int) -> str:
    return f"B{n % SUBJECTS:09d}"


def enrolment(n: int) -> dict[str, Any]:
    """A body of `POST /trial/subjects`."""
    criteria = ("age", "platelets", "ctd", "refractory", "consent")
    met = {criterion: {"answer": "met"} for criterion in criteria}
    return {
        "mrn": mrn_of(n),
        "name": f"Bench {n}",
        "gender": "female",
        "birthDate": "1979-05-04",
        "consentDate": "2017-09-01",
        "diagnosis": "SLE",
        "eligibility": {**met, "treatment-naive": {"answer": "not-met"}},
        "synthetic": True,
    }


def blood_count(n: int, run: str, *, collected: bool) -> bytes:
    """An ORU^R01 with twenty OBX of the PUMCH dictionary: one is collected by the protocol, the
    others are not; or with twenty platelet counts, all collected."""
    day = f"2019{1 + n // 28 % 12:02d}{1 + n % 28:02d}"
    at, order = f"{day}080000+0800", f"L{run}{n}"
    codes = [PLATELETS] * 20 if collected else _codes()
    lines = [
        f"MSH|^~\\&|LIS|PUMCH|SSCI|PUMCH|{day}101500+0800||ORU^R01^ORU_R01|B{run}{n}|P|2.5.1"
        "||||||UNICODE UTF-8",
        f"PID|1||{mrn_of(n * 7)}^^^PUMCH^MR||Bench {n * 7 % SUBJECTS}",
        f"OBR|1|P-{order}|{order}|CBC^血常规^99MRC|||{at}{'|' * 15}{at}|||F",
        *(
            f"OBX|{i}|NM|{code}|{i}|{30 + n % 70}|10*9/L|||||F|||{at}"
            for i, code in enumerate(codes, start=1)
        ),
    ]
    return "".join(f"{line}\r" for line in lines).encode()


def _codes() -> Sequence[str]:
    text = files("app.mappings").joinpath("sites/pumch/tests.csv").read_text("utf-8-sig")
    rows = [row for row in csv.DictReader(text.splitlines()) if row["system"] == "99MRC"]
    own = [row for row in rows if row["feed"] == "pumch-lis"]
    others = {row["code"]: row["local_display"] for row in own if row["role"] == "not-collected"}
    return [PLATELETS, *(f"{code}^{name}^99MRC" for code, name in others.items())][:20]
