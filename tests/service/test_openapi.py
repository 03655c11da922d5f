"""The API's description: valid, complete, and linked."""

from pathlib import Path

import httpx
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route

from gofer_service import local_app, sample_library
from gofer_service.openapi import DESCRIPTION


def test_the_description_is_valid_openapi(http: httpx.Client) -> None:
    """What is served at /openapi.json is an OpenAPI 3.1 document."""
    document = http.get("/openapi.json").json()
    assert document == DESCRIPTION
    OpenAPIV31SpecValidator(document).validate()


def test_every_route_is_described(tmp_path: Path) -> None:
    """Each path and method of the application is in the description, and nothing else is."""
    app = local_app(sample_library(), tmp_path)
    served = {
        (route.path, method.lower())
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    described = {
        (path, method) for path, item in DESCRIPTION["paths"].items() for method in item if method != "parameters"
    }
    assert served == described


def test_links_lead_from_a_submission_to_its_job() -> None:
    """The reply to a submission links to operations that exist, by the job's id."""
    operations = {
        operation["operationId"]
        for item in DESCRIPTION["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    }
    links = DESCRIPTION["paths"]["/retrieve"]["post"]["responses"]["202"]["links"]
    assert {link["operationId"] for link in links.values()} == {"getJob", "getFile", "cancelJob"}
    assert {link["operationId"] for link in links.values()} <= operations
    assert all(link["parameters"] == {"job_id": "$response.body#/job_id"} for link in links.values())
