"""Slow bodies: one that brings too few bytes counts as a pause, and a steady one still ends with the budget.

The first is tested with invented times; on sockets, the drip of `test_matrix.py` tests it.
"""

import json

import pytest
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

from gofer import AnswerLost, OutOfTime
from gofer.core.commands import Open
from gofer.core.policies import Retry
from gofer.transports.base import Pace
from gofer.wire import Request
from support.faces import MODES, face
from support.raw_server import http, raw_server

ONCE = Retry(wait_fixed(0), stop_after_attempt(1))
PIECES = 3000
OPEN = Open(Request("GET", "http://service.test/file"), 30.0, 60.0, 1024)


def accepted(*pieces):
    """Let pieces come, each as (its time in seconds, its size); return how many were accepted."""
    pace = Pace(OPEN, 0.0)
    for number, (second, size) in enumerate(pieces):
        try:
            pace.at(second, size)
        except AnswerLost:
            return number
    return len(pieces)


@pytest.mark.parametrize("every", [0.5, 1, 10, 59], ids=str)
def test_a_drip_ends_after_the_stall_time(every):
    """A body that brings fewer than 1 KiB in a minute ends soon after that minute, however seldom the bytes come."""
    came = accepted(*[(every * number, 1) for number in range(1, 1000)])
    assert 60 <= came * every <= 60 + 2 * every


def test_a_kibibyte_a_minute_is_fast_enough():
    """18 bytes a second are accepted without end, in small pieces and in large ones."""
    assert accepted(*[(second, 18) for second in range(1, 1000)]) == 999
    assert accepted(*[(second, 1100) for second in range(59, 10_000, 59)]) == len(range(59, 10_000, 59))


def test_the_last_bytes_of_a_small_file_are_not_refused():
    """Too few bytes are noticed when more of them come, so the final bytes of a body never count."""
    assert accepted((50, 100), (70, 100)) == 2
    assert accepted((50, 100), (70, 100), (71, 100)) == 2


def test_a_body_that_recovers_within_the_time_goes_on():
    """Many bytes at once after a pause make up for it."""
    assert accepted((1, 1), (55, 1), (61, 4096), (62, 1), (121, 4096), (122, 1)) == 6


@pytest.mark.parametrize("mode", MODES)
def test_a_steady_body_ends_with_the_budget(mode, tmp_path):
    """A body that is fast enough and does not end is broken off by the deadline, on disk and in memory."""
    sent = []

    def service(call):
        if not call.path.endswith("/file"):
            yield http(200, json.dumps({"job_id": "j1", "status": "completed"}))
            return
        yield http(200, content_type="application/pdf", content_length="999999999")
        for number in range(PIECES):
            sent.append(number)
            yield bytes(8192)
            yield 0.02

    with face(mode, "httpx") as made, raw_server(service) as server:
        job = made.client(server.url, patience=ONCE).job("j1")
        for verb, argument in ((job.download, tmp_path / "paper.pdf"), (job.read, 1 << 30)):
            sent.clear()
            while not sent:  # on a busy machine one budget may be too short for the first byte
                with pytest.raises(OutOfTime):
                    verb(argument, timeout=0.5)
            assert len(sent) < PIECES
