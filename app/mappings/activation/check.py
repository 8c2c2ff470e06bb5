"""Is a site's folder fit to be activated? What the start checks, and the form of every code.

LOINC check digit: https://loinc.org/kb/users-guide/loinc-database-structure (Mod 10) · ATC:
https://atcddd.fhi.no/atc/structure_and_principles · RxNorm RXCUI: digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable

from app.mappings.activation.check_columns import check_columns
from app.mappings.dictionary.code_systems import CONDITIONS, ROLES, plain
from app.mappings.dictionary.code_systems import FILE as SYSTEMS
from app.mappings.dictionary.columns import FILE as COLUMNS_FILE
from app.mappings.dictionary.site import Row, Site, SiteError, read_rows, read_site
from app.mappings.formats.decoders import DECODERS
from app.mappings.formats.decoding import check_formats
from app.mappings.parsing.units import CLASSES, Unit, normalise, parse_unit
from app.mappings.parsing.values import fold_word


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong: file, line (0 where it is about a key or the whole file), reason."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file} line {self.line}: {self.reason}" if self.line else self.reason


@dataclass(frozen=True, slots=True)
class Checked:
    """A folder's site, None where it cannot be read, and all that is wrong with it."""

    site: Site | None
    findings: tuple[Finding, ...]


def check_folder(name: str, folder: Traversable, active: Site | None = None) -> Checked:
    """All that is wrong; also what may not change against the active site."""
    findings: list[Finding] = []
    site = None
    try:
        site = read_site(name, folder)
        check_formats(site, DECODERS)
    except SiteError as problem:
        findings.append(Finding("", 0, str(problem)))
    for file, check in CHECKS.items():
        findings += _check_file(folder, file, check)
    findings += [Finding(COLUMNS_FILE, *each) for each in check_columns(folder)]
    findings += _check_uses(folder) if site is not None else ()
    findings += _check_against(site, active) if site is not None and active is not None else ()
    return Checked(site, tuple(_once(findings)))


def _once(findings: Iterable[Finding]) -> Iterator[Finding]:
    """What the start tells as well as a check is told once, with its line."""
    found = list(findings)
    placed = {f"{each.file}: {each.reason}" for each in found if each.line}
    known = {str(each) for each in found if not each.line}
    for each in found:
        if str(each) not in (known if each.line else placed):
            yield each


RowCheck = Callable[[Row], Iterator[str]]


def _check_file(folder: Traversable, file: str, check: RowCheck) -> list[Finding]:
    """A file that cannot be read was told before."""
    found: list[Finding] = []
    columns: frozenset[str] = frozenset()
    seen: dict[str, int] = {}
    try:
        for row in read_rows(folder, file):
            columns = columns or frozenset(row.cells)
            found += [Finding(file, row.line, reason) for reason in check(row)]
            found += _check_twice(file, row, seen)
    except SiteError:
        return found
    for column in sorted(columns - COLUMNS[file]):
        found.append(Finding(file, 1, f"column {column}: nothing reads it"))
    return found


def _check_twice(file: str, row: Row, seen: dict[str, int]) -> Iterator[Finding]:
    key = KEYS[file](row) if file in KEYS else ""
    if key and (line := seen.setdefault(key, row.line)) != row.line:
        yield Finding(file, row.line, f"says again what line {line} says")


KEYS: Mapping[str, Callable[[Row], str]] = {
    "words.csv": lambda row: f"{row['kind']}|{fold_word(row['word'])}",
    "units.csv": lambda row: f"{row['feed']}|{row['class']}|{normalise(row['unit'])}",
    SYSTEMS: lambda row: f"{row['kind']}|{plain(row['system'])}",
}
"""What may not stand twice in files whose lines the start does not compare."""

LOINC = re.compile(r"[0-9]{1,7}-[0-9]")
RXNORM = re.compile(r"[1-9][0-9]{0,7}")
ATC = re.compile(r"[A-Z]\d{2}[A-Z]{2}\d{2}")
ICD_10 = re.compile(r"[A-Z]\d{2}(?:\.\d{1,4})?")
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def is_loinc(code: str) -> bool:
    """Whether form and check digit are those of a LOINC code."""
    if not LOINC.fullmatch(code):
        return False
    digits, _, check = code.partition("-")
    return _mod_10(digits) == int(check)


def _mod_10(digits: str) -> int:
    """The check digit: every other digit, from the right, is doubled."""
    odd = digits[::-1][0::2]
    doubled = str(int(odd[::-1]) * 2)
    rest = digits[::-1][1::2][::-1]
    return -sum(map(int, rest + doubled)) % 10


def _check_test(row: Row) -> Iterator[str]:
    yield from _check_loinc(row, "loinc", "more_loinc")
    yield from _check_source_code(row)
    if row["role"] == "collected" and not row["display"]:
        yield "display: a collected test needs the name of its LOINC code"
    if row["role"] == "collected" and not row["usual_unit"]:
        yield "usual_unit: a collected test needs one"


def _check_order(row: Row) -> Iterator[str]:
    yield from _check_loinc(row, "loinc")
    yield from _check_source_code(row)


def _check_medication(row: Row) -> Iterator[str]:
    if row["rxnorm"] and not RXNORM.fullmatch(row["rxnorm"]):
        yield f"rxnorm: {row['rxnorm']!r} is no RXCUI"
    for column in ("atc", "atc_retired"):
        if row[column] and not ATC.fullmatch(row[column]):
            yield f"{column}: {row[column]!r} is no ATC code of the fifth level"
    if row["role"] == "collected" and not row["display"]:
        yield "display: a collected medication needs a name"
    yield from _check_source_code(row)


def _check_condition(row: Row) -> Iterator[str]:
    if row["system"].startswith("I10") and not ICD_10.fullmatch(row["code"]):
        yield f"code: {row['code']!r} is no ICD-10 code"
    if not row["display"]:
        yield "display: a diagnosis needs its name"


def _check_unit(row: Row) -> Iterator[str]:
    if row["class"] not in CLASSES:
        return
    if not row["unit"]:
        yield "unit: is empty"
    if row["approved_on"] and not DATE.fullmatch(row["approved_on"]):
        yield f"approved_on: {row['approved_on']!r} is no date (2019-03-14)"
    if isinstance(parse_unit(row["unit"], row["class"], {}), Unit):
        yield f"unit: {row['unit']!r} is read without an approval"


def _check_word(row: Row) -> Iterator[str]:
    if not row["word"]:
        yield "word: is empty"
    if row["suspect"] not in ("", "yes"):
        yield f"suspect: {row['suspect']!r} is neither yes nor empty"
    if row["kind"] != "absent" and row["code"]:
        yield "code: only words for absent values have one"


def _check_loinc(row: Row, *columns: str) -> Iterator[str]:
    for column in columns:
        if row[column] and not is_loinc(row[column]):
            yield f"{column}: {row[column]!r} is no LOINC code (form or check digit)"


def _check_source_code(row: Row) -> Iterator[str]:
    """A source code that claims to be of a public system has that system's form."""
    code, system = row["code"], row["system"]
    if not code:
        yield "code: is empty"
    elif system == "LN" and not is_loinc(code):
        yield f"code: {code!r} is no LOINC code (form or check digit)"
    elif system.upper() == "RXNORM" and not RXNORM.fullmatch(code):
        yield f"code: {code!r} is no RXCUI"
    elif system == "ATC" and not ATC.fullmatch(code):
        yield f"code: {code!r} is no ATC code of the fifth level"


URI = re.compile(r"(?:https?://[^\s/]+(?:/\S*)?|urn:[a-z0-9-]+:\S+|[0-2](?:\.(?:0|[1-9]\d*))+)")


def _check_system(row: Row) -> Iterator[str]:
    if not URI.fullmatch(row["system"]):
        yield f"system: {row['system']!r} is neither a URI nor an OID"
    if not row["meaning"]:
        yield "meaning: is empty"
    if row["kind"] == "number" and row["meaning"] not in ROLES:
        yield f"meaning: {row['meaning']!r} is none of {', '.join(ROLES)}"
    if row["kind"] == "code" and row["detail"]:
        yield "detail: a code system has none"


def _check_panel(row: Row) -> Iterator[str]:
    for column in ("code", "panel"):
        if not row[column]:
            yield f"{column}: is empty"
    if row["system"] == "LN" and row["code"] and not is_loinc(row["code"]):
        yield f"code: {row['code']!r} is no LOINC code (form or check digit)"


def _check_uses(folder: Traversable) -> Iterator[Finding]:
    """Panels that no test and no order is in, and code systems that no dictionary has codes of."""
    rows = {file: list(read_rows(folder, file)) for file in CODED}
    panels = {row["panel"] for row in rows["tests.csv"]}
    panels |= {row["service"] for row in rows["orders.csv"]}
    systems = {row["system"] for each in rows.values() for row in each}
    for row in rows["panels.csv"]:
        if row["panel"] not in panels:
            reason = f"panel: no test and no order is in {row['panel']!r}"
            yield Finding("panels.csv", row.line, reason)
    for row in read_rows(folder, SYSTEMS):
        if row["kind"] == "code" and row["meaning"] not in systems | KNOWN_SYSTEMS:
            reason = f"meaning: no dictionary has a code of {row['meaning']!r}"
            yield Finding(SYSTEMS, row.line, reason)


CODED = ("tests.csv", "orders.csv", "medications.csv", "panels.csv", CONDITIONS)
KNOWN_SYSTEMS = frozenset({"LN", "RXNORM", "ATC", "I10", "SCT"})
"""Public ones, of which a site may have no codes yet."""

CHECKS: Mapping[str, RowCheck] = {
    "tests.csv": _check_test,
    "orders.csv": _check_order,
    "medications.csv": _check_medication,
    CONDITIONS: _check_condition,
    "units.csv": _check_unit,
    "words.csv": _check_word,
    "panels.csv": _check_panel,
    SYSTEMS: _check_system,
}


def _columns(text: str) -> frozenset[str]:
    return frozenset(text.split())


COLUMNS: Mapping[str, frozenset[str]] = {
    "tests.csv": _columns(
        "feed panel code system analyte loinc display more_loinc more_display local_display class"
        " empty_unit usual_unit low high specimen role reason"
    ),
    "orders.csv": _columns("feed code system service loinc display role reason"),
    "medications.csv": _columns(
        "feed code system drug display rxnorm atc atc_retired tablet_mg low high role reason"
    ),
    CONDITIONS: _columns("feed code system condition display"),
    "units.csv": _columns("feed class unit factor converted approved_by approved_on reason"),
    "words.csv": _columns("kind word code suspect note"),
    "panels.csv": _columns("feed code system panel"),
    SYSTEMS: _columns("kind system meaning detail note"),
}


def _check_against(site: Site, active: Site) -> Iterable[Finding]:
    """What would change the identity of results that are stored, or strand a feed's messages."""
    for name, setting in active.feeds.items():
        other = site.feeds.get(name)
        where = f"site.toml: feeds.{name}"
        if other is None:
            yield Finding("", 0, f"{where}: the active mapping has this feed")
            continue
        if other.key_authority != setting.key_authority:
            yield Finding("", 0, f"{where}.key_authority: must stay {setting.key_authority!r}")
        if other.order_numbers_restart != setting.order_numbers_restart:
            yield Finding("", 0, f"{where}.order_numbers_restart: is part of results' identity")
        if other.counter_distinguishes != setting.counter_distinguishes:
            yield Finding("", 0, f"{where}.counter_distinguishes: is part of doses' identity")
