"""The JSON document of a job, and its entity tag."""

from datetime import UTC, datetime
from typing import Any

from attrs import asdict

from gofer_service.engine import Job


def rfc3339(seconds: float) -> str:
    """Write a time as RFC 3339, UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def job_tag(job: Job) -> str:
    """Return the strong entity tag of `job_document`: the document depends on the revision only."""
    return f'"{job.revision}"'


def job_document(job: Job) -> dict[str, Any]:
    """Return the job as a JSON object; fields without a value are left out."""
    result = job.result
    times = {"created": job.created, "started": job.started, "updated": job.updated}
    times |= {"finished": job.finished, "expires": job.expires}
    document: dict[str, Any] = {
        "job_id": job.id,
        "status": job.status,
        "doi": job.submission.doi,
        "file_path": result and result.key,
        "file_size": result and result.size,
        "file_format": result and result.format,
        "error": job.error,
        "error_code": job.error_code,
        "progress": job.progress,
        "bytes_done": job.bytes_done,
        "bytes_total": job.bytes_total,
        "message": job.message,
        "source": result and result.source,
        "version": result and result.version,
        "licence": result and result.licence,
        "attempts": [asdict(attempt) for attempt in job.tried] or None,
        **{name: None if time is None else rfc3339(time) for name, time in times.items()},
    }
    return {name: value for name, value in document.items() if value is not None}
