"""The Celery app that the Flower server shows: it is run in the venv of that server, never imported by the tests."""

import os
import time
from typing import Any

from celery import Celery, Task

app = Celery("tasks", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.update(
    task_track_started=True,  # else a running task says PENDING, as an unknown one does
    task_send_sent_event=True,  # else Flower knows nothing of a task before a worker has taken it
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)


@app.task(name="tasks.add")
def add(x: float, y: float) -> float:
    """Answer at once."""
    return x + y


@app.task(name="tasks.slow")
def slow(seconds: float) -> str:
    """Take a while."""
    time.sleep(seconds)
    return f"slept {seconds} s"


@app.task(name="tasks.fail")
def fail(message: str = "as it was told to") -> None:
    """Raise."""
    raise ValueError(message)


@app.task(name="tasks.report")
def report(title: str, rows: int = 2) -> dict[str, Any]:
    """Return a document."""
    return {"title": title, "rows": [{"row": n, "square": n * n} for n in range(rows)], "files": [f"{title}.csv"]}


@app.task(name="tasks.steps", bind=True)
def steps(self: Task, count: int, seconds: float) -> int:
    """Report progress as a state of its own, as many apps do."""
    for n in range(count):
        self.update_state(state="PROGRESS", meta={"current": n, "total": count})
        time.sleep(seconds)
    return count


@app.task(name="tasks.flaky", bind=True, max_retries=3)
def flaky(self: Task, failures: int, countdown: float = 1.0) -> int:
    """Fail the first so many times, and be tried again by the worker."""
    if self.request.retries < failures:
        raise self.retry(countdown=countdown, exc=ValueError("not yet"))
    return self.request.retries
