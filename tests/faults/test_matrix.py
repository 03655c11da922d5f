"""Every fault on every leg, once and lasting, on all drivers at once: they end alike, and nothing is lost.

The table (`table.py`) says how each ends. A proxy in front of the real service makes the faults.
"""

import contextlib
import itertools
import os
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
from support import fault_proxy as spoil
from support.faces import FAMILIES, MODES, Face, face
from support.fault_proxy import TRUSTING, FaultProxy, Order, fault_proxy
from support.raw_server import http

DOI = "10.5555/large"
PAPER = content(DOI)
TRIES = Retry(wait_retry_after(wait_fixed(0.05)), stop_after_attempt(4))
DRIVERS = list(itertools.product(MODES, FAMILIES if "EVERY_DRIVER" in os.environ else ["httpx"]))
"""Three in the default run; `nox -s faults` plays the matrix on all six."""

SHORT = 0.8
"""Seconds one request may take, and a body may pause, where a single fault would not end."""
BUDGET = 2.0
"""Seconds in all where only the budget ends a lasting fault; else there are more than enough."""
HOLDING = 0.8
"""Seconds more where a submission is to be held for one: the core keeps one back, and a busy machine takes some."""
REFUSED = 0.08
"""Seconds for which a single fault refuses connections; the four tries take longer."""

FAULTS = {
    "untrusted": spoil.shows_another_certificate,
    "no tls": spoil.speaks_no_tls,
    "closed at once": spoil.closes,
    "reset before": spoil.resets,
    "reset after": spoil.loses(spoil.resets),
    "closed after": spoil.loses(spoil.closes),
    "reset in head": spoil.cuts_head(spoil.resets),
    "closed in head": spoil.cuts_head(spoil.closes),
    "reset in body": spoil.cuts_body(spoil.resets),
    "closed in body": spoil.cuts_body(spoil.closes),
    "tls garbage": spoil.cuts_body(spoil.garbles_tls),
    "garbage": spoil.says(b"\x00\x01 this is not HTTP\r\n\r\n"),
    "html": spoil.says(http(200, "<!doctype html><html>Log in</html>", content_type="text/html")),
    "gzip": spoil.packs,
    "502": spoil.says(http(502, "<html>Bad Gateway</html>")),
    "503": spoil.says(http(503)),
    "504": spoil.says(http(504)),
    "503 later": spoil.says(http(503, retry_after="0")),
    "429": spoil.says(http(429, retry_after="0")),
    "stall": spoil.loses(spoil.stalls),
    "stall in body": spoil.cuts_body(spoil.stalls),
    "drip": spoil.drips,
    "drip in body": spoil.drips_body,
}
BLIND = {"untrusted", "no tls", "closed at once"}
NEVER_READ = BLIND | {"refused"}
OVER_TLS = {"untrusted", "no tls", "tls garbage"}
PASSES_BYTES = {"reset in body", "closed in body", "tls garbage"}
SUBMITTING = {Leg.SUBMIT, Leg.RUN, Leg.KEYLESS}


@frozen
class Stand:
    """One driver with services of its own: whole, and with the base of the contract only."""

    face: Face
    whole: str
    base: str
    data: Path

    def jobs(self, title: str) -> int:
        """Count the jobs that an errand has made, by the title that it alone has."""
        total = 0
        for place in ("whole", "base"):
            with contextlib.closing(sqlite3.connect(self.data / place / "jobs.sqlite3")) as ledger:
                counted = ledger.execute("SELECT count(*) FROM jobs WHERE instr(record, ?)", (title,))
                total += counted.fetchone()[0]
        return total


@pytest.fixture(scope="module")
def stands(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[tuple[str, str], Stand]]:
    """Give the six drivers, each with its services."""
    with contextlib.ExitStack() as stack:
        made = {}
        for driver in DRIVERS:
            data = tmp_path_factory.mktemp("service")
            whole = stack.enter_context(running(scripted_app(data / "whole")))
            base = stack.enter_context(running(scripted_app(data / "base", plain=True)))
            made[driver] = Stand(stack.enter_context(face(*driver)), whole, base, data)
        yield made


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


def meant_for(leg: Leg) -> Any:
    """Give the test that tells a leg's requests from others."""
    if leg in SUBMITTING:
        return lambda call: call.method == "POST"
    file = leg is Leg.DOWNLOAD
    return lambda call: call.path.startswith("/jobs/") and call.path.endswith("/file") is file


def arm(proxy: FaultProxy, cell: Cell) -> None:
    """Let the proxy spoil what comes from now on."""
    if cell.fault == "refused":
        proxy.refuse(None if cell.lasting else REFUSED)
    else:
        times = float("inf") if cell.lasting else 1
        proxy.order = Order(FAULTS[cell.fault], meant_for(cell.leg), times, blind=cell.fault in BLIND)


def disarm(proxy: FaultProxy, cell: Cell) -> None:
    """Let everything pass again."""
    proxy.order = None
    if cell.fault == "refused" and cell.lasting:
        proxy.admit()


def errand(cell: Cell, request: RetrieveRequest, client: Any, proxy: FaultProxy, target: Path) -> None:
    """Do an errand whose one leg is spoiled, in time."""
    timeout = BUDGET if cell.ending is not DONE and issubclass(cell.ending, OutOfTime) else 20
    timeout += HOLDING if cell.leg is Leg.RUN else 0
    began = time.monotonic()
    try:
        if cell.leg in SUBMITTING:
            arm(proxy, cell)
            client.run(request, to=target, timeout=timeout)
        else:
            job = client.submit(request)
            if cell.leg is Leg.DOWNLOAD:
                job.wait(timeout=10)
            arm(proxy, cell)
            began = time.monotonic()
            if cell.leg is not Leg.DOWNLOAD:
                job.wait(timeout=timeout)
            job.download(target, timeout=timeout)
    finally:
        took = time.monotonic() - began
        assert took < timeout + 1, f"{took:.1f} s, though the budget was {timeout} s"


def go_on(cell: Cell, error: GoferError, request: RetrieveRequest, client: Any, target: Path) -> bool:
    """Hold that an error says where the errand was, and end the errand well with what the error carries."""
    submitting = cell.leg in SUBMITTING
    assert error.leg == ("submit" if submitting else "download" if cell.leg is Leg.DOWNLOAD else "poll")
    assert error.attempts > 0
    assert str(error)
    if not submitting:
        assert error.job_id is not None
        assert client.attach(error.ticket).id == error.job_id
        client.attach(error.ticket).download(target, timeout=10)
        return True
    if isinstance(error, SubmitUncertain | OutOfTime):
        assert error.key is not None
        if cell.leg is not Leg.KEYLESS:
            client.submit(request, key=error.key).download(target, timeout=10)
            return True
    return False


def ending(cell: Cell, stand: Stand, folder: Path) -> str:
    """Play one cell on one driver and return the name of its ending."""
    target = folder / "paper.pdf"
    target.write_bytes(b"old")
    title = f"<{folder.name}>"
    request = RetrieveRequest(DOI, title=title, timeout_seconds=120)
    service = stand.base if cell.leg is Leg.KEYLESS else stand.whole
    impatient = {"timeout": SHORT, "stall": SHORT} if cell.endless and not cell.lasting else {}
    with stand.face.again() as made, fault_proxy(service, tls=cell.fault in OVER_TLS) as proxy:
        client = client_of(made, proxy.url, hold=1 if cell.leg in (Leg.RUN, Leg.HELD) else 0, **impatient)
        try:
            errand(cell, request, client, proxy, target)
        except GoferError as error:
            seen, whole = type(error).__name__, False
            assert target.read_bytes() == b"old", "the target was touched"
            assert stand.jobs(title) <= 1, "more than one job"
            disarm(proxy, cell)
            whole = go_on(cell, error, request, client, target)
        else:
            seen, whole = "DONE", True
            if cell.fault in PASSES_BYTES and cell.leg is Leg.DOWNLOAD:
                ranges = ["range" in call.headers for call in proxy.calls if call.path.endswith("/file")]
                assert ranges == [False, *[True] * (2 if cell.lasting else 1)], "bytes were fetched twice"
    assert proxy.met or cell.fault == "refused", "the fault was never met"
    held = {call.method for call in proxy.calls if "wait=" in call.headers.get("prefer", "")}
    due = {Leg.RUN: "POST", Leg.HELD: "GET"}.get(cell.leg)
    assert (due in held if due else not held) or cell.fault in NEVER_READ, "not the exchange that was to be tested"
    assert stand.jobs(title) == 1 or not whole, "not one job"
    if whole:
        assert target.read_bytes() == PAPER, "another file"
        assert [place.name for place in folder.iterdir()] == ["paper.pdf"], "something was left behind"
    return seen


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("fault", ROWS)
def test_every_driver_ends_as_the_table_says(
    fault: str,
    lasting: bool,
    stands: dict[tuple[str, str], Stand],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One job at most, the right file or the old one, within the budget, and an error that goes on with the errand."""
    if ROWS[fault].endless and not lasting:
        for leg in ("poll", "submit"):  # what a held request gets beyond its hold: 10 s
            monkeypatch.setattr(f"gofer.core.{leg}.ANSWER_MARGIN", 0.5)

    def play(leg: Leg, driver: tuple[str, str]) -> str:
        folder = tmp_path / "-".join([fault, str(lasting), leg.name, *driver])
        folder.mkdir()
        try:
            return ending(Cell(leg, fault, lasting), stands[driver], folder)
        except AssertionError as error:
            return f"wrong: {error}"

    plays = list(itertools.product(Leg, DRIVERS))
    with ThreadPoolExecutor(len(plays)) as pool:
        seen = list(pool.map(play, *zip(*plays, strict=True)))
    wrong = []
    for (leg, driver), what in zip(plays, seen, strict=True):
        due = Cell(leg, fault, lasting).ending
        if what != ("DONE" if due is DONE else due.__name__):
            wrong.append(f"{leg}, {'-'.join(driver)}: {what}, where {due} was due")
    assert not wrong, "\n".join(wrong)


def test_a_budget_that_ends_while_the_submission_is_held_obeys_on_abandon(
    stands: dict[tuple[str, str], Stand], tmp_path: Path
) -> None:
    """A one-shot verb cancels the job it never heard of, found by its key, or leaves it; the key goes on with it."""

    def play(policy: str | None, driver: tuple[str, str]) -> None:
        title = f"<{policy}-{'-'.join(driver)}>"
        request = RetrieveRequest("10.5555/cancelme", title=title, timeout_seconds=120)
        with stands[driver].face.again() as made, fault_proxy(stands[driver].whole) as proxy:
            client = client_of(made, proxy.url, hold=1, on_abandon=policy)
            proxy.order = Order(FAULTS["stall"], meant_for(Leg.RUN))
            began = time.monotonic()
            with pytest.raises(OutOfTime) as caught:
                client.run(request, to=tmp_path / "paper.pdf", timeout=BUDGET + HOLDING)
            assert time.monotonic() - began < BUDGET + HOLDING + 2
            assert caught.value.leg == "submit"
            assert "wait=1" in proxy.calls[0].headers["prefer"]
            job = client.submit(request, key=caught.value.key)
            assert (job.refresh().state is State.CANCELLED) is (policy is None)
            job.cancel()
        assert stands[driver].jobs(title) == 1

    plays = list(itertools.product((None, "leave"), DRIVERS))
    with ThreadPoolExecutor(len(plays)) as pool:
        _ = list(pool.map(play, *zip(*plays, strict=True)))
    assert list(tmp_path.iterdir()) == []
