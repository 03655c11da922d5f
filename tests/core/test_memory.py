"""The file as bytes: verified like a file on disk, and kept small."""

import pytest

from gofer.contracts.base import Ref
from gofer.core import flows
from gofer.core.errand import Errand
from gofer.core.record import JobMemory, JobRecord
from gofer.errors import AnswerLost, WrongFile
from support.files import OTHER, PAPER, Files, completed, digest
from support.world import World, reply


def read(service, cap=10_000, **rules):
    """Play a read into memory."""
    world = World(service)
    errand = Errand(world.service(**rules), JobMemory(JobRecord(Ref("j1"), accepted=True)))
    return world.play(flows.read(errand, cap), errand)


def test_a_file_can_be_read_into_memory():
    """Bytes, verified like a file on disk."""
    assert read(Files(PAPER, AnswerLost("cut"), named=PAPER)) == PAPER


@pytest.mark.parametrize("service", [Files(), Files(PAPER, reply(200, PAPER))], ids=["named", "not named"])
def test_reading_more_than_the_cap_is_refused(service):
    """Whether the size is named or not."""
    with pytest.raises(WrongFile, match=r"bytes|big"):
        read(service, 100)


def test_reading_a_file_with_a_wrong_digest_is_refused():
    """Bytes in memory are checked too."""
    with pytest.raises(WrongFile):
        read(Files(named=OTHER))


def test_a_body_in_memory_is_counted():
    """One that ended before its length is fetched again, even when the library reports no cut."""
    short = reply(200, PAPER[:500], content_length=str(len(PAPER)))
    assert read(Files(PAPER, short)) == PAPER


WRONG = {
    "digest": (Files(), reply(200, OTHER, repr_digest=digest(PAPER))),
    "size": (Files(status=completed(file_size=len(PAPER))), reply(200, PAPER[:-1])),
}


@pytest.mark.parametrize("reason", WRONG)
def test_bytes_that_do_not_fit_are_fetched_once_more(reason):
    """A proxy that mixed up one answer does not cost the file."""
    service, wrong = WRONG[reason]
    assert read(Files(PAPER, wrong, status=service.status)) == PAPER
    with pytest.raises(WrongFile) as caught:
        read(Files(PAPER, wrong, wrong, status=service.status))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        (Files(b"<html>Please sign in</html>", status=completed(file_format="pdf")), "format"),
        (Files(headers={"content-encoding": "gzip"}), "encoding"),
    ],
    ids=["page", "packed"],
)
def test_bytes_of_another_kind_are_refused_at_once(service, reason):
    """It would be the same the second time."""
    opened = []

    def counting(request, world):
        opened.append(request)
        return service(request, world)

    with pytest.raises(WrongFile) as caught:
        read(counting)
    assert caught.value.reason == reason
    assert len([request for request in opened if request.url.endswith("/file")]) == 1
