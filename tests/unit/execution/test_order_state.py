"""The state machine's tables, looked at as tables."""

from __future__ import annotations

import pytest

from mmd.execution.order_state import (
    OPEN_STATES,
    OUR_TRIGGERS,
    PENDING_STATES,
    TERMINAL_STATES,
    TRANSITIONS,
    VENUE_TRIGGERS,
    OrderState,
    OrderStateError,
    OrderTrigger,
    transition,
)

ALIVE_AFTER_ALL = {OrderTrigger.ACCEPTED, OrderTrigger.OPEN, OrderTrigger.AMENDED, OrderTrigger.TRADED}


def test_every_state_has_an_entry_for_whatever_the_venue_may_say() -> None:
    assert set(TRANSITIONS) == set(OrderState)
    for state, table in TRANSITIONS.items():
        assert set(table) >= VENUE_TRIGGERS, state


def test_states_are_either_open_or_terminal() -> None:
    assert set(OrderState) == OPEN_STATES | TERMINAL_STATES
    assert not OPEN_STATES & TERMINAL_STATES
    assert PENDING_STATES < OPEN_STATES
    assert all(state.is_terminal == (state in TERMINAL_STATES) for state in OrderState)


@pytest.mark.parametrize("state", sorted(TERMINAL_STATES, key=lambda state: state.value))
@pytest.mark.parametrize("trigger", sorted(OUR_TRIGGERS, key=lambda trigger: trigger.value))
def test_asking_anything_of_a_finished_order_is_a_bug_of_ours(state: OrderState, trigger: OrderTrigger) -> None:
    with pytest.raises(OrderStateError, match=state.value):
        transition(state, trigger)


def test_a_cancel_may_always_be_sent_and_an_amend_only_at_rest() -> None:
    assert {state for state in OrderState if OrderTrigger.SEND_CANCEL in TRANSITIONS[state]} == OPEN_STATES
    assert {state for state in OrderState if OrderTrigger.SEND_AMEND in TRANSITIONS[state]} == {OrderState.LIVE}


def test_only_an_unknown_order_dies_of_not_being_found() -> None:
    deaths = {
        state
        for state in OPEN_STATES
        for trigger in (OrderTrigger.NOT_FOUND, OrderTrigger.LOSE, OrderTrigger.CANCEL_REJECTED, OrderTrigger.UNLISTED)
        if transition(state, trigger).is_terminal
    }
    assert deaths == {OrderState.UNKNOWN}
    assert transition(OrderState.UNKNOWN, OrderTrigger.NOT_FOUND) is OrderState.NEVER_EXISTED


def test_nothing_but_the_venues_word_leads_out_of_unknown() -> None:
    stays = {trigger for trigger, state in TRANSITIONS[OrderState.UNKNOWN].items() if state is OrderState.UNKNOWN}
    assert stays == {OrderTrigger.LOSE, OrderTrigger.TRADED, OrderTrigger.UNLISTED, OrderTrigger.CANCEL_REJECTED}


def test_an_end_is_final_unless_it_was_no_end() -> None:
    for state in (OrderState.FILLED, OrderState.CANCELLED, OrderState.EXPIRED):
        outcomes = set(TRANSITIONS[state].values())
        assert outcomes <= {state, OrderState.FILLED}
    for state in (OrderState.REJECTED, OrderState.NEVER_EXISTED):
        risen = {trigger for trigger, after in TRANSITIONS[state].items() if after is OrderState.UNKNOWN}
        assert risen == ALIVE_AFTER_ALL


def test_no_message_puts_an_order_back_into_a_pending_state() -> None:
    for state, table in TRANSITIONS.items():
        for trigger in VENUE_TRIGGERS:
            assert table[trigger] not in PENDING_STATES or table[trigger] is state


def test_every_state_can_be_reached() -> None:
    reached, frontier = {OrderState.PENDING_NEW}, {OrderState.PENDING_NEW}
    while frontier:
        frontier = {after for state in frontier for after in TRANSITIONS[state].values()} - reached
        reached |= frontier
    assert reached == set(OrderState)
