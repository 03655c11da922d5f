"""A file that is read into memory: verified like a file on disk, and limited in size."""

import pytest

from gofer.contracts.base import Ref
from gofer.core import flows
from gofer.core.errand import Errand
from gofer.core.record import JobMemory, JobRecord
from gofer.errors import AnswerLost, WrongFile
from support.files import OTHER, PAPER, Files, completed, digest
from support.world import World, reply


def read(service, cap=10_000, **rules):
    """Read a file into memory."""
    world = World(service)
    errand = Errand(world.service(**rules), JobMemory(JobRecord(Ref("j1"), accepted=True)))
    return world.play(flows.read(errand, cap), errand)


def test_a_file_can_be_read_into_memory():
    """`read` returns the complete file, also after a lost answer."""
    assert read(Files(PAPER, AnswerLost("cut"), named=PAPER)) == PAPER


@pytest.mark.parametrize("service", [Files(), Files(PAPER, reply(200, PAPER))], ids=["named", "not named"])
def test_reading_more_than_the_cap_is_refused(service):
    """WrongFile is raised whether the service names the size or not."""
    with pytest.raises(WrongFile, match=r"bytes|big"):
        read(service, 100)


def test_reading_a_file_with_a_wrong_digest_is_refused():
    """Bytes in memory are compared with the digest too."""
    with pytest.raises(WrongFile):
        read(Files(named=OTHER))


def test_a_short_body_in_memory_is_fetched_again():
    """A body shorter than its Content-Length is fetched again, even if the HTTP library reports no error."""
    short = reply(200, PAPER[:500], content_length=str(len(PAPER)))
    assert read(Files(PAPER, short)) == PAPER


WRONG = {
    "digest": (Files(), reply(200, OTHER, repr_digest=digest(PAPER))),
    "size": (Files(status=completed(file_size=len(PAPER))), reply(200, PAPER[:-1])),
}


@pytest.mark.parametrize("reason", WRONG)
def test_a_wrong_body_is_fetched_once_more(reason):
    """One wrong body is fetched again, and a second one raises WrongFile."""
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
def test_a_body_of_another_format_or_encoding_is_refused_at_once(service, reason):
    """The file is not requested again, because the answer would be the same."""
    opened = []

    def counting(request, world):
        opened.append(request)
        return service(request, world)

    with pytest.raises(WrongFile) as caught:
        read(counting)
    assert caught.value.reason == reason
    assert len([request for request in opened if request.url.endswith("/file")]) == 1
