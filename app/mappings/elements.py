"""What a rule may find wrong, by its role in the record: not by its place in any one format.

Every record names its elements as its source does (`OBX-5`, a CSV column, a JSON pointer part).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Element(StrEnum):
    """The roles. The words are those that a site's data use for columns."""

    TYPE = "type"
    CHARSET = "charset"
    SUBJECT = "subject"
    NAME = "name"
    BIRTH_DATE = "birth_date"
    ORDER = "order"
    SPECIMEN = "specimen"
    PANEL = "panel"
    CODE = "code"
    SYSTEM = "system"
    SUB_ID = "sub_id"
    VALUE = "value"
    UNIT = "unit"
    REFERENCE = "reference"
    FLAG = "flag"
    STATUS = "status"
    ACTION = "action"
    TIME = "time"
    ORDER_TIME = "order_time"
    ANALYSED = "analysed"
    REPORTED = "reported"
    NOTE = "note"
    AMOUNT = "amount"
    FREQUENCY = "frequency"
    ROUTE = "route"
    START = "start"
    END = "end"


Elements = Mapping[Element, str]
"""The source's own names of a record's elements; one that it cannot name is left out."""

NO_ELEMENTS: Elements = MappingProxyType({})


def no_elements() -> Elements:
    """Of a record that can name none of its elements."""
    return NO_ELEMENTS
