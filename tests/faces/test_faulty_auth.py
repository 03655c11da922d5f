"""`auth=` with faults of the caller's own: each ends as an error of gofer's that says what is wrong, on every face."""

import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx
import pytest

import gofer
from support.renewing import DOI, FACES, PAPER, QUICK, Service, Token, fetch, rotating_at

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
    queue = auth.gofer_renewal.queue

    def told(seen):
        turn = queue(seen)
        if not turn.granted:
            everybody.set()
        return turn

    auth.gofer_renewal.queue = told
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


def fetch_by_itself(face, service, auth_of, to):
    """Fetch a paper on a face, with what `auth_of` makes of a function that fetches one with the same client."""
    options = {**QUICK, "transport": httpx.MockTransport(service)}
    kind = gofer.RetrieveClient if face == "blocking" else gofer.AsyncRetrieveClient

    def again():
        return clients[0].retrieve_and_download(DOI, to, timeout=10)

    clients = [kind(auth=auth_of(again), **options)]
    return again() if face == "blocking" else anyio.run(again, backend=face)


@pytest.mark.parametrize("face", FACES)
def test_a_renewal_that_would_wait_for_itself_is_a_usage_error(face, tmp_path):
    """A `refresh` that uses a client with the same `auth=` is told so, and does not wait for ever."""

    class Blocking(Token):
        def __init__(self, again):
            super().__init__()
            self.again = again

        def refresh(self, refused):
            self.again()

    class Awaited(Blocking):
        async def refresh(self, refused):
            async with anyio.create_task_group() as group:  # a task of its own waits for it as well
                group.start_soon(self.awaited)
            if self.error is not None:
                raise self.error

        async def awaited(self):
            self.error = None
            try:
                await self.again()
            except gofer.UsageError as error:
                self.error = error

    service = Service(rotating_at("/retrieve"))
    with pytest.raises(gofer.UsageError, match="waits for itself"):
        fetch_by_itself(face, service, Blocking if face == "blocking" else Awaited, tmp_path / "x")
    assert len(service.paths("/retrieve")) == 2


@pytest.mark.parametrize("face", FACES)
def test_a_renewal_may_use_a_client_with_the_same_auth_while_its_token_is_taken(face, tmp_path):
    """Only waiting is refused: a request that the old token still signs well is answered."""

    class Asking(Token):
        def __init__(self, again):
            super().__init__()
            self.again, self.due = again, True

        def is_due(self):
            return self.due

        def refresh(self, refused):
            self.due = False
            return self.again()

    assert fetch_by_itself(face, Service(), Asking, tmp_path / "x.pdf")
    assert (tmp_path / "x.pdf").read_bytes() == PAPER


@pytest.mark.parametrize("face", FACES)
def test_a_signer_that_calls_itself_without_end_is_a_usage_error(face, tmp_path):
    """A function that uses a client with itself as `auth=` is not tried again for each of its calls."""

    def signing(again):
        def sign(request):
            again()
            return request

        async def sign_later(request):
            await again()
            return request

        return sign if face == "blocking" else sign_later

    with pytest.raises(gofer.UsageError, match="calls itself without end"):
        fetch_by_itself(face, Service(), signing, tmp_path / "x")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("by", ["function", "sign", "refresh"])
def test_a_coroutine_of_the_callers_ends_with_the_budget(by, backend, tmp_path):
    """It is cancelled when the time is up, and the errand ends as OutOfTime."""

    async def stuck(*_):
        await anyio.sleep(30)
        raise gofer.UsageError("it was not cancelled")

    auth = stuck if by == "function" else Token()
    setattr(auth, by, stuck)
    with pytest.raises(gofer.OutOfTime):
        fetch(backend, httpx.MockTransport(Service(rotating_at("/retrieve"))), auth, tmp_path / "x", budget=0.2)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_renewal_whose_time_is_up_is_handed_over(backend, tmp_path):
    """The errand that waits for it has more time: it renews in its place, and ends well."""
    service, begun = Service(), []
    service.valid = "t1"

    class Stuck(Token):
        async def refresh(self, refused):
            begun.append(refused)
            if len(begun) == 1:
                await anyio.sleep(30)
            self.token = "t1"

    async def errands():
        client = gofer.AsyncRetrieveClient(transport=httpx.MockTransport(service), auth=Stuck(), **QUICK)

        async def leaves():
            with pytest.raises(gofer.OutOfTime):
                await client.retrieve_and_download(DOI, tmp_path / "left.pdf", timeout=0.5)

        async with anyio.create_task_group() as group:
            group.start_soon(leaves)
            while not begun:
                await anyio.sleep(0)
            await client.retrieve_and_download(DOI, tmp_path / "x.pdf", timeout=20)

    anyio.run(errands, backend=backend)
    assert (tmp_path / "x.pdf").read_bytes() == PAPER
    assert len(begun) == 2


class Slotted(Token):
    """Has an attribute in a slot."""

    __slots__ = ("place",)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda auth: pickle.loads(pickle.dumps(auth))])
@pytest.mark.parametrize("kind", [Token, Slotted])
def test_a_copy_of_an_auth_is_renewed_by_itself(kind, copied, tmp_path):
    """It has the attributes of the first, and gets a token though the first one was renewed meanwhile."""
    first = kind()
    if kind is Slotted:
        first.place = "h"
    other = copied(first)
    assert getattr(other, "place", None) == getattr(first, "place", None)
    for auth in (first, other):
        service = Service(rotating_at("/retrieve"))
        fetch("blocking", httpx.MockTransport(service), auth, tmp_path / "x.pdf")
        assert len(service.paths("/token")) == 1


class Renewing(Token):
    """Has attributes of likely names."""

    def __init__(self):
        super().__init__()
        self.renewal = self.turn = self.lock = self.count = 3600.0


@pytest.mark.parametrize("face", FACES)
def test_an_auth_may_have_attributes_of_any_likely_name(face, tmp_path):
    """What gofer keeps in the object has a name that nobody else uses."""
    fetch(face, httpx.MockTransport(Service(rotating_at("/jobs/1"))), Renewing(), tmp_path / "x.pdf")
    assert (tmp_path / "x.pdf").read_bytes() == PAPER


class AwaitedIsDue(Token):
    """Would have to be awaited before every request."""

    async def is_due(self):
        """Tell nothing."""


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        (Token, "pass an object of it"),
        (httpx.BasicAuth, "pass an object of it"),
        (AwaitedIsDue(), "is_due"),
        (gofer.Auth(), "no method sign"),
    ],
    ids=["class", "httpx class", "awaited is_due", "no sign"],
)
@pytest.mark.parametrize("face", FACES)
def test_an_auth_that_cannot_work_is_a_usage_error(auth, words, face, tmp_path):
    """A class in place of an object, and a method that is missing or has to be awaited: nothing is sent."""
    service = Service()
    with pytest.raises(gofer.UsageError, match=words):
        fetch(face, httpx.MockTransport(service), auth, tmp_path / "x")
    assert service.seen == []
