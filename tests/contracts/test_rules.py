"""Every rule of a declaration has one that breaks it, and the error says exactly the rule's words at the right key."""

import pytest

import gofer
from gofer.contracts.declared import toml
from gofer.contracts.declared.checks import RULES

from .test_faults import SOUND

START = '[start]\nwhen = "waiting"\nurl = "{base}/{id}/go"\n[cancel]'
REFUSED = "nothing says which answers it is: declare when, codes or words"
BROKEN = [
    # what is put in the place of what in the sound declaration; the key; exactly what the error says
    ('name = "mine"', 'name = ""', "name", "it is empty, or has characters that cannot be printed"),
    (
        '"https://files.test"',
        '"files.test"',
        "origins[0]",
        "an origin is a scheme, a host and a port, as in https://files.example.org, not 'files.test'",
    ),
    (
        "grace = 30",
        "grace = 30\nlater = { codes = [423, 202] }",
        "later.codes",
        "a refusal has a code of 400 or more",
    ),
    (
        "grace = 30",
        "grace = 30\nunauthorized = { codes = [498, 202] }",
        "unauthorized.codes",
        "a refusal has a code of 400 or more",
    ),
    ("grace = 30", "grace = -1", "grace", "it must be a number above 0"),
    ("api_key = {", "key = {", "variables.key", "a variable has a plain name that is not one of gofer's own"),
    ("secret = true", 'secret = true, default = "x"', "variables.api_key", "a secret has no default"),
    ('failed = "broken"', 'failed = "DONE"', "states.failed", "the word 'DONE' means succeeded too"),
    ('succeeded = "done"\n', "", "states.succeeded", "no word means that the job has succeeded"),
    (
        'failed = "broken"',
        'failed = "broken"\nother = "cancelled"',
        "states.other",
        "it is pending, running or failed, not 'cancelled'",
    ),
    (
        '202 = "working"',
        '202 = "busy"',
        "poll.codes.202",
        "the word 'busy' is not among the states. There are: broken, done, waiting, working.",
    ),
    (
        "of = 100",
        'absent = "don"',
        "status.absent",
        "the word 'don' is not among the states. Did you mean 'done'?",
    ),
    (
        "[cancel]",
        START.replace("waiting", "working"),
        "start.when",
        "the word 'working' does not mean pending, and a job before its start is pending",
    ),
    ("of = 100", "of = 0", "status.of", "it must be a number above 0"),
    ("grace = 30", "grace = 30\nrefusal = { code = '/c' }", "refusal", REFUSED),
    (
        "grace = 30",
        'grace = 30\nrefusal = { codes = 409, means = "gone" }',
        "refusal.means",
        "it is one of rejected, missing, exists, later and ended, not 'gone'",
    ),
    (
        "grace = 30",
        'grace = 30\nrefusal = { codes = 409, on = ["start"] }',
        "refusal.on",
        "it lists some of upload, submit, poll, result, cancel and answer",
    ),
    (
        'id = "/id"',
        'id = "/id"\nkeep = { key = "{api_key}" }',
        "submit.keep.key",
        "a secret is not kept: {api_key} would be in tickets",
    ),
    (
        "[cancel]",
        '[token]\nurl = "{base}/token"\n[cancel]',
        "token.token",
        "nothing says where the token is in the answer",
    ),
    (
        "[cancel]",
        '[token]\nurl = "{base}/{token}"\ntoken = "/t"\n[cancel]',
        "token.url",
        "{token} is there once the request was answered: only sends has it",
    ),
    ("of = 100", "interval_of = 0", "status.interval_of", "it must be a number above 0"),
    (
        'failed = "broken"',
        'failed = "broken"\nwaiting = "asks"',
        "states.waiting",
        "a job that waits for its caller needs an [answer]",
    ),
    (
        'url = "{links.status}"\ncodes = { 202 = "working" }\n[poll.hold]\nquery = { wait = "{hold}" }\n[status]\n'
        'state = "/state"',
        'url = "{links.status}"\n[status]',
        "poll",
        "nothing says the job's state: declare status.state, or codes here",
    ),
    (
        'id = "/id"\nlinks = { status = "/links/status" }\n[poll]\nurl = "{links.status}"',
        '[poll]\nurl = "{base}/{id}"',
        "submit.id",
        "the job is found by an id or by links: declare one of them",
    ),
    (
        'id = "/id"',
        'id = "/id"\nidempotent = true',
        "submit.idempotent",
        "a lost submission is repeated by its key, and no {key} is sent",
    ),
    ("[poll.hold]", '[poll.many]\nid = "/id"\n[poll.hold]', "poll.many.url", "it has no url"),
    (
        "[poll.hold]",
        '[poll.many]\nurl = "{base}/jobs"\n[poll.hold]',
        "poll.many.id",
        "nothing says which job an entry is: declare its id",
    ),
    (
        "[poll.hold]",
        '[poll.many]\nurl = "{base}/jobs"\nid = "/id"\nmost = 0\n[poll.hold]',
        "poll.many.most",
        "it must be 1 or more",
    ),
    ('id = "/id"', 'id = "/id"\nkeeps_keys = 0', "submit.keeps_keys", "it must be a number above 0"),
    (
        'value = "/out"',
        'value = "/out"\nunless = ["links.nowhere"]',
        "result.unless",
        "'links.nowhere' is neither links.NAME nor values.NAME of a link or value that is kept",
    ),
    (
        'value = "/out"',
        'value = "/out"\nfile = true',
        "result.file",
        "the answer is the file itself, and nothing is read out of it",
    ),
    ('url = "/href"', "depth = -1", "result.files.depth", "it must be 0 or more"),
    ('url = "{base}/jobs/{id}/stop"', "", "cancel.url", "it has no url"),
    (
        '"{base}/jobs"',
        '"/jobs"',
        "submit.url",
        "an address starts with {base}, a link, a variable, http:// or https://",
    ),
    ("[cancel]", '[cancel]\nmethod = "GE T"', "cancel.method", "'GE T' is no HTTP method"),
    ('id = "/id"', 'id = "/id"\ntext = "x"', "submit.text", "a request has one body; json and text are two"),
    (
        "[cancel]",
        '[cancel]\nheaders = { x = "a\\nb" }',
        "cancel.headers.x",
        "the name or the text has characters that no header may have",
    ),
    (
        'query = { v = "1" }',
        'cookies = { "a;b" = "1" }',
        "every.cookies.a;b",
        "the name or the text has characters that no header may have",
    ),
    (
        "/jobs/{id}/stop",
        "/jobs/{input.a}/stop",
        "cancel.url",
        "{input.a}: only the submission has the input, since a ticket does not keep it",
    ),
    (
        '"{links.status}"',
        '"{links.stats}"',
        "poll.url",
        "{links.stats} is no variable here. Did you mean 'links.status'?",
    ),
    (
        'v = "1"',
        'v = "{word}"',
        "every.query.v",
        "{word} is no variable here. There are: api_key, base, links.status.",
    ),
    (
        'url = "{links.status}"',
        'url = "{links.status}"\nquery = { last = "{word}" }',
        "poll.query.last",
        "{word} may have no value here: write {word?}",
    ),
    (
        'query = { wait = "{hold}" }',
        'query = { wait = "{hold}", last = "{word}" }',
        "poll.hold.query.last",
        "{word} may have no value here: write {word?}",
    ),
    (
        '"{base}/jobs"',
        '"{base}/jobs/{input.a?}"',
        "submit.url",
        "{input.a?} may have no value, and an address cannot be left out: use query",
    ),
    (
        'json = { a = "{input.a}" }',
        'text = "<a>{input.a?}</a>"',
        "submit.text",
        "{input.a?} may have no value, and all of the text would be left out",
    ),
]


def fault_of(text: str) -> tuple[str, str]:
    """Give the key and the words of the error for a declaration."""
    with pytest.raises(gofer.DeclarationError) as fault:
        toml.parse(text, "mine.toml")
    _, _, words = str(fault.value).partition(f"{fault.value.key}: ")
    return fault.value.key, words


@pytest.mark.parametrize(("old", "new", "key", "words"), BROKEN, ids=[f"{row[2]}: {row[3]}"[:60] for row in BROKEN])
def test_a_broken_rule_is_said_in_its_words(old: str, new: str, key: str, words: str) -> None:
    """One change to a sound declaration breaks one rule; the error has its key and its words, and nothing else."""
    assert SOUND.count(old) == 1
    assert fault_of(SOUND.replace(old, new)) == (key, words)


NO_POLL = 'name = "m"\npoll = []\nsubmit = { url = "{base}", id = "/id" }\n'


def test_a_declaration_without_a_status_request_says_so() -> None:
    """An empty list of them is not a missing key: a rule forbids it."""
    assert fault_of(NO_POLL) == ("poll", "there must be at least one status request")


def test_every_rule_is_broken_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rule of the table is broken by a declaration above, so none stops working unnoticed."""
    monkeypatch.setattr(toml, "check", lambda _: None)
    texts = [NO_POLL, *(SOUND.replace(old, new) for old, new, *_ in BROKEN)]
    declarations = [toml.parse(text, "mine.toml") for text in texts]
    assert not [rule.words for rule in RULES if not any(list(rule.breaks(one)) for one in declarations)]


@pytest.mark.parametrize("name", ["url", "text", "link"])
def test_a_parameter_may_have_any_name(name: str) -> None:
    """Only the address itself and the body `text` cannot be left out, not a parameter that is named like them."""
    changed = SOUND.replace('json = { a = "{input.a}" }', f'query = {{ {name} = "x{{input.a?}}" }}')
    assert toml.parse(changed, "mine.toml").submit.query[name].text == "x{input.a?}"
