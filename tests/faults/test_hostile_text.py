"""Whatever a service sends, in any place: a call ends in time, in a value or in one of gofer's errors, on both faces.

Each place gets some of the texts that have broken something before, and a few of any others. `HOSTILE_EXAMPLES=500`
tries more of them.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faults.conversations import CONVERSATIONS
from faults.hostile import Change, play, spots, verbs_of
from faults.hostile_texts import MANY, SHARP_HEADERS, SHARP_MARKUP, SHARP_RAW, examples, headers, marked, raw
from support.faces import face

seeded = examples(2)
STATUSES = [None] * 5 + [200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 409, 410, 416, 422]
STATUSES += [429, 500, 503, 599, 600, 999]

ALWAYS = "location retry-after content-type set-cookie"
PAPERS = {
    "submit": f"{ALWAYS} etag date content-encoding content-length www-authenticate preference-applied",
    "poll": f"{ALWAYS} etag date content-encoding content-length www-authenticate preference-applied",
    "file": f"{ALWAYS} etag last-modified date content-length content-range content-encoding content-disposition "
    "repr-digest content-digest content-md5 x-goog-hash x-goog-stored-content-encoding x-amz-checksum-sha256",
    "health": ALWAYS,
    "list": ALWAYS,
    "cancel": ALWAYS,
}
ANY = {
    "submit": "location operation-location content-type retry-after",
    "poll": "location content-type retry-after",
    "result": "location content-type content-disposition content-length link",
    "file": "location content-type",
    "cancel": "location",
}
BULK = {**ANY, "submit": "content-location", "poll": "x-progress retry-after content-type"}
OPENEO = {**ANY, "submit": "openeo-identifier location"}
READ = {
    "retrieval": PAPERS,
    "fhir-bulk": BULK,
    "openeo": OPENEO,
    **dict.fromkeys(("ogc", "ogc by links", "azure", "azure by code", "uws", "wes"), ANY),
}
PLACES = {
    f"{name}-{spot}": (name, spot) for name, one in CONVERSATIONS.items() for spot in spots(one, READ.get(name, {}))
}
ORDER = {place: number for number, place in enumerate(PLACES)}

pytestmark = pytest.mark.filterwarnings("ignore:http.cookiejar bug")  # what Python says of a date that it cannot read


@pytest.fixture(scope="module")
def faces():
    """Give both faces."""
    with face("blocking", "httpx") as blocking, face("asyncio", "httpx") as awaited:
        yield {"blocking": blocking, "asyncio": awaited}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_ends_well_without_a_change(faces, tmp_path, name):
    """So a change makes the difference, and each leg is reached."""
    for route in CONVERSATIONS[name].routes:
        for verb in verbs_of(route.leg):
            end = play(faces, tmp_path / "root", CONVERSATIONS[name], None, verb, own=route.leg == "file")
            two_files = (name, verb) == ("wes", "read")
            assert end == "done" or two_files or name.endswith(("failed", "refused"))


@pytest.mark.parametrize("place", PLACES)
def test_any_text_in_a_place_ends_in_a_value_or_in_gofers_error(faces, tmp_path, place):
    """Nothing else comes out; no secret is in the error; and nothing is written outside the target's folder."""
    name, spot = PLACES[place]
    about, root, verbs = CONVERSATIONS[name], tmp_path / "root", verbs_of(spot.leg)
    if spot.kind == "header":
        texts, sharp = headers, SHARP_HEADERS
    else:
        xml = any(route.leg == spot.leg and isinstance(route.body, str) for route in about.routes)
        texts, sharp = (marked, SHARP_MARKUP) if xml else (raw, SHARP_RAW)
        sharp = [(text, None) for text in sharp]
    for at, (text, status) in list(enumerate(sharp))[0 if MANY else ORDER[place] % 3 :: 1 if MANY else 3]:
        mode = ("blocking", "asyncio")[at // 3 % 2]
        play({mode: faces[mode]}, root, about, Change(spot, text, status), verbs[at % len(verbs)], own=at % 3 == 0)

    @seeded
    @given(texts, st.sampled_from(STATUSES), st.integers(1, 2), st.sampled_from(verbs), st.booleans())
    def check(text, status, since, verb, own):
        change = Change(spot, text.replace("ROOT", str(root)), status, since)
        play(faces, root, about, change, verb, own=own)

    check()
