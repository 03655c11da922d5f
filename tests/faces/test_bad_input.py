"""Wrong calls: each a typed error that says what to do, before anything is sent, and nothing left behind."""

import asyncio
import base64
import os
import stat
import traceback
import zlib

import anyio
import httpx
import pytest

import gofer
from gofer import TargetError, TicketError, UsageError
from support.raw_server import http, raw_server

DOI = "10.5555/12345678"


@pytest.fixture
def server():
    """A service that must not be asked for anything."""
    with raw_server(lambda call: [http(500)]) as made:
        yield made
        assert made.calls == []


@pytest.fixture
def client(server):
    """A client of that service."""
    with gofer.RetrieveClient(base_url=server.url) as made:
        yield made


@pytest.mark.parametrize("doi", ["", " ", "10.1000", "nonsense", "10.5555/a b"])
def test_a_malformed_doi(client, doi):
    """The error shows what a DOI looks like."""
    with pytest.raises(UsageError, match=r"10\."):
        client.retrieve(doi)


@pytest.mark.parametrize("timeout", [-1, 0, float("nan"), float("inf"), "5", True])
def test_a_timeout_that_is_no_positive_number(client, tmp_path, timeout):
    """The error names the argument."""
    with pytest.raises(UsageError, match="timeout"):
        client.retrieve_and_download(DOI, tmp_path / "paper.pdf", timeout=timeout)
    with pytest.raises(UsageError, match="timeout"):
        client.wait_for_completion("j1", timeout=timeout)
    with pytest.raises(UsageError, match="timeout"):
        gofer.Client("http://localhost", timeout=timeout)


def test_numbers_out_of_range(client):
    """A poll interval, a size and a service budget must be above 0."""
    with pytest.raises(UsageError, match="poll_interval"):
        client.wait_for_completion("j1", poll_interval=0)
    with pytest.raises(UsageError, match="max_bytes"):
        client.job("j1").read(0)
    with pytest.raises(UsageError, match="timeout_seconds"):
        client.retrieve(DOI, timeout_seconds=0)


def test_no_target(client, tmp_path):
    """An empty target, or none, is refused on every way."""
    for wrong in ("", None, 7, b"paper.pdf"):
        for call in (client.job("j1").download, lambda to: client.download_file("j1", to)):
            with pytest.raises(UsageError, match=r"paper\.pdf"):
                call(wrong)
        with pytest.raises(UsageError, match=r"paper\.pdf"):
            client.retrieve_and_download(DOI, wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_target_below_a_file(client, tmp_path):
    """A parent that is no directory is found before a job is made."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(TargetError, match="not a directory"):
        client.retrieve_and_download(DOI, tmp_path / "file" / "paper.pdf")


def test_an_unwritable_target(tmp_path):
    """Without permission to write there, no job is made and no folder either."""
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR | stat.S_IROTH | stat.S_IXOTH)
    for place in (tmp_path, *tmp_path.parents):
        if place.owner() == tmp_path.owner() and str(place) != "/":
            place.chmod(place.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    with raw_server(lambda call: [http(500)]) as server:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                if os.geteuid() == 0:
                    os.setuid(65534)  # root may write anywhere
                gofer.RetrieveClient(base_url=server.url).retrieve_and_download(DOI, folder / "deep" / "paper.pdf")
            except TargetError as error:
                code = 0 if "permission" in str(error).lower() else 2
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert server.calls == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("localhost:8000", "http://"),
        ("", "http://"),
        ("ftp://host", "http://"),
        ("http://", "host"),
        ("http://host:port", "URL"),
        ("http://user:word@host", "auth="),
        ("http://host/?token=1", "query"),
    ],
)
def test_a_url_that_is_none(url, hint):
    """The error says how to write it, and shows no password."""
    with pytest.raises(UsageError, match=hint) as caught:
        gofer.Client(url)
    assert "word" not in str(caught.value)


def test_an_address_in_pieces(monkeypatch):
    """Host and port are checked, wherever they come from, and exclude base_url."""
    with pytest.raises(UsageError, match="base_url"):
        gofer.RetrieveClient("http://localhost")
    with pytest.raises(UsageError, match="base_url"):
        gofer.RetrieveClient("localhost", base_url="http://localhost:1")
    with pytest.raises(UsageError, match="65535"):
        gofer.RetrieveClient(port=70000)
    monkeypatch.setenv("SERVICE_PORT", "eight")
    with pytest.raises(UsageError, match="eight"):
        gofer.RetrieveClient()


def test_the_address_comes_from_arguments_else_the_environment_else_the_defaults(monkeypatch):
    """The order of the user's first client, with names that a subclass may change."""
    assert repr(gofer.RetrieveClient()) == "RetrieveClient('http://localhost:8000')"
    monkeypatch.setenv("SERVICE_HOST", "papers.test")
    monkeypatch.setenv("SERVICE_PORT", "81")
    assert "papers.test:81" in repr(gofer.RetrieveClient())
    assert "other:81" in repr(gofer.RetrieveClient("other"))
    monkeypatch.setenv("PAPERS_HOST", "::1")
    assert "[::1]:82" in repr(gofer.RetrieveClient(port=82, host_env_var="PAPERS_HOST"))

    class Papers(gofer.RetrieveClient):
        def __init__(self, host=None, port=None, **options):
            super().__init__(host, port, host_env_var="NO_SUCH", port_env_var="NO_SUCH", port_default=9, **options)

    assert "localhost:9" in repr(Papers())


def test_two_doors_at_once():
    """transport=, http_client= and io= exclude each other."""
    with pytest.raises(UsageError, match="transport= and http_client="):
        gofer.Client("http://h", transport=httpx.MockTransport(lambda r: None), http_client=httpx.Client())


def test_a_client_of_the_wrong_kind():
    """An awaited HTTP client in the blocking face is refused by name, and so is anything else."""
    with pytest.raises(UsageError, match=r"Client takes an httpx\.Client as http_client=, not an httpx\.AsyncClient"):
        gofer.Client("http://h", http_client=httpx.AsyncClient())
    with pytest.raises(UsageError, match=r"Client takes an httpx\.AsyncClient as http_client=, not an httpx\.Client"):
        gofer.AsyncClient("http://h", http_client=httpx.Client())
    with pytest.raises(UsageError, match="io="):
        gofer.Client("http://h", http_client=object())


@pytest.mark.parametrize("headers", [{"x y": "1"}, {"x": "a\r\nb: c"}, {"x": "ü"}])
def test_a_header_that_would_break_the_request(headers):
    """The value is not shown: it may be a secret."""
    with pytest.raises(UsageError) as caught:
        gofer.Client("http://h", headers=headers)
    assert next(iter(headers.values())) not in str(caught.value)


@pytest.mark.parametrize("face", [gofer.Client, gofer.AsyncClient])
@pytest.mark.parametrize("headers", [["x-key", "s3cret"], "s3cret", 7])
def test_headers_that_are_no_mapping(face, headers):
    """The type is named, and nothing of the value is shown."""
    with pytest.raises(UsageError, match=f"not {type(headers).__name__}") as caught:
        face("http://h", headers=headers)
    assert "s3cret" not in str(caught.value)


def test_other_wrong_options():
    """Policies are named exactly; a token has no line break; a key is printable."""
    for wrong in ({"on_abandon": "stop"}, {"verify": "maybe"}, {"hold": -1}, {"auth": "a\nb"}, {"auth": 5}):
        with pytest.raises(UsageError):
            gofer.Client("http://h", **wrong)
    with pytest.raises(UsageError, match="key="):
        gofer.Client("http://h").submit(gofer.RetrieveRequest(DOI), key='"')
    for key in ("", "é", "\ud800", 5):
        with pytest.raises(UsageError, match="key="):
            gofer.Client("http://h", new_key=lambda key=key: key).submit(gofer.RetrieveRequest(DOI))


@pytest.mark.parametrize("id", ["", " ", ".", "..", "a\nb", "\0", "\ud800", "a" * 5000, None, 5])
def test_an_id_that_is_none(client, id):
    """Nothing is asked: as "..", it would be the address of something else, which `cancel` would delete."""
    with pytest.raises(UsageError, match="job_id"):
        client.job(id)
    with pytest.raises(UsageError, match="job_id"):
        client.get_job_status(id)


@pytest.mark.parametrize("text", ["\ud800", 5])
def test_a_cursor_that_is_no_text(client, text):
    """What no address can hold is refused."""
    with pytest.raises(UsageError, match="cursor"):
        client.list_jobs(cursor=text)


def made_of(body):
    """A ticket whose checksum is right, whatever is in it."""
    return "gofer1." + base64.urlsafe_b64encode(zlib.crc32(body).to_bytes(4, "big") + body).decode()


def test_a_ticket_that_is_none(client):
    """Garbled, cut, forged, foreign and newer tickets are told apart from a job that is lost."""
    ticket = client.job("j1").ticket
    assert client.attach(ticket).id == "j1"
    for broken in (
        "",
        "nonsense",
        "gofer9.abc",
        ticket[:-3],
        ticket[:-1] + ("A" if ticket[-1] != "A" else "B"),
        "gofer1.ü",
        made_of(b"[" * 100_000),
        made_of(b'{"c":"retrieve","o":"http://localhost","t":[]}'),
        made_of(b'{"c":"retrieve","o":"http://localhost","t":%s}' % (b"9" * 400)),
        made_of(b'{"c":"retrieve","o":"http://localhost","l":[]}'),
    ):
        with pytest.raises(TicketError):
            client.attach(broken)
    with pytest.raises(TicketError, match="this client is for"):
        gofer.Client("http://elsewhere").attach(ticket)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_awaited_client_in_another_event_loop(server, backend):
    """It says to make one client per loop; closed, it may be used in the next."""
    client = gofer.AsyncRetrieveClient(
        base_url=server.url, transport=httpx.MockTransport(lambda r: httpx.Response(404))
    )

    async def ask():
        with pytest.raises(gofer.NotFound):
            await client.get_job_status("j1")

    anyio.run(ask, backend=backend)
    with pytest.raises(UsageError, match="event loop"):
        anyio.run(client.get_job_status, "j1", backend=backend)
    anyio.run(client.close, backend=backend)
    asyncio.run(ask())
    asyncio.run(client.close())


def test_no_secret_is_shown(client):
    """Tokens and header values are in no repr."""
    secretive = gofer.Client("http://h", auth="s3cret", headers={"x-key": "s3cret"})
    shown = repr(secretive) + repr(vars(secretive)) + repr(secretive.job("j1")) + secretive.job("j1").ticket
    assert "s3cret" not in shown
    signed = secretive._service.ready(gofer.contracts.retrieve.RetrieveContract().build_health("http://h"), None)
    assert signed.headers["authorization"] == "Bearer s3cret"
    assert "s3cret" not in repr(signed)


def test_options_of_the_wrong_kind(client):
    """Each is refused when the client is made, not when it is needed, and says what to write."""
    wrong = {
        "retry": 3,
        "patience": 3,
        "poll": 2,
        "progress": "yes",
        "transport": httpx.AsyncHTTPTransport(),
    }
    for name, value in wrong.items():
        with pytest.raises(UsageError, match=f"{name}="):
            gofer.Client("http://h", **{name: value})
    with pytest.raises(UsageError, match="transport="):
        gofer.AsyncClient("http://h", transport=httpx.HTTPTransport())
    with pytest.raises(UsageError, match="RetrieveRequest"):
        client.run(DOI)
    with pytest.raises(TicketError, match="text"):
        client.attach(client.job("j1"))
    with pytest.raises(UsageError, match="target"):
        client.retrieve_and_download(DOI, None)
