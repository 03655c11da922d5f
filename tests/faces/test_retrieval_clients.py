"""What the retrieval clients have beyond the general ones: the type of `retrieve()`, and attributes of the address."""

import httpx
import pytest

import gofer

FACES = [gofer.RetrieveClient, gofer.AsyncRetrieveClient]
faces = pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)


def accepts(request):
    """Answer a submission as a service with the base contract does."""
    return httpx.Response(200, json={"job_id": "7", "status": "pending"})


@faces
@pytest.mark.anyio
async def test_retrieve_returns_a_retrieve_job_response(face):
    """What `retrieve()` returns has the service's `job_id` and `status`, and is a handle too."""
    response = face(transport=httpx.MockTransport(accepts)).retrieve("10.5555/12345678")
    if face is gofer.AsyncRetrieveClient:
        response = await response
    assert isinstance(response, gofer.RetrieveJobResponse)
    assert isinstance(response, gofer.RetrieveJob | gofer.AsyncRetrieveJob)
    assert (response.job_id, response.status) == ("7", "pending")


@faces
def test_every_handle_of_a_retrieval_is_a_response(face):
    """`job` and `attach` return the same type, without a request; a job's document is another type."""
    client = face()
    for handle in (client.job("7"), client.attach(client.job("7").ticket)):
        assert isinstance(handle, gofer.RetrieveJobResponse)
        assert (handle.job_id, handle.status) == ("7", "")
    assert not isinstance(gofer.RetrieveResult("7", "pending"), gofer.RetrieveJobResponse)


ADDRESSES = [
    ({}, ("localhost", 8000, "http://localhost:8000")),
    ({"host": "papers.test", "port": 81}, ("papers.test", 81, "http://papers.test:81")),
    ({"host": "::1"}, ("::1", 8000, "http://[::1]:8000")),
    ({"host": "[::1]", "port": 9}, ("::1", 9, "http://[::1]:9")),
    ({"base_url": "http://papers.test"}, ("papers.test", 80, "http://papers.test")),
    ({"base_url": "https://papers.test/api/"}, ("papers.test", 443, "https://papers.test/api")),
    ({"base_url": "https://papers.test:8443"}, ("papers.test", 8443, "https://papers.test:8443")),
    ({"base_url": "http://[2001:db8::1]/api"}, ("2001:db8::1", 80, "http://[2001:db8::1]/api")),
    ({"base_url": "http://[2001:db8::1]:81"}, ("2001:db8::1", 81, "http://[2001:db8::1]:81")),
]


@faces
@pytest.mark.parametrize(("arguments", "expected"), ADDRESSES)
def test_the_address_can_be_read(face, arguments, expected):
    """`host`, `port` and `base_url` say where the service is, however the address was passed."""
    client = face(**arguments)
    assert (client.host, client.port, client.base_url) == expected


@faces
def test_the_address_may_come_from_the_environment(face, monkeypatch):
    """The attributes show the address that was found, not the arguments."""
    monkeypatch.setenv("SERVICE_HOST", "papers.test")
    monkeypatch.setenv("SERVICE_PORT", "81")
    client = face()
    assert (client.host, client.port, client.base_url) == ("papers.test", 81, "http://papers.test:81")


@faces
def test_the_timeout_can_be_read(face):
    """`timeout` is the timeout of one request; a client's attributes are read-only."""
    assert (face().timeout, face(timeout=5).timeout, face("h", 1, 7.5).timeout) == (30.0, 5, 7.5)
    for name in ("host", "port", "base_url", "timeout"):
        with pytest.raises(AttributeError):
            setattr(face(), name, 1)
