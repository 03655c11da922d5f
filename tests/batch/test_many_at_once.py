"""A declared look at many jobs (`[poll.many]`): by their ids, or page after page, in place of a poll for each."""

from urllib.parse import parse_qs, urlsplit

import pytest
from tenacity.wait import wait_fixed

import gofer
from gofer.contracts.declared.explain import explained
from support.declared import as_json, said, service
from support.raw_server import http

from .works import DOCUMENT, MODES, Works, all_done, run_batch, works

BY_IDS = """
[poll.many]
url = "{base}/many?ids={ids}"
most = 4
under = "/jobs"
id = "/id"
"""
ALL = """
[poll.many]
url = "{base}/many"
under = "/jobs"
id = "/id"
next = "/next"
"""


class Listed(Works):
    """A service that lists its jobs: those of `ids`, or three to a page; a job has ended at the fourth look."""

    def __init__(self):
        super().__init__()
        self.looks, self.asked, self.polls = 0, list[list[str]](), 0
        self.broken = False

    def state(self, job_id):
        """Return the state of a job: it ends by looks, and not by polls."""
        return "succeeded" if (self.looks >= 4 and job_id != "j1") or self.looks >= 8 else "running"

    def __call__(self, call):
        """Answer one request."""
        parts = urlsplit(call.path)
        if parts.path == "/many":
            with self.lock:
                query = parse_qs(parts.query)
                self.looks += "page" not in query
                if self.broken and self.looks == 3:
                    return http(503)
                ids = query["ids"][0].split(",") if "ids" in query else sorted(self.jobs)
                self.asked.append(ids)
                at = int(query.get("page", ["0"])[0])
                some = ids if "ids" in query else ids[at : at + 3]
                more = {} if "ids" in query or at + 3 >= len(ids) else {"next": f"/many?page={at + 3}"}
                return as_json({"jobs": [{"id": one, "state": self.state(one)} for one in some], **more})
        if call.method == "GET" and parts.path.count("/") == 2:
            with self.lock:
                self.polls += 1
                job_id = parts.path.rpartition("/")[2]
                self.open.discard(job_id)
                return as_json({"id": job_id, "state": self.state(job_id), "n": self.jobs[job_id]["n"]})
        return super().__call__(call)


@pytest.fixture
def model():
    """A service with a list."""
    return Listed()


@pytest.fixture
def url(model):
    """Its address."""
    with service(model) as server:
        yield server.url


QUICK = {"poll": wait_fixed(0.01)}


@pytest.mark.parametrize("kind", [BY_IDS, ALL], ids=["by ids", "all"])
@pytest.mark.parametrize("mode", MODES)
def test_one_look_takes_the_place_of_many_polls(mode, model, url, kind):
    """Each job is polled once, when a look has shown its end."""
    ran = run_batch(mode, url, said(DOCUMENT + kind), works(9), jobs=9, client=QUICK)
    assert ran.counts == all_done(9)
    assert model.polls == 9
    assert model.looks <= 30
    assert sorted(errand.value["n"] for errand in ran.errands) == list(range(9))


@pytest.mark.parametrize("mode", MODES)
def test_no_more_ids_than_the_declaration_says_are_in_one_look(mode, model, url):
    """`most` cuts what is waited for into several requests, in the order in which it waits."""
    run_batch(mode, url, said(DOCUMENT + BY_IDS), works(9), jobs=9, client=QUICK)
    assert max(map(len, model.asked)) == 4
    assert {job_id for ids in model.asked for job_id in ids} <= set(model.jobs)


@pytest.mark.parametrize("mode", MODES)
def test_a_look_that_fails_is_no_end(mode, model, url):
    """While looks fail, each job is polled for itself; then looks go on."""
    model.broken = True
    assert run_batch(mode, url, said(DOCUMENT + ALL), works(3), client=QUICK).counts == all_done(3)
    assert model.looks >= 8


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"jobs": [{"id": "j1"}, {"state": "succeeded"}, "x", None, {"id": 7, "state": "succeeded"}]}, BY_IDS),
        ({"jobs": {"a": {"id": "j9", "state": "succeeded"}}}, ALL),
        ({"other": []}, ALL),
        ([1, 2], BY_IDS),
        ({"jobs": [], "next": "http://elsewhere.test/many"}, ALL),
        ({"jobs": [], "next": "/many?page=again"}, ALL),
    ],
)
def test_what_a_list_should_not_say_costs_no_job(answer, kind):
    """Entries that are none, other jobs, no list, a page elsewhere, pages without end: polls bring the jobs."""
    model = Works()

    def answering(call):
        return as_json(answer) if call.path.startswith("/many") else model(call)

    with service(answering) as server:
        client = {"poll": wait_fixed(0.01), "timeout": 5.0}
        ran = run_batch("blocking", server.url, said(DOCUMENT + kind), works(2), client=client, look_every=0.5)
    assert ran.counts == all_done(2)


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ('[poll.many]\nid = "/id"\n', "poll.many.url", "it has no url"),
        ('[poll.many]\nurl = "{base}/jobs"\n', "poll.many.id", "nothing says which job"),
        ('[poll.many]\nurl = "{base}/jobs?{ids}"\nid = "/id"\nmost = 0\n', "poll.many.most", "1 or more"),
        ('[poll.many]\nurl = "{base}/jobs/{id}"\nid = "/id"\n', "poll.many.url", "{id}"),
        ('[poll.many]\nurl = "{base}/jobs"\nid = "/id"\nfirst = 1\n', "poll.many.first", "unknown key"),
    ],
)
def test_a_wrong_look_is_refused_with_its_line(text, key, words):
    """What it lacks, and variables that it cannot have, are errors of the declaration."""
    with pytest.raises(gofer.DeclarationError) as refused:
        said(DOCUMENT + text)
    assert refused.value.key == key
    assert refused.value.line is not None
    assert words in str(refused.value)


def test_it_is_explained():
    """`gofer contract check` says what is asked for and where the ids are."""
    text = str(list(explained(said(DOCUMENT + BY_IDS).declaration)))
    assert "many at once" in text
    assert "{base}/many?ids={ids}, up to 4 ids" in text
