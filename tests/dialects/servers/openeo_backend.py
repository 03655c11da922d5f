"""The back-end of the openEO server for the tests of the dialect: openeo_driver answers, and this does the work.

A job does what the one node of its process graph says. Only openeo.py starts this.
"""

import sys
import threading
from pathlib import Path
from typing import Any

from openeo_driver.backend import BatchJobMetadata
from openeo_driver.dummy.dummy_backend import DummyBackendImplementation, DummyBatchJobs
from openeo_driver.errors import JobNotFinishedException, JobNotFoundException
from openeo_driver.users import User
from openeo_driver.views import build_app

OUTPUT = Path("output").resolve()


class Jobs(DummyBatchJobs):
    """Jobs that do something: the ones that openeo_driver has for its own tests run for ever."""

    def start_job(self, job_id: str, user: User) -> None:
        """Start the work in a thread of its own."""
        self._update_status(job_id, user.user_id, "running")
        stopped = self._stopped.setdefault(job_id, threading.Event())
        process = self.get_job_info(job_id, user.user_id).process or {}
        (node,) = process["process_graph"].values()
        threading.Thread(target=self._work, args=(job_id, user.user_id, node, stopped), daemon=True).start()

    _stopped: dict[str, threading.Event] = {}  # noqa: RUF012

    def _work(self, job_id: str, user_id: str, node: dict[str, Any], stopped: threading.Event) -> None:
        arguments, end = node["arguments"], "finished"
        if stopped.wait(arguments.get("seconds", 0)):
            return
        if node["process_id"] == "fail":
            fault = {"id": "2", "level": "error", "message": arguments["message"], "code": "NoData"}
            self._custom_job_logs[job_id] = [{"id": "1", "level": "info", "message": "started"}, fault]
            end = "error"
        folder = OUTPUT / job_id
        folder.mkdir(parents=True)
        for name, text in arguments.get("files", {}).items():
            (folder / name).write_text(text)
        if (job_id, user_id) not in self._gone:
            self._update_status(job_id, user_id, end)

    _gone: set[tuple[str, str]] = set()  # noqa: RUF012

    def get_result_assets(self, job_id: str, user_id: str) -> dict[str, dict[str, Any]]:
        """List the files of a job."""
        if self.get_job_info(job_id, user_id).status != "finished":
            raise JobNotFinishedException
        folder = OUTPUT / job_id
        return {
            path.name: {"output_dir": str(folder), "href": str(path), "type": "text/plain", "roles": ["data"]}
            for path in sorted(folder.iterdir())
        }

    def cancel_job(self, job_id: str, user_id: str) -> None:
        """Stop a job."""
        job: BatchJobMetadata = self.get_job_info(job_id, user_id)
        if job.status in ("queued", "running"):
            self._stopped[job_id].set()
            self._update_status(job_id, user_id, "canceled")

    def delete_job(self, job_id: str, user_id: str) -> None:
        """Stop a job, and forget it."""
        self.cancel_job(job_id, user_id)
        self._gone.add((job_id, user_id))
        if self._job_registry.pop((user_id, job_id), None) is None:
            raise JobNotFoundException(job_id)


backend = DummyBackendImplementation()
backend.batch_jobs = Jobs()
build_app(backend_implementation=backend).run("127.0.0.1", int(sys.argv[1]), threaded=True)
