"""A web page with status 200 in place of a file: the job, the file's name and its first reply say what the file is."""

from pathlib import Path

import pytest

from core.test_download import download, fails
from gofer.contracts import formats
from gofer.contracts.base import Ref
from gofer.core.download import fetch, to_memory
from gofer.core.errand import Errand
from gofer.core.record import JobMemory, JobRecord
from gofer.core.table import Move
from gofer.core.target import Target
from gofer.errors import AnswerLost, BadReply, GoferError, NotFound, Unauthorized, WrongFile
from support.files import BOOK, PAPER, Files, completed, cut_after
from support.world import World, reply

TARGET = Path("/papers/paper.pdf")
PAGE = reply(200, b"<!doctype html><html>Please sign in</html>", content_type="text/html; charset=utf-8")
UNTYPED = reply(200, PAGE.body)


def to_disk(errand, target):
    """Fetch the file of a job that was never polled."""
    return (yield from fetch(errand, Target(target), errand.contract.file(errand.service.base, errand.ref)))


def in_memory(errand, target):
    """Read the file of a job that was never polled."""
    errand.move(Move.FETCH)
    return to_memory(errand, 10_000, errand.contract.file(errand.service.base, errand.ref))


def fetch_by_id(service, flow=to_disk):
    """Fetch the file of a job of which only the id is available; return what came and what was requested."""
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
    return came, ["file" if request.url.endswith("/file") else "poll" for request in world.requests]


@pytest.mark.parametrize("flow", [to_disk, in_memory])
@pytest.mark.parametrize("page", [PAGE, UNTYPED], ids=["html", "no type"])
def test_a_page_in_place_of_the_file_makes_the_core_poll_the_job(flow, page):
    """If the job's document promises a PDF, a web page is not accepted as the file."""
    promise = completed(file_format="pdf")
    assert fetch_by_id(Files(PAPER, page, status=promise), flow) == (PAPER, ["file", "poll", "file"])
    error, asked = fetch_by_id(Files(PAPER, page, page, status=promise), flow)
    assert isinstance(error, WrongFile)
    assert asked == ["file", "poll", "file"]


@pytest.mark.parametrize("flow", [to_disk, in_memory])
@pytest.mark.parametrize("promise", [{}, {"file_format": "html"}], ids=["nothing", "html"])
def test_a_page_is_the_file_where_the_job_promises_nothing_else(flow, promise):
    """A web page is the file if the job promises HTML, or no format."""
    assert fetch_by_id(Files(PAPER, PAGE, PAGE, status=completed(**promise)), flow) == (
        PAGE.body,
        ["file", "poll", "file"],
    )


def test_a_file_that_names_its_type_costs_no_poll():
    """The job is polled only if the answer may be a web page."""
    typed = reply(200, PAPER, content_type="application/pdf")
    assert fetch_by_id(Files(PAPER, typed)) == (PAPER, ["file"])


@pytest.mark.parametrize("flow", [to_disk, in_memory])
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
def test_a_page_is_not_accepted_without_a_completed_job(flow, seen, kind):
    """If the job has not completed, or cannot be polled, a web page with status 200 is an error."""
    error, _ = fetch_by_id(Files(PAPER, PAGE, PAGE, status=seen), flow)
    assert isinstance(error, kind)


def test_a_failed_poll_for_the_format_is_retried():
    """The poll that a page causes is retried within the patience of the download."""
    status = [AnswerLost("cut"), reply(503), completed(file_format="pdf")]
    files = Files(PAPER, PAGE)

    def service(request, world):
        return files(request, world) if request.url.endswith("/file") else status.pop(0)

    assert fetch_by_id(service) == (PAPER, ["file", "poll", "poll", "poll", "file"])


MARKUP = b"\xef\xbb\xbf <!DOCTYPE html><html>Please sign in</html>"


@pytest.mark.parametrize(
    ("name", "kinds", "instead"),
    [
        ("table.csv", (), True),
        ("TABLE.CSV", ("text/html",), True),
        ("report.html", ("application/octet-stream",), False),
        ("report.html", ("application/pdf",), False),
        ("out", ("text/csv",), True),
        ("out", ("html",), False),
        ("out", ("text/html", "application/zip"), False),
        ("out", (None, "application/zip; x=1"), True),
        ("out", ("application/octet-stream", ""), False),
        ("export.php", (), False),
    ],
)
def test_a_page_is_not_the_file_where_name_or_type_says_otherwise(name, kinds, instead):
    """The name's ending decides, else the promised format, else the first reply's type; a general type does not."""
    assert formats.is_page_instead(name, kinds, MARKUP) is instead
    assert not formats.is_page_instead(name, kinds, b"a,b\n<html>")


def cut_by_pages(pages):
    """A service of a file that breaks off, with this number of pages in its place after that."""
    typed = {"content-type": "application/pdf"}
    return Files(BOOK, cut_after(lambda: Files(BOOK, headers=typed), 9000), *[PAGE] * pages, headers=typed)


def test_a_page_between_two_parts_of_a_file_is_not_the_file():
    """The part stays when pages come in its place, and the transfer goes on with it."""
    _, world = download(cut_by_pages(3))
    assert world.files[TARGET] == BOOK
    assert world.requests[-1].headers["range"] == "bytes=9000-"


def test_pages_without_end_in_the_middle_of_a_file_end_the_download_and_keep_the_part():
    """The error says that a page came, and the next call goes on with the part."""
    error, world = fails(cut_by_pages(999), AnswerLost)
    assert "web page" in str(error)
    assert world.parts[TARGET][0] == BOOK[:9000]


def test_a_page_that_is_labelled_as_the_file_is_refused():
    """What begins as a web page is not the table that its type says it is."""
    error, world = fails(Files(MARKUP, headers={"content-type": "text/csv"}), WrongFile)
    assert (error.reason, world.parts) == ("format", {})
