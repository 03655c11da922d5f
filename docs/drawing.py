"""The state machine as SVG, drawn in plain Python from `gofer.core.table.TABLE`.

The stages of a call that succeeds are in one row, and the other endings are rows below it. Every move is one line with
its name on it. Sphinx is not needed here; `machine.py` puts the drawing into a page.
"""

from __future__ import annotations

from html import escape
from itertools import count

from gofer.core.table import TABLE, Move, Stage

MEANING = {
    Move.SUBMIT: "gofer submits a job",
    Move.ATTACH: "the job exists already; the caller has its id or its ticket",
    Move.FETCH: "gofer requests the file",
    Move.ACCEPTED: "the service has accepted the job",
    Move.ACTIVE: "gofer polled the job, and it has not ended",
    Move.SUCCEEDED: "the job ended with a result",
    Move.FINISH: "the caller wants no file, so nothing is left to do",
    Move.STORED: "the file is complete, checked, and in its place",
    Move.RESUME: "the download was interrupted or the file was wrong, and gofer tries again",
    Move.FAILED: "the job ended without a result",
    Move.CANCELLED: "the job was cancelled",
    Move.ASKED: "the job waits for an answer of its caller",
    Move.GONE: "the service no longer has the job",
    Move.EXPIRED: "the result was deleted (410)",
    Move.UNSURE: "the answer was lost, so there may be a job",
    Move.REFUSED: "the service refused, or its answer does not follow the contract",
    Move.SILENT: "no answer came on any try",
    Move.MISFETCHED: "the file is not the promised one, or gofer cannot write it",
    Move.LATE: "the budget ran out",
    Move.LEFT: "the caller left: Ctrl-C, or a cancelled task",
}
"""What each move means."""

WIDTH, BOX_W, BOX_H, ROW = 900, 88, 34, 38
STEP = (WIDTH - BOX_W - 4) / 5
LEVEL = 30


def spine() -> list[Stage]:
    """Return the stages of a call that succeeds: those with a way out, and DONE."""
    open_stages = {stage for stage, _ in TABLE}
    return [stage for stage in Stage if stage in open_stages or stage is Stage.DONE]


def ends() -> list[Stage]:
    """Return the last stages of an errand that does not succeed."""
    return [stage for stage in Stage if stage not in spine()]


def diagram() -> str:
    """Draw the machine as an SVG element that takes its colours from the page."""
    row = {stage: 2 + BOX_W / 2 + STEP * number for number, stage in enumerate(spine())}
    over, top = _over(row)
    under, height = _under(row, top)
    boxes = [_box(stage, x, top, "good" if stage is Stage.DONE else "stage") for stage, x in row.items()]
    return (
        f'<svg class="machine" viewBox="0 0 {WIDTH} {height:g}" role="img" xmlns="http://www.w3.org/2000/svg">'
        "<title>The stages of an errand and the moves between them</title>"
        '<defs><marker id="machine-tip" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path class="tip" d="M0,0.5 L8,4 L0,7.5 z"/></marker></defs>'
        + "".join([*over, *under, *boxes])
        + "</svg>"
    )


def _over(row: dict[Stage, float]) -> tuple[list[str], float]:
    """Draw the moves between stages of the row; return them with the height of the row."""
    order = list(row)
    straight, loops, arcs = [], [], []
    for (stage, move), there in TABLE.items():
        if there in row:
            way = order.index(there) - order.index(stage)
            (straight if way == 1 else loops if way == 0 else arcs).append((stage, move, there))
    arcs.sort(key=lambda arc: abs(order.index(arc[2]) - order.index(arc[0])))
    levels: list[list[tuple[int, int]]] = []
    placed: list[tuple[int, tuple[Stage, Move, Stage]]] = []
    for arc in arcs:  # each on the lowest level where it covers no other
        low, high = sorted((order.index(arc[0]), order.index(arc[2])))
        level = next(
            number
            for number in count()
            if number == len(levels) or all(high <= a or b <= low for a, b in levels[number])
        )
        levels[level:level] = [[]] if level == len(levels) else []
        levels[level].append((low, high))
        placed.append((level, arc))
    top = 26 + LEVEL * len(levels) + (26 if loops else 0)
    drawn: list[str] = []
    for stage, move, there in straight:
        x1, x2, y = row[stage] + BOX_W / 2, row[there] - BOX_W / 2, top + BOX_H / 2
        drawn.append(_move(stage, move, there, f"M{x1:g},{y:g} H{x2 - 1:g}", ((x1 + x2) / 2, y - 6)))
    for stage, move, there in loops:
        x, y = row[stage], top - 24
        path = f"M{x + 11:g},{top:g} V{y + 7:g} q0,-7 -7,-7 h-8 q-7,0 -7,7 V{top - 1:g}"
        drawn.append(_move(stage, move, there, path, (x + 17, y + 10), "start"))
    for level, (stage, move, there) in placed:
        y = top - (26 if loops else 0) - LEVEL * (level + 0.5)
        right = row[there] > row[stage]
        # A move leaves a box on the side of its target, and enters the other on the opposite side.
        out = 22 + 9 * level
        x1, x2 = (row[stage] + out, row[there] - out) if right else (row[stage] - out, row[there] + out)
        turn = 8 if right else -8
        path = f"M{x1:g},{top:g} V{y + 8:g} q0,-8 {turn},-8 H{x2 - turn:g} q{turn},0 {turn},8 V{top - 1:g}"
        drawn.append(_move(stage, move, there, path, ((x1 + x2) / 2, y - 6)))
    return drawn, top


def _under(row: dict[Stage, float], top: float) -> tuple[list[str], float]:
    """Draw the ways out below the row: lines down from stages, lines across to ends, a dot where they meet."""
    x_end, first = WIDTH - BOX_W - 2, top + BOX_H + 40
    y_of = {stage: first + ROW * number for number, stage in enumerate(ends())}
    lowest: dict[Stage, float] = {}
    drawn: list[str] = []
    reached = dict.fromkeys(y_of, x_end - 1)
    for (stage, move), there in sorted(TABLE.items(), key=lambda item: -row.get(item[0][0], 0.0)):
        if there not in y_of:
            continue
        x, y = row[stage], y_of[there]
        lowest[stage] = max(lowest.get(stage, 0.0), y)
        # The second line to an end joins the first one, so that no line is drawn twice.
        tip = reached[there] == x_end - 1
        drawn.append(_move(stage, move, there, f"M{x:g},{y:g} H{reached[there]:g}", (x + 8, y - 6), "start", tip=tip))
        reached[there] = x
        drawn.append(f'<circle class="meet" cx="{x:g}" cy="{y:g}" r="3.5"/>')
    trunks = [f'<path class="trunk" d="M{row[stage]:g},{top + BOX_H:g} V{y:g}"/>' for stage, y in lowest.items()]
    boxes = [_box(stage, x_end + BOX_W / 2, y - BOX_H / 2 + 3, "end", BOX_H - 6) for stage, y in y_of.items()]
    return [*trunks, *drawn, *boxes], max(y_of.values()) + BOX_H / 2 + 2


def _move(
    stage: Stage,
    move: Move,
    there: Stage,
    path: str,
    at: tuple[float, float],
    anchor: str = "middle",
    *,
    tip: bool = True,
) -> str:
    end = ' marker-end="url(#machine-tip)"' if tip else ""
    return (
        f'<g class="move" data-from="{stage.value}" data-move="{move.value}" data-to="{there.value}">'
        f"<title>{escape(f'{stage.value} to {there.value}: {MEANING[move]}')}</title>"
        f'<path d="{path}"{end}/>'
        f'<text x="{at[0]:g}" y="{at[1]:g}" text-anchor="{anchor}">{move.value}</text></g>'
    )


def _box(stage: Stage, x: float, y: float, kind: str, height: float = BOX_H) -> str:
    return (
        f'<g class="box {kind}" data-stage="{stage.value}">'
        f'<rect x="{x - BOX_W / 2:g}" y="{y:g}" width="{BOX_W}" height="{height:g}" rx="5"/>'
        f'<text x="{x:g}" y="{y + height / 2 + 4.5:g}" text-anchor="middle">{stage.value}</text></g>'
    )
