"""The third leg: the complete, correct file, or none."""

import hashlib
from pathlib import Path

import pytest
from attrs import evolve
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

from gofer.contracts.base import Ref
from gofer.core import flows
from gofer.core.commands import Mark, Measure, Open
from gofer.core.digests import Digest
from gofer.core.download import fetch
from gofer.core.errand import Errand
from gofer.core.policies import Retry
from gofer.core.record import JobMemory, JobRecord
from gofer.core.target import Target
from gofer.errors import (
    AnswerLost,
    Expired,
    NotReady,
    OutOfTime,
    Rejected,
    TransportError,
    WrongFile,
)
from gofer.models import Verified
from support.files import OTHER, PAPER, SOURCE, Files, completed, cut_after
from support.world import World, reply

TARGET = Path("/papers/paper.pdf")
FOUR = Retry(wait_fixed(0), stop_after_attempt(4))


def by_handle(errand, target):
    """Download as a handle does; return the one file that was fetched."""
    _, (fetched,) = yield from flows.download(errand, Target(target))
    return fetched


def by_id(errand, target):
    """Fetch the file of a job that was never polled."""
    return (yield from fetch(errand, Target(target), errand.contract.file(errand.service.base, errand.ref)))


def download(service, *, flow=by_handle, parts=None, timeout=None, **rules):
    """Download a file; return what was fetched and the world."""
    world = World(service)
    world.parts.update(parts or {})
    errand = Errand(world.service(**rules), JobMemory(JobRecord(Ref("j1"), accepted=True)), timeout=timeout)
    return world.play(flow(errand, TARGET), errand), world


def fails(service, kind, **options):
    """Download a file, which must raise; return the error and the world."""
    world = World(service)
    world.parts.update(options.pop("parts", None) or {})
    flow = options.pop("flow", by_handle)
    errand = Errand(world.service(**options), JobMemory(JobRecord(Ref("j1"), accepted=True)))
    with pytest.raises(kind) as caught:
        world.play(flow(errand, TARGET), errand)
    assert TARGET not in world.files
    return caught.value, world


def part(data, etag=None, *, source=SOURCE, of=PAPER, named=None):
    """A part file that an earlier try left."""
    tag = f'"{hashlib.md5(of).hexdigest()}"' if etag is None else etag
    return {TARGET: (data, Mark(source, tag or None, len(of), named))}


@pytest.mark.parametrize(
    ("service", "how"),
    [
        (Files(named=PAPER), Verified.DIGEST),
        (Files(status=completed(file_size=len(PAPER), file_format="pdf")), Verified.SIZE),
        (Files(), Verified.LENGTH),
        (Files(PAPER, reply(200, PAPER)), Verified.NONE),
    ],
    ids=["digest", "size", "length", "none"],
)
def test_a_file_is_verified_by_the_strongest_means_available(service, how):
    """A file is verified by its digest, else the named size, else the length; `verified` says which."""
    fetched, world = download(service)
    assert (fetched.verified, fetched.size, world.files[TARGET]) == (how, len(PAPER), PAPER)


def test_verify_require_refuses_a_file_that_cannot_be_verified():
    """A file without digest, size and length raises WrongFile under `verify="require"`."""
    error, _ = fails(Files(PAPER, reply(200, PAPER)), WrongFile, verify="require")
    assert error.reason == "unverified"


@pytest.mark.parametrize("kept", [1, 100, len(PAPER) - 1])
def test_a_cut_transfer_resumes_where_it_stopped(kept):
    """One more request fetches exactly the missing bytes."""
    fetched, world = download(Files(PAPER, cut_after(Files, kept), named=PAPER))
    opens = [command for command in world.commands if isinstance(command, Open)]
    assert len(opens) == 2
    assert opens[1].request.headers["range"] == f"bytes={kept}-"
    assert "if-range" in opens[1].request.headers
    assert world.files[TARGET] == PAPER
    assert fetched.verified is Verified.DIGEST


@pytest.mark.parametrize("tag", ['W/"weak"', "bare", ""])
def test_a_cut_transfer_without_a_strong_tag_starts_over(tag):
    """A part with a weak tag is not resumed: its bytes may differ under an equal tag (RFC 9110, section 8.8.3)."""
    headers = {"etag": tag}
    _, world = download(Files(PAPER, cut_after(lambda: Files(headers=headers), 100), headers=headers))
    assert "range" not in world.requests[-1].headers
    assert world.files[TARGET] == PAPER


def test_a_part_of_another_process_is_resumed():
    """The bytes that a killed process left beside the target are not fetched again."""
    _, world = download(Files(), parts=part(PAPER[:700]))
    assert world.requests[-1].headers["range"] == "bytes=700-"
    assert world.files[TARGET] == PAPER


@pytest.mark.parametrize(
    "left",
    [part(PAPER[:700], source="elsewhere"), part(PAPER[:700], etag=""), part(b"")],
    ids=["another URL's", "no entity tag", "empty"],
)
def test_a_part_that_cannot_be_trusted_is_started_over(left):
    """A part that may hold another file's bytes is not resumed."""
    _, world = download(Files(), parts=left)
    assert "range" not in world.requests[-1].headers
    assert world.files[TARGET] == PAPER


def test_a_file_that_changed_between_cut_and_resume_starts_over():
    """If-Range makes the service send the complete new file, and no byte of the old one stays."""
    _, world = download(Files(OTHER, named=OTHER), parts=part(PAPER[:700]))
    assert world.files[TARGET] == OTHER


@pytest.mark.parametrize(
    "lie",
    [
        {"content_range": f"bytes 0-{len(PAPER) - 1}/{len(PAPER)}"},
        {"content_range": f"bytes 700-{len(PAPER)}/{len(PAPER) + 1}"},
        {"content_range": "bytes 700-"},
        {"content_range": f"bytes 700-{len(PAPER) - 1}/{len(PAPER)}", "etag": '"another"'},
        {},
    ],
    ids=["wrong start", "another size", "malformed", "another tag", "absent"],
)
def test_a_206_that_does_not_continue_the_part_starts_over(lie):
    """A part is never continued by a range that does not fit it to the byte."""
    _, world = download(Files(PAPER, reply(206, PAPER[700:], **lie)), parts=part(PAPER[:700]))
    assert "range" not in world.requests[-1].headers
    assert world.files[TARGET] == PAPER


def test_a_service_that_ignores_ranges_sends_the_complete_file():
    """A 200 to a range request starts the download over."""
    _, world = download(Files(PAPER, reply(200, PAPER, content_length=str(len(PAPER)))), parts=part(PAPER[:700]))
    assert world.files[TARGET] == PAPER


def test_a_part_that_is_complete_already_is_kept():
    """After 416 with the part's own size, the part is measured and verified, and no byte is fetched."""
    fetched, world = download(
        Files(named=PAPER), parts=part(PAPER, named=Digest("sha256", hashlib.sha256(PAPER).digest()))
    )
    assert any(isinstance(command, Measure) for command in world.commands)
    assert (world.files[TARGET], fetched.verified) == (PAPER, Verified.DIGEST)


def test_the_suffix_is_the_format_that_the_first_reply_had():
    """A refusal that says that the part is complete has a type of its own, which is not the file's."""
    target, headers = Path("/papers/x.{format}"), {"content-type": "text/html"}
    world = World(Files(headers=headers))
    ((data, mark),) = part(PAPER).values()
    world.parts[target] = (data, evolve(mark, kind="application/pdf"))
    errand = Errand(world.service(), JobMemory(JobRecord(Ref("j1"), accepted=True)))
    fetched = world.play(by_handle(errand, target), errand)
    assert (fetched.path, world.files) == (Path("/papers/x.pdf"), {Path("/papers/x.pdf"): PAPER})


def test_a_complete_part_with_wrong_bytes_starts_over():
    """A damaged part is found by its digest and fetched again."""
    damaged = PAPER[:-1] + b"?"
    _, world = download(Files(named=PAPER), parts=part(damaged, named=Digest("sha256", hashlib.sha256(PAPER).digest())))
    assert world.files[TARGET] == PAPER


def test_a_part_of_something_else_starts_over():
    """If the part is a sign-in page that was cut, the file is fetched from its start and not refused."""
    page = b"<!doctype html><html>Please sign in"
    rest = reply(206, PAPER[len(page) :], content_range=f"bytes {len(page)}-{len(PAPER) - 1}/{len(PAPER)}")
    service = Files(PAPER, rest, status=completed(file_format="pdf"))
    _, world = download(service, parts={TARGET: (page, Mark(SOURCE, '"page"'))})
    assert world.files[TARGET] == PAPER


def test_a_part_that_is_longer_than_the_file_starts_over():
    """After 416 with another size the part is discarded."""
    _, world = download(Files(), parts=part(PAPER + b"more"))
    assert world.files[TARGET] == PAPER


def test_a_wrong_digest_is_fetched_once_more_and_then_refused():
    """A second body with another digest than the named one raises WrongFile, and no part stays."""
    error, world = fails(Files(named=OTHER), WrongFile)
    assert error.reason == "digest"
    assert len([command for command in world.commands if isinstance(command, Open)]) == 2
    assert world.parts == {}


@pytest.mark.parametrize("named", [len(PAPER) - 1, len(PAPER) + 1])
def test_a_size_other_than_the_named_one_is_refused(named):
    """A file that is shorter or longer than its status document says raises WrongFile."""
    error, _ = fails(Files(status=completed(file_size=named)), WrongFile)
    assert error.reason == "size"


def test_a_body_shorter_than_its_length_is_resumed_even_if_the_library_reports_no_error():
    """Missing bytes at the end are noticed by counting, and fetched."""
    short = reply(200, PAPER[:500], content_length=str(len(PAPER)), etag=Files().headers["etag"])
    _, world = download(Files(PAPER, short))
    assert world.files[TARGET] == PAPER


def test_html_in_place_of_a_pdf_is_refused():
    """A login page with status 200 is not accepted as the paper."""
    page = b"<!DOCTYPE html><html>Please sign in</html>"
    error, world = fails(Files(page, status=completed(file_format="pdf")), WrongFile)
    assert error.reason == "format"
    assert "HTML" in str(error)
    assert world.parts == {}


def test_a_body_in_an_encoding_that_was_not_requested_is_refused():
    """A body in gzip is never decompressed, since identity was requested."""
    error, _ = fails(Files(headers={"content-encoding": "gzip"}), WrongFile)
    assert error.reason == "encoding"


def test_a_file_over_the_cap_is_refused_before_its_body():
    """A file whose head names too large a size is refused, and its body is not read."""
    error, _ = fails(Files(), WrongFile, file_cap=100)
    assert error.reason == "too big"


LONG_PAGE = reply(503, b"<html>" + b" " * (2 << 20))


@pytest.mark.parametrize("fault", [AnswerLost("cut"), reply(500), reply(503), reply(429), LONG_PAGE], ids=str)
def test_transient_failures_are_retried(fault):
    """Two transient failures in a row do not end the download."""
    _, world = download(Files(PAPER, fault, fault))
    assert world.files[TARGET] == PAPER


def test_lasting_failures_end_the_download_and_keep_the_part():
    """Failures without end raise the last one, and the part stays for the next try."""
    error, world = fails(
        lambda request, world: Files().status if not request.url.endswith("/file") else AnswerLost("cut"),
        TransportError,
        parts=part(PAPER[:700]),
    )
    assert world.parts[TARGET][0] == PAPER[:700]
    assert error.leg == "download"


def slowly(files, kept):
    """A fault: after 200 seconds the transfer breaks off, `kept` bytes further on."""

    def fault(request, world):
        world.mono += 200
        return cut_after(lambda: files, kept)(request, world)

    return fault


@pytest.mark.parametrize("kept", [1024, 400])
def test_progress_between_failures_resets_the_patience(kept):
    """A slow download does not fail, if a kibibyte comes between the failures."""
    book = PAPER * 8
    _, world = download(Files(book, *[slowly(Files(book), kept)] * 12), patience=FOUR)
    assert world.files[TARGET] == book


def test_fewer_bytes_between_failures_are_no_progress():
    """Failures with a few bytes between them end the download, also without a budget; the part stays."""
    error, world = fails(Files(PAPER, *[slowly(Files(), 10)] * 50), AnswerLost)
    assert error.leg == "download"
    assert 0 < len(world.parts[TARGET][0]) < 100


def test_a_fetch_of_a_running_job_is_not_ready():
    """A 409 raises NotReady if the job was never polled."""
    error, _ = fails(Files(PAPER, reply(409)), NotReady, flow=by_id)
    assert error.status_code == 409


def test_not_ready_after_success_is_transient():
    """A 409 after the job has completed is retried, since a replica may lag behind."""
    _, world = download(Files(PAPER, reply(409)))
    assert world.files[TARGET] == PAPER


def test_a_file_that_is_gone_is_expired():
    """A 410 raises Expired at once."""
    fails(Files(PAPER, reply(410)), Expired)


def test_the_budget_bounds_the_transfer():
    """A transfer that is slower than the budget raises OutOfTime, and the bytes that came are kept."""

    def slow(request, world):
        world.mono += 30
        world.cut = AnswerLost("not in time")
        complete = Files().file(request)
        return reply(200, complete.body[:100], **dict(complete.headers.items()))

    world = World(Files(PAPER, slow))
    errand = Errand(world.service(), JobMemory(JobRecord(Ref("j1"), accepted=True)), timeout=20)
    with pytest.raises(OutOfTime) as caught:
        world.play(by_handle(errand, TARGET), errand)
    assert caught.value.leg == "download"
    assert len(world.parts[TARGET][0]) == 100


@pytest.mark.parametrize("head", [{"location": "ftp://elsewhere/"}, {}], ids=["not http", "nowhere"])
def test_a_redirect_that_is_refused_leaves_no_body_open(head):
    """The body of a redirect is closed before the error is raised."""
    _, world = fails(Files(PAPER, *[reply(303, **head)] * 9), Rejected)
    assert world.body is None
