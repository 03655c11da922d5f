"""What is uploaded before a submission: in its order, once for the errand, wherever the service has named."""

import contextlib
import json
import sqlite3
import time

import pytest

import gofer
from gofer.contracts.base import Contract, Ref, Snapshot
from gofer.core.journal import Sending
from gofer.models import State, Status
from gofer.transports import journal as journals
from gofer.wire import FileInput, Request, Streamed
from support.declared import Answering, as_json, client_of, said, sent_to, service
from support.raw_server import RESET, http, raw_server

CONTENT = b"\x00content\xff" * 100_000
TWO_STEPS = """
name = "steps"
[variables]
api_key = { secret = true }
[every]
headers = { x-api-key = "{api_key}" }
[[upload]]
url = "{base}/files"
json = { name = "{input.name}" }
links = { put = "/put" }
values = { handle = "/handle", token = ["/token", "none:"] }
[[upload]]
url = "{links.put}"
headers = { x-blob-type = "Block", x-token = "{values.token?}", x-secret = "{api_key}" }
body = "{input.file}"
values = { etag = ["header:etag", "none:"] }
[submit]
url = "{base}/jobs"
headers = { idempotency-key = "{key}" }
json = { file = "{values.handle}", etag = "{values.etag?}" }
idempotent = true
id = "/id"
[poll]
url = "{base}/jobs/{id}"
[status]
state = "/state"
"""
ONE_STEP = """
name = "one"
[upload]
url = "{base}/files/{key}"
multipart = { file = "{input.file}" }
values = { handle = "/handle" }
[submit]
url = "{base}/jobs"
json = { file = "{values.handle}" }
id = "/id"
[poll]
url = "{base}/jobs/{id}"
[status]
state = "/state"
"""
TICKET = {"handle": "h-1", "token": "t-1"}


def steps(text=TWO_STEPS):
    """The contract of this text."""
    return said(text, api_key="k-secret")


def answering(put="/store/1?sig=s", **answers):
    """Return a service: what answers each path, unless something else is said; `put` is where the file goes."""

    def answer(call):
        path = call.path.partition("?")[0].strip("/").replace("/", "_")
        if path in answers:
            return answers[path](call)
        if path == "files":
            return as_json({**TICKET, "put": put}, 201)
        if path == "jobs":
            return as_json({"id": "7", "state": "running"}, 202)
        return as_json({"state": "succeeded"}) if call.method == "GET" else http(201, etag='"e"')

    return answer


@pytest.fixture
def order(tmp_path):
    """Give an input."""
    path = tmp_path / "report.pdf"
    path.write_bytes(CONTENT)
    return {"name": "report", "file": path}


def test_a_file_is_put_where_the_service_says_and_named_in_the_submission(any_face, serve, order):
    """Three requests in this order; the second one with the file, from the disk."""
    server = serve(answering())
    assert client_of(any_face, server.url, steps()).run(order, timeout=20).job_id == "7"
    ask, put, submit, _ = server.calls
    assert (ask.method, ask.path, json.loads(ask.body)) == ("POST", "/files", {"name": "report"})
    assert (put.method, put.path, put.body) == ("PUT", "/store/1?sig=s", CONTENT)
    assert put.headers["content-length"] == str(len(CONTENT))
    assert (put.headers["x-token"], put.headers["x-api-key"]) == ("t-1", "k-secret")
    assert (submit.path, json.loads(submit.body)) == ("/jobs", {"file": "h-1", "etag": '"e"'})


def test_another_origin_gets_no_credentials(any_face, serve, order):
    """Neither those of the caller nor those of the declaration; what is declared for it, it gets."""
    store = serve(lambda call: http(200))
    server = serve(answering(f"{store.url}/up?sig=s"))
    client = client_of(any_face, server.url, steps(), auth="a-token", headers={"x-mine": "1"})
    client.run(order, timeout=20)
    (put,) = store.calls
    assert (put.path, put.body) == ("/up?sig=s", CONTENT)
    assert (put.headers["x-blob-type"], put.headers["x-token"]) == ("Block", "t-1")
    assert not {"authorization", "x-mine", "x-api-key", "x-secret", "cookie"} & set(put.headers)
    assert {"authorization", "x-mine", "x-api-key"} <= set(server.calls[1].headers)
    assert b"secret" not in b"".join(call.body for call in store.calls)


def test_hosts_that_are_not_allowed_get_no_file(any_face, serve, order):
    """`allow_hosts` holds for uploads too."""
    server = serve(answering("http://elsewhere.test/up"))
    with pytest.raises(gofer.BadReply, match="allow_hosts"):
        client_of(any_face, server.url, steps(), allow_hosts=["files.test"]).run(order, timeout=20)
    assert len(server.calls) == 1


@pytest.mark.parametrize("put", ["s3://bucket/x", "file:///etc/passwd", "http://[x"])
def test_an_address_that_is_none_is_a_bad_reply(any_face, serve, order, put):
    """It is the service's mistake, not the caller's."""
    server = serve(answering(put))
    with pytest.raises(gofer.BadReply):
        client_of(any_face, server.url, steps()).run(order, timeout=20)
    assert len(server.calls) == 1


def test_an_address_that_the_service_did_not_name_needs_permission(virtual_face, order):
    """As for any other request: `origins` has it, or it is refused before anything is sent."""
    text = TWO_STEPS.replace('"{base}/files"', '"https://other.test/files"').replace("{input.name}", "{base}")
    with pytest.raises(gofer.UsageError, match="origins"):
        client_of(virtual_face, "http://service.test", steps(text)).run(order, timeout=20)


def test_a_secret_does_not_go_elsewhere_in_a_body(any_face, serve, order):
    """There it cannot be left out, so nothing is sent."""
    text = TWO_STEPS.replace('body = "{input.file}"', 'text = "{api_key}"')
    server = serve(answering("http://127.0.0.1:9/up"))
    with pytest.raises(gofer.BadReply, match="a secret would go there"):
        client_of(any_face, server.url, steps(text)).run(order, timeout=20)
    assert len(server.calls) == 1


# --- failures ---


@pytest.mark.parametrize("failure", [[RESET], [http(503)], [http(429, retry_after="0")], [http(200, "<html>")]])
def test_an_upload_is_repeated(any_face, order, failure):
    """It makes no job, so a lost answer is asked for again, with the same bytes."""

    def script(call):
        return failure if call.nth == 1 and call.path in ("/files", "/store/1?sig=s") else [answering()(call)]

    with raw_server(script) as server:
        client_of(any_face, server.url, steps()).run(order, timeout=20)
        assert len(sent_to(server, "/files")) == 2
        puts = [call.body for call in sent_to(server, "/store/1")]
        assert set(puts) == {CONTENT}
        assert len(sent_to(server, "/jobs")) == 1


@pytest.mark.parametrize(("code", "kind"), [(403, gofer.Unauthorized), (404, gofer.NotFound), (500, gofer.Unavailable)])
def test_an_upload_that_is_refused_ends_the_errand_and_nothing_is_uncertain(any_face, serve, order, code, kind):
    """No job can have been made."""
    server = serve(answering(store_1=lambda _: http(code)))
    with pytest.raises(kind) as error:
        client_of(any_face, server.url, steps()).run(order, timeout=20)
    assert (error.value.leg, error.value.job_id) == ("submit", None)
    assert sent_to(server, "/jobs") == []


def test_an_answer_without_what_is_needed_is_a_bad_reply(any_face, serve, order):
    """The error names the link and where it is used."""
    server = serve(answering(files=lambda _: as_json({"handle": "h-1"})))
    with pytest.raises(gofer.BadReply, match=r"mine.toml:\d+: upload\[1\]: the answers .* have no {links.put}"):
        client_of(any_face, server.url, steps()).run(order, timeout=20)


def test_a_storage_elsewhere_does_not_refuse_as_the_service_does(any_face, serve, order):
    """Its answer is no document of the service's; one of the service's own that says so is a refusal."""
    text = TWO_STEPS + '[refusal]\nwhen = "/wrong"\nmessage = "/wrong"\n'
    store = serve(lambda _: http(200, "thank you", content_type="text/plain"))
    server = serve(answering(store.url))
    assert client_of(any_face, server.url, steps(text)).run(order, timeout=20).job_id == "7"
    server = serve(answering(files=lambda _: as_json({"wrong": "no room"})))
    with pytest.raises(gofer.Rejected, match="no room"):
        client_of(any_face, server.url, steps(text)).run(order, timeout=20)


def test_a_submission_that_was_lost_names_the_same_upload(any_face, order):
    """Nothing is uploaded again: the second try has the same bytes under the same key."""
    handles = iter(range(9))

    def script(call):
        if (call.path, call.nth) == ("/jobs", 1):
            return [RESET]
        numbered = answering(files=lambda _: as_json({"handle": f"h-{next(handles)}", "put": "/store/1?sig=s"}))
        return [numbered(call)]

    with raw_server(script) as server:
        client_of(any_face, server.url, steps()).run(order, timeout=20)
        first, second = sent_to(server, "/jobs")
    assert (first.body, first.headers) == (second.body, second.headers)
    assert len(server.calls) == 5


def test_a_lost_job_is_submitted_again_with_the_same_upload(virtual_face, order):
    """The service has forgotten the job, and not its key."""

    def answer(call):
        if call.path == "/jobs":
            return as_json({"id": str(call.nth), "state": "running"}, 202)
        return http(404) if call.path == "/jobs/1" else answering()(call)

    order["file"] = b"in memory"
    server = Answering(answer)
    assert client_of(virtual_face, server, steps()).run(order, timeout=60).job_id == "2"
    first, second = sent_to(server, "/jobs")
    assert first.body == second.body
    assert len(sent_to(server, "/files")) == 1


def test_a_key_repeats_no_submission_with_uploads(any_face, order):
    """Its handle would be another one: nothing is sent, and no error advises it."""
    with raw_server(lambda call: [RESET] if call.path == "/jobs" else [answering()(call)]) as server:
        client = client_of(any_face, server.url, steps())
        with pytest.raises(gofer.SubmitUncertain, match="Check at the service") as error:
            client.submit(order)
        server.calls.clear()
        with pytest.raises(gofer.UsageError, match="uploaded before it"):
            client.submit(order, key=error.value.key)
        assert server.calls == []


# --- batches ---


def run(face, url, journal, *requests, timeout=20):
    """Run a batch of these requests, and return its errands as they end."""
    client = client_of(face, url, steps())
    if face.portal is None:
        with client.batch(journal) as batch:
            batch.add(requests)
            return list(batch.run(timeout=timeout))

    async def awaited():
        async with client.inner.batch(journal) as batch:
            await batch.add(requests)
            return [errand async for errand in batch.run(timeout=timeout)]

    return face.call(awaited)


def test_a_batch_uploads_too(any_face, serve, order, tmp_path):
    """A submission whose answer was never written down is uncertain: what it named is named anew by now."""
    server, journal = serve(answering()), tmp_path / "journal"
    (errand,) = run(any_face, server.url, journal, order)
    assert errand.state == "done"
    assert [call.path for call in server.calls] == ["/files", "/store/1?sig=s", "/jobs", "/jobs/7"]
    with contextlib.closing(sqlite3.connect(journal)) as db, db:  # as if it had been killed before the answer
        db.execute(f"UPDATE errand SET fate = 'open', ticket = NULL, job = NULL, sent = {time.time()}")
    server.calls.clear()
    (errand,) = run(any_face, server.url, journal)
    assert (errand.state, type(errand.error)) == ("uncertain", gofer.SubmitUncertain)
    assert server.calls == []


def test_a_batch_that_stops_during_an_upload_has_submitted_nothing(any_face, order, tmp_path):
    """Its errand waits, and the next run uploads and submits."""
    journal = tmp_path / "journal"
    with service(answering(files=lambda _: http(401))) as server:
        with pytest.raises(gofer.BatchStopped):
            run(any_face, server.url, journal, order)
        server.script = lambda call: [answering()(call)]
        (errand,) = run(any_face, server.url, journal)
    assert errand.state == "done"
    assert len(sent_to(server, "/jobs")) == 1


def test_a_batch_that_stops_between_upload_and_submission_has_submitted_nothing(
    any_face, serve, order, tmp_path, monkeypatch
):
    """Its time is up while its key is written down: the key is taken back, and the next run uploads and submits."""
    server, journal, write = serve(answering()), tmp_path / "journal", journals.Journal.write

    def slowly(self, facts):
        facts = list(facts)
        write(self, facts)
        if any(isinstance(fact, Sending) for _, fact in facts):
            time.sleep(1)

    monkeypatch.setattr(journals.Journal, "write", slowly)
    with pytest.raises(gofer.OutOfTime):
        run(any_face, server.url, journal, order, timeout=0.8)
    monkeypatch.undo()
    assert sent_to(server, "/jobs") == []
    (errand,) = run(any_face, server.url, journal)
    assert errand.state == "done"


# --- what is declared ---


def test_one_table_is_a_list_of_one(any_face, serve, order):
    """`[upload]` is short for it; with a form it is a POST, and the key may be part of the address."""
    server = serve(lambda call: answering()(call) if "files" not in call.path else as_json({"handle": "h-2"}))
    client_of(any_face, server.url, said(ONE_STEP), new_key=lambda: "k-1").run(order, timeout=20)
    assert (server.calls[0].method, server.calls[0].path) == ("POST", "/files/k-1")
    assert json.loads(server.calls[1].body) == {"file": "h-2"}


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('name = "{input.name}"', 'name = "{links.put}"', r"upload\[0\]"),  # of an upload by itself
        ('text = "x"', 'text = "{values.etag}"', r"upload\[1\]"),
        ('url = "{base}/jobs/{id}"', 'url = "{links.put}"', "poll.url"),  # the job does not have it
    ],
)
def test_names_are_there_after_the_upload_that_reads_them(old, new, key):
    """And up to the submission."""
    text = TWO_STEPS.replace('body = "{input.file}"', 'text = "x"')
    with pytest.raises(gofer.DeclarationError, match=rf"{key}.*is no variable here"):
        steps(text.replace(old, new))


class Uploading(Contract[bytes, str]):
    """A contract as a class, which uploads what is submitted."""

    name = "class"

    def build_upload(self, base, request, *, key):
        """Upload it, if that was not done."""
        return Request("PUT", f"{base}/blobs/{key}", {}, request) if isinstance(request, bytes) else None

    def read_upload(self, base, request, reply):
        """Go on with where it is."""
        return reply.headers["location"]

    def build_submission(self, base, request, *, key, budget, hold):
        """Submit where it is."""
        return Request("POST", f"{base}/jobs", {}, request.encode())

    def read_submission(self, base, request, reply):
        """There is one job."""
        return Snapshot(Ref("7"), Status("pending", State.PENDING), "")

    def build_poll(self, base, ref, *, hold, etag, seen):
        """Ask for it."""
        return Request("GET", f"{base}/jobs/7")

    def read_poll(self, base, ref, reply):
        """It is done."""
        return Snapshot(ref, Status("done", State.SUCCEEDED), "")


def test_a_contract_as_a_class_may_upload(any_face, serve):
    """Two methods of the protocol are enough."""
    server = serve(lambda call: http(201, location="/b/1"))
    client_of(any_face, server.url, Uploading(), new_key=lambda: "k").run(b"data", timeout=20)
    assert [(call.path, call.body) for call in server.calls] == [
        ("/blobs/k", b"data"),
        ("/jobs", b"/b/1"),
        ("/jobs/7", b""),
    ]


class Streaming(Uploading):
    """One that streams it."""

    def build_upload(self, base, request, *, key):
        """Upload the file."""
        body = request if isinstance(request, str) else Streamed((b"<", FileInput(request), b">"))
        return None if isinstance(request, str) else Request("PUT", f"{base}/blobs/{key}", {}, body)


def test_a_contract_as_a_class_may_stream(any_face, serve, order):
    """It makes the body of pieces, and gofer reads the files."""
    server = serve(lambda call: http(201, location="/b/1"))
    client_of(any_face, server.url, Streaming()).run(order["file"], timeout=20)
    assert server.calls[0].body == b"<" + CONTENT + b">"
