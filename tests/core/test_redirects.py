"""Redirects: never from https to http, and for a submission never to another origin."""

import pytest

from gofer.core.judging import redirected
from gofer.errors import Rejected
from gofer.wire import Head, Request

HOME = "https://service.test"
POST = Request("POST", f"{HOME}/retrieve", {"accept": "application/json", "idempotency-key": '"k"'}, b"{}")
GET = Request("GET", f"{HOME}/jobs/j1/file", {"range": "bytes=1-"})


def answered(request, status, *location):
    """The request that follows a redirect."""
    return redirected(request, Head(request.url, status, dict(zip(("location",), location, strict=False))))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("place", ["/moved", "https://elsewhere.test/moved"])
def test_a_get_follows_a_redirect_with_its_headers(status, place):
    """A GET is repeated at the new address with all its headers, also on another origin."""
    onward = answered(GET, status, place)
    assert (onward.method, onward.headers) == ("GET", GET.headers)
    assert onward.url == (place if place.startswith("https:") else HOME + place)


@pytest.mark.parametrize("status", [307, 308])
def test_a_submission_is_sent_again_on_its_own_origin_only(status):
    """A POST keeps its body and key on its own origin, and is rejected on any other."""
    onward = answered(POST, status, "/moved")
    assert (onward.method, onward.url, onward.body) == ("POST", f"{HOME}/moved", b"{}")
    assert onward.headers == POST.headers
    for place in ("https://elsewhere.test/moved", f"{HOME}:8443/moved", "//elsewhere.test/moved"):
        with pytest.raises(Rejected, match="redirects a POST"):
            answered(POST, status, place)


@pytest.mark.parametrize("status", [301, 302])
def test_a_submission_is_never_turned_into_a_get(status):
    """301 and 302 to a POST are rejected: with a GET, nobody could tell whether there is a job."""
    with pytest.raises(Rejected, match="redirects a POST"):
        answered(POST, status, "/moved")


@pytest.mark.parametrize("place", ["/jobs/j1", "https://elsewhere.test/jobs/j1"])
def test_see_other_is_followed_without_the_body_and_the_key(place):
    """303 to a POST is followed by a GET, since the submission was taken (RFC 9110, section 15.4.4)."""
    onward = answered(POST, 303, place)
    assert (onward.method, onward.body, list(onward.headers)) == ("GET", b"", ["accept"])


@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
@pytest.mark.parametrize("status", [303, 307])
@pytest.mark.parametrize("place", ["http://service.test/moved", "http://elsewhere.test/", "ftp://service.test/", ""])
def test_no_redirect_leads_from_https_to_another_scheme(request_, status, place):
    """A request that began with https is never redirected to http or ftp."""
    with pytest.raises(Rejected):
        answered(request_, status, place)


def test_an_answer_that_is_no_redirect_is_not_followed():
    """A 200 or a 303 without Location is an answer; a 302 without Location is rejected."""
    assert answered(GET, 200, "/moved") is None
    assert answered(POST, 303) is None
    with pytest.raises(Rejected, match="without a Location"):
        answered(GET, 302)


@pytest.mark.parametrize("place", ["http://service.test/moved", "http://elsewhere.test/moved"])
def test_a_redirect_to_http_where_that_is_allowed(place):
    """Where nothing is secret, a GET may be redirected from https to http; a submission still stays where it is."""
    head = Head(GET.url, 302, {"location": place})
    assert redirected(GET, head, downgrade=True).url == place
    with pytest.raises(Rejected):
        redirected(POST, Head(POST.url, 307, {"location": place}), downgrade=True)
