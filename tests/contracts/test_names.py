"""Names of files: made of any text, and with the suffix of the format that comes; no text becomes a path."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import gofer
from contracts.test_results import Results, start
from gofer import safe_name
from support.raw_server import http

OPEN = "paper.{format}"


@given(st.text() | st.text(" .con", min_size=195, max_size=210))
@example("a" * 10 + "." * 10 + "b" * 190)
@example("acon." + "b" * 197)
@example("\ud800")
@example("~root")
@example("\x1b[31m")
@example("a<b>")
def test_any_text_makes_one_part_of_a_path(text):
    """Neither a path, a home, hidden, nor longer than file systems allow, nor what some forbid; always the same."""
    name = safe_name(text)
    assert [name] == list(Path(name).parts)
    assert name == safe_name(name)
    assert name not in ("", ".", "..")
    assert not name.startswith((".", "~", "con."))
    assert len(os.fsencode(name)) <= 255
    assert name.isprintable()
    assert not set(name) & set('<>:"/\\|?*{}')


def test_a_doi_makes_a_name_that_people_can_read():
    """The slash is replaced, and the rest stays."""
    assert safe_name("10.5555/12345678") == "10.5555_12345678"


FORMATS = {
    "a media type": ({"type": "application/pdf"}, "%PDF-1.7", ".pdf"),
    "a word": ({"type": "epub"}, "PK", ".epub"),
    "the type of the reply": ({}, "a,b", ".csv"),
    "a format that gofer has no suffix for": ({"type": "application/x-new"}, "?", ".bin"),
    "a path": ({"type": "../../evil"}, "?", ".bin"),
}


@pytest.mark.parametrize("case", FORMATS)
def test_the_suffix_is_the_format_that_came(any_face, serve, tmp_path, case):
    """What the results promise, else the type of the reply; the part is gone, and the caller gets the real path."""
    said, content, suffix = FORMATS[case]
    model = Results(files=[{"href": "/f/a", **said}])

    def answer(call):
        return http(200, content, content_type="text/csv") if call.path == "/f/a" else model(call)

    path = start(any_face, serve(answer)).download(f"{tmp_path}/new/{OPEN}", timeout=10)
    assert path == tmp_path / "new" / f"paper{suffix}"
    assert path.read_text() == content
    assert [place.name for place in path.parent.iterdir()] == [path.name]


def test_a_value_gets_its_suffix_too(any_face, serve, tmp_path):
    """A value that came in the job's document is written as JSON, and is named so."""
    path = start(any_face, serve(Results(out={"a": 1}))).download(tmp_path / OPEN, timeout=10)
    assert (path.name, json.loads(path.read_text())) == ("paper.json", {"a": 1})


def test_what_lies_at_the_final_name_is_checked(any_face, serve, tmp_path):
    """A link is followed and stays; a FIFO is refused; and the mode of the file is kept."""
    server = serve(Results(files=[{"href": "/f/a", "type": "text/plain"}]))
    (tmp_path / "real").write_text("old")
    (tmp_path / "real").chmod(0o600)
    (tmp_path / "paper.txt").symlink_to("real")
    assert start(any_face, server).download(tmp_path / OPEN, timeout=10) == tmp_path / "paper.txt"
    assert (tmp_path / "paper.txt").is_symlink()
    assert ((tmp_path / "real").read_text(), (tmp_path / "real").stat().st_mode & 0o777) == ("content of /f/a", 0o600)
    (tmp_path / "paper.txt").unlink()
    os.mkfifo(tmp_path / "paper.txt")
    with pytest.raises(gofer.TargetError, match="FIFO"):
        start(any_face, server).download(tmp_path / OPEN, timeout=10)


def test_a_name_of_the_services_is_no_template(any_face, serve, tmp_path):
    """A file that the service calls so keeps its name in a folder, without the braces."""
    server = serve(Results(files=[{"href": "/f/a", "title": OPEN}, {"href": "/f/b"}]))
    folder = start(any_face, server).download(f"{tmp_path}/out/", timeout=10)
    assert sorted(place.name for place in folder.iterdir()) == ["b", "manifest.json", "paper._format_"]


def test_several_files_have_no_one_suffix(any_face, serve, tmp_path):
    """The error says to name a folder."""
    job = start(any_face, serve(Results(files=["/f/a", "/f/b"])))
    with pytest.raises(gofer.UsageError, match="folder"):
        job.download(tmp_path / OPEN, timeout=10)
