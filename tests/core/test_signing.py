"""Where the caller's credentials go, and when they are asked for once more."""

import pytest
from attrs import evolve

from gofer.core import verbs
from gofer.core.errand import Errand
from gofer.core.exchange import follow
from gofer.wire import Reply, Request
from support.world import BASE, World, reply


@pytest.mark.parametrize(
    ("place", "own"),
    [
        (f"{BASE}/api/moved", True),
        (f"{BASE}/files/moved", True),
        (f"{BASE}:80/files", True),
        (f"{BASE}:8080/api/moved", False),
        ("https://service.test/api/moved", False),
        ("http://elsewhere.test/api/moved", False),
        (f"{BASE}.elsewhere.test/api/moved", False),
    ],
)
def test_credentials_go_to_the_whole_origin_of_the_service_and_to_no_other(place, own):
    """Also outside the path of the service's address, as where files lie beside an API."""
    world = World(lambda request, world: reply(200) if request.url == place else reply(307, location=place))
    signed = world.service(signer=lambda request, refused: request.with_headers({"authorization": "Signed"}))
    errand = Errand(evolve(signed, base=f"{BASE}/api", headers={"x-key": "secret"}))
    world.play(follow(errand, Request("GET", f"{BASE}/api/file"), 5.0), errand)
    first, second = world.requests
    assert (first.headers, first.anonymous) == ({"authorization": "Signed", "x-key": "secret"}, False)
    assert (second.headers, second.anonymous) == (first.headers if own else {}, not own)


@pytest.mark.parametrize(
    ("status", "challenge", "asked"),
    [
        (200, 'Bearer error="invalid_token"', 1),
        (401, "Bearer", 2),
        (401, "", 2),
        (403, "Bearer", 1),
        (403, 'Bearer error="invalid_token"', 2),
        (404, 'Bearer error="invalid_token"', 1),
    ],
)
def test_a_signer_is_asked_once_more_where_a_token_was_refused(status, challenge, asked):
    """That is a 401, or a 403 that says so; any other refusal is not about the token."""
    signatures = iter("12")
    world = World(lambda request, world: reply(status, www_authenticate=challenge))

    def sign(request, refused):
        return request.with_headers({"authorization": next(signatures)})

    errand = Errand(world.service(signer=sign))
    answer = world.play(verbs.send(errand, Request("GET", f"{BASE}/jobs/1"), 5.0), errand)
    assert answer.status == status
    assert [request.headers["authorization"] for request in world.requests] == ["1", "2"][:asked]


def test_a_refusal_that_was_read_to_judge_a_token_is_not_read_again():
    """A signed download that is refused gives its refusal to whoever asks for it, with the body that came."""
    world = World(lambda request, world: reply(404, "no such file"))
    errand = Errand(world.service(signer=lambda request, refused: request))

    def flow():
        head = yield from verbs.open_body(errand, Request("GET", f"{BASE}/file"))
        return (yield from verbs.read_document(errand, head))

    assert world.play(flow(), errand).body == b"no such file"
    assert len(world.requests) == 1


def test_a_range_that_cannot_be_satisfied_is_no_refusal_of_a_token():
    """A 416 to a signed download stays open for whoever resumes; any other refusal is read, and judged."""
    for status, is_read in ((416, False), (417, True), (404, True)):
        world = World(lambda request, world, status=status: reply(status, "why"))
        errand = Errand(world.service(signer=lambda request, refused: request))
        head = world.play(verbs.open_body(errand, Request("GET", f"{BASE}/file")), errand)
        assert isinstance(head, Reply) is is_read
