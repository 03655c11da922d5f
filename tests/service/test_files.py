"""The file route: the complete file, a part, conditional requests, and deleted files."""

import base64
import hashlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from gofer_service import local_app, running, sample_library
from gofer_service.engine import Result, Run
from gofer_service.files import _disposition  # pyright: ignore[reportPrivateUsage]
from gofer_service.retrieval import Retrieval
from gofer_service.sources.library import Library
from gofer_service.store import FolderStore

from .conftest import assemble, finish

Done = Callable[..., dict[str, Any]]
CONTENT = (sample_library() / "10.5555_12345678.pdf").read_bytes()
SIZE = len(CONTENT)
DIGEST = f"sha-256=:{base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()}:"


@pytest.fixture(scope="module")
def path(url: str) -> str:
    """Give the path of a file that is ready."""
    with httpx.Client(base_url=url, timeout=10) as http:
        return f"/jobs/{finish(http)['job_id']}/file"


def test_the_whole_file_comes_with_all_that_describes_it(http: httpx.Client, path: str) -> None:
    """A plain GET gives the bytes, their length, digest, tag, type and name."""
    reply = http.get(path)
    assert (reply.status_code, reply.content) == (200, CONTENT)
    assert reply.headers["content-length"] == str(SIZE)
    assert reply.headers["repr-digest"] == DIGEST
    assert reply.headers["accept-ranges"] == "bytes"
    assert reply.headers["content-type"] == "application/pdf"
    assert reply.headers["content-disposition"] == 'attachment; filename="10.5555_12345678.pdf"'
    assert reply.headers["etag"].startswith('"')


def test_head_gives_the_headers_alone(http: httpx.Client, path: str) -> None:
    """A HEAD has the headers of the GET and no body, whatever range is asked for."""
    reply = http.head(path, headers={"Range": "bytes=0-1"})
    assert (reply.status_code, reply.content, reply.headers["content-length"]) == (200, b"", str(SIZE))


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, SIZE),
        ("bytes=-50", SIZE - 50, SIZE),
        (f"bytes=-{SIZE * 2}", 0, SIZE),
        (f"bytes=10-{SIZE * 2}", 10, SIZE),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        ("Bytes = 5-6", 5, 7),
    ],
)
def test_a_range_gives_that_part(http: httpx.Client, path: str, asked: str, start: int, end: int) -> None:
    """A satisfiable range gives 206 with the part, its place, and the digest of the complete file."""
    reply = http.get(path, headers={"Range": asked})
    assert (reply.status_code, reply.content) == (206, CONTENT[start:end])
    assert reply.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"
    assert reply.headers["content-length"] == str(end - start)
    assert reply.headers["repr-digest"] == DIGEST


@pytest.mark.parametrize(
    "asked",
    ["bytes=", "bytes=-", "bytes=5-2", "bytes=a-b", "bytes=0-1,4-5", "lines=0-1", "0-1", "bytes=" + "9" * 5000 + "-"],
)
def test_a_range_that_cannot_be_read_is_ignored(http: httpx.Client, path: str, asked: str) -> None:
    """Bad syntax, other units and several ranges give the complete file."""
    assert http.get(path, headers={"Range": asked}).status_code == 200


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 1}", "bytes=-0"])
def test_a_range_outside_is_not_satisfiable(http: httpx.Client, path: str, asked: str) -> None:
    """A range behind the end gives 416 with the size."""
    reply = http.get(path, headers={"Range": asked})
    assert (reply.status_code, reply.json()["error_code"]) == (416, "RANGE_NOT_SATISFIABLE")
    assert reply.headers["content-range"] == f"bytes */{SIZE}"


def test_a_range_counts_only_for_the_same_file(http: httpx.Client, path: str) -> None:
    """If-Range with the file's tag gives the part; with any other validator the complete file."""
    tag = http.get(path).headers["etag"]
    asked = {"Range": "bytes=10-19"}
    assert http.get(path, headers={**asked, "If-Range": tag}).status_code == 206
    for other in ('"other"', f"W/{tag}", "Thu, 01 Jan 2026 00:00:00 GMT"):
        reply = http.get(path, headers={**asked, "If-Range": other})
        assert (reply.status_code, reply.content) == (200, CONTENT)
    stale = http.get(path, headers={"Range": f"bytes={SIZE}-", "If-Range": '"other"'})
    assert stale.status_code == 200


def test_a_known_file_is_not_sent_again(http: httpx.Client, path: str) -> None:
    """If-None-Match with the file's tag gives 304."""
    tag = http.get(path).headers["etag"]
    assert http.get(path, headers={"If-None-Match": tag}).status_code == 304
    assert http.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    ("wanted", "sent"), [("sha-256=1", True), ("sha-512=3", True), ("sha-256=0", False), ("?", True)]
)
def test_the_digest_can_be_declined(http: httpx.Client, path: str, wanted: str, sent: bool) -> None:
    """Want-Repr-Digest leaves SHA-256 out only by giving it weight 0."""
    assert ("repr-digest" in http.get(path, headers={"Want-Repr-Digest": wanted}).headers) is sent


def test_a_failed_job_has_no_file(http: httpx.Client, done: Done) -> None:
    """The file of a failed job is answered 409, that of an unknown one 404."""
    job = done("10.5555/none")
    assert http.get(f"/jobs/{job['job_id']}/file").json()["error_code"] == "NOT_READY"
    assert http.get("/jobs/unknown/file").json()["error_code"] == "NOT_FOUND"


def test_an_expired_file_is_gone_and_deleted(tmp_path: Path) -> None:
    """After its retention a file gives 410 and is deleted; the job is remembered for as long again."""
    now = 1767225600.0
    retrieval = Retrieval([Library(sample_library())], FolderStore(tmp_path / "files"), tmp_path / "incoming")
    app = assemble(tmp_path, retrieval, retention=100, clock=lambda: now)
    app.state.clock = lambda: now
    with running(app) as url, httpx.Client(base_url=url, timeout=60) as http:
        job = finish(http)
        path = f"/jobs/{job['job_id']}"
        assert http.get(f"{path}/file").status_code == 200
        now += 101
        gone = http.get(f"{path}/file")
        assert (gone.status_code, gone.json()["error_code"]) == (410, "EXPIRED")
        deadline = time.monotonic() + 60
        while list((tmp_path / "files").iterdir()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not list((tmp_path / "files").iterdir())
        now += 101
        while http.get(path).status_code == 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert http.get(path).status_code == 404


def test_a_file_that_was_taken_away_is_gone(tmp_path: Path) -> None:
    """A file deleted behind the service's back gives 410, not a broken reply."""
    with running(local_app(sample_library(), tmp_path)) as url, httpx.Client(base_url=url) as http:
        job = finish(http)
        (tmp_path / "files" / job["file_path"]).unlink()
        assert http.get(f"/jobs/{job['job_id']}/file").status_code == 410


def test_a_caller_who_leaves_closes_the_file(tmp_path: Path) -> None:
    """When the caller goes in the middle of a large file, the service closes it and serves on."""
    size = 64 * 1024 * 1024

    async def zeros() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield bytes(size // 64)

    async def body(run: Run) -> Result:
        key = f"{run.job.id}.{run.job.attempt}.pdf"
        stored = await app.state.store.put(key, zeros())
        return Result(key, stored.size, "pdf", stored.sha256, "test")

    def held_open() -> bool:
        links = []
        for link in Path("/proc/self/fd").iterdir():
            try:
                links.append(str(link.readlink()))
            except OSError:
                continue
        return any(str(tmp_path / "files") in link for link in links)

    app = assemble(tmp_path, body)
    with running(app) as url, httpx.Client(base_url=url, timeout=30) as http:
        path = f"/jobs/{finish(http)['job_id']}/file"
        host, port = urlsplit(url).hostname, urlsplit(url).port
        with socket.create_connection((host, port)) as caller:
            caller.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert caller.recv(1000).startswith(b"HTTP/1.1 200")
            assert held_open()
        deadline = time.monotonic() + 60
        while held_open() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not held_open()
        assert http.get(path, headers={"Range": "bytes=-1"}).content == b"\0"


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("10.1/a(1)_b.pdf", 'attachment; filename="10.1_a(1)_b.pdf"'),
        ('10.1/a"b;é.pdf', "attachment; filename=\"10.1_a_b__.pdf\"; filename*=UTF-8''10.1_a%22b%3B%C3%A9.pdf"),
        ("10.1/a\r\nX: 1.pdf", "attachment; filename=\"10.1_a__X__1.pdf\"; filename*=UTF-8''10.1_a%0D%0AX%3A%201.pdf"),
    ],
)
def test_names_are_safe_in_a_header(name: str, field: str) -> None:
    """A file name is written in the extended form where the plain one cannot carry it."""
    assert _disposition(name) == field
