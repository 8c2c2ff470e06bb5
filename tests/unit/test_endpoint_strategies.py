"""A protocol that asks for what is not computed stops the service: its words would be wrong."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

from app.endpoints.shell import CHANGE_STRATEGIES, check_strategies
from app.errors import Category, SsciError
from app.trial import load_protocol

PROTOCOL = load_protocol()


def test_the_protocol_asks_for_what_is_computed():
    check_strategies(PROTOCOL)


@pytest.mark.parametrize("event", CHANGE_STRATEGIES)
def test_another_strategy_of_the_change_is_a_fault_that_names_it(event):
    held = PROTOCOL.intercurrent_events
    strategies = MappingProxyType({**held[event].strategies, "change": "while-on-treatment"})
    changed = {**held, event: replace(held[event], strategies=strategies)}
    with pytest.raises(SsciError) as refused:
        check_strategies(replace(PROTOCOL, intercurrent_events=MappingProxyType(changed)))
    assert refused.value.category is Category.FAULT
    assert refused.value.issues[0].expression == f"protocol: intercurrent_events.{event}.change"
