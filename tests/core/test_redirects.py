"""Where a redirect may lead: never from https to http, and a submission never off its own origin."""

import pytest

from gofer.core.judging import redirected
from gofer.errors import Rejected
from gofer.wire import Head, Request

HOME = "https://service.test"
POST = Request("POST", f"{HOME}/retrieve", {"accept": "application/json", "idempotency-key": '"k"'}, b"{}")
GET = Request("GET", f"{HOME}/jobs/j1/file", {"range": "bytes=1-"})


def answered(request, status, *location):
    """The request that follows an answer."""
    return redirected(request, Head(request.url, status, dict(zip(("location",), location, strict=False))))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("place", ["/moved", "https://elsewhere.test/moved"])
def test_a_get_goes_where_it_is_sent(status, place):
    """With all that it asks for; whose credentials go along is decided by the origin, later."""
    onward = answered(GET, status, place)
    assert (onward.method, onward.headers) == ("GET", GET.headers)
    assert onward.url == (place if place.startswith("https:") else HOME + place)


@pytest.mark.parametrize("status", [307, 308])
def test_a_submission_is_sent_again_on_its_own_origin_only(status):
    """Its body and its key are for the service that the caller named."""
    onward = answered(POST, status, "/moved")
    assert (onward.method, onward.url, onward.body) == ("POST", f"{HOME}/moved", b"{}")
    assert onward.headers == POST.headers
    for place in ("https://elsewhere.test/moved", f"{HOME}:8443/moved", "//elsewhere.test/moved"):
        with pytest.raises(Rejected, match="redirects a POST"):
            answered(POST, status, place)


@pytest.mark.parametrize("status", [301, 302])
def test_a_submission_is_never_turned_into_something_else(status):
    """A browser would send a GET; nobody could tell then whether there is a job."""
    with pytest.raises(Rejected, match="redirects a POST"):
        answered(POST, status, "/moved")


@pytest.mark.parametrize("place", ["/jobs/j1", "https://elsewhere.test/jobs/j1"])
def test_see_other_asks_without_the_body_and_the_key(place):
    """The submission was taken; its answer is elsewhere (RFC 9110, section 15.4.4)."""
    onward = answered(POST, 303, place)
    assert (onward.method, onward.body, list(onward.headers)) == ("GET", b"", ["accept"])


@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
@pytest.mark.parametrize("status", [303, 307])
@pytest.mark.parametrize("place", ["http://service.test/moved", "http://elsewhere.test/", "ftp://service.test/", ""])
def test_nothing_leaves_https(request_, status, place):
    """Whatever the request is, what began encrypted goes on so, or not at all."""
    with pytest.raises(Rejected):
        answered(request_, status, place)


def test_an_answer_that_is_no_redirect_leads_nowhere():
    """A 303 without a place, as some services answer to a cancellation, is an answer like others."""
    assert answered(GET, 200, "/moved") is None
    assert answered(POST, 303) is None
    with pytest.raises(Rejected, match="without a Location"):
        answered(GET, 302)
