"""Links that expire while a file is downloaded: the job's document is read again, and the part is gone on with."""

import json
import random

import pytest
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

import gofer
from support.declared import PLAIN, client_of, said
from support.raw_server import http

DATA = random.Random(4).randbytes(300_000)
QUICK = {"poll": wait_fixed(0.02), "patience": gofer.Retry(wait_fixed(0.02), stop_after_attempt(4))}
DECLARED = PLAIN + '[result.files]\nunder = "/files"\nurl = "/url"\nname = "/name"\n'
DATE = {"last_modified": "Tue, 21 Oct 2025 07:28:00 GMT", "date": "Wed, 22 Oct 2025 07:28:00 GMT"}


class Store:
    """A job whose links are good for one request; a cut file breaks off after 100 kB each time."""

    def __init__(self, *, names=("a",), status=403, renews=True, version=None):
        self.names, self.status, self.renews = names, status, renews
        self.version = {"etag": '"v1"'} if version is None else version
        self.polls, self.used, self.ranges = 0, set(), []

    def __call__(self, call):
        """Answer a request."""
        if call.path.startswith("/store"):
            return self.file(call)
        self.polls += call.method == "GET"
        signature = self.polls if self.renews else 0
        files = [{"name": name, "url": f"/store/{name}?sig={signature}"} for name in self.names]
        return http(200, json.dumps({"id": "7", "state": "done", "files": files}))

    def file(self, call):
        """Send the file, or 100 kB of the rest."""
        if call.path in self.used:
            return http(self.status, '{"detail": "expired"}')
        self.used.add(call.path)
        start = int(call.headers.get("range", "bytes=0-")[6:-1])
        self.ranges.append(start)
        span = {"content_range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"} if start else {}
        answer = http(206 if start else 200, DATA[start:], **span, **self.version)
        return answer[: 100_000 + len(answer) - len(DATA[start:])]


@pytest.fixture
def submitted(any_face, serve):
    """Submit a job to a service on one of the three faces; return its handle."""
    return lambda service: client_of(any_face, serve(service).url, said(DECLARED), **QUICK).submit({})


@pytest.mark.parametrize("status", [401, 403, 404, 410])
@pytest.mark.parametrize("version", [None, {"etag": 'W/"v1"'}, DATE], ids=["strong tag", "weak tag", "date"])
def test_a_link_that_expires_in_mid_transfer_is_read_again(submitted, tmp_path, status, version):
    """Each refusal polls the job once, and the new link is gone on with from where the part stands."""
    service = Store(status=status, version=version)
    submitted(service).download(tmp_path / "a", timeout=20)
    assert (tmp_path / "a").read_bytes() == DATA
    assert service.polls + 1 == len(service.ranges) <= 4
    assert all(start >= 90_000 * nth for nth, start in enumerate(service.ranges))


@pytest.mark.parametrize(
    ("status", "kind"), [(401, gofer.Unauthorized), (403, gofer.Unauthorized), (410, gofer.Expired)]
)
def test_a_link_that_is_still_the_same_is_refused(submitted, tmp_path, status, kind):
    """The job is polled once; the link is not asked again, and the refusal is raised."""
    service = Store(status=status, renews=False)
    service.used.add("/store/a?sig=0")
    with pytest.raises(kind):
        submitted(service).download(tmp_path / "a", timeout=20)
    assert (service.polls, service.ranges) == (1, [])


def test_one_poll_renews_the_links_of_all_files(submitted, tmp_path):
    """Files that come later use the links that were read for an earlier one, each by its name."""
    service = Store(names=("a", "b", "c"))
    service.used |= {f"/store/{name}?sig=0" for name in "abc"}
    submitted(service).download(f"{tmp_path}/out/", timeout=30)
    assert all((tmp_path / "out" / name).read_bytes() == DATA for name in "abc")
    assert service.polls == 3 + 2 + 2


def test_a_link_is_read_again_for_a_file_in_memory_too(submitted):
    """What is read into memory starts over with the new link."""
    service = Store(version={})
    service.used.add("/store/a?sig=0")
    service.file = lambda call: http(403) if call.path in service.used else http(200, DATA)
    assert submitted(service).read(max_bytes=1_000_000, timeout=20) == DATA
