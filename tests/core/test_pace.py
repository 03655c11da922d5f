"""How fast the requests of a batch may leave: the caller's rate, refusals for now, and RateLimit headers."""

from itertools import pairwise

import pytest

from gofer.core.pace import FIRST_GAP, LONGEST_GAP, LONGEST_PAUSE, Pace
from gofer.wire import Head

WALL = 1_767_225_600.0


def head(status=200, **headers):
    """A reply's head."""
    return Head("http://x/", status, {name.replace("_", "-"): value for name, value in headers.items()})


def sent(pace, count, at=0.0):
    """Send as early as the pace allows; return the times."""
    times = []
    for _ in range(count):
        at = max(at, pace.free_at)
        pace.sent(at)
        times.append(at)
    return times


def test_without_a_rate_nothing_waits():
    """Requests leave as they come."""
    assert sent(Pace(), 5) == [0.0] * 5


def test_a_rate_is_kept():
    """With four a second, each leaves a quarter of a second after the last; a pause gives no credit."""
    pace = Pace(4.0)
    assert sent(pace, 4) == [0.0, 0.25, 0.5, 0.75]
    assert sent(pace, 3, at=10.0) == [10.0, 10.25, 10.5]


@pytest.mark.parametrize(
    ("refusal", "pause"),
    [
        (head(429), 1.0),
        (head(429, retry_after="7"), 7.0),
        (head(503, retry_after="7"), 7.0),
        (head(529, retry_after="7"), 7.0),
        (head(429, retry_after="86400"), LONGEST_PAUSE),
        (head(503), 0.0),
        (head(500, retry_after="7"), 0.0),
        (head(429, retry_after="nonsense"), 1.0),
    ],
)
def test_a_refusal_for_now_stops_everybody(refusal, pause):
    """Nothing leaves before the service wants to be asked again."""
    pace = Pace()
    pace.heard(refusal, 100.0, WALL)
    assert sent(pace, 1, at=100.0) == [100.0 + pause]


def test_refusals_that_come_together_count_once():
    """Twenty requests that left together and were refused together double the gap once."""
    pace = Pace()
    for _ in range(20):
        pace.heard(head(429, retry_after="1"), 100.0, WALL)
    first, second = sent(pace, 2, at=101.0)
    assert second - first == pytest.approx(FIRST_GAP)
    for again in range(1, 30):
        pace.heard(head(429, retry_after="1"), 100.0 + 20 * again, WALL)
    first, second = sent(pace, 2, at=1000.0)
    assert second - first == LONGEST_GAP


def test_speed_comes_back_by_degrees():
    """Each good answer shortens the gap, until the caller's own rate is reached."""
    pace = Pace(100.0)
    pace.heard(head(429), 0.0, WALL)
    gaps = []
    for step in range(60):
        at = 10.0 + step
        pace.heard(head(200), at, WALL)
        first, second = sent(pace, 2, at=at)
        gaps.append(second - first)
    assert all(later < earlier + 1e-9 for earlier, later in pairwise(gaps))
    assert gaps[0] > gaps[5] > gaps[-1]
    assert gaps[-1] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"ratelimit": '"default";r=0;t=30'}, 30.0),
        ({"ratelimit": '"default";r=5;t=30'}, 0.0),
        ({"ratelimit": '"a";r=0;t=900'}, LONGEST_PAUSE),
        ({"ratelimit_remaining": "0", "ratelimit_reset": "12"}, 12.0),
        ({"ratelimit_remaining": "3", "ratelimit_reset": "12"}, 0.0),
        ({"ratelimit_remaining": "0", "ratelimit_reset": "soon"}, 0.0),
        ({"ratelimit": "r=0" * 5000}, 0.0),
        ({"ratelimit": ";r=0;t=" + "9" * 400}, LONGEST_PAUSE),
    ],
)
def test_a_limit_that_is_used_up_is_waited_for(headers, pause):
    """The RateLimit fields of the IETF's draft, and the older pair; what is none of them is ignored."""
    pace = Pace()
    pace.heard(head(200, **headers), 50.0, WALL)
    assert sent(pace, 1, at=50.0)[0] == pytest.approx(50.0 + pause)
