"""The tools for tests of httpx work with gofer's own requests: vcrpy, respx and pytest-httpx."""

from pathlib import Path
from typing import Any

import pytest
import respx
import vcr as vcrpy
from pytest_httpx import HTTPXMock

from support.declared import as_json, service
from support.faces import MODES, Face, face

URL = "http://service.test"
JOB = {"job_id": "1", "status": "completed", "doi": "10.5555/12345678"}


@pytest.fixture(params=MODES)
def httpx_face(request: pytest.FixtureRequest) -> Any:
    """Give each face over httpx, with a client of its own."""
    with face(request.param, "httpx") as made:
        yield made


def test_vcrpy_records_and_replays(httpx_face: Face, tmp_path: Path) -> None:
    """vcrpy replays what it recorded when the service is gone."""
    cassette = str(tmp_path / "job.yaml")
    with service(lambda _: as_json(JOB)) as server, vcrpy.use_cassette(cassette):
        url = server.url
        assert httpx_face.client(url).get_job_status("1").status == "completed"
    with vcrpy.use_cassette(cassette, record_mode="none") as played:
        assert httpx_face.client(url).get_job_status("1").status == "completed"
    assert played.all_played


def test_respx_answers(httpx_face: Face) -> None:
    """A route of respx answers in the service's place."""
    with respx.mock() as router:
        route = router.get(f"{URL}/jobs/1").respond(json=JOB)
        assert httpx_face.client(URL).get_job_status("1").status == "completed"
    assert route.call_count == 1


def test_pytest_httpx_answers(httpx_face: Face, httpx_mock: HTTPXMock) -> None:
    """The fixture of pytest-httpx answers in the service's place."""
    httpx_mock.add_response(url=f"{URL}/jobs/1", json=JOB)
    assert httpx_face.client(URL).get_job_status("1").status == "completed"
    assert [request.method for request in httpx_mock.get_requests()] == ["GET"]
