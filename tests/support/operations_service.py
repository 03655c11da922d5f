"""A model of Google's long-running operations (AIP-151), and of Compute Engine's older kind.

https://google.aip.dev/151 . An operation advances by one step at each poll.
"""

from __future__ import annotations

import json
from typing import Any

from attrs import define, field

from support.declared import as_json, path_of
from support.raw_server import Call

ENGINE = "/compute/v1"
ZONE = "projects/p/zones/z"


def problem(code: int, status: str, message: str) -> bytes:
    """An HTTP error as Google writes it: the same key as a failed operation, with another kind of code."""
    return as_json({"error": {"code": code, "message": message, "status": status, "details": []}}, code)


@define
class OperationsService:
    """Operations below `/v1`; the body of the starting request says how each one ends.

    Attributes:
        says_false: whether an unfinished operation says `"done": false`, or nothing as proto3's JSON does.
        name: the operations' names; `{}` is replaced by the number.
    """

    says_false: bool = False
    name: str = "projects/p/locations/l/operations/{}"
    polls: dict[str, int] = field(factory=dict[str, int])
    requests: dict[str, dict[str, Any]] = field(factory=dict[str, Any])

    def __call__(self, call: Call) -> bytes:
        """Answer one request."""
        name = path_of(call).removeprefix("/v1/")
        if name.endswith(":cancel"):
            return self._cancel(name.removesuffix(":cancel"), call)
        if call.method in ("POST", "PATCH") and not name.startswith("operations/"):
            return self._begin(json.loads(call.body or b"{}"))
        if name not in self.requests:
            return problem(404, "NOT_FOUND", f"no operation {name}")
        self.polls[name] += 1
        return as_json(self._operation(name))

    def _begin(self, request: dict[str, Any]) -> bytes:
        if request.get("wrong"):
            return problem(400, "INVALID_ARGUMENT", "wrong is no field")
        name = self.name.format(len(self.requests))
        self.requests[name], self.polls[name] = request, 2 if request.get("at_once") else 0
        return as_json(self._operation(name))

    def _cancel(self, name: str, call: Call) -> bytes:
        if name not in self.requests:
            return problem(404, "NOT_FOUND", f"no operation {name}")
        if not call.body.startswith(b"{"):
            return problem(400, "INVALID_ARGUMENT", "no body")
        if self.requests[name].get("uncancellable"):
            return problem(501, "UNIMPLEMENTED", "operations of this kind cannot be cancelled")
        self.requests[name]["error"] = {"code": 1, "message": "cancelled", "details": []}
        self.polls[name] = 2
        return as_json({})

    def _operation(self, name: str) -> dict[str, Any]:
        request, polls = self.requests[name], self.polls[name]
        operation: dict[str, Any] = {
            "name": name,
            "metadata": {"@type": "type.googleapis.com/p.Metadata", "progressPercent": min(100, polls * 50)},
        }
        if polls < 2 or request.get("endless"):
            return {**operation, "done": False} if self.says_false else operation
        operation["done"] = True
        if "error" in request:
            return {**operation, "error": request["error"]}
        return operation if "response" not in request else {**operation, "response": request["response"]}


def compute_engine(call: Call) -> bytes:
    """Answer as Compute Engine: `status` in place of `done`, and an address of its own, not below the request's."""
    address = f"http://{call.headers['host']}{ENGINE}/{ZONE}/operations/operation-1"
    operation = {"kind": "compute#operation", "name": "operation-1", "selfLink": address, "progress": 0}
    if call.method == "POST":
        return as_json({**operation, "status": "PENDING"})
    if path_of(call) != f"{ENGINE}/{ZONE}/operations/operation-1":
        return problem(404, "NOT_FOUND", "no such operation")
    if call.nth == 1:
        return as_json({**operation, "status": "RUNNING", "progress": 40})
    done = {**operation, "status": "DONE", "progress": 100}
    if "fail" in call.headers.get("x-want", ""):
        errors = [{"code": "QUOTA_EXCEEDED", "message": "quota of 8 cores"}]
        done |= {"error": {"errors": errors}, "httpErrorStatusCode": 403}
    return as_json(done)
