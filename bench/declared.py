"""`declared`: the CPU time of a declared contract for one poll, compared with a contract that is a class.

Both are of one service: `retrieve.toml` beside this file declares what `RetrieveContract` does in code. One poll is
everything that the core calls of a contract between two answers.
"""

import json
import time
from pathlib import Path

from figures import Figure, at_most, interleaved, ratios
from gofer.contracts.base import Contract, Ref
from gofer.contracts.declared.shipped import declared
from gofer.contracts.retrieve import RetrieveContract
from gofer.models import State, Status
from gofer.wire import Reply

BASE = "http://localhost:8000"
REF = Ref("0f8b7c1e")
SEEN = Status("searching", State.RUNNING)
BODY = {
    "job_id": REF.id,
    "status": "downloading",
    "doi": "10.5555/12345678",
    "progress": 0.4,
    "message": "reading",
    "bytes_done": 100,
    "bytes_total": 400,
    "source": "library",
    "created": "2026-11-23T00:00:00Z",
    "updated": "2026-11-23T00:00:01Z",
    "attempts": [],
}
REPLY = Reply(f"{BASE}/jobs/{REF.id}", 200, {"content-type": "application/json"}, json.dumps(BODY).encode())


def measure(*, quick: bool) -> list[Figure]:
    """Compare the CPU time of a poll with both."""
    contracts = {"class": RetrieveContract(), "declared": declared(Path(__file__).with_name("retrieve.toml"))}
    polls = 1_000 if quick else 10_000
    variants = {name: lambda contract=contract: _seconds(contract, polls) for name, contract in contracts.items()}
    took = interleaved(variants, 5 if quick else 15)
    return [at_most("one poll, declaration / class", ratios(took["declared"], took["class"]), 1.3)]


def _seconds(contract: Contract, polls: int) -> float:
    began = time.process_time()
    for _ in range(polls):
        request = contract.build_poll(BASE, REF, hold=20, etag=None, seen=SEEN)
        _ = contract.add_to_every(BASE, REF, request), contract.may_be_file("poll"), contract.reads("poll", 200)
        assert contract.read_poll(BASE, REF, REPLY).status == "downloading"
        _ = contract.held(REPLY, hold=20, took=1.0)
    return time.process_time() - began
