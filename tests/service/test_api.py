"""The job routes over a real socket: submitting, showing, listing, cancelling, and every way to be refused."""

import json
import math
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gofer_service import embedded

from .conftest import PAPER, finish

Done = Callable[..., dict[str, Any]]


def is_problem(reply: httpx.Response, status: int, code: str) -> bool:
    """Whether the reply is this problem document, and complete."""
    document = reply.json()
    return (
        reply.status_code == status
        and reply.headers["content-type"] == "application/problem+json"
        and document["status"] == status
        and document["error_code"] == code
        and bool(document["title"] and document["detail"])
    )


def test_a_submission_is_accepted_with_the_job_and_where_it_is(http: httpx.Client) -> None:
    """A POST gives 202, the job as body, its address, its ETag and a pause."""
    reply = http.post("/retrieve", json={"doi": PAPER, "timeout_seconds": 30})
    job = reply.json()
    assert (reply.status_code, job["status"], job["doi"]) == (202, "pending", PAPER)
    assert reply.headers["location"] == f"/jobs/{job['job_id']}"
    assert reply.headers["retry-after"] == "1"
    assert reply.headers["etag"] == '"1"'
    assert "preference-applied" not in reply.headers
    assert http.get(reply.headers["location"]).json()["job_id"] == job["job_id"]


@pytest.mark.parametrize(
    ("doi", "kind"),
    [
        ("10.5555/12345678", "pdf"),
        ("https://doi.org/10.5555/GOFER.2026.2", "pdf"),
        ("10.5555/gofer.2026.3", "pdf"),
        ("doi:10.5555/gofer.2026.4", "xml"),
        ("10.5555/gofer.2026.5", "epub"),
    ],
)
def test_every_sample_paper_is_found(done: Done, doi: str, kind: str) -> None:
    """The papers named by file, index and metadata all complete, in the format their bytes have."""
    job = done(doi)
    assert (job["status"], job["file_format"], job["progress"], job["source"]) == ("completed", kind, 1.0, "library")
    assert job["bytes_done"] == job["bytes_total"] == job["file_size"]
    assert "/" not in job["file_path"]
    assert job["created"] <= job["started"] <= job["finished"] < job["expires"]
    assert job["created"].endswith("Z")


def test_the_index_gives_version_and_licence(done: Done) -> None:
    """What the library's index says about a paper reaches the job."""
    job = done("10.5555/gofer.2026.2")
    assert (job["version"], job["licence"]) == ("publishedVersion", "cc-by-4.0")


def test_an_unknown_paper_fails_as_not_found(done: Done) -> None:
    """A job for a paper that no source has ends as failed with NOT_FOUND."""
    job = done("10.5555/nobody.has.this")
    assert (job["status"], job["error_code"]) == ("failed", "NOT_FOUND")
    assert "no source" in job["error"]


def test_a_wrong_title_is_refused_with_a_note_of_what_was_tried(done: Done) -> None:
    """A file that is plainly another paper is not taken, and the attempt says so."""
    job = done("10.5555/12345678", title="Gravitational lensing of distant quasars")
    assert job["error_code"] == "NOT_FOUND"
    assert job["attempts"][0] == {"source": "library", "place": "10.5555_12345678.pdf", "failure": "WRONG_PAPER"}


def test_one_key_gives_one_job(http: httpx.Client) -> None:
    """The same key and the same request, however spelled, give the job that exists."""
    key = f'"{uuid.uuid4()}"'
    first = http.post("/retrieve", json={"doi": PAPER}, headers={"Idempotency-Key": key})
    finish(http)
    again = http.post(
        "/retrieve",
        content=b'{ "timeout_seconds": 120.0, "doi": "doi:10.5555/12345678" }',
        headers={"Idempotency-Key": key.strip('"'), "Content-Type": "application/json; charset=utf-8"},
    )
    assert again.is_success
    assert again.json()["job_id"] == first.json()["job_id"]


def test_a_key_with_another_request_is_refused(http: httpx.Client) -> None:
    """A key that comes back with another body is answered 422."""
    headers = {"Idempotency-Key": '"one-and-the-same"'}
    http.post("/retrieve", json={"doi": PAPER}, headers=headers)
    assert is_problem(http.post("/retrieve", json={"doi": "10.5555/x"}, headers=headers), 422, "KEY_REUSED")


def test_simultaneous_submissions_with_one_key_give_one_job(url: str) -> None:
    """Sixteen POSTs at once with the same key make a single job."""
    headers = {"Idempotency-Key": f'"{uuid.uuid4()}"'}

    def post(_: int) -> str:
        return str(httpx.post(f"{url}/retrieve", json={"doi": PAPER}, headers=headers).json()["job_id"])

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(post, range(16)))) == 1


@pytest.mark.parametrize("key", ['""', '"open', "a b", "x" * 300, '"ä"'.encode()])
def test_a_malformed_key_is_refused(http: httpx.Client, key: str | bytes) -> None:
    """An Idempotency-Key that is no structured-field string nor a token gives 400."""
    assert is_problem(
        http.post("/retrieve", json={"doi": PAPER}, headers={"Idempotency-Key": key}), 400, "VALIDATION_ERROR"
    )


def test_a_submission_is_answered_at_once_or_with_the_end(http: httpx.Client) -> None:
    """respond-async alone gives 202 at once; with a wait the job's end comes as 200, and the reply says so."""
    reply = http.post("/retrieve", json={"doi": PAPER}, headers={"Prefer": "respond-async"})
    assert (reply.status_code, reply.headers["preference-applied"]) == (202, "respond-async")
    reply = http.post("/retrieve", json={"doi": PAPER}, headers={"Prefer": "respond-async, wait=10"})
    assert (reply.status_code, reply.headers["preference-applied"]) == (200, "respond-async, wait=10")
    assert reply.json()["status"] == "completed"
    assert reply.headers["location"] == f"/jobs/{reply.json()['job_id']}"
    assert "retry-after" not in reply.headers


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "doi"),
        ({"doi": None}, "doi"),
        ({"doi": 10}, "doi"),
        ({"doi": "not a doi"}, "doi"),
        ({"doi": "10.5555/a\0b"}, "doi"),
        ({"doi": PAPER, "title": 1}, "title"),
        ({"doi": PAPER, "title": "a\0b"}, "title"),
        ({"doi": PAPER, "authors": {"a": 1}}, "authors"),
        ({"doi": PAPER, "authors": ["A", 2]}, "authors"),
        ({"doi": PAPER, "timeout_seconds": 0}, "timeout_seconds"),
        ({"doi": PAPER, "timeout_seconds": -1}, "timeout_seconds"),
        ({"doi": PAPER, "timeout_seconds": 86401}, "timeout_seconds"),
        ({"doi": PAPER, "timeout_seconds": "60"}, "timeout_seconds"),
        ({"doi": PAPER, "timeout_seconds": True}, "timeout_seconds"),
    ],
)
def test_a_bad_field_is_named(http: httpx.Client, body: dict[str, Any], field: str) -> None:
    """A field of the wrong kind or value gives 400 with its name in the detail."""
    reply = http.post("/retrieve", json=body)
    assert is_problem(reply, 400, "VALIDATION_ERROR")
    assert reply.json()["detail"].startswith(f"{field}:")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"10.5555/12345678"',
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b'{"doi": "10.5555/12345678", "timeout_seconds": NaN}',
        b'{"doi": "10.5555/12345678", "timeout_seconds": Infinity}',
        b'{"doi": "10.5555/12345678", "timeout_seconds": 1e999}',
        b'{"doi": "10.5555/12345678", "timeout_seconds": ' + b"9" * 5000 + b"}",
        b'{"doi": "10.5555/12345678", "title": "\\ud800"}',
        b'{"doi": "10.5555/\\u0000"}',
    ],
)
def test_hostile_bodies_are_plain_errors(http: httpx.Client, body: bytes) -> None:
    """Depth bombs, constants outside JSON, huge numbers, bad UTF-8 and lone surrogates give 400."""
    reply = http.post("/retrieve", content=body, headers={"Content-Type": "application/json"})
    assert is_problem(reply, 400, "VALIDATION_ERROR")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries({}, optional={"doi": _JSON, "title": _JSON, "authors": _JSON, "timeout_seconds": _JSON}))
def test_no_body_is_a_fault_of_the_service(http: httpx.Client, body: dict[str, Any]) -> None:
    """Whatever JSON comes is accepted or refused, and never a 5xx."""
    content = json.dumps({"doi": PAPER, **body}).encode()
    reply = http.post("/retrieve", content=content, headers={"Content-Type": "application/json"})
    assert reply.status_code in (202, 400)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40))
def test_no_bytes_are_a_fault_of_the_service(http: httpx.Client, body: bytes, header: str) -> None:
    """Random bytes and header values are refused, and never a 5xx."""
    headers = {"Content-Type": "application/json", "Prefer": header, "Idempotency-Key": header}
    assert http.post("/retrieve", content=body, headers=headers).status_code == 400


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_only_json_is_read(http: httpx.Client, media_type: str) -> None:
    """A body that does not say it is JSON gives 415."""
    reply = http.post("/retrieve", content=b'{"doi": "10.5555/1"}', headers={"Content-Type": media_type})
    assert is_problem(reply, 415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_long_body_is_refused_before_it_is_read(http: httpx.Client) -> None:
    """More than 64 KiB gives 413, and an endless body is not read to its end."""
    assert is_problem(http.post("/retrieve", json={"doi": PAPER, "title": "x" * 70_000}), 413, "TOO_LARGE")
    sent = 0

    def endless() -> Any:
        nonlocal sent
        while sent < 500_000_000:
            sent += 10_000
            yield b" " * 10_000

    try:
        status = http.post("/retrieve", content=endless(), headers={"Content-Type": "application/json"}).status_code
    except httpx.TransportError:
        status = 413  # the service closed the connection while the body was still being sent
    assert status == 413
    assert sent < 100_000_000


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/jobs/", "/jobs/unknown", "/jobs/a%2Fb", "/jobs/%00", "/jobs/" + "x" * 80]
)
def test_unknown_places_are_not_found(http: httpx.Client, path: str) -> None:
    """A path that is no route, and an id that is no job, give 404."""
    assert is_problem(http.get(path), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/retrieve"), ("PUT", "/jobs"), ("POST", "/jobs/x"), ("DELETE", "/health")]
)
def test_other_methods_are_not_allowed(http: httpx.Client, method: str, path: str) -> None:
    """A method that a route does not have gives 405 with those it has."""
    reply = http.request(method, path)
    assert is_problem(reply, 405, "METHOD_NOT_ALLOWED")
    assert reply.headers["allow"]


def test_cancelling_an_ended_job_changes_nothing(http: httpx.Client, done: Done) -> None:
    """DELETE of a completed job gives 200 with the job as it was."""
    job = done()
    reply = http.delete(f"/jobs/{job['job_id']}")
    assert (reply.status_code, reply.json()) == (200, job)


def test_cancelling_an_unknown_job_is_not_found(http: httpx.Client) -> None:
    """DELETE of an id that was never used gives 404."""
    assert is_problem(http.delete("/jobs/never"), 404, "NOT_FOUND")


def test_the_list_comes_in_pages_newest_first(tmp_path: Path) -> None:
    """GET /jobs gives every job once, the newest first, over as many pages as it takes."""
    with embedded(data=tmp_path) as url, httpx.Client(base_url=url) as http:
        made = [finish(http, f"10.5555/{number}")["job_id"] for number in range(5)]
        seen: list[str] = []
        query: dict[str, Any] = {"limit": 2, "status": "failed"}
        while True:
            page = http.get("/jobs", params=query).json()
            assert len(page["jobs"]) <= 2
            seen += [job["job_id"] for job in page["jobs"]]
            if page["next"] is None:
                break
            query["cursor"] = page["next"]
        assert seen == made[::-1]
        assert http.get("/jobs?status=completed").json() == {"jobs": [], "next": None}


@pytest.mark.parametrize("query", ["status=odd", "limit=0", "limit=x", "limit=201", "cursor=-1", "cursor=" + "9" * 30])
def test_a_bad_query_is_refused(http: httpx.Client, query: str) -> None:
    """A list parameter that makes no sense gives 400 with its name."""
    reply = http.get(f"/jobs?{query}")
    assert is_problem(reply, 400, "VALIDATION_ERROR")
    assert reply.json()["detail"].startswith(query.partition("=")[0])


def test_a_job_can_be_asked_about_with_its_tag(http: httpx.Client, done: Done) -> None:
    """If-None-Match with the present ETag gives 304 with the tag, and a HEAD gives the headers alone."""
    job = done()
    reply = http.get(f"/jobs/{job['job_id']}")
    tag = reply.headers["etag"]
    for sent in (tag, f"W/{tag}", f'"0", {tag}', "*"):
        again = http.get(f"/jobs/{job['job_id']}", headers={"If-None-Match": sent})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert http.get(f"/jobs/{job['job_id']}", headers={"If-None-Match": '"0"'}).status_code == 200
    for foreign in ('"abc"', '"' + "9" * 6000 + '"', '""', "junk"):
        asked = {"If-None-Match": foreign, "Prefer": "wait=5"}
        assert http.get(f"/jobs/{job['job_id']}", headers=asked).status_code == 200
    head = http.head(f"/jobs/{job['job_id']}")
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", tag)


def test_with_a_token_jobs_are_closed_and_health_is_open(tmp_path: Path) -> None:
    """With a token set, job requests need it; health and the description do not."""
    with embedded(data=tmp_path, token="sécret") as url, httpx.Client(base_url=url) as http:
        right = b"Bearer " + "sécret".encode()
        for credentials in (
            {},
            {"Authorization": "Bearer no"},
            {"Authorization": "Basic eDp5"},
            {"Authorization": b"Bearer \xff"},
        ):
            for method, path in (("POST", "/retrieve"), ("GET", "/jobs"), ("GET", "/jobs/x"), ("GET", "/jobs/x/file")):
                reply = http.request(method, path, headers=credentials)
                assert is_problem(reply, 401, "UNAUTHORIZED")
                assert reply.headers["www-authenticate"].startswith("Bearer")
        for path in ("/health", "/health/live", "/health/ready", "/openapi.json"):
            assert http.get(path).status_code == 200
        reply = http.post("/retrieve", json={"doi": PAPER}, headers={"Authorization": right})
        assert reply.status_code == 202


def test_job_ids_cannot_be_guessed(http: httpx.Client) -> None:
    """Ids carry 128 random bits."""
    ids = {http.post("/retrieve", json={"doi": PAPER}).json()["job_id"] for _ in range(5)}
    assert len(ids) == 5
    assert all(math.ceil(len(job_id) * 6) >= 128 for job_id in ids)
