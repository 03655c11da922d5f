"""A batch that is killed with -9 at any moment goes on: one job for each errand, and every file right."""

import json
import os
import sqlite3
from contextlib import closing

import pytest

import gofer
from gofer_service import embedded

from .conftest import content_of, killed_at_random, papers

MANY = bool(os.environ.get("EVERY_CASE"))
COUNT, KILLS = (500, 100) if MANY else (24, 6)


def jobs_of(url):
    """All jobs that the service has."""
    with gofer.RetrieveClient(base_url=url) as client:
        page = client.list_jobs(limit=100)
        jobs = list(page.jobs)
        while page.next is not None:
            page = client.list_jobs(limit=100, cursor=page.next)
            jobs += page.jobs
        return jobs


@pytest.mark.parametrize("face", ["blocking", "asyncio", "trio"])
def test_a_batch_that_is_killed_again_and_again_makes_each_job_once(tmp_path, face):
    """Keys, tickets and digests are in the journal before the step that depends on them."""
    library = papers(tmp_path / "library", COUNT)
    journal, to = tmp_path / "run.gofer", f"{tmp_path}/out/{{doi}}.{{format}}"
    with embedded(library, data=tmp_path / "data") as url:
        lines = killed_at_random(face, url, journal, to, COUNT, kills=KILLS, seed=face, longest=1.6)
        assert json.loads(lines[-1])["done"] == COUNT, lines
        assert len(jobs_of(url)) == COUNT
    for number in range(COUNT):
        assert (tmp_path / "out" / f"10.5555_batch.{number}.xml").read_bytes() == content_of(number)
    assert {path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")} == set()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "library", "out", "run.gofer"]
    with closing(sqlite3.connect(journal)) as db:
        assert db.execute("SELECT count(DISTINCT job), count(*) FROM errand").fetchone() == (COUNT, COUNT)
