"""The shipped dialect `uws`, against a model of a UWS 1.1 service in all its variants."""

import time

import attrs
import pytest

import gofer
from gofer.contracts.declared.shipped import declared
from support.declared import Answering, client_of, query_of, sent_to
from support.raw_server import RawServer
from support.uws_service import TABLE, UwsService

ORDER = {"REQUEST": "doQuery", "LANG": "ADQL", "QUERY": "select"}


def asking(query):
    """The input of a job for this query."""
    return {**ORDER, "QUERY": query}


@pytest.mark.parametrize("prefix", ["uws:", "", "u:"])
def test_a_job_is_made_started_watched_and_fetched(any_face, serve, tmp_path, prefix):
    """From the form to the table, on every face, whatever prefix the service gives its elements."""
    server = serve(UwsService(prefix=prefix))
    client = client_of(any_face, f"{server.url}/async", "uws")
    outcome = client.run(asking("select"), to=str(tmp_path / "table.vot"), timeout=10)
    assert outcome.path.read_bytes() == TABLE
    assert (outcome.job_id, outcome.verified) == ("1000", gofer.Verified.SIZE)
    assert [call.body for call in sent_to(server, "/async/1000/phase")] == [b"PHASE=RUN"]


def test_the_files_are_listed_without_being_fetched(blocking, serve):
    """`result()` gives the document, `files` what is in it, and nothing is downloaded."""
    server = serve(UwsService())
    job = client_of(blocking, f"{server.url}/async", "uws").submit(asking("select"))
    document = job.result(timeout=10)
    assert document["jobId"] == "1000"
    (file,) = job.files
    assert (file.name, file.size, file.format) == ("table.vot", len(TABLE), "application/x-votable+xml")
    assert sent_to(server, "/async/1000/results/table") == []


@pytest.mark.parametrize("created", [200, 201])
def test_a_service_may_answer_with_the_document_in_place_of_a_redirect(blocking, serve, created):
    """Id and phase are then read from the document, and the job is started all the same."""
    model = UwsService(created=created)
    server = serve(model)
    job = client_of(blocking, f"{server.url}/async", "uws").submit(asking("select"))
    assert job.id == "1000"
    assert job.wait(timeout=10) == "COMPLETED"
    assert model.started >= 1


def test_relative_links_are_taken_from_the_document_they_stand_in(blocking, serve, tmp_path):
    """Location and the results' links may be relative."""
    server = serve(UwsService(relative=True))
    client = client_of(blocking, f"{server.url}/async", "uws")
    assert client.run(asking("select"), to=str(tmp_path / "t"), timeout=10).path.read_bytes() == TABLE


def test_a_started_job_is_not_started_again_by_the_next_verb(blocking, serve):
    """`submit()` starts the job; waiting for it with the same handle does not."""
    model = UwsService()
    job = client_of(blocking, f"{serve(model).url}/async", "uws").submit(asking("select"))
    job.wait(timeout=10)
    assert model.started == 1


def test_a_job_that_is_found_pending_by_its_ticket_is_started(blocking, serve):
    """Where the process ended between making and starting the job, the next one starts it."""
    model = UwsService(starting=500)
    server = serve(model)
    client = client_of(blocking, f"{server.url}/async", "uws")
    with pytest.raises(gofer.Unavailable) as failed:
        client.submit(asking("select"))
    model.starting = 303
    assert client.attach(failed.value.ticket).wait(timeout=10) == "COMPLETED"


def test_a_start_that_is_refused_is_an_error_at_once(blocking, serve):
    """A 403 to PHASE=RUN is an error at once, since the job would stay pending."""
    server = serve(UwsService(starting=403))
    with pytest.raises(gofer.Unauthorized) as refused:
        client_of(blocking, f"{server.url}/async", "uws").run(asking("select"), timeout=10)
    assert refused.value.job_id == "1000"
    assert len(sent_to(server, "/async/1000/phase")) == 1


def test_a_start_whose_answer_was_lost_is_sent_again(blocking):
    """The second start is refused, since the first has worked; the job goes on."""
    model = UwsService()

    def losing(call):
        answer = model(call)
        return [b"HTTP/1.1 303"] if call.path.endswith("/phase") and call.nth == 1 else [answer]

    server = RawServer(losing)
    try:
        outcome = client_of(blocking, f"{server.url}/async", "uws").run(asking("select"), timeout=10)
    finally:
        server.close()
    assert outcome.value["phase"] == "COMPLETED"
    assert [call.nth for call in sent_to(server, "/async/1000/phase")] == [1, 2]


def test_the_error_summary_is_what_the_error_says(any_face, serve):
    """Phase ERROR is `JobFailed`, with the service's words and its code."""
    client = client_of(any_face, f"{serve(UwsService()).url}/async", "uws")
    with pytest.raises(gofer.JobFailed, match="no table of this name") as failed:
        client.run(asking("fail"), timeout=10)
    assert (failed.value.error_code, failed.value.status) == ("fatal", "ERROR")


def test_a_job_that_is_born_in_error_is_not_started(blocking, serve):
    """Invalid parameters may give a job that has failed already; PHASE=RUN is not sent to it."""
    model = UwsService(created=200)
    client = client_of(blocking, f"{serve(model).url}/async", "uws")
    with pytest.raises(gofer.JobFailed, match="no table"):
        client.run(asking("born"), timeout=10)
    assert model.started == 0


def test_a_job_that_is_born_in_error_behind_a_redirect_has_failed(blocking, serve):
    """The start is refused then, and the error is the job's own and not the refusal."""
    client = client_of(blocking, f"{serve(UwsService()).url}/async", "uws")
    with pytest.raises(gofer.JobFailed, match="no table"):
        client.run(asking("born"), timeout=10)


def test_an_archived_job_has_no_results_any_more(blocking, serve):
    """ARCHIVED is an end without a result."""
    client = client_of(blocking, f"{serve(UwsService()).url}/async", "uws")
    with pytest.raises(gofer.JobFailed, match="ARCHIVED"):
        client.run(asking("archive"), timeout=10)


def test_an_unknown_job_is_not_found(blocking, serve):
    """An id that the service does not have is an error at once."""
    server = serve(UwsService())
    with pytest.raises(gofer.NotFound, match="404"):
        client_of(blocking, f"{server.url}/async", "uws").job("4711").wait(timeout=10)
    assert len(server.calls) == 1


def test_a_wrong_query_is_refused(blocking, serve):
    """A 400 to the submission is `Rejected`, with the words that are in its VOTable."""
    client = client_of(blocking, f"{serve(UwsService()).url}/async", "uws")
    with pytest.raises(gofer.Rejected, match="no QUERY"):
        client.submit({"QUERY": ""})


def test_cancelling_aborts_the_job(any_face, serve):
    """PHASE=ABORT is sent, and the status afterwards is what the service says."""
    server = serve(UwsService())
    job = client_of(any_face, f"{server.url}/async", "uws").submit(asking("endless"))
    assert job.cancel() is True
    assert (job.status, job.status.state) == ("ABORTED", "cancelled")
    assert sent_to(server, f"/async/{job.id}/phase")[-1].body == b"PHASE=ABORT"


def test_a_job_is_deleted_after_its_table_was_brought(any_face, serve, tmp_path):
    """If the client wants it: by the DELETE of the job."""
    server = serve(UwsService())
    client = client_of(any_face, f"{server.url}/async", "uws", discard=True)
    outcome = client.run(asking("select"), to=str(tmp_path / "table.vot"), timeout=10)
    assert [(call.method, call.path) for call in server.calls][-1] == ("DELETE", f"/async/{outcome.job_id}")


def test_a_service_that_waits_is_asked_to_wait_in_the_phase_that_was_seen(blocking, serve):
    """From the second poll on, WAIT has the seconds and PHASE the phase that the job should leave."""
    model = UwsService(waits=True)
    server = serve(model)
    client_of(blocking, f"{server.url}/async", "uws", hold=1).run(asking("select"), timeout=10)
    asked = [query_of(call) for call in sent_to(server, "/async/1000", "GET")]
    assert {"WAIT": "1", "PHASE": "QUEUED"} in asked or {"WAIT": "1", "PHASE": "PENDING"} in asked
    assert {"WAIT": "1", "PHASE": "EXECUTING"} in asked


def test_a_service_that_ignores_wait_is_not_hammered(virtual_face):
    """An answer that came at once proves no long poll: the schedule decides the pauses between polls."""
    server = Answering(UwsService())
    server.url += "/async"
    job = client_of(virtual_face, server, "uws", poll=None).submit(asking("endless"))
    with pytest.raises(gofer.WaitTimeout):
        job.wait(timeout=1.5)
    assert len(sent_to(server, f"/async/{job.id}", "GET")) <= 5


def test_an_unknown_phase_ends_in_an_error_after_the_grace(blocking, serve):
    """A phase that is not in the standard ends in an error, even without a timeout."""
    began = time.monotonic()
    model = UwsService()
    server = serve(model)
    contract = declared("uws")
    short = attrs.evolve(contract, declaration=attrs.evolve(contract.declaration, grace=0.4))
    client = client_of(blocking, f"{server.url}/async", short)
    job = client.submit(asking("endless"))
    model.jobs[job.id].phase, model.jobs[job.id].ahead = "PONDERING", ["PONDERING"] * 20 + ["COMPLETED"]
    with pytest.raises(gofer.BadReply, match="'PONDERING'"):
        job.wait()
    assert time.monotonic() - began < 60
