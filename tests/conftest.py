"""What all tests share: how cassettes are kept, the two event loops, and the check for calls that block one.

A cassette is a conversation with the contract server, recorded by `tests/record.py` and replayed with the network
blocked. It holds what the conversation depends on and nothing else (no port, no clock, no user agent), so that an
unchanged service gives the same bytes again.
"""

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import trustme

RECORDED_URL = "http://contract.test"
LIVE = os.environ.get("CONTRACT_URL", "")
"""The contract server of a recording; nothing but `tests/record.py` sets it."""

SENT = {"content-type", "idempotency-key", "if-none-match", "if-range", "prefer", "range", "want-repr-digest"}
RECEIVED = {
    "accept-ranges",
    "content-disposition",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",  # the contract server's own clock, which stands still
    "etag",
    "location",
    "preference-applied",
    "repr-digest",
    "retry-after",
}


def clean_request(request: Any) -> Any:
    """Keep the parts of a request that the contract describes, at an address that is the same every time."""
    if LIVE:
        request.uri = request.uri.replace(LIVE, RECORDED_URL, 1)
    request.headers = {name.lower(): text for name, text in sorted(request.headers.items()) if name.lower() in SENT}
    return request


def clean_response(response: dict[str, Any]) -> dict[str, Any]:
    """Keep the parts of a reply that the contract describes."""
    headers = sorted(response["headers"].items())
    response["headers"] = {name.lower(): texts for name, texts in headers if name.lower() in RECEIVED}
    return response


@pytest.fixture
def vcr_config() -> dict[str, Any]:
    """Give vcrpy's settings. By default it matches no body and no header, and answers a Range with another's bytes."""
    return {
        "before_record_request": clean_request,
        "before_record_response": clean_response,
        "match_on": ["method", "scheme", "host", "port", "path", "query", "body", "headers"],
    }


@pytest.fixture(scope="module")
def vcr_cassette_dir() -> str:
    """Give the one folder of all cassettes."""
    return str(Path(__file__).parent.parent / "cassettes")


@pytest.fixture(autouse=True)
def every_request_was_replayed(vcr: Any, record_mode: str) -> Generator[None]:
    """Check that a replay sent every recorded request: one poll fewer is a difference too."""
    yield
    if vcr is not None and record_mode == "none":
        assert vcr.all_played


@pytest.fixture(scope="session", autouse=True)
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """Let clients trust one authority of our own: each would take 26 ms of the processor to read all public ones."""
    if "DIALECTS_HOME" in os.environ:  # pip reads the variable too, and installs servers there
        yield
        return
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    trustme.CA().cert_pem.write_to_path(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(path))
        yield


@pytest.fixture(scope="session")
def contract_url() -> str:
    """Give the address of the contract server, or the one that stands for it on a cassette."""
    return LIVE or RECORDED_URL


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run every awaited test on both event loops."""
    return request.param


@pytest.fixture(autouse=True)
def nothing_blocks_the_loop(request: pytest.FixtureRequest) -> Generator[None]:
    """Raise on a blocking call of gofer's, or of anything it calls, inside asyncio's loop."""
    if "anyio_backend" not in request.fixturenames or request.getfixturevalue("anyio_backend_name") != "asyncio":
        yield
        return
    from blockbuster import blockbuster_ctx  # here, as only these tests should pay for it

    with blockbuster_ctx("gofer", excluded_modules=["gofer_service"]):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure in CI, where every component is installed."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"skipped, and CI skips nothing: {report.longrepr}"
    return report
