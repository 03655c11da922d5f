"""What the layers below log and send on: no secret of gofer's requests, and no harm by what a service sends."""

import json
import logging

import anyio
import httpx
import httpx2
import pytest
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

import gofer
from support.raw_server import http, raw_server

DONE = json.dumps({"job_id": "1", "status": "completed"})
FACES = ("blocking", "asyncio", "trio")


def refresh(face, url, *, times=1, **options):
    """Poll a job with a client of this face."""
    if face == "blocking":
        job = gofer.RetrieveClient(base_url=url, **options).job("1")
        return [job.refresh() for _ in range(times)]

    async def awaited():
        async with gofer.AsyncRetrieveClient(base_url=url, **options) as client:
            job = client.job("1")
            return [await job.refresh() for _ in range(times)]

    return anyio.run(awaited, backend=face)


@pytest.fixture
def log(caplog):
    """Every record at DEBUG, of every logger there is."""
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in ("httpx", "httpx2", "httpcore")]
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    with caplog.at_level(logging.DEBUG):
        yield caplog
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def shown(log):
    """All that the records show, arguments included."""
    return "\n".join(f"{record.name} {record.getMessage()} {record.args}" for record in log.records)


@pytest.mark.parametrize("face", FACES)
def test_no_secret_of_ours_reaches_the_loggers_of_the_http_library(face, log):
    """Neither a query nor a header nor a cookie is logged at any level; the address without its query is."""
    reply = http(200, DONE, set_cookie="session=s3cret-cookie")
    redirect = http(307, location="/jobs/1?signature=s3cret-link")
    with raw_server(lambda call: [redirect if "signature" not in call.path else reply]) as server:
        refresh(face, server.url, times=2, auth="s3cret-token", headers={"x-key": "s3cret-key"})
        assert "s3cret" not in shown(log)
        assert f"{server.url}/jobs/1" in shown(log)


@pytest.mark.parametrize("family", [httpx, httpx2], ids=lambda family: family.__name__)
def test_other_programs_records_are_untouched(family, log):
    """What the program itself asks for with its own client is logged as ever."""
    with raw_server(lambda call: [http(200, DONE)]) as server:
        refresh("blocking", server.url)
        log.clear()
        with family.Client() as mine:
            mine.get(f"{server.url}/jobs/1?mine=1")
        assert "mine=1" in shown(log)
        assert any(record.name.startswith("httpcore") for record in log.records)


@pytest.mark.parametrize("face", FACES)
def test_a_cookie_that_cannot_be_sent_costs_nothing(face):
    """A cookie that is not ASCII is forgotten, and others are sent."""
    reply = http(200, DONE, set_cookie="fine=1").replace(b"fine=1", "fine=1\r\nset-cookie: name=Jörg".encode())
    with raw_server(lambda call: [reply]) as server:
        assert refresh(face, server.url, times=3) == ["completed"] * 3
        assert [call.headers.get("cookie") for call in server.calls] == [None, "fine=1", "fine=1"]


@pytest.mark.parametrize("face", FACES)
def test_a_flood_of_informational_replies_ends_at_the_deadline(face):
    """Replies of 1xx that follow one another without a pause cannot outlive the timeout of a request."""
    once = gofer.Retry(wait_fixed(0), stop_after_attempt(1))

    def flood(call):
        return [b"HTTP/1.1 102 Processing\r\n\r\n" * 100] * 100_000

    with raw_server(flood) as server, pytest.raises(gofer.AnswerLost):
        refresh(face, server.url, timeout=1, retry=once)
