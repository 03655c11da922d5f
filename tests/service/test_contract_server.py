"""The contract server: two equal conversations with two fresh servers give the same bytes."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

import contract_server

from .test_process import SOURCES

HEADERS = (
    "content-type",
    "content-length",
    "content-range",
    "content-disposition",
    "accept-ranges",
    "etag",
    "location",
    "retry-after",
    "preference-applied",
    "repr-digest",
    "date",
)


class Conversation:
    """A client that writes down the replies."""

    def __init__(self, http: httpx.Client, pause: float = 0.0) -> None:
        self._http = http
        self._pause = pause
        self.heard: list[tuple[Any, ...]] = []

    def ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        """Send a request and note the reply."""
        time.sleep(self._pause)
        reply = self._http.request(method, path, **how)
        kept = {name: reply.headers.get(name) for name in HEADERS}
        self.heard.append((method, path, reply.status_code, kept, reply.content))
        return reply

    def job(self, name: str) -> str:
        """Submit a job; give its path."""
        body = {"doi": f"10.5555/{name}", "timeout_seconds": 60}
        return f"/jobs/{self.ask('POST', '/retrieve', json=body).json()['job_id']}"


def talk(talking: Conversation) -> list[str]:
    """Have the complete conversation; give the states of the slow job."""
    ask = talking.ask
    ask("GET", "/health")
    slow = talking.job("slow")
    states = [ask("GET", slow).json()["status"] for _ in range(4)]
    tag = ask("POST", "/retrieve", json={"doi": "10.5555/slow"}, headers={"Idempotency-Key": '"k"'}).headers.get("etag")
    held = slow.replace("1", "2")
    while tag and (reply := ask("GET", held, headers={"Prefer": "wait=20", "If-None-Match": tag})).status_code == 200:
        tag = reply.headers["etag"]
    large = talking.job("large")
    ask("GET", f"{large}/file")
    ask("GET", large)
    full = ask("GET", f"{large}/file").headers.get("etag", '""')
    ask("GET", f"{large}/file", headers={"Range": "bytes=1000-"})
    ask("GET", f"{large}/file", headers={"Range": "bytes=1000-", "If-Range": full})
    ask("GET", f"{large}/file", headers={"Range": "bytes=50000-"})
    for name in ("quick", "notfound", "downloadfailed", "vpnerror", "timeout", "anything"):
        path = talking.job(name)
        for _ in range(3):
            ask("GET", path)
    ask("POST", "/retrieve", json={"doi": "10.5555/slow"}, headers={"Prefer": "respond-async, wait=20"})
    for name in ("cancelme", "notready"):
        path = talking.job(name)
        ask("GET", path)
        ask("GET", path)
        ask("GET", f"{path}/file")
        ask("DELETE", path)
        ask("GET", path)
    for name in ("busy", "busydate"):
        body = {"doi": f"10.5555/{name}"}
        ask("POST", "/retrieve", json=body)
        ask("POST", "/retrieve", json=body)
    ask("POST", "/retrieve", json={"doi": "nonsense"})
    ask("POST", "/retrieve", json={"doi": "10.5555/x"}, headers={"Idempotency-Key": '"k"'})
    ask("GET", "/jobs", params={"limit": 3})
    ask("GET", "/jobs/unknown")
    return states


@pytest.mark.parametrize("plain", [False, True])
def test_two_conversations_are_the_same(plain: bool) -> None:
    """Status codes, bodies and headers are equal byte for byte, at any pace of the caller."""
    heard = []
    for pause in (0.0, 0.02):
        with contract_server.contract_server(plain=plain) as url, httpx.Client(base_url=url, timeout=30) as http:
            conversation = Conversation(http, pause)
            assert talk(conversation) == ["searching", "downloading", "completed", "completed"]
            heard.append(conversation.heard)
    for first, second in zip(*heard, strict=True):
        assert first == second


def test_a_held_poll_takes_a_step_and_returns_at_once() -> None:
    """A long-poll on the slow job advances it by one state and is not held, with a tag or without."""
    with contract_server.contract_server() as url, httpx.Client(base_url=url, timeout=30) as http:
        begun = time.monotonic()
        reply = http.post("/retrieve", json={"doi": "10.5555/slow"})
        path, states = reply.headers["location"], []
        for _ in range(3):
            reply = http.get(path, headers={"Prefer": "wait=20", "If-None-Match": reply.headers["etag"]})
            assert reply.headers["preference-applied"] == "wait=20"
            states.append(reply.json()["status"])
        assert states == ["searching", "downloading", "completed"]
        path = http.post("/retrieve", json={"doi": "10.5555/slow"}).headers["location"]
        assert http.get(path, headers={"Prefer": "wait=20"}).json()["status"] == "searching"
        assert time.monotonic() - begun < 20


def test_a_busy_service_says_when_to_come_back() -> None:
    """The first submission of a busy DOI gives 429 with a pause, as a number or as a date by the reply's own clock."""
    with contract_server.contract_server() as url, httpx.Client(base_url=url) as http:
        seconds = http.post("/retrieve", json={"doi": "10.5555/busy"})
        date = http.post("/retrieve", json={"doi": "10.5555/busydate"})
        assert (seconds.status_code, seconds.headers["retry-after"]) == (429, "1")
        assert (date.status_code, date.headers["retry-after"]) == (429, "Thu, 01 Jan 2026 00:00:01 GMT")
        assert date.headers.get_list("date") == ["Thu, 01 Jan 2026 00:00:00 GMT"]
        assert http.post("/retrieve", json={"doi": "10.5555/busy"}).status_code == 202


@pytest.mark.parametrize(("degraded", "status"), [(False, "healthy"), (True, "degraded")])
def test_health_is_as_it_was_started(degraded: bool, status: str) -> None:
    """The VPN is up unless the server was started degraded."""
    with contract_server.contract_server(degraded=degraded) as url:
        health = httpx.get(f"{url}/health").json()
    assert (health["status"], health["vpn_connected"]) == (status, not degraded)


def test_plain_means_plain() -> None:
    """The plain server has four endpoints, base fields and no extension."""
    with contract_server.contract_server(plain=True) as url, httpx.Client(base_url=url) as http:
        assert set(http.get("/health").json()) == {"status", "vpn_connected", "vpn_ip"}
        made = http.post("/retrieve", json={"doi": "10.5555/large"}, headers={"Prefer": "respond-async"})
        assert (made.status_code, set(made.json())) == (200, {"job_id", "status"})
        path = f"/jobs/{made.json()['job_id']}"
        job = http.get(path, headers={"Prefer": "wait=20"})
        assert set(job.json()) == {"job_id", "status", "doi", "file_path", "file_size", "file_format"}
        full = http.get(f"{path}/file", headers={"Range": "bytes=5-"})
        assert (full.status_code, len(full.content)) == (200, 40_000)
        for reply in (made, job, full):
            assert not {"etag", "preference-applied", "accept-ranges", "repr-digest", "location"} & set(reply.headers)
        for reply in (http.get("/jobs/unknown"), http.delete(path), http.get("/jobs"), http.post("/retrieve", json={})):
            assert reply.status_code >= 400
            assert set(reply.json()) == {"error"}


def test_it_runs_from_the_command_line() -> None:
    """The script serves on a free port, says where, and ends on SIGTERM with 0."""
    script = str(Path(contract_server.__file__))
    with subprocess.Popen(
        [sys.executable, script, "--port", "0", "--plain"],
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": SOURCES},
    ) as child:
        assert child.stderr is not None
        line = child.stderr.readline()
        try:
            found = re.fullmatch(r"contract server on (http://127\.0\.0\.1:\d+)\n", line)
            assert found, line + child.stderr.read()
            assert httpx.get(f"{found[1]}/health").json()["status"] == "healthy"
            child.send_signal(signal.SIGTERM)
            assert child.wait(60) == 0
        finally:
            child.kill()
