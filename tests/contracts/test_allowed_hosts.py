"""`allow_hosts`: where links and redirects of a service may lead, on every leg and on every face."""

import pytest

import gofer
from support.declared import as_json, client_of, said
from support.raw_server import http

DECLARED = """
name = "elsewhere"
origins = ["ORIGIN"]
[submit]
url = "{base}/submit"
json = "{input}"
id = "/id"
links = { start = "/start", poll = "/poll", result = "/result", reason = "/reason", cancel = "/cancel" }
[start]
url = "{links.start}"
when = "idle"
[poll]
url = "{links.poll}"
[status]
state = "/state"
[states]
pending = "idle"
running = "running"
succeeded = "done"
failed = "broken"
cancelled = "gone"
[result]
url = "{links.result}"
[result.files]
under = "/files"
url = "/url"
[reason]
url = "{links.reason}"
error = "/why"
[cancel]
url = "{links.cancel}"
"""
ENDS = {"reason": "broken", "cancel": "running"}
REFUSED = pytest.mark.parametrize(
    "hosts", [[], ["elsewhere.test", "*.example.org", "10.0.0.7"]], ids=["none", "others"]
)
ALLOWED = pytest.mark.parametrize("hosts", [None, ("127.0.0.1",), {"x.test", "127.0.0.1"}], ids=["all", "one", "two"])
LINKED = ["start", "poll", "result", "reason", "cancel", "file", "read"]
REDIRECTED = ["submit", "poll", "result", "reason", "file", "read"]  # a redirect of start and cancel is an answer
WAYS = pytest.mark.parametrize(
    ("leg", "way"),
    [(leg, "link") for leg in LINKED] + [(leg, "redirect") for leg in REDIRECTED],
    ids=lambda name: name,
)


class Service:
    """A job's service that leads elsewhere on one leg, by a link or a redirect; what is there answers as it does."""

    def __init__(self, serve, leg, way):
        self.leg, self.way = "file" if leg == "read" else leg, way
        self.elsewhere, self.own = serve(self.answer), serve(self.lead)

    def link(self, leg):
        """The address of a leg."""
        return f"{self.elsewhere.url}/{leg}" if (leg, "link") == (self.leg, self.way) else f"/{leg}"

    def lead(self, call):
        """Answer, except that one leg is redirected."""
        if (call.path[1:], "redirect") == (self.leg, self.way):
            return http(303, location=f"{self.elsewhere.url}{call.path}")
        return self.answer(call)

    def answer(self, call):
        """Answer one request."""
        match call.path[1:]:
            case "submit":
                links = {leg: self.link(leg) for leg in ("start", "poll", "result", "reason", "cancel")}
                return as_json({"id": "7", "state": "idle" if self.leg == "start" else "running", **links})
            case "poll":
                return as_json({"state": ENDS.get(self.leg, "done")})
            case "result":
                return as_json({"files": [{"url": self.link("file")}]})
            case "reason":
                return as_json({"why": "because"})
            case "file":
                return http(200, "a,b\n", content_type="text/csv")
            case _:
                return as_json({})


@pytest.fixture
def errand(any_face, serve, tmp_path):
    """Give a function that does one errand with these hosts; it returns the service and what came."""

    def do(leg, way, hosts):
        service = Service(serve, leg, way)
        contract = said(DECLARED.replace("ORIGIN", service.elsewhere.url))
        client = client_of(any_face, service.own.url, contract, allow_hosts=hosts)

        def come():
            job = client.submit({})
            match leg:
                case "poll":
                    return job.refresh()
                case "result" | "reason":
                    return job.result()
                case "file":
                    return job.download(tmp_path / "a.csv").read_text()
                case "read":
                    return job.read(100).decode()
                case "cancel":
                    return job.cancel()

        return service, come

    return do


@WAYS
@REFUSED
def test_nothing_is_sent_to_a_host_that_is_not_listed(errand, tmp_path, leg, way, hosts):
    """The error names the host and the option, comes at the first try, and no request is made there."""
    service, come = errand(leg, way, hosts)
    kind = {"submit": gofer.SubmitUncertain, "reason": gofer.JobFailed}.get(leg, gofer.BadReply)
    with pytest.raises(kind) as caught:
        come()
    if leg != "reason":  # that is asked for only to say more of a job that has failed
        assert "the host '127.0.0.1', which allow_hosts= does not name" in caught.value.message
    assert not caught.value.retryable
    assert service.elsewhere.calls == []
    assert all(call.nth == 1 for call in service.own.calls)
    assert list(tmp_path.iterdir()) == []


@WAYS
@ALLOWED
def test_a_listed_host_is_asked(errand, leg, way, hosts):
    """The errand succeeds by way of the other host if it is listed, or if the option is not set."""
    service, come = errand(leg, way, hosts)
    if leg == "reason":
        with pytest.raises(gofer.JobFailed, match="because"):
            come()
    else:
        came = come()
        assert leg not in ("file", "read") or came == "a,b\n"
    assert [call.path[1:] for call in service.elsewhere.calls] == [service.leg]


RETRIEVAL = {
    "submit": lambda client, _: client.retrieve("10.5555/12345678"),
    "poll": lambda client, _: client.get_job_status("j1"),
    "file": lambda client, folder: client.download_file("j1", folder / "paper.pdf"),
    "cancel": lambda client, _: client.job("j1").cancel(),
    "list": lambda client, _: client.list_jobs(),
}


@pytest.mark.parametrize("call", RETRIEVAL)
def test_no_redirect_of_the_retrieval_service_is_followed_elsewhere(any_face, serve, tmp_path, call):
    """Each request is refused at its first redirect, and the error of a submission that was taken has its key."""
    elsewhere = serve(lambda call: as_json({}))
    service = serve(lambda call: http(303, location=f"{elsewhere.url}/x"))
    client = any_face.client(service.url, allow_hosts=[], new_key=lambda: "key-1")
    with pytest.raises(gofer.SubmitUncertain if call == "submit" else gofer.BadReply, match="allow_hosts=") as caught:
        RETRIEVAL[call](client, tmp_path)
    assert elsewhere.calls == []
    assert len(service.calls) == 1
    if call == "submit":
        assert caught.value.key == "key-1"


@pytest.mark.parametrize(("hosts", "healthy"), [([], False), (["127.0.0.1"], True)], ids=["none", "listed"])
def test_a_health_check_elsewhere_counts_as_no_answer(any_face, serve, hosts, healthy):
    """The health check never raises: there is no health where nothing may be asked."""
    elsewhere = serve(lambda call: as_json({"status": "healthy", "vpn_connected": True}))
    service = serve(lambda call: http(302, location=f"{elsewhere.url}/x"))
    assert any_face.client(service.url, allow_hosts=hosts).health_check() is healthy
    assert len(elsewhere.calls) == healthy


def test_a_redirect_on_the_own_origin_is_always_followed(any_face, serve):
    """An empty list leaves the service itself."""
    moved = http(307, location="/moved")
    service = serve(lambda call: as_json({"jobs": []}) if call.path == "/moved" else moved)
    assert any_face.client(service.url, allow_hosts=[]).list_jobs().jobs == ()


def test_a_ticket_leads_no_further_than_a_reply(any_face, serve):
    """The links of a ticket that somebody else has written are held to the list too."""
    service = Service(serve, "poll", "link")
    contract = said(DECLARED.replace("ORIGIN", service.elsewhere.url))
    ticket = client_of(any_face, service.own.url, contract).submit({}).ticket
    with pytest.raises(gofer.BadReply, match="allow_hosts="):
        client_of(any_face, service.own.url, contract, allow_hosts=[]).attach(ticket).wait()
    assert service.elsewhere.calls == []
