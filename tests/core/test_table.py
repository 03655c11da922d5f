"""The transition table: complete, without dead ends, and the one the flows use."""

import pytest

from gofer.core.table import LEGS, TABLE, WAYS_OUT, Move, Stage

LAST = {
    Stage.DONE,
    Stage.FAILED,
    Stage.CANCELLED,
    Stage.ASKED,
    Stage.LOST,
    Stage.EXPIRED,
    Stage.UNCERTAIN,
    Stage.REFUSED,
    Stage.UNREACHED,
    Stage.MISFETCHED,
    Stage.LATE,
    Stage.ABANDONED,
}


def test_every_stage_can_be_reached_from_new():
    """No stage of the table is unreachable."""
    reached, grew = {Stage.NEW}, True
    while grew:
        more = {end for (start, _), end in TABLE.items() if start in reached} - reached
        reached |= more
        grew = bool(more)
    assert reached == set(Stage)


def test_the_last_stages_have_no_way_out_and_all_others_have_one():
    """An errand that has ended stays ended, and any other can continue."""
    assert {start for start, _ in TABLE} == set(Stage) - LAST


def test_every_move_is_used():
    """Each move is in the table at least once."""
    assert {move for _, move in TABLE} == set(Move)


@pytest.mark.parametrize("leg", [Stage.SUBMITTING, Stage.POLLING, Stage.DOWNLOADING])
@pytest.mark.parametrize("move", [Move.LATE, Move.LEFT, Move.SILENT, Move.REFUSED])
def test_every_leg_can_end_late_abandoned_unanswered_or_refused(leg, move):
    """Every leg has a way out for the deadline, a caller who leaves, silence, and a refusal."""
    assert TABLE[leg, move] in LAST
    assert leg in LEGS


def test_every_ending_leads_to_a_last_stage():
    """The move of every error leads to a last stage, from each stage where it is allowed."""
    for _, move in WAYS_OUT:
        ends = {end for (_, made), end in TABLE.items() if made is move}
        assert ends
        assert ends <= LAST
