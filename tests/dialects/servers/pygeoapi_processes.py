"""Processes for pygeoapi that are slow, fail, bring bytes, or have several outputs. Runs in pygeoapi's venv."""

import time
from typing import Any

import tinydb
from pygeoapi.process.base import BaseProcessor, ProcessorExecuteError

PNG = b"\x89PNG\r\n\x1a\n"


def described(name: str, inputs: dict[str, str], outputs: dict[str, str], controls: tuple[str, ...]) -> dict[str, Any]:
    """Return what pygeoapi must know of a process: its inputs with their types, its outputs with theirs."""
    return {
        "version": "1.0.0",
        "id": name,
        "title": name,
        "description": name,
        "keywords": [],
        "links": [],
        "jobControlOptions": list(controls),
        "inputs": {key: {"title": key, "schema": {"type": kind}, "minOccurs": 0} for key, kind in inputs.items()},
        "outputs": {key: {"title": key, "schema": {"type": kind}} for key, kind in outputs.items()},
    }


class Process(BaseProcessor):
    """What the processes here share: a name, and the job that they run for."""

    inputs: dict[str, str]
    outputs: dict[str, str]
    controls = ("sync-execute", "async-execute")

    def __init__(self, definition: dict[str, Any]) -> None:
        name = type(self).__name__.lower()
        super().__init__(definition, described(name, self.inputs, self.outputs, self.controls))
        self.supports_outputs = True
        self.job = ""

    def set_job_id(self, job_id: str) -> None:
        """Learn whom to report progress for."""
        self.job = job_id

    def nap(self, seconds: float, steps: int) -> None:
        """Sleep, and say so from time to time; without steps be silent, as the processes of pygeoapi itself are."""
        if not steps:
            time.sleep(seconds)
            return
        # only here: pygeoapi.flask_app reads this file before it has a manager
        from pygeoapi.flask_app import api_

        job = tinydb.where("identifier") == self.job
        # requests that come at the same time may get each other's processor, and with it each other's job: news for a
        # job that another thread has ended already must not make it run again, for ever
        unfinished = job & tinydb.where("status").one_of(["accepted", "running"])
        for step in range(steps):
            news = {"status": "running", "progress": 10 + 80 * step // steps, "message": f"step {step + 1} of {steps}"}
            with api_.manager._db() as table:
                table.update(news, unfinished)
            time.sleep(seconds / steps)


class Sleep(Process):
    """Takes `seconds`, in `steps`; with none it counts as accepted, not running, until it ends."""

    inputs = {"seconds": "number", "steps": "integer"}  # noqa: RUF012
    outputs = {"slept": "number"}  # noqa: RUF012

    def execute(self, data: dict[str, Any], outputs: Any = None) -> tuple[str, Any]:
        """Sleep."""
        seconds = float(data.get("seconds", 1))
        self.nap(seconds, int(data.get("steps", 4)))
        return "application/json", {"id": "slept", "value": seconds}


class OnlyAsync(Sleep):
    """The same, but it cannot be asked to answer at once."""

    controls = ("async-execute",)


class OnlySync(Sleep):
    """The same, but it cannot be asked to answer later."""

    controls = ("sync-execute",)


class Fail(Process):
    """Fails after `seconds`."""

    inputs = {"seconds": "number", "message": "string"}  # noqa: RUF012
    outputs = {"nothing": "string"}  # noqa: RUF012

    def execute(self, data: dict[str, Any], outputs: Any = None) -> tuple[str, Any]:
        """Sleep and fail."""
        self.nap(float(data.get("seconds", 0)), 1)
        raise ProcessorExecuteError(data.get("message", "it was asked to fail"))


class File(Process):
    """Brings `size` bytes, or text, as `media_type`."""

    inputs = {"size": "integer", "media_type": "string", "seconds": "number"}  # noqa: RUF012
    outputs = {"file": "string"}  # noqa: RUF012

    def execute(self, data: dict[str, Any], outputs: Any = None) -> tuple[str, Any]:
        """Make the file."""
        self.nap(float(data.get("seconds", 0)), 1)
        media_type, size = data.get("media_type", "image/png"), int(data.get("size", 1000))
        filling = bytes(range(256)) * (size // 256 + 1)
        if media_type.startswith("text/"):
            return media_type, "".join(f"line {number}\n" for number in range(size // 5))[:size]
        return media_type, (PNG + filling)[:size]


class Several(Process):
    """Has several outputs: a number, a text and an object."""

    inputs = {"seconds": "number"}  # noqa: RUF012
    outputs = {"number": "number", "text": "string", "object": "object"}  # noqa: RUF012

    def execute(self, data: dict[str, Any], outputs: Any = None) -> tuple[str, Any]:
        """Make those outputs that are asked for, which are all if none are."""
        self.nap(float(data.get("seconds", 0)), 1)
        made = {"number": 42, "text": "some text", "object": {"value": {"a": 1}, "mediaType": "application/json"}}
        return "application/json", {key: value for key, value in made.items() if not outputs or key in outputs}
