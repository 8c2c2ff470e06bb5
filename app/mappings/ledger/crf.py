"""The coverage ledger of case report forms: every value of a JSON record, every cell of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from app.mappings.crf.forms import HEAD
from app.mappings.crf.records import CrfContent, CrfRecord, find_form, is_deletion
from app.mappings.crf.targets import Target, targets_of
from app.mappings.dictionary.columns import UNKNOWN
from app.mappings.facts import Fact
from app.mappings.formats.csv.spreadsheet import Cell, Table, locate_cells
from app.mappings.formats.json.leaves import JsonLeaf, Step, walk_leaves, write_pointer
from app.mappings.ledger.entries import (
    HELD,
    LEFT_OUT,
    PENDING,
    UNEXPLAINED,
    USED,
    Entry,
    Verdict,
    ignored,
)
from app.mappings.reasons import Outcome

OF_EVERY = frozenset(each.name for each in HEAD)
COLUMN = Verdict("mapped", "column", "what the cells below it mean")
IDENTITY = Verdict("mapped", "identity", "the subject")


def list_crf(content: CrfContent, facts: Sequence[Fact], *, refused: bool) -> Iterator[Entry]:
    """Every leaf with its verdict, in the order of the bytes. `refused`: the message as a whole;
    one of too many cells is not cut into them."""
    ends = {fact.place: fact.outcome or Outcome.STORED for fact in facts}
    if content.table is not None and content.table.overlong:
        return iter(())
    if content.table is not None:
        return _list_cells(content, content.table, ends, refused=refused)
    return _list_values(content, ends)


# JSON


def _list_values(content: CrfContent, ends: Mapping[str, Outcome]) -> Iterator[Entry]:
    for record in content.records:
        above = _steps(record.place)
        if record.failure is not None:
            leaf = JsonLeaf(above, record.span)
            yield Entry(write_pointer, (above,), ignored("quarantined"), leaf.span, record.place)
            continue
        judge = _judge_of(record, ends)
        for leaf in walk_leaves(content.data, record.span, above):
            step = leaf.steps[len(above)] if len(leaf.steps) > len(above) else ""
            verdict = judge.judge(str(step))
            yield Entry(write_pointer, (leaf.steps,), verdict, leaf.span, record.place)


def _steps(place: str) -> tuple[Step, ...]:
    """`/records/3` as steps; the one record that a message is stands at `/`."""
    parts = place.split("/")[1:]
    return tuple(int(part) if part.isdecimal() else part for part in parts if part)


# Tables


def _list_cells(
    content: CrfContent, table: Table, ends: Mapping[str, Outcome], *, refused: bool
) -> Iterator[Entry]:
    names, header_row = _names(table), -1
    judges = {each.place: _judge_of(each, ends) for each in content.records}
    for cell in locate_cells(content.data, table):
        name = names.get(cell.column, "")
        if header_row < 0:
            header_row = cell.row
        if cell.row == header_row:
            verdict, place = (COLUMN if name else UNEXPLAINED), "header"
        else:
            place = f"row[{cell.row}]"
            verdict = judges[place].judge(name) if place in judges else UNEXPLAINED
        verdict = ignored("quarantined") if refused else verdict
        yield Entry(_write_cell, (place, cell, name), verdict, cell.span, place)


def _names(table: Table) -> dict[int, str]:
    """Of the columns that a form has; any other name may be a value."""
    unknown = {each.place for each in table.header.ignored if each.rule == UNKNOWN}
    by_place = {place: field for field, place in table.header.places.items()}
    return {place: field for place, field in by_place.items() if place not in unknown}


def _write_cell(place: str, cell: Cell, name: str) -> str:
    """`row[2]/column[7] grade`, `header/column[7] grade`."""
    return f"{place}/column[{cell.column + 1}] {name}".rstrip()


# What became of a record


class _Judge:
    """Says what became of the fields of a record."""

    def __init__(self, end: str, targets: Mapping[str, Target], *, deletes: bool) -> None:
        self._end, self._targets, self._deletes = end, targets, deletes
        self._known: dict[str, Verdict] = {}

    def judge(self, field: str) -> Verdict:
        found = self._known.get(field)
        if found is None:
            found = self._known[field] = self._judge(field)
        return found

    def _judge(self, field: str) -> Verdict:
        if field == "subject" and self._end in HELD:
            return IDENTITY
        if self._end != USED:
            return ignored(self._end)
        if self._deletes and field not in OF_EVERY:
            return ignored("deletion")
        target = self._targets.get(field)
        if target is None:
            return UNEXPLAINED
        return Verdict("carried" if target.carried else "mapped", target.rule, target.element)


def _judge_of(record: CrfRecord, ends: Mapping[str, Outcome]) -> _Judge:
    form = find_form(record)
    targets = targets_of(form.name) if form is not None else {}
    told = Outcome.QUARANTINED if record.failure is not None else ends.get(record.place)
    end = PENDING if told is None else str(told) if told in HELD | LEFT_OUT else USED
    return _Judge(end, targets, deletes=is_deletion(record))
