"""XML services that no dialect ships for, each as a page of TOML: WPS 1.0, WPS 2.0, SOAP."""

import pytest

import gofer
from support.declared import as_xml, client_of, example, here, path_of, query_of, sent_to
from support.raw_server import http

REPORT = (
    '<ows:ExceptionReport xmlns:ows="http://www.opengis.net/ows/1.1" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    ' xsi:schemaLocation="http://www.opengis.net/ows/1.1 http://schemas.opengis.net/ows/1.1.0/owsExceptionReport.xsd">'
    '<ows:Exception exceptionCode="{}"><ows:ExceptionText>{}</ows:ExceptionText></ows:Exception></ows:ExceptionReport>'
)
SPACES = (
    'xmlns:wps="http://www.opengis.net/wps/1.0.0" xmlns:ows="http://www.opengis.net/ows/1.1" '
    'xmlns:xlink="http://www.w3.org/1999/xlink"'
)


def wps_1(call):
    """Answer as GeoServer: the status is an address with a query, its & written as XML does."""
    asked = query_of(call)
    if path_of(call) == "/out/map.tif":
        return http(200, b"II*\x00 a map", content_type="image/tiff")
    if asked.get("request") == "Execute" and asked["identifier"] == "nothing":
        return as_xml(REPORT.format("InvalidParameterValue", "no process named nothing"))
    process = asked.get("identifier") or asked["executionId"]
    where = f"{here(call)}/ows?service=WPS&amp;request=GetExecutionStatus&amp;executionId={process}"
    steps = [
        "<wps:ProcessStarted percentCompleted='40'>at it</wps:ProcessStarted>",
        f"<wps:ProcessFailed>{REPORT.format('NoApplicableCode', 'out of memory')}</wps:ProcessFailed>"
        if process == "fail"
        else "<wps:ProcessSucceeded/>",
    ]
    accepted = "<wps:ProcessAccepted>queued</wps:ProcessAccepted>"
    status = accepted if asked["request"] == "Execute" else steps[min(call.nth, 2) - 1]
    outputs = (
        "<wps:ProcessOutputs>"
        "<wps:Output><ows:Identifier>mean</ows:Identifier><wps:Data><wps:LiteralData>4.5</wps:LiteralData></wps:Data>"
        "</wps:Output><wps:Output><ows:Identifier>map</ows:Identifier>"
        f"<wps:Reference xlink:href='{here(call)}/out/map.tif' mimeType='image/tiff'/></wps:Output>"
        "</wps:ProcessOutputs>"
        if "Succeeded" in status
        else ""
    )
    return as_xml(
        f"<wps:ExecuteResponse {SPACES} service='WPS' version='1.0.0' statusLocation='{where}'>"
        f"<wps:Status creationTime='2026-01-01T00:00:00Z'>{status}</wps:Status>{outputs}</wps:ExecuteResponse>"
    )


def test_wps_1_has_its_state_in_the_name_of_an_element(any_face, serve, tmp_path):
    """From Execute to the referenced output; the literal one stays in the value."""
    client = client_of(any_face, f"{serve(wps_1).url}/ows", example("wps-1"))
    outcome = client.run({"process": "buffer", "inputs": "distance=10"}, to=str(tmp_path / "map.tif"), timeout=10)
    assert outcome.path.read_bytes() == b"II*\x00 a map"
    literal, reference = outcome.value["ProcessOutputs"]["Output"]
    assert literal["Data"]["LiteralData"] == "4.5"
    assert reference["Reference"]["@mimeType"] == "image/tiff"


def test_wps_1_fails_inside_its_status(blocking, serve):
    """ProcessFailed comes with 200; its exception report gives words and code."""
    client = client_of(blocking, f"{serve(wps_1).url}/ows", example("wps-1"))
    with pytest.raises(gofer.JobFailed, match="out of memory") as failed:
        client.run({"process": "fail"}, timeout=10)
    assert failed.value.error_code == "NoApplicableCode"


def test_wps_1_refuses_with_200(blocking, serve):
    """An exception report in place of a job is a refusal, whatever the code says."""
    client = client_of(blocking, f"{serve(wps_1).url}/ows", example("wps-1"))
    with pytest.raises(gofer.Rejected, match="no process named nothing") as refused:
        client.submit({"process": "nothing"})
    assert refused.value.error_code == "InvalidParameterValue"


def test_wps_1_shows_progress_and_survives_a_ticket(blocking, serve):
    """An attribute is a share like any other; where to ask is in the ticket."""
    client = client_of(blocking, f"{serve(wps_1).url}/ows", example("wps-1"))
    job = client.attach(client.submit({"process": "buffer"}).ticket)
    assert (job.refresh(), job.status.progress) == ("ProcessStarted", 0.4)
    assert job.cancel() is False


def wps_2(call):
    """Answer as the standard's examples; the job's id is the process's name."""
    asked = query_of(call)
    if call.method == "POST":
        name = "fail" if b">fail<" in call.body else "echo"
        if b"<wps:Data>&lt;b&gt; &amp; c</wps:Data>" not in call.body:
            return as_xml(REPORT.format("InvalidParameterValue", "the input was not escaped"), 400)
        return wps_status(name, "Accepted")
    if path_of(call) == "/stored":
        return http(200, b"<b> & c", content_type="text/plain")
    job = asked["jobid"]
    if job not in ("echo", "fail"):
        return as_xml(REPORT.format("NoSuchJob", f"no job {job}"), 400)
    match asked["request"]:
        case "GetStatus":
            return wps_status(job, "Running" if call.nth == 1 else "Failed" if job == "fail" else "Succeeded")
        case "Dismiss":
            return wps_status(job, "Dismissed")
        case _ if job == "fail":
            return as_xml(REPORT.format("NoApplicableCode", "the process crashed"))
    return as_xml(
        '<wps:Result xmlns:wps="http://www.opengis.net/wps/2.0" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<wps:JobID>{job}</wps:JobID><wps:Output id="text"><wps:Reference xlink:href="/stored"/></wps:Output>'
        "</wps:Result>"
    )


def wps_status(job, status):
    """Give a StatusInfo document."""
    return as_xml(
        f'<wps:StatusInfo xmlns:wps="http://www.opengis.net/wps/2.0"><wps:JobID>{job}</wps:JobID>'
        f"<wps:Status>{status}</wps:Status><wps:PercentCompleted>50</wps:PercentCompleted></wps:StatusInfo>"
    )


def order(process="echo"):
    """The input for WPS 2.0."""
    return {"process": process, "text": "<b> & c"}


def test_wps_2_takes_a_document_and_gives_a_relative_link(any_face, serve, tmp_path):
    """Values in the XML body are escaped; a link is relative to the result document."""
    client = client_of(any_face, f"{serve(wps_2).url}/wps", example("wps-2"))
    outcome = client.run(order(), to=str(tmp_path / "text"), timeout=10)
    assert outcome.path.read_bytes() == b"<b> & c"


def test_wps_2_tells_why_a_job_failed_at_another_address(blocking, serve):
    """The status says only Failed; the result's address has the report."""
    client = client_of(blocking, f"{serve(wps_2).url}/wps", example("wps-2"))
    with pytest.raises(gofer.JobFailed, match="the process crashed") as failed:
        client.run(order("fail"), timeout=10)
    assert failed.value.error_code == "NoApplicableCode"


def test_wps_2_dismisses_by_get(blocking, serve):
    """Cancelling is one more GET, whose answer shows the job."""
    server = serve(wps_2)
    job = client_of(blocking, f"{server.url}/wps", example("wps-2")).submit(order())
    assert (job.cancel(), job.status.state) == (True, "cancelled")
    assert [call.method for call in sent_to(server, "/wps")] == ["POST", "GET"]


def test_wps_2_knows_no_such_job(blocking, serve):
    """Its 400 is read by the words of the report, and not by what stands in the report's attributes."""
    with pytest.raises(gofer.Rejected, match="no job 17") as refused:
        client_of(blocking, f"{serve(wps_2).url}/wps", example("wps-2")).job("17").refresh()
    assert "xsd" not in str(refused.value)


def soap(call):
    """Answer envelopes; a fault comes with 500, as SOAP 1.1 has it."""
    if b"<job>gone</job>" in call.body or b"<what>nonsense</what>" in call.body:
        fault = "<faultcode>soap:Client</faultcode><faultstring>no such thing</faultstring>"
        return as_xml(envelope(f"<soap:Fault>{fault}</soap:Fault>"), 200 if b"nonsense" in call.body else 500)
    if call.headers["soapaction"].endswith("submit"):
        return as_xml(envelope("<r:submitResponse xmlns:r='urn:jobs'><r:job>j 1/2</r:job></r:submitResponse>"))
    state = ["WAITING", "WORKING", "READY"][min(call.nth - 1, 3) - 1]
    answer = "<answer>42</answer>" if state == "READY" else ""
    return as_xml(envelope(f"<statusResponse xmlns='urn:jobs'><state>{state}</state>{answer}</statusResponse>"))


def envelope(body):
    """Put a body into an envelope."""
    return (
        f'<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>{body}</soap:Body>'
        "</soap:Envelope>"
    )


def test_soap_sends_and_reads_envelopes(any_face, serve):
    """Text bodies with a hole for the id, the action in a header, an inline answer."""
    server = serve(soap)
    outcome = client_of(any_face, f"{server.url}/service", example("soap")).run({"what": "x < y"}, timeout=10)
    assert (outcome.value, outcome.job_id) == ("42", "j 1/2")
    assert b"<what>x &lt; y</what>" in server.calls[0].body
    assert b"<job>j 1/2</job>" in server.calls[1].body
    assert {call.headers["content-type"] for call in server.calls} == {"text/xml; charset=utf-8"}


def test_a_soap_fault_with_200_is_a_refusal(blocking, serve):
    """The fault's words and code are the error's."""
    with pytest.raises(gofer.Rejected, match="no such thing") as refused:
        client_of(blocking, f"{serve(soap).url}/service", example("soap")).submit({"what": "nonsense"})
    assert refused.value.error_code == "soap:Client"


def test_a_soap_fault_with_500_keeps_its_words(blocking, serve):
    """A 500 is retried, as it may be transient; what is raised in the end has the words of the fault."""
    client = client_of(blocking, f"{serve(soap).url}/service", example("soap"))
    with pytest.raises(gofer.Unavailable, match="no such thing"):
        client.job("gone").refresh()
