"""`auth=` with faults of the caller's own: each ends as an error of gofer's that says what is wrong, on every face."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

import gofer
from support.renewing import FACES, Service, Token, fetch, rotating_at

UNSENDABLE = {
    "no method": (None, "http://h/token"),
    "no url": ("GET", None),
    "url as bytes": ("GET", b"http://h/token"),
    "no scheme": ("GET", "/token?s3cret"),
    "other scheme": ("GET", "ftp://h/token?s3cret"),
    "no port": ("GET", "http://h:99999/token?s3cret"),
    "header of two lines": ("GET", "http://h/token", {"x": "s3cret\n"}),
    "header is no text": ("GET", "http://h/token", {"x": None}),
    "body as text": ("POST", "http://h/token", {}, "s3cret"),
}


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("parts", UNSENDABLE.values(), ids=UNSENDABLE)
@pytest.mark.parametrize("by", ["signing", "renewing"])
def test_a_request_that_cannot_be_sent_is_a_usage_error(by, parts, face, tmp_path):
    """Whether it is a signed request or one of a renewal: it is not sent, and what is wrong in it is not shown."""

    class Wrong(Token):
        def refresh(self, refused):
            yield gofer.Request(*parts)

    service, auth = Service(rotating_at("/retrieve")), Wrong()
    if by == "signing":
        auth = lambda request: gofer.Request(*parts)  # noqa: E731
    with pytest.raises(gofer.UsageError) as caught:
        fetch(face, httpx.MockTransport(service), auth, tmp_path / "x")
    assert [request.url.path for request in service.seen] == ([] if by == "signing" else ["/retrieve"])
    assert "s3cret" not in str(caught.value)


def test_an_error_of_the_callers_own_class_ends_all_that_wait_for_the_renewal(tmp_path):
    """Each errand gets an error of that class with its message, though the class takes other arguments."""

    class NoLogin(gofer.Unauthorized):
        def __init__(self, user, host):
            super().__init__(f"{user} may not log in at {host}.")
            self.user = user

    everybody, service = threading.Event(), Service()
    service.valid = "t1"

    class Failing(Token):
        def refresh(self, refused):
            assert everybody.wait(60)
            raise NoLogin("me", "h")

    auth = Failing()
    queue = auth.renewal.queue

    def told(seen):
        turn = queue(seen)
        if not turn.granted:
            everybody.set()
        return turn

    auth.renewal.queue = told
    with ThreadPoolExecutor(2) as pool:
        ends = [
            pool.submit(fetch, face, httpx.MockTransport(service), auth, tmp_path / face)
            for face in ("blocking", "asyncio")
        ]
        errors = [end.exception() for end in ends]
    assert [type(error) for error in errors] == [NoLogin] * 2
    assert {(str(error), error.user, error.args) for error in errors} == {
        ("me may not log in at h.", "me", ("me may not log in at h.",))
    }
    assert errors[0] is not errors[1]
