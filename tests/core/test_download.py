"""The third leg: the right whole file, or nothing."""

import hashlib
from pathlib import Path

import pytest
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

from gofer.contracts.base import Ref
from gofer.core import flows
from gofer.core.commands import Mark, Measure, Open
from gofer.core.download import fetch
from gofer.core.errand import Errand
from gofer.core.policies import Retry
from gofer.core.record import JobMemory, JobRecord
from gofer.core.target import Target
from gofer.errors import (
    AnswerLost,
    Expired,
    JobLost,
    NotReady,
    OutOfTime,
    Rejected,
    TransportError,
    UntrustedCertificate,
    WrongFile,
)
from gofer.models import Verified
from support.files import OTHER, PAPER, SOURCE, Files, completed, cut_after
from support.world import World, reply

TARGET = Path("/papers/paper.pdf")
FOUR = Retry(wait_fixed(0), stop_after_attempt(4))


def whole(errand, target):
    """A download as a handle makes it, down to the one file of it."""
    _, (fetched,) = yield from flows.download(errand, Target(target))
    return fetched


def bare_file(errand, target):
    """A fetch of a job that nobody has looked at."""
    return (yield from fetch(errand, target, errand.contract.file(errand.service.base, errand.ref)))


def download(service, *, flow=whole, parts=None, timeout=None, **rules):
    """Play one download; return what was fetched and the world."""
    world = World(service)
    world.parts.update(parts or {})
    errand = Errand(world.service(**rules), JobMemory(JobRecord(Ref("j1"), accepted=True)), timeout=timeout)
    return world.play(flow(errand, TARGET), errand), world


def fails(service, kind, **options):
    """Play a download that must raise."""
    world = World(service)
    world.parts.update(options.pop("parts", None) or {})
    flow = options.pop("flow", whole)
    errand = Errand(world.service(**options), JobMemory(JobRecord(Ref("j1"), accepted=True)))
    with pytest.raises(kind) as caught:
        world.play(flow(errand, TARGET), errand)
    assert TARGET not in world.files
    return caught.value, world


def part(data, etag=None, *, source=SOURCE, of=PAPER, named=None):
    """A part file that a former try left."""
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
def test_a_file_is_verified_by_the_strongest_means_there_is(service, how):
    """Digest, else the named size, else the length, else nothing: the result says which."""
    fetched, world = download(service)
    assert (fetched.verified, fetched.size, world.files[TARGET]) == (how, len(PAPER), PAPER)


def test_verify_require_refuses_a_file_that_nothing_vouches_for():
    """Without digest, size and length there is no proof."""
    error, _ = fails(Files(PAPER, reply(200, PAPER)), WrongFile, verify="require")
    assert error.reason == "unverified"


@pytest.mark.parametrize("kept", [1, 100, len(PAPER) - 1])
def test_a_cut_transfer_goes_on_where_it_stopped(kept):
    """One more request brings exactly the missing bytes."""
    fetched, world = download(Files(PAPER, cut_after(Files, kept), named=PAPER))
    opens = [command for command in world.commands if isinstance(command, Open)]
    assert len(opens) == 2
    assert opens[1].request.headers["range"] == f"bytes={kept}-"
    assert "if-range" in opens[1].request.headers
    assert world.files[TARGET] == PAPER
    assert fetched.verified is Verified.DIGEST


@pytest.mark.parametrize("tag", ['W/"weak"', "bare", ""])
def test_a_cut_transfer_without_a_strong_tag_starts_over(tag):
    """Equal weak tags do not mean equal bytes (RFC 9110, section 8.8.3)."""
    headers = {"etag": tag}
    _, world = download(Files(PAPER, cut_after(lambda: Files(headers=headers), 100), headers=headers))
    assert "range" not in world.requests[-1].headers
    assert world.files[TARGET] == PAPER


def test_a_part_of_another_process_is_gone_on_with():
    """What kill -9 left beside the target is not fetched again."""
    _, world = download(Files(), parts=part(PAPER[:700]))
    assert world.requests[-1].headers["range"] == "bytes=700-"
    assert world.files[TARGET] == PAPER


@pytest.mark.parametrize(
    "left",
    [part(PAPER[:700], source="elsewhere"), part(PAPER[:700], etag=""), part(b"")],
    ids=["another URL's", "no entity tag", "empty"],
)
def test_a_part_that_cannot_be_trusted_is_started_over(left):
    """No range is asked for what may be another file's bytes."""
    _, world = download(Files(), parts=left)
    assert "range" not in world.requests[-1].headers
    assert world.files[TARGET] == PAPER


def test_a_file_that_changed_between_cut_and_resume_starts_over():
    """If-Range makes the service send the new file whole, and nothing of the old one stays."""
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
    """A wrong Content-Range never splices two files."""
    _, world = download(Files(PAPER, reply(206, PAPER[700:], **lie)), parts=part(PAPER[:700]))
    assert "range" not in world.requests[-1].headers
    assert world.files[TARGET] == PAPER


def test_a_service_that_ignores_ranges_sends_the_file_whole():
    """200 to a range starts over."""
    _, world = download(Files(PAPER, reply(200, PAPER, content_length=str(len(PAPER)))), parts=part(PAPER[:700]))
    assert world.files[TARGET] == PAPER


def test_a_part_that_was_whole_already_is_kept_without_its_body():
    """416 with the part's own size means that nothing is missing; the part is measured and verified."""
    fetched, world = download(Files(named=PAPER), parts=part(PAPER, named=hashlib.sha256(PAPER).digest()))
    assert any(isinstance(command, Measure) for command in world.commands)
    assert (world.files[TARGET], fetched.verified) == (PAPER, Verified.DIGEST)


def test_a_whole_part_with_wrong_bytes_starts_over():
    """A damaged part is found by its digest and fetched again."""
    damaged = PAPER[:-1] + b"?"
    _, world = download(Files(named=PAPER), parts=part(damaged, named=hashlib.sha256(PAPER).digest()))
    assert world.files[TARGET] == PAPER


def test_a_part_of_something_else_starts_over():
    """A sign-in page that broke off is no reason to refuse the file, even where a service goes on with anything."""
    page = b"<!doctype html><html>Please sign in"
    rest = reply(206, PAPER[len(page) :], content_range=f"bytes {len(page)}-{len(PAPER) - 1}/{len(PAPER)}")
    service = Files(PAPER, rest, status=completed(file_format="pdf"))
    _, world = download(service, parts={TARGET: (page, Mark(SOURCE, '"page"'))})
    assert world.files[TARGET] == PAPER


def test_a_part_that_is_longer_than_the_file_starts_over():
    """416 with another size throws the part away."""
    _, world = download(Files(), parts=part(PAPER + b"more"))
    assert world.files[TARGET] == PAPER


def test_a_wrong_digest_is_fetched_once_more_and_then_refused():
    """Two transfers that both miss the named digest are no accident."""
    error, world = fails(Files(named=OTHER), WrongFile)
    assert error.reason == "digest"
    assert len([command for command in world.commands if isinstance(command, Open)]) == 2
    assert world.parts == {}


@pytest.mark.parametrize("named", [len(PAPER) - 1, len(PAPER) + 1])
def test_a_size_other_than_the_named_one_is_refused(named):
    """Shorter or longer than the status said, the file is wrong."""
    error, _ = fails(Files(status=completed(file_size=named)), WrongFile)
    assert error.reason == "size"


def test_a_body_shorter_than_its_length_is_a_cut_even_when_the_library_reports_none():
    """A missing tail is noticed by counting, and fetched."""
    short = reply(200, PAPER[:500], content_length=str(len(PAPER)), etag=Files().headers["etag"])
    _, world = download(Files(PAPER, short))
    assert world.files[TARGET] == PAPER


def test_html_in_place_of_a_pdf_is_refused():
    """A login page with 200 is not the paper."""
    page = b"<!DOCTYPE html><html>Please sign in</html>"
    error, world = fails(Files(page, status=completed(file_format="pdf")), WrongFile)
    assert error.reason == "format"
    assert "HTML" in str(error)
    assert world.parts == {}


def test_a_body_in_an_encoding_nobody_asked_for_is_refused():
    """Gzip although identity was asked is never unpacked."""
    error, _ = fails(Files(headers={"content-encoding": "gzip"}), WrongFile)
    assert error.reason == "encoding"


def test_a_file_over_the_cap_is_refused_before_its_body():
    """The size is judged by the head."""
    error, _ = fails(Files(), WrongFile, file_cap=100)
    assert error.reason == "too big"


ENDLESS = reply(503, b"<html>" + b" " * (2 << 20))


@pytest.mark.parametrize("fault", [AnswerLost("cut"), reply(500), reply(503), reply(429), ENDLESS], ids=str)
def test_passing_failures_are_repeated(fault):
    """A service in trouble does not cost the download."""
    _, world = download(Files(PAPER, fault, fault))
    assert world.files[TARGET] == PAPER


def test_failures_that_never_pass_end_after_five_minutes_and_keep_the_part():
    """The next attempt, in any process, goes on from there."""
    error, world = fails(
        lambda request, world: Files().status if not request.url.endswith("/file") else AnswerLost("cut"),
        TransportError,
        parts=part(PAPER[:700]),
    )
    assert world.parts[TARGET][0] == PAPER[:700]
    assert error.leg == "download"


def slowly(files, kept):
    """A fault: after 200 seconds the transfer breaks off with so many bytes more."""

    def fault(request, world):
        world.mono += 200
        return cut_after(lambda: files, kept)(request, world)

    return fault


@pytest.mark.parametrize("kept", [1024, 400])
def test_progress_between_failures_resets_the_patience(kept):
    """A slow line that brings a few bytes each time is never given up, if they come to a kibibyte in time."""
    book = PAPER * 8
    _, world = download(Files(book, *[slowly(Files(book), kept)] * 12), patience=FOUR)
    assert world.files[TARGET] == book


def test_fewer_bytes_between_failures_are_no_progress():
    """A line that brings hardly anything ends the download, also without a budget; the part stays."""
    error, world = fails(Files(PAPER, *[slowly(Files(), 10)] * 50), AnswerLost)
    assert error.leg == "download"
    assert 0 < len(world.parts[TARGET][0]) < 100


def test_an_untrusted_certificate_ends_the_download_at_once():
    """Nothing is repeated."""
    fails(Files(PAPER, UntrustedCertificate("bad")), UntrustedCertificate)


def test_not_ready_is_raised_where_the_job_was_not_waited_for():
    """A bare fetch of a running job says so."""
    error, _ = fails(Files(PAPER, reply(409)), NotReady, flow=bare_file)
    assert error.status_code == 409


def test_not_ready_after_success_is_a_blip():
    """A replica that has not heard of the end yet is asked again."""
    _, world = download(Files(PAPER, reply(409)))
    assert world.files[TARGET] == PAPER


@pytest.mark.parametrize(("faults", "kind"), [([reply(410)], Expired), ([reply(404)] * 3, JobLost)])
def test_a_file_that_is_gone_is_said_to_be_gone(faults, kind):
    """Expired at once, lost after the third 404."""
    fails(Files(PAPER, *faults), kind)


def test_the_budget_bounds_the_transfer():
    """The store command carries the deadline, and what came is kept."""

    def slow(request, world):
        world.mono += 30
        world.cut = AnswerLost("not in time")
        whole = Files().file(request)
        return reply(200, whole.body[:100], **dict(whole.headers.items()))

    world = World(Files(PAPER, slow))
    errand = Errand(world.service(), JobMemory(JobRecord(Ref("j1"), accepted=True)), timeout=20)
    with pytest.raises(OutOfTime) as caught:
        world.play(whole(errand, TARGET), errand)
    assert caught.value.leg == "download"
    assert len(world.parts[TARGET][0]) == 100


@pytest.mark.parametrize("head", [{"location": "ftp://elsewhere/"}, {}], ids=["not http", "nowhere"])
def test_a_redirect_that_is_refused_leaves_no_body_open(head):
    """What was opened is dropped before the error is raised."""
    _, world = fails(Files(PAPER, *[reply(303, **head)] * 9), Rejected)
    assert world.body is None
