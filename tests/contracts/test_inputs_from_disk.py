"""Files as inputs: streamed from disk on every try with the same bytes, or an error; never two bodies under a key."""

import contextlib
import email.policy
import gzip
import hashlib
import io
import os
import sqlite3
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import SpooledTemporaryFile, TemporaryFile
from types import SimpleNamespace

import anyio
import httpx
import pytest
from attrs import evolve

import gofer
from gofer.transports import deadline, httpx_io, inputs
from gofer.wire import FileInput, Streamed
from support.declared import PLAIN, Answering, as_json, client_of, said, sent_to
from support.faces import FAMILIES, Blocked
from support.raw_server import RESET, http, raw_server

CONTENT = bytes(range(256)) * 4096 + b"the end"  # more than four blocks of the size that is read at once
KEYED = PLAIN.replace('json = "{input}"', 'headers = { idempotency-key = "{key}" }\nidempotent = true\nBODY')
RAW = 'body = "{input.file}"'
PARTS = 'multipart = { title = "{input.title?}", file = "{input.file}", more = "{input.more*?}" }'


def mine(body=RAW, text=KEYED):
    """A contract with this body in its submission."""
    return said(text.replace("BODY", body))


def done(call):
    """Answer any request with a job that is done."""
    return as_json({"id": "7", "state": "done"}, 202 if call.method == "POST" else 200)


def parts_of(call):
    """Read a multipart body with a parser that is not gofer's: the names, the files' names, and the bytes."""
    head = f"content-type: {call.headers['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + call.body, policy=email.policy.HTTP)
    assert message.is_multipart()
    assert not message.defects
    return [
        (part.get_param("name", header="content-disposition"), part.get_filename(), part.get_payload(decode=True))
        for part in message.iter_parts()
    ]


@pytest.fixture
def report(tmp_path):
    """Give the path of a file."""
    path = tmp_path / "report.pdf"
    path.write_bytes(CONTENT)
    return path


# --- what is sent ---


def test_a_path_is_the_raw_body(any_face, serve, report):
    """Its bytes come as they are, with their number, and as a media type that says nothing of them."""
    server = serve(done)
    client_of(any_face, server.url, mine()).run({"file": report}, timeout=20)
    (call,) = sent_to(server, "/jobs")
    assert call.body == CONTENT
    assert call.headers["content-length"] == str(len(CONTENT))
    assert "transfer-encoding" not in call.headers
    assert call.headers["content-type"] == "application/octet-stream"


def test_paths_are_parts_of_a_multipart_body(any_face, serve, report, tmp_path):
    """Each has the name of its file, or the key of the map that it is in; Content-Length is exact."""
    (tmp_path / "empty").touch()
    server = serve(done)
    files = {"a.txt": b"in memory", 'b".bin': report, "none": tmp_path / "empty"}
    client_of(any_face, server.url, mine(PARTS)).run({"title": "One", "file": report, "more": files}, timeout=20)
    (call,) = sent_to(server, "/jobs")
    assert len(call.body) == int(call.headers["content-length"])
    assert parts_of(call) == [
        ("title", None, b"One"),
        ("file", "report.pdf", CONTENT),
        ("more", "a.txt", b"in memory"),
        ("more", "b%22.bin", CONTENT),
        ("more", "none", b""),
    ]


@contextlib.contextmanager
def opened(how, report):
    """Give an open file of some kind with the content, and its name as a service sees it."""
    with contextlib.ExitStack() as stack:
        if how == "path":
            file = stack.enter_context(report.open("rb"))
            file.seek(100)
        elif how == "gzip":
            packed = report.with_suffix(".gz")
            packed.write_bytes(gzip.compress(CONTENT))
            file = stack.enter_context(gzip.open(packed))
        else:
            kind = {"temporary": TemporaryFile, "spooled": SpooledTemporaryFile, "memory": io.BytesIO}[how]
            file = stack.enter_context(kind())
            file.write(CONTENT)
        yield file


@pytest.mark.parametrize("how", ["path", "temporary", "spooled", "gzip", "memory"])
def test_an_open_file_is_sent_from_its_beginning(any_face, serve, report, how):
    """Wherever it stands, also twice."""
    server = serve(done)
    with opened(how, report) as file:
        client = client_of(any_face, server.url, mine())
        for _ in range(2):
            client.run({"file": file}, timeout=20)
    assert [call.body for call in sent_to(server, "/jobs")] == [CONTENT] * 2


@pytest.mark.parametrize("value", [b"raw", bytearray(b"raw"), "raw"])
def test_a_raw_body_may_be_in_memory(virtual_face, value):
    """Bytes and texts are sent as they are, and a declared type is kept."""
    server = Answering(done)
    text = f'headers = {{ content-type = "image/png" }}\n{RAW}'
    plain = PLAIN.replace('json = "{input}"', text)
    client_of(virtual_face, server, said(plain)).run({"file": value}, timeout=20)
    assert (server.calls[0].body, server.calls[0].headers["content-type"]) == (b"raw", "image/png")


def test_a_raw_body_may_be_left_out(virtual_face):
    """An optional variable without a value sends none."""
    server = Answering(done)
    client_of(virtual_face, server, mine('body = "{input.file?}"')).run({}, timeout=20)
    assert server.calls[0].body == b""
    assert "content-type" not in server.calls[0].headers


@pytest.mark.parametrize("code", [307, 308])
def test_a_redirect_gets_the_body_again(any_face, serve, report, code):
    """These two keep the method and the body."""
    server = serve(lambda call: http(code, location="/other") if call.path == "/jobs" else done(call))
    client_of(any_face, server.url, mine()).run({"file": report}, timeout=20)
    assert sent_to(server, "/other", "POST")[0].body == CONTENT


@pytest.mark.parametrize("family", FAMILIES)
def test_clients_of_both_families_send_it(any_face, serve, report, family):
    """A client of the caller's is used, of httpx and of httpx2."""
    any_face.family = FAMILIES[family]
    server = serve(done)
    client_of(any_face, server.url, mine(PARTS), http_client=any_face.http_client()).run({"file": report}, timeout=20)
    assert parts_of(sent_to(server, "/jobs")[0]) == [("file", "report.pdf", CONTENT)]


def test_files_without_end_are_not_read_into_memory(any_face, tmp_path):
    """64 MiB go by in pieces: no more than 6 MiB are held at any time."""
    size, digests = 64 << 20, []

    class Service(BaseHTTPRequestHandler):
        def do_POST(self):
            digest, left = hashlib.sha256(), int(self.headers["content-length"])
            while left:
                block = self.rfile.read(min(left, 1 << 16))
                digest.update(block)
                left -= len(block)
            digests.append(digest.hexdigest())
            self.do_GET()

        def do_GET(self):
            self.wfile.write(as_json({"id": "7", "state": "done"}))

        def log_message(self, *_):
            pass

    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(size)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        client = client_of(any_face, f"http://127.0.0.1:{server.server_port}", mine(PARTS))
        client.run({"file": b"small"}, timeout=60)
        tracemalloc.start()
        client.run({"file": path}, timeout=60)
        client_of(any_face, f"http://127.0.0.1:{server.server_port}", mine()).run({"file": path}, timeout=60)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        server.shutdown()
        server.server_close()
        thread.join()
    assert peak < 6 << 20
    assert digests[-1] == hashlib.sha256(bytes(size)).hexdigest()


class Hesitant(io.FileIO):
    """Lets other threads go on between the two calls that read a block."""

    def seek(self, *args):
        """Go there, and wait a little."""
        position = super().seek(*args)
        time.sleep(0.001)
        return position


def test_one_open_file_may_be_sent_by_several_errands_at_once(report):
    """Each gets all of it in order, although the file has only one position."""
    with Hesitant(report) as file, ThreadPoolExecutor(4) as threads:
        body = inputs.examine(Streamed((FileInput(file),)), hashed=False)
        assert set(threads.map(lambda _: b"".join(inputs.blocks(body)), range(8))) == {CONTENT}


# --- tries ---


@pytest.mark.parametrize("body", [RAW, PARTS])
def test_a_second_try_sends_the_same_bytes(any_face, report, body):
    """The first answer is lost; the second request is the first, byte for byte."""

    def script(call):
        return [RESET] if (call.method, call.nth) == ("POST", 1) else [done(call)]

    with raw_server(script) as server, report.open("rb") as file:
        for value in (report, file):
            client_of(any_face, server.url, mine(body)).run({"file": value}, timeout=20)
            first, second = sent_to(server, "/jobs")
            assert (first.body, first.headers) == (second.body, second.headers)
            assert CONTENT in first.body
            server.calls.clear()


def test_a_second_try_reads_the_same_file_wherever_the_process_is(any_face, report, tmp_path, monkeypatch):
    """A path is complete from the beginning on."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()

    def script(call):
        os.chdir(tmp_path / "other")
        return [RESET] if (call.method, call.nth) == ("POST", 1) else [done(call)]

    with raw_server(script) as server:
        client_of(any_face, server.url, mine()).run({"file": Path(report.name)}, timeout=20)
        assert [call.body for call in sent_to(server, "/jobs")] == [CONTENT] * 2


def grow(path):
    """Add a byte."""
    with path.open("ab") as file:
        file.write(b"!")


def shrink(path):
    """Take bytes away."""
    os.truncate(path, 10)


def rewrite(path):
    """Write other bytes, as many as before."""
    path.write_bytes(bytes(len(CONTENT)))


def replace(path):
    """Put another file in its place."""
    other = path.with_name("other")
    other.write_bytes(CONTENT)
    os.utime(other, ns=(0, path.stat().st_mtime_ns))
    other.replace(path)


CHANGES = [grow, shrink, rewrite, replace, Path.unlink]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changed_after_a_lost_try_is_uncertain(any_face, report, change):
    """The first try may have made a job, so the error has the key; nothing else is sent under it."""

    def script(call):
        change(report)
        return [RESET]

    with raw_server(script) as server:
        with pytest.raises(gofer.SubmitUncertain, match=r"report.pdf.*Check at the service") as error:
            client_of(any_face, server.url, mine()).submit({"file": report}, key="k1")
        assert error.value.key == "k1"
        assert isinstance(error.value.__cause__, gofer.UsageError)
        assert [call.body for call in server.calls] == [CONTENT]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changed_after_a_refused_try_is_a_wrong_call(any_face, serve, report, change):
    """The service said that it did nothing, so no job is possible."""

    def answer(call):
        change(report)
        return http(503, retry_after="0")

    server = serve(answer)
    with pytest.raises(gofer.UsageError, match=r"report\.pdf"):
        client_of(any_face, server.url, mine()).submit({"file": report})
    assert len(server.calls) == 1


@pytest.mark.parametrize("change", [grow, shrink, rewrite])
def test_a_file_that_changes_while_it_is_sent_is_never_complete(any_face, tmp_path, change):
    """The request is cut off before its end, so no service can take it."""
    path, size, got = tmp_path / "large", 64 << 20, []
    with path.open("wb") as file:
        file.truncate(size)

    class Service(BaseHTTPRequestHandler):
        def do_POST(self):
            left = int(self.headers["content-length"])
            while left and (block := self.rfile.read(min(left, 1 << 16))):
                if left == size:
                    change(path)  # what is in the system's buffers by now is far less than the rest
                left -= len(block)
            got.append(left)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with pytest.raises(gofer.UsageError, match="'large' has changed"):
            client_of(any_face, f"http://127.0.0.1:{server.server_port}", mine()).submit({"file": path})
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert len(got) == 1
    assert got[0] > 0


def test_the_same_call_with_a_key_is_still_uncertain_if_it_cannot_be_sent(any_face, serve, report):
    """What became of the first one is not clearer by now."""

    def answer(call):
        grow(report)
        return http(503, retry_after="0")

    with pytest.raises(gofer.SubmitUncertain):
        client_of(any_face, serve(answer).url, mine()).submit({"file": report}, key="k1")


class Slow(httpx.AsyncBaseTransport):
    """Takes a block each 20 seconds."""

    async def handle_async_request(self, request):
        """Take the body, if there is one, and answer."""
        async for _ in request.stream:
            await anyio.sleep(20)

        async def answer():
            await anyio.sleep(0)
            yield b'{"id": "7", "state": "done"}'

        return httpx.Response(200, headers={"content-type": "application/json"}, content=answer())


@pytest.fixture
def slow(request, monkeypatch, serve):
    """Give a function that makes a client on a face for whose clock each block takes 20 seconds."""

    def make(virtual_face):
        if virtual_face.portal is not None:
            return gofer.AsyncClient("http://service.test", contract=mine(), transport=Slow())
        hour, read = [0.0], inputs._read

        def reading(*args):
            hour[0] += 20
            return read(*args)

        clock = SimpleNamespace(monotonic=lambda: hour[0], time=time.time, sleep=time.sleep)
        monkeypatch.setattr(inputs, "_read", reading)
        monkeypatch.setattr(deadline, "time", clock)
        monkeypatch.setattr(httpx_io, "time", clock)
        monkeypatch.setattr("gofer.client.HttpxIO", httpx_io.HttpxIO)
        return gofer.Client(serve(done).url, contract=mine())

    return make


def test_sending_takes_its_time(virtual_face, slow, report):
    """A request's time-out of 30 s is for the answer: it counts anew from each piece that the service has taken."""
    for timeout in (None, 70):
        client = slow(virtual_face)
        client = client if virtual_face.portal is None else Blocked(virtual_face, client)
        if timeout is None:
            assert client.run({"file": report}).job_id == "7"
        else:
            with pytest.raises(gofer.OutOfTime) as error:
                client.run({"file": report}, timeout=timeout)
            assert error.value.key  # it may have arrived
        client.close()


# --- what cannot be sent ---


def test_a_folder_and_what_is_not_there_are_refused(any_face, serve, tmp_path):
    """Nothing is sent."""
    server = serve(done)
    os.mkfifo(tmp_path / "fifo")
    client = client_of(any_face, server.url, mine())
    for name, why in ((".", "it is a folder"), ("none", "No such file"), ("fifo", "no regular file")):
        with pytest.raises(gofer.UsageError, match=why):
            client.run({"file": tmp_path / name}, timeout=20)
    assert server.calls == []


def test_streams_that_cannot_be_sent_twice_are_refused(any_face, serve, report):
    """A pipe, a text, a closed file, and an object that is no file of the system's."""
    server = serve(done)
    client = client_of(any_face, server.url, mine())
    reading, writing = os.pipe()
    closed = report.open("rb")
    closed.close()

    class Odd:
        def read(self, _):
            return b""

        def seekable(self):
            return True

        def seek(self, *_):
            return 0

    with os.fdopen(reading, "rb") as pipe, report.open(encoding="latin-1") as text:
        for file in (pipe, text, closed, Odd()):
            with pytest.raises(gofer.UsageError, match=r"[Pp]ass its path"):
                client.run({"file": file}, timeout=20)
    os.close(writing)
    assert server.calls == []


@pytest.mark.parametrize(
    "body",
    ['json = "{input}"', 'form = { f = "{input.file}" }', 'text = "{input.file}"', 'query = { f = "{input.file}" }'],
)
def test_a_file_elsewhere_than_in_a_body_of_bytes_is_a_wrong_input(virtual_face, report, body):
    """The message says where files go."""
    server = Answering(done)
    for value in (report, report.open("rb")):
        with pytest.raises(gofer.UsageError, match="files go into multipart or body"):
            client_of(virtual_face, server, mine(body)).run({"file": value}, timeout=20)
        if value is not report:
            value.close()
    assert server.calls == []


# --- signatures ---


def hashing(request):
    """Sign a request by its body, as AWS does."""
    body = request.body
    digest = hashlib.sha256(body).hexdigest() if isinstance(body, bytes) else body.sha256
    return request.with_headers({"x-digest": digest})


def test_a_signature_can_cover_the_body(any_face, serve, report):
    """The digest of all that is sent is there before it is sent."""
    server = serve(done)
    client_of(any_face, server.url, mine(PARTS), auth=hashing).run({"file": report, "title": "x"}, timeout=20)
    (call,) = sent_to(server, "/jobs")
    assert call.headers["x-digest"] == hashlib.sha256(call.body).hexdigest()


class Reading(httpx.Auth):
    """Wants the body in memory."""

    requires_request_body = True

    def auth_flow(self, request):
        """Sign it."""
        request.headers["x-digest"] = hashlib.sha256(request.content).hexdigest()
        yield request


class Plain(httpx.Auth):
    """Does not look at the body."""

    def auth_flow(self, request):
        """Sign it."""
        request.headers["x-token"] = "t"
        yield request


def test_an_auth_of_httpx_does_not_read_the_body(any_face, serve, report):
    """One that does not need it works, and one that does is refused with what to write instead."""
    server = serve(done)
    client_of(any_face, server.url, mine(), auth=Plain()).run({"file": report}, timeout=20)
    (call,) = sent_to(server, "/jobs")
    assert (call.headers["x-token"], call.body, call.headers["content-length"]) == ("t", CONTENT, str(len(CONTENT)))
    with pytest.raises(gofer.UsageError, match=r"request\.body\.sha256"):
        client_of(any_face, server.url, mine(), auth=Reading()).run({"file": report}, timeout=20)
    assert len(sent_to(server, "/jobs")) == 1


def test_new_credentials_send_the_file_again(any_face, serve, report):
    """A 401 makes no job, and the second request has the same body."""
    server = serve(lambda call: http(401) if call.headers.get("x-count") == "1" else done(call))
    count = []

    def sign(request):
        count.append(1)
        return request.with_headers({"x-count": str(len(count))})

    client_of(any_face, server.url, mine(), auth=sign).run({"file": report}, timeout=20)
    assert [call.body for call in sent_to(server, "/jobs")] == [CONTENT] * 2


# --- batches ---


def run(face, url, journal, *requests):
    """Run a batch of these requests, and return its errands as they end."""
    with contextlib.ExitStack() as stack:
        client = client_of(face, url, mine())
        if face.portal is None:
            batch = stack.enter_context(client.batch(journal))
            batch.add(requests)
            return list(batch.run(timeout=20))

        async def awaited():
            async with client.inner.batch(journal) as batch:
                await batch.add(requests)
                return [errand async for errand in batch.run(timeout=20)]

        return face.call(awaited)


def test_a_batch_sends_files(any_face, serve, report, tmp_path, monkeypatch):
    """Its journal has the complete path, so that it goes on from any folder."""
    server = serve(done)
    monkeypatch.chdir(report.parent)
    (errand,) = run(any_face, server.url, tmp_path / "journal", {"file": Path("report.pdf"), "x": [1]})
    assert (errand.state, errand.request) == ("done", {"file": {"gofer:file": str(report)}, "x": [1]})
    assert sent_to(server, "/jobs")[0].body == CONTENT


@pytest.mark.parametrize("change", [None, *CHANGES])
def test_a_batch_that_goes_on_sends_the_same_bytes_or_is_uncertain(any_face, serve, report, tmp_path, change):
    """Its process ended before the answer; the digest in the journal shows whether the file is still the same."""
    server, journal = serve(done), tmp_path / "journal"
    run(any_face, server.url, journal, {"file": report})
    with contextlib.closing(sqlite3.connect(journal)) as db, db:  # as if it had been killed before the answer
        db.execute(f"UPDATE errand SET fate = 'open', ticket = NULL, job = NULL, sent = {time.time()}")
    server.calls.clear()
    (change or Path.touch)(report)
    (errand,) = run(any_face, server.url, journal)
    if change in (None, replace):  # the same bytes, whenever they were written
        assert errand.state == "done"
        assert sent_to(server, "/jobs")[0].body == CONTENT
    else:
        assert (errand.state, type(errand.error)) == ("uncertain", gofer.SubmitUncertain)
        assert server.calls == []


def test_a_journal_chooses_no_file(blocking, serve, report, tmp_path):
    """What only looks like a path in plain JSON is refused: whoever wrote it may not be one who may choose files."""
    server = serve(done)
    with pytest.raises(gofer.UsageError, match="gofer:file"):
        run(blocking, server.url, tmp_path / "journal", {"file": {"gofer:file": str(report)}})
    with report.open("rb") as file, pytest.raises(gofer.UsageError, match="plain JSON"):
        run(blocking, server.url, tmp_path / "journal", {"file": file})
    assert server.calls == []


# --- what is shown ---


def test_a_request_with_a_file_shows_nothing_of_it(report):
    """It shows the size of its body, as any other request does."""
    request = mine().build_submission("http://x", {"file": b"secret"}, key="k", budget=None, hold=0)
    streamed = evolve(request, body=inputs.examine(Streamed((FileInput(report), b"secret")), hashed=False))
    assert f"body=<{len(CONTENT) + 6} bytes>" in repr(streamed)
    assert "secret" not in repr(streamed)
