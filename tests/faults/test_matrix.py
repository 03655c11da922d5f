"""Every fault on every leg, once and lasting: all six drivers end the same way, and nothing is lost.

The table (`table.py`) says how each ends. A proxy in front of the real service makes the faults. By default each cell
is tested on one driver: every driver meets every fault, once and lasting, on one leg each.
"""

import contextlib
import itertools
import sqlite3
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

from contract_server import content, scripted_app
from faults.table import DONE, ROWS, Cell, Leg
from gofer import GoferError, OutOfTime, RetrieveRequest, State, SubmitUncertain
from gofer.core.policies import Retry, wait_retry_after
from gofer_service import running
from support import fault_proxy as proxy_faults
from support.faces import FAMILIES, MODES, Face, face
from support.fault_proxy import TRUSTING, FaultProxy, FaultRule, fault_proxy
from support.matrices import EVERY_CASE, in_turn
from support.raw_server import http

DOI = "10.5555/large"
PAPER = content(DOI)
TRIES = Retry(wait_retry_after(wait_fixed(0.2)), stop_after_attempt(4))
DRIVERS = list(itertools.product(MODES, FAMILIES))
SHORT = 2.0
"""Seconds that a request may take, and a body may pause, if a single fault would not end."""
BUDGET = 4.0
"""Seconds of the budget if only that ends a lasting fault; otherwise the budget is ample."""
LATE = 20
"""Seconds after its budget in which an errand must have ended on any machine; virtual time tests the budget."""
HOLDING = 0.8
"""Seconds more if a submission is held: the core keeps one second back, and a busy machine needs some."""
REFUSED = 0.08
"""Seconds for which a single fault refuses connections; the four tries take longer."""

FAULTS = {
    "untrusted": proxy_faults.shows_another_certificate,
    "no tls": proxy_faults.answers_without_tls,
    "closed at once": proxy_faults.closes,
    "reset before": proxy_faults.resets,
    "reset after": proxy_faults.loses(proxy_faults.resets),
    "closed after": proxy_faults.loses(proxy_faults.closes),
    "reset in head": proxy_faults.cuts_head(proxy_faults.resets),
    "closed in head": proxy_faults.cuts_head(proxy_faults.closes),
    "reset in body": proxy_faults.cuts_body(proxy_faults.resets),
    "closed in body": proxy_faults.cuts_body(proxy_faults.closes),
    "tls garbage": proxy_faults.cuts_body(proxy_faults.garbles_tls),
    "garbage": proxy_faults.answers(b"\x00\x01 this is not HTTP\r\n\r\n"),
    "html": proxy_faults.answers(http(200, "<!doctype html><html>Log in</html>", content_type="text/html")),
    "gzip": proxy_faults.compresses,
    "502": proxy_faults.answers(http(502, "<html>Bad Gateway</html>")),
    "503": proxy_faults.answers(http(503)),
    "504": proxy_faults.answers(http(504)),
    "503 later": proxy_faults.answers(http(503, retry_after="0")),
    "429": proxy_faults.answers(http(429, retry_after="0")),
    "stall": proxy_faults.loses(proxy_faults.stalls),
    "stall in body": proxy_faults.cuts_body(proxy_faults.stalls),
    "drip": proxy_faults.drips,
    "drip in body": proxy_faults.drips_body,
}
BEFORE_REQUEST = {"untrusted", "no tls", "closed at once"}
NEVER_READ = BEFORE_REQUEST | {"refused"}
OVER_TLS = {"untrusted", "no tls", "tls garbage"}
LETS_BYTES_THROUGH = {"reset in body", "closed in body", "tls garbage"}
SUBMITTING = {Leg.SUBMIT, Leg.RUN, Leg.KEYLESS}


@frozen
class Setup:
    """The drivers, and two services: one with the complete contract, one with its base only."""

    faces: dict[tuple[str, str], Face]
    complete: str
    base: str
    data: Path

    def jobs(self, title: str) -> int:
        """Count the jobs that an errand has made, by its title."""
        total = 0
        for place in ("complete", "base"):
            with contextlib.closing(sqlite3.connect(self.data / place / "jobs.sqlite3")) as ledger:
                counted = ledger.execute("SELECT count(*) FROM jobs WHERE instr(record, ?)", (title,))
                total += counted.fetchone()[0]
        return total


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Generator[Setup]:
    """Give the drivers and the services."""
    data = tmp_path_factory.mktemp("service")
    with contextlib.ExitStack() as stack:
        complete = stack.enter_context(running(scripted_app(data / "complete")))
        base = stack.enter_context(running(scripted_app(data / "base", plain=True)))
        faces = {driver: stack.enter_context(face(*driver)) for driver in DRIVERS}
        yield Setup(faces, complete, base, data)


def client_of(made: Face, url: str, **options: Any) -> Any:
    """Make a client that trusts the proxy: over httpx by a transport, over httpx2 by a borrowed client."""
    trusting = {"verify": TRUSTING}
    if made.family is FAMILIES["httpx2"]:
        options["http_client"] = made.http_client(**trusting)
    else:
        kind = made.family.HTTPTransport if made.mode == "blocking" else made.family.AsyncHTTPTransport
        options["transport"] = kind(**trusting)
    options = {"on_abandon": "leave", **options}
    return made.client(url, retry=TRIES, patience=TRIES, poll=wait_fixed(0.05), **options)


def requests_of(leg: Leg) -> Any:
    """Return a function that tells whether a request belongs to a leg."""
    if leg in SUBMITTING:
        return lambda call: call.method == "POST"
    file = leg is Leg.DOWNLOAD
    return lambda call: call.path.startswith("/jobs/") and call.path.endswith("/file") is file


def inject(proxy: FaultProxy, cell: Cell) -> None:
    """Make the proxy inject the fault from now on."""
    if cell.fault == "refused":
        proxy.refuse(None if cell.lasting else REFUSED)
    else:
        times = float("inf") if cell.lasting else 1
        proxy.rule = FaultRule(
            FAULTS[cell.fault], requests_of(cell.leg), times, before_request=cell.fault in BEFORE_REQUEST
        )


def stop_faults(proxy: FaultProxy, cell: Cell) -> None:
    """Make the proxy forward everything again."""
    proxy.rule = None
    if cell.fault == "refused" and cell.lasting:
        proxy.accept()


def errand(cell: Cell, request: RetrieveRequest, client: Any, proxy: FaultProxy, target: Path) -> None:
    """Do an errand that meets the fault on one leg, and check that it ends within its budget."""
    timeout = BUDGET if cell.ending is not DONE and issubclass(cell.ending, OutOfTime) else 60
    timeout += HOLDING if cell.leg is Leg.RUN else 0
    began = time.monotonic()
    try:
        if cell.leg in SUBMITTING:
            inject(proxy, cell)
            client.run(request, to=target, timeout=timeout)
        else:
            job = client.submit(request)
            if cell.leg is Leg.DOWNLOAD:
                job.wait(timeout=60)
            inject(proxy, cell)
            began = time.monotonic()
            if cell.leg is not Leg.DOWNLOAD:
                job.wait(timeout=timeout)
            job.download(target, timeout=timeout)
    finally:
        took = time.monotonic() - began
        assert took < timeout + LATE, f"{took:.1f} s, though the budget was {timeout} s"


def continued(cell: Cell, error: GoferError, request: RetrieveRequest, client: Any, target: Path) -> bool:
    """Check that an error says where the errand was; return whether it could be completed with that error."""
    submitting = cell.leg in SUBMITTING
    assert error.leg == ("submit" if submitting else "download" if cell.leg is Leg.DOWNLOAD else "poll")
    assert error.attempts > 0
    assert str(error)
    if not submitting:
        assert error.job_id is not None
        assert client.attach(error.ticket).id == error.job_id
        client.attach(error.ticket).download(target, timeout=60)
        return True
    if isinstance(error, SubmitUncertain | OutOfTime):
        assert error.key is not None
        if cell.leg is not Leg.KEYLESS:
            client.submit(request, key=error.key).download(target, timeout=60)
            return True
    return False


def outcome(cell: Cell, setup: Setup, driver: tuple[str, str], folder: Path) -> str:
    """Test one cell on one driver; return the name of its ending."""
    target = folder / "paper.pdf"
    target.write_bytes(b"old")
    title = f"<{folder.name}>"
    request = RetrieveRequest(DOI, title=title, timeout_seconds=120)
    service = setup.base if cell.leg is Leg.KEYLESS else setup.complete
    short = {"timeout": SHORT, "stall": SHORT} if cell.endless and not cell.lasting else {}
    with setup.faces[driver].again() as made, fault_proxy(service, tls=cell.fault in OVER_TLS) as proxy:
        client = client_of(made, proxy.url, hold=1 if cell.leg in (Leg.RUN, Leg.HELD) else 0, **short)
        try:
            errand(cell, request, client, proxy, target)
        except GoferError as error:
            seen, complete = type(error).__name__, False
            assert target.read_bytes() == b"old", "the target was changed"
            assert setup.jobs(title) <= 1, "more than one job"
            stop_faults(proxy, cell)
            complete = continued(cell, error, request, client, target)
        else:
            seen, complete = "DONE", True
            if cell.fault in LETS_BYTES_THROUGH and cell.leg is Leg.DOWNLOAD:
                ranges = ["range" in call.headers for call in proxy.calls if call.path.endswith("/file")]
                assert ranges == [False, *[True] * (2 if cell.lasting else 1)], "bytes were fetched twice"
    assert proxy.hits or cell.fault == "refused", "no request met the fault"
    held = {call.method for call in proxy.calls if "wait=" in call.headers.get("prefer", "")}
    expected = {Leg.RUN: "POST", Leg.HELD: "GET"}.get(cell.leg)
    assert (expected in held if expected else not held) or cell.fault in NEVER_READ, "the wrong request was held"
    assert setup.jobs(title) == 1 or not complete, "not one job"
    if complete:
        assert target.read_bytes() == PAPER, "another file"
        assert [place.name for place in folder.iterdir()] == ["paper.pdf"], "a file was left behind"
    return seen


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("fault", ROWS)
def test_every_driver_ends_as_the_table_says(
    fault: str,
    lasting: bool,
    setup: Setup,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There is one job at most, the right file or the old one, and an error with which the errand can be completed."""
    if ROWS[fault].endless and not lasting:
        for leg in ("poll", "submit"):  # the seconds that a held request gets beyond its hold are 10 by default
            monkeypatch.setattr(f"gofer.core.{leg}.ANSWER_MARGIN", 0.5)

    def run(leg: Leg, driver: tuple[str, str]) -> str:
        folder = tmp_path / "-".join([fault, str(lasting), leg.name, *driver])
        folder.mkdir()
        try:
            return outcome(Cell(leg, fault, lasting), setup, driver, folder)
        except AssertionError as error:
            return f"wrong: {error}"

    first = list(ROWS).index(fault) + 3 * lasting
    runs = [(leg, driver) for number, leg in enumerate(Leg, first) for driver in in_turn(DRIVERS, number)]
    with ThreadPoolExecutor(len(runs)) as pool:
        seen = list(pool.map(run, *zip(*runs, strict=True)))
    wrong = []
    for (leg, driver), what in zip(runs, seen, strict=True):
        due = Cell(leg, fault, lasting).ending
        if what != ("DONE" if due is DONE else due.__name__):
            wrong.append(f"{leg}, {'-'.join(driver)}: {what}, where {due} was due")
    assert not wrong, "\n".join(wrong)


def test_a_budget_that_ends_while_the_submission_is_held_obeys_on_abandon(setup: Setup, tmp_path: Path) -> None:
    """`run` finds the job by its key and cancels it, or keeps it running, and the error has the key."""

    def run(policy: str | None, driver: tuple[str, str]) -> None:
        title = f"<{policy}-{'-'.join(driver)}>"
        request = RetrieveRequest("10.5555/cancelme", title=title, timeout_seconds=120)
        with setup.faces[driver].again() as made, fault_proxy(setup.complete) as proxy:
            client = client_of(made, proxy.url, hold=1, on_abandon=policy)
            proxy.rule = FaultRule(FAULTS["stall"], requests_of(Leg.RUN))
            began = time.monotonic()
            with pytest.raises(OutOfTime) as caught:
                client.run(request, to=tmp_path / "paper.pdf", timeout=BUDGET + HOLDING)
            assert time.monotonic() - began < BUDGET + HOLDING + LATE
            assert caught.value.leg == "submit"
            assert "wait=1" in proxy.calls[0].headers["prefer"]
            job = client.submit(request, key=caught.value.key)
            assert (job.refresh().state is State.CANCELLED) is (policy is None)
            job.cancel()
        assert setup.jobs(title) == 1

    runs = list(itertools.product((None, "leave"), DRIVERS if EVERY_CASE else DRIVERS[::2]))
    with ThreadPoolExecutor(len(runs)) as pool:
        _ = list(pool.map(run, *zip(*runs, strict=True)))
    assert list(tmp_path.iterdir()) == []
