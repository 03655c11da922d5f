"""Ids, values, links and tags of a service that would lead elsewhere, or can stand in no request: none is sent."""

import json

import pytest

import gofer
from gofer.contracts.base import Ref
from gofer.contracts.declared import shipped
from gofer.contracts.retrieve import RetrieveContract
from gofer.core import flows
from gofer.core.errand import Errand
from gofer.core.record import JobMemory, JobRecord
from gofer.models import Status
from gofer.wire import Reply, Request
from support.declared import said
from support.world import World, reply

BASE = "http://service.test/api"
NONE = ["", " ", ".", "..", "a\nb", "\0", "\ud800", "a" * 5000]
MINE = """
name = "mine"
[submit]
url = "{base}/jobs/{input.name}"
id = "/id"
values = { v = "/v" }
links = { status = "/status" }
[poll]
url = "{base}/jobs/{id}"
query = { v = "{values.v?}" }
[status]
state = "/state"
"""


def replied(contract, **document):
    """Have a submission read."""
    reply = Reply(f"{BASE}/jobs", 201, {}, json.dumps(document).encode())
    return contract.read_submission(BASE, Request("POST", f"{BASE}/jobs"), reply)


def poll_of(contract, ref):
    """Build a status request."""
    return contract.build_poll(BASE, ref, hold=0, etag=None, seen=Status("x"))


@pytest.mark.parametrize("id", NONE)
def test_an_id_of_the_services_that_is_none_is_a_bad_reply(id):
    """As "..", it would be another address; with half a character, none at all."""
    with pytest.raises(gofer.BadReply, match=r"id|nothing was found"):
        replied(RetrieveContract(), job_id=id, status="pending")
    with pytest.raises(gofer.BadReply, match=r"id|nothing was found"):
        replied(said(MINE), id=id)


def test_an_id_with_slashes_is_one_part_of_an_address():
    """A slash in it is encoded, so that it leads nowhere else."""
    ref = RetrieveContract().ref("a/../b")
    assert poll_of(RetrieveContract(), ref).url == f"{BASE}/jobs/a%2F..%2Fb"


@pytest.mark.parametrize("id", [*NONE[1:7], "a/../../b"])
def test_an_id_of_a_ticket_that_is_none_is_refused(id):
    """Nothing checked it before: the ticket may be anybody's."""
    contract = RetrieveContract() if id != "a/../../b" else shipped.declared("aip-151")  # whose ids are paths
    with pytest.raises((gofer.UsageError, gofer.BadReply)):
        poll_of(contract, Ref(id))


@pytest.mark.parametrize("name", [".", ".."])
def test_an_input_that_would_be_another_address_is_refused(name):
    """A text of the caller's user's cannot choose what is asked."""
    with pytest.raises(gofer.UsageError, match="another address"):
        said(MINE).build_submission(BASE, {"name": name}, key="k", budget=None, hold=0)
    with pytest.raises(gofer.UsageError, match="another address"):
        shipped.declared("aip-151").build_submission(BASE, {"path": f"a/{name}/b"}, key="k", budget=None, hold=0)


def test_a_value_with_half_a_character_is_a_bad_reply():
    """It is the service's fault, and no request is built of it."""
    made = replied(said(MINE), id="1", v="\ud800")
    with pytest.raises(gofer.BadReply, match="surrogates"):
        poll_of(said(MINE), made.ref)


def test_a_text_that_makes_an_address_too_long_is_a_bad_reply():
    """That is a word that the next request repeats, as in UWS, or a value that every request carries."""
    every = said(MINE.replace("[poll]", '[every]\nquery = { s = "{values.v?}" }\n[poll]'))
    with pytest.raises(gofer.BadReply, match="too long"):
        every.add_to_every(BASE, Ref("1", {"values.v": "a" * 70_000}), Request("GET", f"{BASE}/x"))
    with pytest.raises(gofer.BadReply, match="too long"):
        shipped.declared("uws").build_poll(BASE, Ref("1"), hold=9, etag=None, seen=Status("a" * 70_000))


@pytest.mark.parametrize(
    "link", ["https://", "https:///x", "http://[", "/\ud800", "/a\0", "/a\x7f", "/" + "a" * 70_000]
)
def test_a_link_that_is_none_is_a_bad_reply(link):
    """One without a host, or with characters that no address may have, or too many."""
    with pytest.raises(gofer.BadReply, match="a link that is none"):
        replied(said(MINE), id="1", status=link)


@pytest.mark.parametrize(("etag", "sent"), [('"1"', '"1"'), ('"é"', None), ('"1"\r\nx: y', None), ("\ud800", None)])
def test_a_tag_that_cannot_be_sent_back_is_not(etag, sent):
    """The next poll asks for the complete document."""

    def service(request, world):
        status = "completed" if len(world.requests) > 1 else "searching"
        return reply(200, json.dumps({"job_id": "j1", "status": status}), etag=etag)

    world = World(service)
    errand = Errand(world.service(), JobMemory(JobRecord(Ref("j1"))))
    assert world.play(flows.wait(errand), errand) == "completed"
    assert world.requests[1].headers.get("if-none-match") == sent
