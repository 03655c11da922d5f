"""Faults in a declaration: each is a `DeclarationError` with its line and its key, before anything is sent."""

from pathlib import Path

import httpx
import pytest

import gofer
from gofer.contracts.declared import toml
from support.declared import said

SOUND = """\
name = "mine"
grace = 30
origins = ["https://files.test"]
[variables]
api_key = { secret = true }
[every]
query = { v = "1" }
[submit]
url = "{base}/jobs"
json = { a = "{input.a}" }
id = "/id"
links = { status = "/links/status" }
[poll]
url = "{links.status}"
codes = { 202 = "working" }
[poll.hold]
query = { wait = "{hold}" }
[status]
state = "/state"
of = 100
[states]
pending = "waiting"
running = "working"
succeeded = "done"
failed = "broken"
[result]
value = "/out"
[result.files]
under = "/files"
url = "/href"
[cancel]
url = "{base}/jobs/{id}/stop"
"""

TABLE = [
    # what is put in the place of what; the line and the key in the error; some of its words
    ("unknown key at the top", 'name = "mine"', 'name = "mine"\nnamee = "x"', 2, "namee", "Did you mean 'name'"),
    ("unknown table", "[cancel]", "[cansel]", 31, "cansel", "Did you mean 'cancel'"),
    ("unknown key in submit", 'id = "/id"', 'ident = "/id"', 11, "submit.ident", "unknown key"),
    ("unknown key in poll", "codes =", "code =", 15, "poll.code", "Did you mean 'codes'"),
    ("unknown key in hold", "query = { wait", "params = { wait", 17, "poll.hold.params", "unknown key"),
    ("unknown key in status", "of = 100", "out_of = 100", 20, "status.out_of", "unknown key"),
    ("unknown key in states", "running =", "runing =", 23, "states.runing", "Did you mean 'running'"),
    ("unknown key in files", 'under = "/files"', 'unter = "/files"', 29, "result.files.unter", "Did you mean 'under'"),
    ("unknown key in a variable", "secret = true", "hidden = true", 5, "variables.api_key.hidden", "unknown key"),
    ("no name", 'name = "mine"\n', "", None, "name", "missing"),
    ("no submit.url", 'url = "{base}/jobs"', 'method = "POST"', 8, "submit.url", "no url"),
    ("a name of the wrong kind", 'name = "mine"', "name = 1", 1, "name", "expected str"),
    ("a number in quotes", "grace = 30", 'grace = "30"', 2, "grace", "expected a number"),
    ("a truth for a number", "grace = 30", "grace = true", 2, "grace", "expected a number"),
    ("no grace at all", "grace = 30", "grace = 0", 2, "grace", "above 0"),
    ("a grace without end", "grace = 30", "grace = inf", 2, "grace", "above 0"),
    ("a grace that is no number", "grace = 30", "grace = nan", 2, "grace", "above 0"),
    ("a share of nothing", "of = 100", "of = 0", 20, "status.of", "above 0"),
    ("a text for a table", '{ status = "/links/status" }', '"x"', 12, "submit.links", "expected a table"),
    ("a list for a table", 'query = { v = "1" }', 'query = ["v"]', 7, "every.query", "expected a table"),
    ("a number for a template", 'v = "1"', "v = 1", 7, "every.query.v", "expected text"),
    ("a number for a selector", 'state = "/state"', "state = 1", 19, "status.state", "selector"),
    ("no selectors", 'state = "/state"', "state = []", 19, "status.state", "selector"),
    ("a selector without a slash", 'state = "/state"', 'state = "state"', 19, "status.state", "no selector"),
    ("a selector of no kind", 'state = "/state"', 'state = "xpath:/a"', 19, "status.state", "no selector"),
    ("a header of no name", 'state = "/state"', 'state = "header:"', 19, "status.state", "no selector"),
    ("a bad escape", 'state = "/state"', 'state = "/a~2b"', 19, "status.state", "~"),
    ("a bad regular expression", 'state = "/state"', 'state = "/s ~ (unclosed"', 19, "status.state", "regular"),
    ("a second selector that is bad", 'state = "/state"', 'state = ["/state", "x"]', 19, "status.state", "no selector"),
    ("a bad link", 'status = "/links/status"', 'status = "links"', 12, "submit.links.status", "no selector"),
    ("an unclosed template", 'url = "{base}/jobs"', 'url = "{base/jobs"', 9, "submit.url", "{"),
    ("a stray brace", 'url = "{base}/jobs"', 'url = "{base}/jobs}"', 9, "submit.url", "}"),
    ("an empty hole", 'url = "{base}/jobs"', 'url = "{base}/{}"', 9, "submit.url", "{}"),
    ("an unknown variable", 'v = "1"', 'v = "{apikey}"', 7, "every.query.v", "Did you mean 'api_key'"),
    ("an unknown variable in a body", '"{input.a}"', '"{inputs.a}"', 10, "submit.json", "inputs.a"),
    ("an unknown link", '"{links.status}"', '"{links.stats}"', 14, "poll.url", "Did you mean 'links.status'"),
    ("the input on a later leg", "/jobs/{id}/stop", "/jobs/{input.a}/stop", 32, "cancel.url", "only the submission"),
    ("the id before there is one", '"{base}/jobs"', '"{base}/jobs/{id}"', 9, "submit.url", "{id}"),
    ("a hold where nothing is held", "/jobs/{id}/stop", "/jobs/{id}/{hold}", 32, "cancel.url", "{hold}"),
    ("two states with one word", 'failed = "broken"', 'failed = "DONE"', 25, "states.failed", "succeeded too"),
    ("no word for success", 'succeeded = "done"\n', "", 21, "states.succeeded", "succeeded"),
    ("a number for a word", 'failed = "broken"', "failed = 1", 25, "states.failed", "word"),
    ("no such other", 'failed = "broken"', 'failed = "broken"\nother = "done"', 26, "states.other", "pending"),
    ("a code with an undeclared word", '202 = "working"', '202 = "workin"', 15, "poll.codes", "Did you mean 'working'"),
    ("a code that is none", '202 = "working"', '99 = "working"', 15, "poll.codes", "status code"),
    ("a code that is a word", '202 = "working"', 'ok = "working"', 15, "poll.codes", "status code"),
    ("an absent word that is undeclared", "of = 100", 'absent = "nothing"', 20, "status.absent", "not among"),
    ("two bodies", 'id = "/id"', 'id = "/id"\ntext = "x"', 12, "submit.text", "json and text"),
    ("an address that starts nowhere", '"{base}/jobs"', '"/jobs"', 9, "submit.url", "{base}"),
    ("a method that is none", '[cancel]', '[cancel]\nmethod = "GE T"', 32, "cancel.method", "method"),
    ("a header that is none", '[cancel]', '[cancel]\nheaders = { "x y" = "1" }', 32, "cancel.headers", "header"),
    ("a header with a line's end", '[cancel]', '[cancel]\nheaders = { x = "a\\nb" }', 32, "cancel.headers.x", "header"),
    ("a cookie that is none", 'query = { v = "1" }', 'cookies = { "a;b" = "1" }', 7, "every.cookies", "header"),
    ("an origin without a scheme", '"https://files.test"', '"files.test"', 3, "origins", "http"),
    ("an origin with a path", '"https://files.test"', '"https://files.test/a"', 3, "origins", "origin"),
    ("a variable with a name of gofer's", "api_key = {", "base = {", 5, "variables.base", "own"),
    ("a secret with a default", "secret = true", 'secret = true, default = "x"', 5, "variables.api_key", "default"),
    ("files that are sought below nothing", 'url = "/href"', "depth = -1", 30, "result.files.depth", "0 or more"),
    ("no TOML", "[submit]", "[submit", 8, "", "no TOML"),
    ("a key twice", "of = 100", 'state = "/s"', 20, "", "no TOML"),
    ("a text without an end", '"/state"', '"/state', 19, "", "no TOML"),
    ("a number too long to be read", "grace = 30", "grace = 1" + "0" * 5000, None, "", "no TOML"),
    ("brackets too deep to be read", '"/out"', "[" * 5000, None, "", "no TOML"),
]  # fmt: skip


def test_the_sound_one_is_sound():
    """The declaration that the table breaks in one place is correct itself."""
    assert toml.parse(SOUND, "mine.toml").name == "mine"


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "words"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_a_fault_names_its_line_and_its_key(old, new, line, key, words):
    """One change to a sound declaration; the error is at that place."""
    assert SOUND.count(old) == 1
    with pytest.raises(gofer.DeclarationError) as fault:
        toml.parse(SOUND.replace(old, new), "mine.toml")
    assert (fault.value.line, fault.value.source) == (line, "mine.toml")
    assert fault.value.key.startswith(key)
    assert words in str(fault.value)
    assert str(fault.value).startswith(f"mine.toml:{line}: " if line else "mine.toml: ")


@pytest.mark.parametrize("client", [gofer.Client, gofer.AsyncClient])
def test_nothing_is_sent_with_a_faulty_declaration(tmp_path, client):
    """Making the client already fails."""
    path = tmp_path / "mine.toml"
    path.write_text(SOUND.replace('"/state"', '"state"'))

    def never(request: httpx.Request) -> httpx.Response:
        raise AssertionError

    with pytest.raises(gofer.DeclarationError, match=r"mine\.toml:19: status\.state: 'state' is no selector"):
        client("http://service.test", contract=path, transport=httpx.MockTransport(never))


SMALL = 'name = "m"\nsubmit = {{ url = "{{base}}", {} }}\n[poll]\nurl = "{{base}}"\n'


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        (SMALL.format('links = { x = "/x" }'), 3, "poll", "status.state, or codes"),
        (SMALL.format('method = "PUT"') + '[status]\nstate = "/s"\n', 2, "submit", "id or by links"),
        ('name = "m"\nsubmit = { url = "{base}", id = "/id" }\n', None, "poll", "missing"),
        ('name = "m"\npoll = []\nsubmit = { url = "{base}", id = "/id" }\n', 2, "poll", "at least one"),
    ],
)
def test_what_is_lacking_altogether_is_named_as_well(text, line, key, words):
    """There is no way to read the state, to find the job, or to poll it."""
    with pytest.raises(gofer.DeclarationError) as fault:
        toml.parse(text, "mine.toml")
    assert (fault.value.line, fault.value.key.startswith(key), words in str(fault.value)) == (line, True, True)


def test_the_second_of_several_is_named_by_its_number():
    """With more than one status request, the key has the number from 0, and the line is the second one's."""
    text = SOUND.replace("[poll]", '[[poll]]\nurl = "{base}/jobs/{id}"\n[[poll]]').replace(
        "{links.status}", "{links.x}"
    )
    with pytest.raises(gofer.DeclarationError) as fault:
        toml.parse(text, "mine.toml")
    assert (fault.value.key, fault.value.line) == ("poll[1].url", 16)


def test_a_declaration_that_cannot_be_read_is_an_error_of_use(tmp_path):
    """No file, a folder, no text: each names the file."""
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    for place in (tmp_path / "none.toml", tmp_path, tmp_path / "bytes.toml"):
        with pytest.raises(gofer.UsageError, match=place.name):
            gofer.Client("http://service.test", contract=place)


def test_a_name_that_is_not_shipped_says_what_there_is():
    """The error lists the names, and which one was probably meant."""
    with pytest.raises(gofer.UsageError, match=r"Did you mean 'ogc-processes'\?.*aip-151.*uws.*Path"):
        gofer.Client("http://service.test", contract="ogc-proceses")


@pytest.mark.parametrize("variables", [{"a": "1"}, {"api_key": 1}, {"api_key": None}, {}])
def test_wrong_variables_are_errors_of_use(variables):
    """Unknown ones, ones that are no text, and secrets that are not given."""
    with pytest.raises(gofer.UsageError):
        said(SOUND, **variables)


def test_variables_without_a_declaration_are_an_error_of_use():
    """A contract that is a class has none."""
    with pytest.raises(gofer.UsageError, match="variables="):
        gofer.Client("http://service.test", variables={"a": "b"})


def test_a_byte_order_mark_does_no_harm(tmp_path):
    """Editors write one, and TOML has none."""
    path = Path(tmp_path / "mine.toml")
    path.write_bytes(b"\xef\xbb\xbf" + SOUND.encode())
    gofer.Client("http://service.test", contract=path, variables={"api_key": "k"})
