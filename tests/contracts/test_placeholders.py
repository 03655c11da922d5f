"""Targets that leave the name to gofer: placeholders, and a folder for one file; no text becomes a path."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

import gofer
from contracts.test_results import DECLARED, Results
from gofer.contracts.retrieve import RetrieveContract
from gofer.core.names import filled
from support.declared import as_json, client_of, said
from support.raw_server import http

DOI, NAME = "10.5555/12345678", "10.5555_12345678"
PAPER = b"%PDF-1.7 a paper"
UNSAFE = ["../../evil", "/etc/passwd", "~root", "~", ".", "..", "", " ", "a/b\\c", ".bashrc", "nul", "a\0b", "\n"]
UNSAFE += ["{doi}", ".{format}", "{{", "}", "x" * 190, "ä" * 300, "-"]
EVIL = 'attachment; filename="../evil.txt"'


class Nameless(RetrieveContract):
    """A contract of one file that knows no name for a request."""

    def fields(self, request):
        """Know none."""
        return {}

    def stem(self, request):
        """Know none."""


def papers(call):
    """Answer as a service whose one job is completed at once, and that has a name of its own for the file."""
    if call.path.endswith("/file"):
        return http(200, PAPER, content_type="application/pdf", content_disposition=EVIL)
    return as_json({"job_id": "j:1", "status": "completed"})


def request(title=None):
    """The request for the paper."""
    return gofer.RetrieveRequest(f"https://doi.org/{DOI}", title)


def files_in(folder):
    """All files below a folder, by their paths from there."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Give the working directory, two folders deep, so that nothing can leave it unseen."""
    folder = tmp_path / "a" / "here"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return folder


# --- a folder for one file ---

FOLDERS = {"new/": "new", "there": "there", "there/": "there", "new/deep/": "new/deep", ".": "", "there/..": ""}


@pytest.mark.parametrize("to", FOLDERS)
def test_a_folder_gets_the_file_under_the_name_of_the_paper(any_face, serve, here, to):
    """`run` and `retrieve_and_download` name it by the DOI and the format that came."""
    (here / "there").mkdir()
    client = any_face.client(serve(papers).url)
    place = here / FOLDERS[to] / f"{NAME}.pdf"
    for path in (client.run(request(), to=to).path, Path(client.retrieve_and_download(DOI, to)[0])):
        assert (path.resolve(), path.read_bytes()) == (place, PAPER)
    assert files_in(here) == {str(place.relative_to(here))}


@pytest.mark.parametrize("to", FOLDERS)
def test_a_handle_names_the_file_by_the_job(any_face, serve, here, to):
    """`download` and `download_file` know the job's id and not the request."""
    (here / "there").mkdir()
    client = any_face.client(serve(papers).url)
    place = here / FOLDERS[to] / "j_1.pdf"
    assert client.job("j:1").download(to).resolve() == place
    assert Path(client.download_file("j:1", to)).resolve() == place
    assert files_in(here) == {str(place.relative_to(here))}


@pytest.mark.parametrize("to", FOLDERS)
def test_a_contract_without_names_names_the_file_by_the_job(any_face, serve, here, to):
    """Also in `run`, where the id is known only once the job is."""
    (here / "there").mkdir()
    outcome = client_of(any_face, serve(papers).url, Nameless()).run(request(), to=to)
    place = here / FOLDERS[to] / "j_1.pdf"
    assert outcome.path.resolve() == place
    assert files_in(here) == {str(place.relative_to(here))}


def test_what_is_in_the_folder_stays_and_a_file_of_that_name_is_replaced(any_face, serve, here):
    """The old file hands its permissions on, as at any target."""
    (here / "other.pdf").write_text("other")
    (here / f"{NAME}.pdf").write_text("old")
    (here / f"{NAME}.pdf").chmod(0o600)
    path = any_face.client(serve(papers).url).run(request(), to=".").path
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (PAPER, 0o600)
    assert files_in(here) == {"other.pdf", f"{NAME}.pdf"}


@pytest.mark.parametrize("contract", [RetrieveContract(), Nameless()], ids=["named", "nameless"])
def test_a_folder_that_cannot_be_is_found_before_a_job_is_made(any_face, serve, here, contract):
    """A slash says folder, and a file is there."""
    (here / "file").write_text("x")
    server = serve(papers)
    for to in ("file/", "file/new/"):
        with pytest.raises(gofer.TargetError, match="not a directory"):
            client_of(any_face, server.url, contract).run(request(), to=to)
    assert server.calls == []


# --- placeholders ---

TEMPLATES = {
    "{doi}.pdf": f"{NAME}.pdf",
    "{doi}.{format}": f"{NAME}.pdf",
    "{title}/{doi}.{format}": f"On X/{NAME}.pdf",
    "new/{doi} {title}/": f"new/{NAME} On X/{NAME}.pdf",
    "{job_id}.{format}": "j_1.pdf",
    "{job_id}/{doi}.txt": f"j_1/{NAME}.txt",
    "{{{doi}}}.pdf": f"{{{NAME}}}.pdf",
    "{{doi}}.{format}": "{doi}.pdf",
    "a}}{{b": "a}{b",
}


@pytest.mark.parametrize("to", TEMPLATES)
@pytest.mark.parametrize("kind", [str, Path])
def test_placeholders_are_filled_with_what_the_request_says(any_face, serve, here, to, kind):
    """DOI and title of the request, and the job's id; a doubled brace is one of the path."""
    path = any_face.client(serve(papers).url).run(request("On X"), to=to if to.endswith("/") else kind(to)).path
    assert str(path) == TEMPLATES[to]
    assert files_in(here) == {TEMPLATES[to]}


@pytest.mark.parametrize("title", UNSAFE)
@pytest.mark.parametrize("to", ["{title}", "{title}.{format}", "x/{title}/", "{title}/x.pdf", "x{title}y"])
def test_no_value_leaves_the_folder(blocking, serve, here, tmp_path, to, title):
    """Whatever a title is, it makes one part of the path: not another folder, a home, or a template."""
    path = blocking.client(serve(papers).url).run(request(title), to=to).path
    assert len(path.parts) == len(Path(to).parts) + to.endswith("/")
    assert files_in(tmp_path) == {str(Path("a/here") / path)}


@given(st.text() | st.floats() | st.integers())
@example("~root")
def test_any_value_makes_one_part_of_a_path(value):
    """The parts before and after it stay what they are, and a second filling changes nothing."""
    path = filled("a/{x}/b.{format}", {"x": value})
    parts = Path(path).parts
    assert (len(parts), parts[0], parts[2]) == (3, "a", "b.{format}")
    assert parts[1] not in (".", "..")
    assert filled(path, {}) == path
    assert not filled("{x}", {"x": value}).startswith("~")


INPUT = {"model": "m/1", "n": 3, "x": 0.5, "on": True, "none": None, "list": [1], "map": {"a": "b"}, "data": b"x"}


@pytest.mark.parametrize("to", ["{model}-{n}-{x}", "{model}-{n}-{x}/", "{job_id}-{model}-{n}", "{job_id}-{n}/"])
@pytest.mark.parametrize("count", [1, 2])
def test_the_input_of_a_declaration_fills_placeholders(any_face, serve, here, to, count):
    """Its texts and numbers; the target is a file or a folder as ever."""
    client = client_of(any_face, serve(Results(files=["/f/a", "/f/b"][:count])).url, said(DECLARED))
    outcome = client.run({name: value for name, value in INPUT.items() if name != "data"}, to=to)
    name = to.replace("{model}", "m_1").replace("{n}", "3").replace("{x}", "0.5").replace("{job_id}", "j1").strip("/")
    assert str(outcome.path) == name
    inside = {f"{name}/manifest.json", *(f"{name}/{file}" for file in "ab"[:count])}
    assert files_in(here) == (inside if count == 2 or to.endswith("/") else {name})


@pytest.mark.parametrize(
    "hole", ["{on}", "{none}", "{list}", "{map}", "{data}", "{other}", "{model.x}", "{}", "{", "}"]
)
@pytest.mark.parametrize("to", ["x/%s/y", "%s.{format}", "%s/"])
def test_an_unknown_placeholder_of_an_input_is_refused_before_anything_is_sent(any_face, serve, here, hole, to):
    """Members that are no text and no number are none; the error lists what there is."""
    server = serve(Results(out=1))
    with pytest.raises(gofer.UsageError, match=re.escape("There is {job_id}, {model}, {n}, {x}, and .{format}")):
        client_of(any_face, server.url, said(DECLARED)).run(INPUT, to=to % hole)
    assert (server.calls, files_in(here)) == ([], set())


@pytest.mark.parametrize("to", ["{title}.pdf", "{dio}.pdf", "{format}/x", "{doi}{format}", "{doi", "doi}", "{ doi }"])
def test_an_unknown_placeholder_of_a_request_is_refused_before_anything_is_sent(any_face, serve, here, to):
    """A title that was not given is unknown; `{format}` stands at the end, after a dot."""
    server = serve(papers)
    client = any_face.client(server.url)
    for call in (lambda: client.run(request(), to=to), lambda: client.retrieve_and_download(DOI, to)):
        with pytest.raises(gofer.UsageError, match=re.escape("There is {job_id}, {doi}, and .{format} at the end")):
            call()
    assert (server.calls, files_in(here)) == ([], set())


def test_a_handle_knows_only_the_id_of_its_job(any_face, serve, here):
    """`{job_id}` is filled, on every way to a handle; any other placeholder is refused with what there is."""
    server = serve(papers)
    client = any_face.client(server.url)
    submitted = client.submit(request())
    for job in (client.attach(submitted.ticket), client.job("j:1"), submitted):
        calls = len(server.calls)
        with pytest.raises(gofer.UsageError, match=re.escape("There is {job_id}, and .{format} at the end")):
            job.download("{doi}.pdf")
        assert len(server.calls) == calls
        assert str(job.download("{job_id}.{format}")) == "j_1.pdf"
    assert client.download_file("j:1", "x-{job_id}") == "x-j_1"


def test_a_wrong_request_is_its_own_error(any_face, serve, here):
    """A malformed DOI or a request of another type is said before the target is."""
    server = serve(papers)
    client = any_face.client(server.url)
    for wrong, says in ((gofer.RetrieveRequest("nonsense"), "10\\."), (DOI, "RetrieveRequest")):
        with pytest.raises(gofer.UsageError, match=says):
            client.run(wrong, to="{doi}.pdf")
    assert server.calls == []


def test_a_place_that_the_id_leads_to_is_checked_before_the_file_is_requested(any_face, serve, here):
    """In `run` the id is known once the job is: what lies there is refused then, and the error has the ticket."""
    os.mkfifo(here / "j_1.pdf")
    server = serve(papers)
    with pytest.raises(gofer.TargetError, match="FIFO") as caught:
        any_face.client(server.url).run(request(), to="{job_id}.pdf")
    assert caught.value.ticket is not None
    assert not any(call.path.endswith("/file") for call in server.calls)
    assert files_in(here) == {"j_1.pdf"}


# --- the name that the format completes ---


def a_fifo(place):
    """Put a FIFO there."""
    os.mkfifo(place)


def a_folder(place):
    """Put a folder there."""
    place.mkdir()


def a_circle(place):
    """Put a link there that leads to itself."""
    place.symlink_to(place.name)


def another_errands(place):
    """Put something under the name of the part file of that place."""
    a_fifo(place.with_name(f".{place.name}.part"))


@pytest.mark.parametrize("plant", [a_fifo, a_folder, a_circle, another_errands])
@pytest.mark.parametrize("promised", [True, False])
def test_the_completed_name_is_checked_before_a_byte_is_stored(any_face, serve, here, plant, promised):
    """The format is known from the results or the reply's head: what cannot be written fails without a part file."""

    def answer(call):
        if call.path.endswith("/file"):
            return http(200, PAPER, content_type="text/plain" if promised else "application/pdf")
        return as_json({"job_id": "j1", "status": "completed", **({"file_format": "pdf"} if promised else {})})

    plant(here / "paper.pdf")
    before = sorted(here.iterdir())
    client = any_face.client(serve(answer).url)
    with pytest.raises(gofer.TargetError, match=r"paper\.pdf"):
        client.run(request(), to="paper.{format}")
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize("plant", [a_fifo, a_folder, a_circle])
def test_the_completed_name_of_a_value_is_checked_too(any_face, serve, here, plant):
    """A value that came in the job's document is not written over what cannot be replaced."""
    plant(here / "paper.json")
    before = sorted(here.iterdir())
    with pytest.raises(gofer.TargetError, match=r"paper\.json"):
        client_of(any_face, serve(Results(out={"a": 1})).url, said(DECLARED)).run({}, to="paper.{format}")
    assert sorted(here.iterdir()) == before


def test_a_part_of_an_earlier_try_is_continued_under_the_completed_name(any_face, serve, here):
    """The part lies at the name with the placeholder, so the check of the other name costs it nothing."""

    def answer(call):
        if not call.path.endswith("/file"):
            return as_json({"job_id": "j1", "status": "completed", "file_format": "pdf"})
        start = int(call.headers.get("range", "bytes=0-")[6:-1])
        if start:
            return http(206, PAPER[start:], content_range=f"bytes {start}-{len(PAPER) - 1}/{len(PAPER)}", etag='"1"')
        return http(200, PAPER, etag='"1"')[: -len(PAPER) + 5]

    server = serve(answer)
    client = any_face.client(server.url, patience=gofer.Retry(wait_fixed(0.01), stop_after_attempt(3)))
    assert client.run(request(), to="{doi}.{format}").path.read_bytes() == PAPER
    assert [call.headers.get("range") for call in server.calls if call.path.endswith("/file")] == [None, "bytes=5-"]
