"""Walks that jobs share, what is served again, the VPN, other services, and politeness; each with a web of its own."""

import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import evolve
from tests.scholarly_web import ScholarlyWeb, scholarly_web
from tests.scholarly_web.resources import answer, busy, in_turn, links_to, page, pdf, pdf_bytes, redirect, slowly, when

from gofer_service.settings import CrossrefSettings, Inline

from .conftest import finish, write_pdf
from .papers import ORDER, flaws, service, settings_for

DOI = "10.5555/shared"


@pytest.fixture
def web() -> Generator[ScholarlyWeb]:
    """Run the stand-in web."""
    with scholarly_web() as running:
        yield running


def submit(http: httpx.Client, doi: str = DOI, headers: dict[str, str] | None = None, **fields: Any) -> str:
    """Submit a job; return its id."""
    reply = http.post("/retrieve", json={"doi": doi, **fields}, headers=headers)
    assert reply.status_code == 202
    return str(reply.json()["job_id"])


def end_of(http: httpx.Client, job_id: str) -> dict[str, Any]:
    """Wait for the end of a job."""
    while (job := http.get(f"/jobs/{job_id}", headers={"Prefer": "wait=5"}).json())["status"] not in (
        "completed",
        "failed",
    ):
        pass
    return dict(job)


def until(condition: Any) -> None:
    """Wait for something that another thread does."""
    for _ in range(12_000):
        if condition():
            return
        threading.Event().wait(0.005)
    raise AssertionError


# --- one walk for several jobs ---


def test_two_jobs_for_one_paper_fetch_it_once(tmp_path: Path, web: ScholarlyWeb) -> None:
    """Jobs for one paper at the same time share the requests and the file, and both tell what was tried."""
    go_on = threading.Event()
    bad = web.at("pub/bad.pdf", answer(404))
    web.unpaywall(DOI, [bad, web.at("pub/a.pdf", when(go_on, pdf()))])
    with service(tmp_path, settings_for(web), allow=[web.host]) as http:
        first = submit(http)
        until(lambda: "pub/a.pdf" in web.paths())
        second = submit(http, timeout_seconds=500)
        until(lambda: len(flaws(http.get(f"/jobs/{second}").json())) == 1)
        go_on.set()
        jobs = [end_of(http, one) for one in (first, second)]
        files = [http.get(f"/jobs/{one}/file").content for one in (first, second)]
    assert [job["source"] for job in jobs] == ["unpaywall"] * 2
    assert files == [pdf_bytes()] * 2
    assert [flaws(job) for job in jobs] == [[("unpaywall", "GONE")]] * 2
    assert web.paths().count("pub/a.pdf") == 1


@pytest.mark.parametrize("how", ["cancelled", "late"])
def test_a_job_that_ends_early_leaves_the_fetch_to_the_others(tmp_path: Path, web: ScholarlyWeb, how: str) -> None:
    """When the job that began it is cancelled or out of time, the other one still gets the file, fetched once."""
    go_on = threading.Event()
    web.unpaywall(DOI, [web.at("pub/a.pdf", slowly(pdf_bytes(), go_on, 100))])
    with service(tmp_path, settings_for(web), allow=[web.host]) as http:
        first = submit(http, timeout_seconds=6 if how == "late" else 600)
        until(lambda: "pub/a.pdf" in web.paths())
        second = submit(http)
        until(lambda: http.get(f"/jobs/{second}").json()["status"] == "downloading")
        if how == "cancelled":
            http.delete(f"/jobs/{first}")
        ended = end_of(http, first)
        go_on.set()
        assert end_of(http, second)["status"] == "completed"
    assert ended["error_code"] == {"cancelled": "CANCELLED", "late": "TIMEOUT"}[how]
    assert web.paths().count("pub/a.pdf") == 1


def test_a_failure_is_not_shared(tmp_path: Path, web: ScholarlyWeb) -> None:
    """When the shared walk fails, the other job walks by itself, and may succeed."""
    go_on = threading.Event()
    web.unpaywall(DOI, [web.at("pub/a.pdf", in_turn(when(go_on, answer(404)), pdf()))])
    with service(tmp_path, settings_for(web), allow=[web.host]) as http:
        first = submit(http)
        until(lambda: "pub/a.pdf" in web.paths())
        second = submit(http)
        until(lambda: http.get(f"/jobs/{second}").json()["status"] != "pending")
        go_on.set()
        assert [end_of(http, one)["status"] for one in (first, second)] == ["failed", "completed"]


def test_a_job_with_another_title_checks_what_was_found(tmp_path: Path, web: ScholarlyWeb) -> None:
    """A file that was found without a title is not given to a job whose title it does not have."""
    go_on = threading.Event()
    web.unpaywall(
        DOI, [web.at("pub/a.pdf", when(go_on, pdf("On errands"))), web.at("pub/b.pdf", pdf("Quasars and stars"))]
    )
    with service(tmp_path, settings_for(web), allow=[web.host]) as http:
        first = submit(http)
        until(lambda: "pub/a.pdf" in web.paths())
        second, third = submit(http, title="Quasars and stars"), submit(http, title="On errands")
        until(lambda: all(http.get(f"/jobs/{one}").json()["status"] != "pending" for one in (second, third)))
        go_on.set()
        sizes = [end_of(http, one)["file_size"] for one in (first, second, third)]
    assert sizes == [len(pdf_bytes("On errands")), len(pdf_bytes("Quasars and stars")), len(pdf_bytes("On errands"))]


# --- what is served again ---


def test_a_paper_that_was_fetched_is_served_again(tmp_path: Path, web: ScholarlyWeb) -> None:
    """The next job gets the same file without a request, also after a restart, and it lives longer than the first."""
    web.unpaywall(DOI, [web.at("pub/a.pdf", pdf())])
    with service(tmp_path, settings_for(web), allow=[web.host]) as http:
        first = finish(http, DOI)
    asked = len(web.asked)
    with service(tmp_path, settings_for(web), allow=[web.host]) as http:
        second = finish(http, DOI)
        assert http.get(f"/jobs/{second['job_id']}/file").content == pdf_bytes()
        (tmp_path / "data" / "files" / f"{first['job_id']}.1.pdf").unlink()
        assert http.get(f"/jobs/{second['job_id']}/file").content == pdf_bytes()
    assert len(web.asked) == asked
    assert [second[name] for name in ("source", "version", "licence")] == ["unpaywall", "publishedVersion", "cc-by"]


def test_a_paper_whose_file_has_gone_is_fetched_anew(tmp_path: Path, web: ScholarlyWeb) -> None:
    """A record whose file somebody has deleted costs nothing but the fetch."""
    web.unpaywall(DOI, [web.at("pub/a.pdf", pdf())])
    with service(tmp_path, settings_for(web), allow=[web.host]) as http:
        first = finish(http, DOI, timeout_seconds=20)
        (tmp_path / "data" / "files" / f"{first['job_id']}.1.pdf").unlink()
        second = finish(http, DOI, timeout_seconds=20)
        assert http.get(f"/jobs/{second['job_id']}/file").content == pdf_bytes()
    assert web.paths().count("pub/a.pdf") == 2


@pytest.mark.parametrize("header", ["no-cache", "No-Cache, no-store", "max-age=0"])
def test_no_cache_has_a_paper_fetched_anew(tmp_path: Path, web: ScholarlyWeb, header: str) -> None:
    """A submission with Cache-Control: no-cache does not get the file of another job."""
    web.unpaywall(DOI, [web.at("pub/a.pdf", pdf())])
    with service(tmp_path, settings_for(web), allow=[web.host]) as http:
        finish(http, DOI)
        end_of(http, submit(http, headers={"Cache-Control": header}))
    assert web.paths().count("pub/a.pdf") == 2


def test_a_new_file_of_the_library_goes_before_what_was_fetched(tmp_path: Path, web: ScholarlyWeb) -> None:
    """The library is looked at first, and what came from there is never served from the store."""
    web.unpaywall(DOI, [web.at("pub/a.pdf", pdf())])
    with service(tmp_path, settings_for(web), allow=[web.host]) as http:
        finish(http, DOI)
        own = write_pdf(tmp_path / "library" / "10.5555_shared.pdf", title="own")
        assert finish(http, DOI)["source"] == "library"
        own.unlink()
        assert finish(http, DOI)["source"] == "unpaywall"
    assert web.paths().count("pub/a.pdf") == 1


def test_a_key_with_and_without_no_cache_is_one_job(tmp_path: Path, web: ScholarlyWeb) -> None:
    """The header is no part of the submission: a repeated submission finds its job."""
    with service(tmp_path, settings_for(web, ["library"])) as http:
        key = {"Idempotency-Key": '"k"'}
        first = submit(http, headers=key)
        again = http.post("/retrieve", json={"doi": DOI}, headers={**key, "Cache-Control": "no-cache"})
    assert again.status_code in (200, 202)  # the job may have ended
    assert again.json()["job_id"] == first


# --- the VPN and the error codes ---


@pytest.mark.parametrize(
    ("known", "vpn", "code"),
    [
        (True, False, "VPN_ERROR"),
        (True, None, "VPN_ERROR"),
        (False, False, "NOT_FOUND"),
        (False, None, "NOT_FOUND"),
        (True, True, "NOT_FOUND"),
    ],
)
def test_what_is_said_without_the_vpn(
    tmp_path: Path, web: ScholarlyWeb, known: bool, vpn: bool | None, code: str
) -> None:
    """Without the VPN a paper that an index knows may be there; one that no index knows is not."""
    if known:
        web.openalex(DOI)
    with service(tmp_path, settings_for(web), vpn=vpn, allow=[web.host]) as http:
        job = finish(http, DOI)
        (check,) = http.get("/health").json()["checks"]["source:crossref"]
    assert job["error_code"] == code
    assert (code != "VPN_ERROR") or job["error"].endswith("not configured" if vpn is None else "down")
    assert ("none is configured" in check.get("output", "")) == (vpn is None)
    assert (("crossref", "VPN_DOWN") in flaws(job)) == (vpn is not True)
    assert any(path.startswith("crossref/") for path in web.paths()) == (vpn is True)


def test_an_index_that_fails_does_not_rule_a_paper_out(tmp_path: Path, web: ScholarlyWeb) -> None:
    """If one index knows no such DOI and the other fails, the VPN may still have it."""
    web.at(f"openalex/works/doi:{DOI}", answer(500))
    with service(tmp_path, settings_for(web), vpn=False, allow=[web.host]) as http:
        assert finish(http, DOI)["error_code"] == "VPN_ERROR"


def test_a_paper_for_subscribers(tmp_path: Path, web: ScholarlyWeb) -> None:
    """Who is entitled gets the file by Crossref's link; who is not gets NOT_FOUND, and hears why."""
    url = web.at("paywalled/a.pdf", pdf())
    web.openalex(DOI)
    web.crossref(DOI, (url, "application/pdf", "text-mining"))
    with service(tmp_path, settings_for(web), allow=[web.host]) as http:
        web.entitled = False
        job = finish(http, DOI)
        assert (job["error_code"], ("crossref", "NO_ACCESS") in flaws(job)) == ("NOT_FOUND", True)
        web.entitled = True
        assert finish(http, DOI)["source"] == "crossref"


def test_an_open_paper_needs_no_vpn(tmp_path: Path, web: ScholarlyWeb) -> None:
    """While the VPN is down, open copies are still found."""
    web.unpaywall(DOI, [web.at("pub/a.pdf", pdf())])
    with service(tmp_path, settings_for(web), vpn=False, allow=[web.host]) as http:
        assert finish(http, DOI)["status"] == "completed"


def test_a_machine_in_the_network_itself_needs_no_vpn(tmp_path: Path, web: ScholarlyWeb) -> None:
    """With needs_vpn = false, Crossref and the landing page are asked although no VPN is configured."""
    web.crossref(DOI, (web.at("pub/a.pdf", pdf()), "application/pdf", "text-mining"))
    settings = settings_for(web)
    crossref = CrossrefSettings(None, web.base("crossref"), 0.0, needs_vpn=False)
    settings = evolve(settings, sources=evolve(settings.sources, crossref=crossref))
    with service(tmp_path, settings, vpn=None, allow=[web.host]) as http:
        assert finish(http, DOI)["source"] == "crossref"


# --- proxies ---


def test_proxies_of_the_environment_are_not_used(
    tmp_path: Path, web: ScholarlyWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY changes nothing for sources, links and other services: a proxy would resolve names for us."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    web.unpaywall(DOI, [web.at("pub/a.pdf", pdf())])
    with service(tmp_path, settings_for(web, ["unpaywall"]), allow=[web.host]) as http:
        assert finish(http, DOI)["status"] == "completed"


def test_the_configured_proxy_resolves_the_names_of_links(tmp_path: Path, web: ScholarlyWeb) -> None:
    """With [fetch] proxy links go through it, whatever their names are here, but no private address does."""
    with scholarly_web() as proxy:
        proxy.at("http://files.nowhere.invalid/a.pdf", pdf())
        web.unpaywall(DOI, ["http://10.0.0.1/a.pdf", "http://files.nowhere.invalid/a.pdf"])
        settings = settings_for(web, ["unpaywall"], proxy=Inline(proxy.url, ""))
        with service(tmp_path, settings) as http:
            job = finish(http, DOI)
        assert (job["status"], flaws(job)) == ("completed", [("unpaywall", "REFUSED_ADDRESS")])
        assert proxy.paths() == ["http://files.nowhere.invalid/a.pdf"]


# --- another service ---


def test_another_service_finds_it(tmp_path: Path, web: ScholarlyWeb) -> None:
    """A paper that only the other service has comes from there, with its version and what was tried there."""
    web.unpaywall(DOI, [web.at("pub/gone.pdf", answer(404)), web.at("pub/a.pdf", pdf())])
    (tmp_path / "far").mkdir()
    (tmp_path / "near").mkdir()
    far = service(tmp_path / "far", settings_for(web, ["unpaywall"]), allow=[web.host])
    with far as other:
        settings = settings_for(web, ["library", "remote"], remote=str(other.base_url))
        with service(tmp_path / "near", settings) as http:
            job = finish(http, DOI)
            assert (job["source"], job["version"]) == ("remote", "publishedVersion")
            assert flaws(job) == [("remote/unpaywall", "GONE")]
            assert http.get(f"/jobs/{job['job_id']}/file").content == pdf_bytes()


@pytest.mark.parametrize(
    ("resource", "vpn", "code", "flaw"),
    [
        (answer(404), True, "NOT_FOUND", ("remote/unpaywall", "GONE")),
        (page("<html>captcha"), True, "DOWNLOAD_FAILED", ("remote/unpaywall", "BLOCKED")),
        (answer(404), False, "VPN_ERROR", ("remote/landing", "VPN_DOWN")),
    ],
)
def test_what_another_service_tried_is_told(
    tmp_path: Path, web: ScholarlyWeb, resource: Any, vpn: bool, code: str, flaw: tuple[str, str]
) -> None:
    """The attempts of the other service are among ours, and its reason counts."""
    web.unpaywall(DOI, [web.at("pub/a.pdf", resource)])
    (tmp_path / "far").mkdir()
    (tmp_path / "near").mkdir()
    far = service(tmp_path / "far", settings_for(web, ["unpaywall", "landing"]), vpn=vpn, allow=[web.host])
    with far as other:
        settings = settings_for(web, ["remote"], remote=str(other.base_url))
        with service(tmp_path / "near", settings) as http:
            job = finish(http, DOI)
    assert job["error_code"] == code
    assert flaw in flaws(job)


def test_another_service_that_is_not_there(tmp_path: Path, web: ScholarlyWeb) -> None:
    """A service that does not answer costs only itself, and is left alone after five jobs; /health says so."""
    settings = settings_for(web, ["remote", "unpaywall"], remote="http://127.0.0.1:9")
    with service(tmp_path, settings, allow=[web.host]) as http:
        first = [submit(http, f"{DOI}.{number}") for number in range(5)]
        for job in [*(end_of(http, one) for one in first), finish(http, f"{DOI}.5")]:
            assert flaws(job)[0] == ("remote", "SOURCE_DOWN")
        (check,) = http.get("/health").json()["checks"]["source:remote"]
    assert check["status"] == "warn"
    assert "127.0.0.1:9" in check["output"]


# --- politeness ---


def test_a_source_that_fails_five_times_is_left_alone(tmp_path: Path, web: ScholarlyWeb) -> None:
    """After five jobs it is not asked again, the other sources are, and /health says so."""
    with service(tmp_path, settings_for(web, ["unpaywall", "openalex"]), allow=[web.host]) as http:
        for number in range(6):
            web.at(f"unpaywall/v2/{DOI}.{number}", answer(500))
            finish(http, f"{DOI}.{number}")
        health = http.get("/health").json()
        asked = [path for path in web.paths() if path.startswith("unpaywall")]
    assert f"unpaywall/v2/{DOI}.4" in asked
    assert f"unpaywall/v2/{DOI}.5" not in asked
    assert f"openalex/works/doi:{DOI}.5" in web.paths()
    assert web.host in health["checks"]["source:unpaywall"][0]["output"]
    assert (health["status"], health["checks"]["source:openalex"][0]["status"]) == ("degraded", "pass")


@pytest.mark.parametrize("status", [401, 403, 404, 422])
def test_refusals_are_no_failures_of_the_host(tmp_path: Path, web: ScholarlyWeb, status: int) -> None:
    """A source that refuses is asked again for every paper; if it is not for the DOI, /health says what it said."""
    with service(tmp_path, settings_for(web, ["unpaywall"]), allow=[web.host]) as http:
        for number in range(7):
            web.at(f"unpaywall/v2/{DOI}.{number}", answer(status))
            job = finish(http, f"{DOI}.{number}")
        (check,) = http.get("/health").json()["checks"]["source:unpaywall"]
    assert len(web.asked) == 7
    assert flaws(job) == [("unpaywall", "UNKNOWN_DOI" if status == 404 else "SOURCE_REFUSED")]
    assert (str(status) in check.get("output", "")) == (status != 404)


def test_a_placeholder_is_for_the_source_to_judge(tmp_path: Path, web: ScholarlyWeb) -> None:
    """An e-mail address that Unpaywall does not accept is sent, and its answer is told."""
    settings = settings_for(web, ["unpaywall"])
    object.__setattr__(settings.sources.unpaywall, "email", "me@example.com")
    with service(tmp_path, settings) as http:
        job = finish(http, DOI)
        (check,) = http.get("/health").json()["checks"]["source:unpaywall"]
    assert flaws(job) == [("unpaywall", "SOURCE_REFUSED")]
    assert "422" in check["output"]


def test_a_host_that_asks_for_a_long_pause_is_left_alone(tmp_path: Path, web: ScholarlyWeb) -> None:
    """An hour of Retry-After is not waited for: the next place is tried, and the host is not asked again."""
    with scholarly_web() as other:
        url = web.at("pub/a.pdf", busy(3600, pdf()))
        other.unpaywall(DOI, [url, other.at("repo/a.pdf", pdf())])
        other.unpaywall(f"{DOI}.2", [web.at("pub/b.pdf", pdf()), other.at("repo/b.pdf", pdf())])
        settings = settings_for(other, ["unpaywall"])
        with service(tmp_path, settings, allow=[web.host, other.host]) as http:
            jobs = [finish(http, DOI), finish(http, f"{DOI}.2")]
    assert [job["status"] for job in jobs] == ["completed"] * 2
    assert [flaws(job) for job in jobs] == [[("unpaywall", "HTTP_ERROR")], [("unpaywall", "HOST_GIVEN_UP")]]
    assert web.paths() == ["pub/a.pdf"]


def test_one_request_at_a_time_to_a_host(tmp_path: Path, web: ScholarlyWeb) -> None:
    """Many jobs at once ask a host one after the other, and another host's jobs end meanwhile."""
    go_on = threading.Event()
    with scholarly_web() as other, scholarly_web() as index:
        for number in range(8):
            index.unpaywall(f"{DOI}.{number}", [web.at(f"pub/{number}.pdf", when(go_on, pdf()))])
            index.unpaywall(f"{DOI}.other.{number}", [other.at(f"pub/{number}.pdf", pdf())])
        settings = settings_for(index, ["unpaywall"])
        allow = [web.host, other.host]
        with service(tmp_path, settings, allow=allow, concurrency=16) as http:
            slow = [submit(http, f"{DOI}.{number}") for number in range(8)]
            quick = [submit(http, f"{DOI}.other.{number}") for number in range(8)]
            assert [end_of(http, one)["status"] for one in quick] == ["completed"] * 8
            assert len(web.asked) == 1
            go_on.set()
            assert [end_of(http, one)["status"] for one in slow] == ["completed"] * 8
    assert (web.most, other.most, index.most) == (1, 1, 1)


# --- links into the own network ---


@pytest.mark.parametrize("way", ["file", "page", "redirect", "meta", "refresh", "crossref", "epmc"])
def test_a_link_into_the_own_network_is_refused(tmp_path: Path, web: ScholarlyWeb, way: str) -> None:
    """A record, a redirect or a page that leads to loopback reaches nothing there, and the job says so."""
    with scholarly_web() as inside:
        secret = inside.at("secret.pdf", pdf())
        match way:
            case "file":
                web.unpaywall(DOI, [secret])
            case "page":
                web.unpaywall(DOI, [], [secret])
            case "redirect":
                web.unpaywall(DOI, [web.at("pub/a.pdf", redirect(secret))])
            case "meta":
                web.unpaywall(DOI, [], [web.at("pub/a", links_to(secret))])
            case "refresh":
                web.unpaywall(DOI, [], [web.at("pub/a", links_to(secret, "refresh"))])
            case "crossref":
                web.crossref(DOI, (secret, "application/pdf", "text-mining"))
            case "epmc":
                web.epmc(DOI, [secret])
        with service(tmp_path, settings_for(web), allow=[web.host]) as http:
            job = finish(http, DOI)
        assert inside.asked == []
    assert job["error_code"] == "NOT_FOUND"
    assert "REFUSED_ADDRESS" in {failure for _, failure in flaws(job)}


def test_what_a_private_base_links_to_is_not_trusted(tmp_path: Path, web: ScholarlyWeb) -> None:
    """The configured address may be private, but a link to the same host may not, unless it is allowed."""
    web.at("arxiv/pdf/2101.00001", pdf())
    web.unpaywall(DOI, [web.at("pub/a.pdf", pdf())])
    with service(tmp_path, settings_for(web, ORDER)) as http:
        assert finish(http, "10.48550/arxiv.2101.00001")["source"] == "arxiv"
        assert ("unpaywall", "REFUSED_ADDRESS") in flaws(finish(http, DOI))


# --- progress and restarts ---


def test_progress_counts_the_bytes_from_the_host(tmp_path: Path, web: ScholarlyWeb) -> None:
    """While a file comes in, the job says how much of it has come."""
    go_on, content = threading.Event(), pdf_bytes(padding=300_000)
    web.unpaywall(DOI, [web.at("pub/a.pdf", slowly(content, go_on, 200_000))])
    with service(tmp_path, settings_for(web), allow=[web.host]) as http:
        job_id = submit(http)
        until(lambda: (http.get(f"/jobs/{job_id}").json().get("bytes_done") or 0) > 0)
        job = http.get(f"/jobs/{job_id}").json()
        assert 0 < job["bytes_done"] <= 200_000
        assert job["bytes_total"] == len(content)
        assert 0 < job["progress"] < 1
        go_on.set()
        assert end_of(http, job_id)["bytes_done"] == len(content)


def test_a_download_goes_on_after_a_restart(tmp_path: Path, web: ScholarlyWeb) -> None:
    """When the service stops in the middle of a file, the next process asks for the rest of it only."""
    go_on, content = threading.Event(), pdf_bytes(padding=3_000_000)

    async def resumable(request: Any) -> Any:
        from starlette.responses import Response

        if wanted := request.headers.get("range"):
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            span = {"content-range": f"bytes {start}-{len(content) - 1}/{len(content)}", "etag": '"one"'}
            return Response(content[start:], 206, span, "application/pdf")
        reply = await slowly(content, go_on, 2_000_000)(request)
        reply.headers["etag"] = '"one"'
        return reply

    web.unpaywall(DOI, [web.at("pub/a.pdf", resumable)])
    with service(tmp_path, settings_for(web), allow=[web.host]) as http:
        job_id = submit(http)
        until(lambda: (http.get(f"/jobs/{job_id}").json().get("bytes_done") or 0) > 0)
    with service(tmp_path, settings_for(web), allow=[web.host]) as http:
        assert end_of(http, job_id)["status"] == "completed"
        assert http.get(f"/jobs/{job_id}/file").content == content
    go_on.set()
    ranges = [one.headers.get("range") for one in web.asked if one.path == "pub/a.pdf"]
    assert ranges[0] is None
    assert ranges[-1] is not None
