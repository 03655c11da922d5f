"""`gofer attach`: continuing from a ticket, and where the token may go."""

from pathlib import Path

import pytest

from gofer.ticket import Ticket
from support.raw_server import http, raw_server

from .conftest import TOKEN
from .shell import PAPER, gofer, one_object


def test_goes_on_from_a_ticket(url: str, tmp_path: Path) -> None:
    """A ticket alone is enough to download the file; --json prints the same as for get, without a key."""
    got = one_object(gofer("get", PAPER, "--to", tmp_path / "a", "--json", url=url).stdout)
    ran = gofer("attach", got["ticket"], "--to", tmp_path / "b", "--json")
    assert ran.returncode == 0, ran.stderr
    assert one_object(ran.stdout) == {
        **got,
        "path": str(tmp_path / "b"),
        "ticket": one_object(ran.stdout)["ticket"],
        "key": None,
    }
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_document_costs_no_further_request(tmp_path: Path) -> None:
    """The format and the source come from the poll: one poll and one download are the only requests."""
    document = '{"job_id": "j1", "status": "completed", "file_format": "pdf", "source": "shelf"}'
    with raw_server(lambda call: [http(200, "%PDF-1.4" if call.path.endswith("/file") else document)]) as server:
        ran = gofer("attach", str(Ticket("retrieve", server.url, "j1")), "--to", tmp_path / "x", "--json")
    printed = one_object(ran.stdout)
    assert (printed["format"], printed["source"]) == ("pdf", "shelf")
    assert [call.path for call in server.calls] == ["/jobs/j1", "/jobs/j1/file"]


def test_a_damaged_ticket(tmp_path: Path) -> None:
    """A ticket that cannot be read is exit code 2."""
    ran = gofer("attach", "gofer1.nonsense", "--to", tmp_path / "x")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "ticket" in ran.stderr


def test_an_expired_result(tmp_path: Path) -> None:
    """A result that was deleted is exit code 1, and there is no attach line."""
    with raw_server(lambda _: [http(410, '{"detail": "deleted"}')]) as server:
        ran = gofer("attach", str(Ticket("retrieve", server.url, "j1")), "--to", tmp_path / "x")
    assert ran.returncode == 1
    assert "gofer attach" not in ran.stderr


@pytest.mark.parametrize("named", [{}, {"SERVICE_URL": "http://127.0.0.1:9"}])
def test_the_token_is_not_sent_where_a_ticket_says(tmp_path: Path, named: dict[str, str]) -> None:
    """With a token set, a ticket of another service than the configured one is refused before anything is sent."""
    with raw_server(lambda _: [http(500)]) as server:
        ticket = str(Ticket("retrieve", server.url, "j1"))
        ran = gofer("attach", ticket, "--to", tmp_path / "x", SERVICE_TOKEN=TOKEN, **named)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert f"--url {server.url}" in ran.stderr
        assert server.calls == []


def test_the_token_is_sent_where_its_owner_says(guarded_url: str, tmp_path: Path) -> None:
    """SERVICE_URL or --url that agrees with the ticket gets the token; another --url is refused."""
    token = {"SERVICE_TOKEN": TOKEN}
    got = one_object(gofer("get", PAPER, "--to", tmp_path / "a", "--json", url=guarded_url, **token).stdout)
    assert gofer("attach", got["ticket"], "--to", tmp_path / "b", url=guarded_url, **token).returncode == 0
    assert gofer("attach", got["ticket"], "--to", tmp_path / "c", "--url", guarded_url, **token).returncode == 0
    assert gofer("attach", got["ticket"], "--to", tmp_path / "d", "--url", "http://127.0.0.1:9").returncode == 2


def test_the_token_is_never_printed(guarded_url: str, tmp_path: Path) -> None:
    """No output of any command has the token, whether it is right, wrong, or not allowed in a header."""
    wrong, unfit = f"{TOKEN}-wrong", f"{TOKEN}\u00e9"
    printed = ""
    for token in (TOKEN, wrong, unfit):
        for args in (
            ["get", PAPER, "--to", tmp_path / "x", "--json"],
            ["get", "10.5555/none", "--to", tmp_path / "x"],
            ["health", "--json"],
            ["attach", str(Ticket("retrieve", guarded_url, "j1")), "--to", tmp_path / "x", "--timeout", "1"],
        ):
            ran = gofer(*args, url=guarded_url, SERVICE_TOKEN=token)
            printed += ran.stdout + ran.stderr
    assert "UNAUTHORIZED" in printed
    assert TOKEN not in printed


def test_the_printed_line_names_the_address_for_the_token(guarded_url: str, tmp_path: Path) -> None:
    """A get with a token and --url prints an attach line with that --url, as the token is only sent by name."""
    target = tmp_path / "x.{format}"
    (tmp_path / "x.pdf").mkdir()  # what the suffix leads to shows only once the job is done
    ran = gofer("get", PAPER, "--to", target, "--url", guarded_url, SERVICE_TOKEN=TOKEN)
    assert ran.returncode == 2
    assert ran.stderr.rstrip().endswith(f"--to '{target}' --url {guarded_url}")
