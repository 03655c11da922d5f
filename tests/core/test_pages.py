"""A web page with status 200 where nobody had been promised anything: the job says what the file is to be."""

from pathlib import Path

import pytest

from gofer.contracts.base import Ref
from gofer.core.download import fetch, to_memory
from gofer.core.errand import Errand
from gofer.core.record import JobMemory, JobRecord
from gofer.core.table import Move
from gofer.errors import AnswerLost, BadReply, GoferError, NotFound, Unauthorized, WrongFile
from support.files import PAPER, Files, completed
from support.world import World, reply

TARGET = Path("/papers/paper.pdf")
PAGE = reply(200, b"<!doctype html><html>Please sign in</html>", content_type="text/html; charset=utf-8")
UNTYPED = reply(200, PAGE.body)


def bare_file(errand, target):
    """A fetch of a job that nobody has looked at."""
    return (yield from fetch(errand, target, errand.contract.file(errand.service.base, errand.ref)))


def bare(errand, target):
    """A read of a job that nobody has looked at."""
    errand.move(Move.FETCH)
    return to_memory(errand, 10_000, errand.contract.file(errand.service.base, errand.ref))


def unseen(service, flow=bare_file):
    """Play a bare fetch of a job that is known by its id only; return what came and what was asked."""
    world = World(service)
    errand = Errand(world.service(), JobMemory(JobRecord(Ref("j1"))))
    try:
        came = world.play(flow(errand, TARGET), errand)
    except GoferError as error:
        came = error
    assert world.body is None
    if isinstance(came, GoferError):
        assert (came.leg, world.files) == ("download", {})
    elif not isinstance(came, bytes):
        came = world.files[TARGET]
    return came, ["file" if request.url.endswith("/file") else "look" for request in world.requests]


@pytest.mark.parametrize("flow", [bare_file, bare])
@pytest.mark.parametrize("page", [PAGE, UNTYPED], ids=["html", "no type"])
def test_a_page_in_the_place_of_a_file_nobody_promised_makes_the_core_look_at_the_job(flow, page):
    """What the job's document promises is the file, and the page is not."""
    promise = completed(file_format="pdf")
    assert unseen(Files(PAPER, page, status=promise), flow) == (PAPER, ["file", "look", "file"])
    error, asked = unseen(Files(PAPER, page, page, status=promise), flow)
    assert isinstance(error, WrongFile)
    assert asked == ["file", "look", "file"]


@pytest.mark.parametrize("flow", [bare_file, bare])
@pytest.mark.parametrize("promise", [{}, {"file_format": "html"}], ids=["nothing", "html"])
def test_a_page_is_the_file_where_the_job_promises_nothing_else(flow, promise):
    """A service may well have a page for its file."""
    assert unseen(Files(PAPER, PAGE, PAGE, status=completed(**promise)), flow) == (
        PAGE.body,
        ["file", "look", "file"],
    )


def test_a_file_that_says_what_it_is_costs_no_look():
    """Only what may be a page is doubted."""
    typed = reply(200, PAPER, content_type="application/pdf")
    assert unseen(Files(PAPER, typed)) == (PAPER, ["file"])


@pytest.mark.parametrize("flow", [bare_file, bare])
@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        (reply(404), NotFound),
        (reply(401), Unauthorized),
        (reply(200, '{"job_id": "j1", "status": "searching"}'), WrongFile),
        (reply(200, '{"job_id": "j1", "status": "failed"}'), WrongFile),
        (PAGE, BadReply),
    ],
    ids=["no such job", "not signed in", "running", "failed", "another page"],
)
def test_a_page_is_not_believed_where_the_job_cannot_vouch_for_it(flow, seen, kind):
    """Without a completed job there is no file, whatever the page's status code says."""
    error, _ = unseen(Files(PAPER, PAGE, PAGE, status=seen), flow)
    assert isinstance(error, kind)


def test_silence_while_the_job_is_looked_at_costs_nothing():
    """The look is as patient as the download."""
    status = [AnswerLost("cut"), reply(503), completed(file_format="pdf")]
    files = Files(PAPER, PAGE)

    def service(request, world):
        return files(request, world) if request.url.endswith("/file") else status.pop(0)

    assert unseen(service) == (PAPER, ["file", "look", "look", "look", "file"])
