"""The service and the SDK's models say the same: a field that one side adds shows here, where the client ignores it."""

from typing import Any

import httpx
import pytest

from gofer.contracts.payload import strict_converter, structure
from gofer.models import HealthStatus, JobPage, RetrieveResult

CLOSED = strict_converter(closed=True)


@pytest.mark.parametrize("doi", ["10.5555/12345678", "10.5555/nothing"])
def test_the_models_know_every_field_of_a_job(done: Any, doi: str) -> None:
    """A completed and a failed job's document have no field that `RetrieveResult` lacks."""
    structure(done(doi), RetrieveResult, CLOSED)


def test_the_models_know_every_field_of_health_and_of_a_page(http: httpx.Client) -> None:
    """Neither the health document nor a page of jobs has a field that the models lack."""
    structure(http.get("/health").json(), HealthStatus, CLOSED)
    structure(http.get("/jobs").json(), JobPage, CLOSED)
