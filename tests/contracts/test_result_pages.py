"""Results that come on several pages: brought whole, or an error or a warning that says there are more."""

import base64

import pytest

import gofer
from gofer.contracts.base import MOST_PAGES
from support.declared import PLAIN, Answering, as_json, client_of, path_of, query_of, said, sent_to
from support.raw_server import http

BASE = Answering.url
RESULT = PLAIN + '[result]\nurl = "{base}/jobs/{id}/results"\n'
LIST = 'value = "/rows"\n'
FILES = '[result.files]\nunder = "/files"\nurl = "/href"\n'


def paged(page):
    """A service whose result is what `page` gives for the number of the request about it."""
    asked = []

    def answer(call):
        if path_of(call).startswith("/jobs/7/results"):
            asked.append(call)
            made = page(len(asked), call)
            return made if isinstance(made, bytes) else as_json(made)
        if path_of(call).startswith("/f/"):
            return http(200, path_of(call), content_type="text/csv")
        return as_json({"id": "7", "state": "waiting" if call.method == "POST" else "done"}, 200)

    return Answering(answer)


def rows(number):
    """The rows and files of a page."""
    return {"rows": [number, number], "files": [{"href": f"/f/{number}"}]}


def by_link(number, _):
    """Three pages, each with the address of the next one in the header Link (RFC 8288)."""
    link = {"link": f'<other>; rel="prev", </jobs/7/results?page={number + 1}>; rel="next"'} if number < 3 else {}
    return as_json(rows(number), **link)


def by_member(number, _):
    """Three pages, each with the address of the next one in the document."""
    return rows(number) | ({"next": f"/jobs/7/results?page={number + 1}"} if number < 3 else {"next": None})


def by_token(number, call):
    """Three pages, each with the token of the next one."""
    assert query_of(call).get("token") == (None if number == 1 else f"t{number}")
    return rows(number) | ({"more": f"t{number + 1}"} if number < 3 else {})


def by_number(number, call):
    """Three pages with numbers from 0; only the first says how many there are."""
    assert query_of(call).get("part") == (None if number == 1 else str(number - 1))
    return rows(number) | ({"parts": [{}, {}, {}]} if number == 1 else {})


NEXT = {
    "link": ("", by_link),
    "member": ('next = "/next"\n', by_member),
    "token": ('next = "/more"\nquery = { token = "{page?}" }\n', by_token),
    "number": ('pages = "/parts"\nfirst = 0\nquery = { part = "{page?}" }\n', by_number),
}


@pytest.mark.parametrize("how", NEXT)
def test_the_value_of_all_pages_is_one_list(virtual_face, how):
    """However the service says where the next one is."""
    more, page = NEXT[how]
    server = paged(page)
    assert client_of(virtual_face, server, said(RESULT + LIST + more)).run({}, timeout=20).value == [1, 1, 2, 2, 3, 3]
    assert len([call for call in server.calls if path_of(call).startswith("/jobs/7/results")]) == 3


@pytest.mark.parametrize("how", NEXT)
def test_the_files_of_all_pages_are_brought(virtual_face, tmp_path, how):
    """In the order of the pages, into one folder."""
    more, page = NEXT[how]
    client = client_of(virtual_face, paged(page), said(RESULT + more + FILES))
    outcome = client.run({}, to=f"{tmp_path}/out/", timeout=20)
    assert [file.path.read_text() for file in outcome.files] == ["/f/1", "/f/2", "/f/3"]
    assert outcome.value is None or isinstance(outcome.value, dict)


def test_a_page_that_fails_for_now_is_asked_for_again(virtual_face):
    """The pages before it are not."""

    def page(number, call):
        return http(503) if number == 2 else by_member(number - (number > 2), call)

    server = paged(page)
    client = client_of(virtual_face, server, said(RESULT + LIST + 'next = "/next"\n'))
    assert client.run({}, timeout=60).value == [1, 1, 2, 2, 3, 3]
    assert len(sent_to(server, "/jobs/7/results")) == 4


@pytest.mark.parametrize(
    "page",
    [
        lambda number, _: rows(number) | {"next": "/jobs/7/results?again"},
        lambda number, _: rows(number) | {"next": f"/jobs/7/results?{number}", "much": "x" * (40 << 20)},
    ],
    ids=["in a circle", "too large"],
)
def test_pages_without_end_are_an_error(virtual_face, page):
    """A page that was had already, or more bytes than one result may have."""
    client = client_of(virtual_face, paged(page), said(RESULT + LIST + 'next = "/next"\n'))
    with pytest.raises(gofer.BadReply):
        client.run({}, timeout=60)


@pytest.mark.parametrize("count", [MOST_PAGES + 2, "9" * 18])
def test_more_pages_than_one_result_may_have_are_refused_at_once(virtual_face, count):
    """No request for them is made."""
    server = paged(lambda number, _: rows(number) | {"parts": count})
    client = client_of(virtual_face, server, said(RESULT + LIST + 'pages = "/parts"\nquery = { p = "{page?}" }\n'))
    with pytest.raises(gofer.BadReply, match="pages"):
        client.run({}, timeout=20)
    assert len(sent_to(server, "/jobs/7/results")) == 1


def test_pages_are_numbered_from_one_unless_declared(virtual_face):
    """The second of three has the number 2; a number of pages is as good as a list of them."""
    asked = []

    def page(number, call):
        asked.append(query_of(call).get("p"))
        return rows(number) | {"total": "3"}

    more = 'pages = "/total"\nquery = { p = "{page?}" }\n'
    client_of(virtual_face, paged(page), said(RESULT + LIST + more)).run({}, timeout=20)
    assert asked == [None, "2", "3"]


def test_a_value_that_is_no_list_cannot_have_pages(virtual_face):
    """The second page would be lost, so that is an error."""
    client = client_of(
        virtual_face, paged(lambda number, _: {"rows": {}, "next": "/x"}), said(RESULT + LIST + 'next = "/next"\n')
    )
    with pytest.raises(gofer.BadReply, match="list"):
        client.run({}, timeout=20)


def test_a_later_page_may_say_that_the_job_has_failed(virtual_face):
    """Nothing of the pages before is given as the result."""

    def page(number, call):
        return by_member(number, call) if number == 1 else {"fault": "disk full"}

    text = RESULT + LIST + 'next = "/next"\nfailed = "/fault"\n'
    with pytest.raises(gofer.JobFailed, match="disk full"):
        client_of(virtual_face, paged(page), said(text)).run({}, timeout=20)


@pytest.mark.parametrize("kind", ["text/csv", "multipart/mixed; boundary=x"])
def test_a_later_page_that_is_no_document_is_an_error(virtual_face, kind):
    """It is not taken for the file of the result."""

    def page(number, call):
        return by_member(number, call) if number == 1 else http(200, "a,b", content_type=kind)

    client = client_of(virtual_face, paged(page), said(RESULT + 'next = "/next"\n' + FILES))
    with pytest.raises(gofer.BadReply):
        client.run({}, timeout=20)


def test_a_page_elsewhere_is_asked_for_only_if_that_origin_is_declared(virtual_face):
    """The error says what to write; then it goes there without secrets."""
    server = paged(lambda number, _: rows(number) | {"next": "http://other.test/jobs/7/results?2"})
    with pytest.raises(gofer.BadReply, match=r"origins = \[.http://other.test"):
        client_of(virtual_face, server, said(RESULT + LIST + 'next = "/next"\n')).run({}, timeout=20)
    last = paged(
        lambda number, _: rows(number) | ({"next": "http://other.test/jobs/7/results?2"} if number == 1 else {})
    )
    text = 'origins = "http://other.test"\n' + RESULT + LIST + 'next = "/next"\n'
    assert client_of(virtual_face, last, said(text), auth="secret").run({}, timeout=20).value == [1, 1, 2, 2]
    assert "authorization" not in last.calls[-1].headers


SIGNS = [{"next": "/x"}, {"next_cursor": "c"}, {"has_more": True}, {"_links": {"next": {"href": "/x"}}}]


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: next(iter(sign)))
@pytest.mark.parametrize("more", [LIST, FILES], ids=["value", "files"])
def test_what_looks_like_another_page_is_warned_of(virtual_face, caplog, sign, more):
    """No standard says what these members mean, so they are not followed."""
    client_of(virtual_face, paged(lambda number, _: rows(number) | sign), said(RESULT + more)).run({}, timeout=20)
    assert "more pages" in caplog.text
    caplog.clear()
    client_of(virtual_face, paged(lambda number, _: rows(number)), said(RESULT + more)).run({}, timeout=20)
    assert "more pages" not in caplog.text


def test_a_link_to_another_page_of_a_whole_document_is_warned_of(virtual_face, caplog):
    """Documents cannot be joined: only lists and files can."""
    client_of(virtual_face, paged(by_link), said(RESULT)).run({}, timeout=20)
    assert "more pages" in caplog.text


@pytest.mark.parametrize("alphabet", [base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes])
def test_content_in_base64_is_a_file(virtual_face, tmp_path, alphabet):
    """With the name and the type that its entry says; several go into a folder."""
    content = bytes(range(256))

    def page(*_):
        text = alphabet(content).decode()
        return {"files": [{"name": f"{n}.bin", "data": text} for n in "ab"]}

    text = RESULT + '[result.files]\nunder = "/files"\nbase64 = "/data"\nname = "/name"\n'
    outcome = client_of(virtual_face, paged(page), said(text)).run({}, to=f"{tmp_path}/out/", timeout=20)
    assert {file.path.name: file.path.read_bytes() for file in outcome.files} == {"a.bin": content, "b.bin": content}


def test_content_that_is_no_base64_is_a_bad_reply(virtual_face, tmp_path):
    """No file is made of it."""
    text = RESULT + '[result.files]\nbase64 = "/data"\n'
    client = client_of(virtual_face, paged(lambda *_: {"data": "no: base64!"}), said(text))
    with pytest.raises(gofer.BadReply, match="Base64"):
        client.run({}, to=str(tmp_path / "x"), timeout=20)
    assert not (tmp_path / "x").exists()


def test_content_that_is_a_text_is_a_file(virtual_face, tmp_path):
    """In UTF-8, beside entries that have theirs in Base64; half a character does no harm."""
    entries = [{"name": "a.txt", "text": "Grüße \ud800"}, {"name": "b.bin", "data": "AAE="}, {"name": "neither"}]
    text = RESULT + '[result.files]\nunder = "/files"\nbase64 = "/data"\ntext = "/text"\nname = "/name"\n'
    client = client_of(virtual_face, paged(lambda *_: {"files": entries}), said(text))
    outcome = client.run({}, to=f"{tmp_path}/out/", timeout=20)
    found = {file.path.name: file.path.read_bytes() for file in outcome.files}
    assert found == {"a.txt": "Grüße ?".encode(), "b.bin": b"\0\1"}


def test_the_declared_number_of_pages_counts_before_a_link_in_the_head(virtual_face):
    """The link is no number, and is not sent as one."""

    def page(number, call):
        return as_json(rows(number) | {"n": 2}, link='</jobs/7/results?p=9>; rel="next"')

    server = paged(page)
    more = 'pages = "/n"\nquery = { p = "{page?}" }\n'
    assert client_of(virtual_face, server, said(RESULT + LIST + more)).run({}, timeout=20).value == [1, 1, 2, 2]
    assert query_of(server.calls[-1]) == {"p": "2"}


@pytest.mark.parametrize("next_one", [{"href": "/x"}, ["a"], "ftp://x/y"])
def test_a_next_page_that_is_no_address_is_a_bad_reply(virtual_face, next_one):
    """The first page is not taken for the whole."""
    client = client_of(
        virtual_face, paged(lambda n, _: rows(n) | {"next": next_one}), said(RESULT + LIST + 'next = "/next"\n')
    )
    with pytest.raises(gofer.BadReply):
        client.run({}, timeout=20)


@pytest.mark.parametrize("count", ["three", 3.5, {"total": 3}, -3, True])
def test_a_number_of_pages_that_is_none_is_a_bad_reply(virtual_face, count):
    """The first page is not taken for the whole."""
    text = RESULT + LIST + 'pages = "/n"\nquery = { p = "{page?}" }\n'
    with pytest.raises(gofer.BadReply, match="pages"):
        client_of(virtual_face, paged(lambda n, _: rows(n) | {"n": count}), said(text)).run({}, timeout=20)


@pytest.mark.parametrize("end", [False, 0, "", None])
def test_false_means_that_there_is_no_other_page(virtual_face, end):
    """As null does."""
    client = client_of(
        virtual_face, paged(lambda n, _: rows(n) | {"next": end}), said(RESULT + LIST + 'next = "/next"\n')
    )
    assert client.run({}, timeout=20).value == [1, 1]


def test_another_relation_that_begins_alike_is_no_next_page(virtual_face):
    """As `next-archive` (RFC 5005)."""
    client = client_of(
        virtual_face, paged(lambda n, _: as_json(rows(n), link='</old>; rel="next-archive"')), said(RESULT + LIST)
    )
    assert client.run({}, timeout=20).value == [1, 1]


def test_an_empty_content_is_none_where_there_is_an_address(virtual_face, tmp_path):
    """The file is fetched."""
    text = RESULT + '[result.files]\nunder = "/files"\nurl = "/href"\nbase64 = "/raw"\n'
    server = paged(lambda *_: {"files": [{"raw": "", "href": "/f/1"}]})
    assert client_of(virtual_face, server, said(text)).run({}, to=str(tmp_path / "x")).path.read_text() == "/f/1"


def test_a_failed_job_with_a_spoilt_file_has_failed(virtual_face):
    """Its reason is not lost for that."""
    text = RESULT + 'failed = "/fault"\n[result.files]\nunder = "/files"\nbase64 = "/raw"\n'
    server = paged(lambda *_: {"fault": "disk", "files": [{"raw": "!!!"}]})
    with pytest.raises(gofer.JobFailed, match="disk"):
        client_of(virtual_face, server, said(text)).run({}, timeout=20)
