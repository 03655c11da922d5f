"""A batch that is killed with -9 at any moment goes on: one job for each errand, and every file right."""

import contextlib
import json
import os
import random
import sqlite3
import subprocess
import threading
from contextlib import closing

import pytest

import gofer
from gofer_service import embedded
from support.declared import path_of, service
from support.raw_server import http, raw_server

from .conftest import content_of, free_port, killed_at_random, papers, runner, serving
from .works import CONTRACT, LINKED, MODES, Works

MANY = bool(os.environ.get("MANY_KILLS"))
COUNT, KILLS = (500, 100) if MANY else (16, 3)


def jobs_of(url):
    """All jobs that the service has."""
    with gofer.RetrieveClient(base_url=url) as client:
        page = client.list_jobs(limit=100)
        jobs = list(page.jobs)
        while page.next is not None:
            page = client.list_jobs(limit=100, cursor=page.next)
            jobs += page.jobs
        return jobs


@pytest.mark.parametrize("face", MODES if MANY else ("blocking", "trio"))
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


@pytest.mark.parametrize("face", MODES if MANY else ("asyncio",))
def test_a_service_that_replays_no_keys_gets_no_second_job(tmp_path, face):
    """Never more jobs than errands; only an errand whose submission was under way at a kill may be uncertain."""
    model, count = Works(replays=False), 2 * COUNT
    contract = tmp_path / "works.toml"
    contract.write_text(CONTRACT.replace("REPLAYS", "false"))
    journal, to = tmp_path / "run.gofer", f"{tmp_path}/{{n}}.txt"
    model.pause = 0.02
    with service(model) as server:
        options = {"contract": contract, "jobs": 4}
        lines = killed_at_random(face, server.url, journal, to, count, kills=KILLS, seed=f"plain {face}", **options)
    counts = json.loads(lines[-1])
    assert counts["done"] + counts["uncertain"] == count, lines
    assert counts["uncertain"] <= 4 * KILLS
    made = [job["n"] for job in model.jobs.values()]
    assert len(set(made)) == len(made) <= count
    with closing(sqlite3.connect(journal)) as db:
        done = [json.loads(one)["n"] for (one,) in db.execute("SELECT request FROM errand WHERE fate = 'done'")]
    assert {path.name: path.read_text() for path in tmp_path.glob("*.txt")} == {
        f"{n}.txt": f"content of {n}" for n in done
    }


@pytest.mark.parametrize("face", MODES)
def test_what_is_on_the_disk_at_a_kill_is_not_fetched_again(tmp_path, moment, face):
    """The next process continues the part from its last byte."""
    model, content, later = Works(), os.urandom(6 << 20), threading.Event()
    contract = tmp_path / "works.toml"
    contract.write_text(LINKED)
    tag = {"etag": '"1"', "accept_ranges": "bytes", "content_type": "application/octet-stream"}
    starts = []

    def script(call):
        if not path_of(call).endswith("/file"):
            return [model(call)]
        start = int(call.headers.get("range", "bytes=0-")[6:-1])
        starts.append(start)
        if start == 0:
            whole = http(200, content, **tag)
            return [whole[: len(whole) // 2], later]
        place = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return [http(206, content[start:], content_range=place, **tag)]

    to, part = tmp_path / "0.bin", tmp_path / ".0.bin.part"
    words = tmp_path / "run.gofer", tmp_path / "{n}.bin", 1
    with raw_server(script) as server:
        with runner(face, server.url, *words, contract=contract):
            moment(lambda: part.exists() and part.stat().st_size > 1 << 20)
        there = part.stat().st_size
        with runner(face, server.url, *words, contract=contract) as child:
            _, err = child.communicate(timeout=60)
        assert child.returncode == 0, err
        later.set()
    assert to.read_bytes() == content
    assert starts == [0, there]


def test_client_and_service_are_killed_in_turn(tmp_path):
    """The service loses nothing either: what was accepted is done after its restart, on the same port."""
    library = papers(tmp_path / "library", COUNT)
    journal, to = tmp_path / "run.gofer", f"{tmp_path}/out/{{doi}}.{{format}}"
    port = free_port()
    rng = random.Random("both")
    for _ in range(KILLS):
        with (
            serving(library, tmp_path / "data", port) as (child, url),
            runner("blocking", url, journal, to, COUNT) as client,
        ):
            with contextlib.suppress(subprocess.TimeoutExpired):
                client.wait(rng.uniform(0.3, 1.5))
            (child if rng.random() < 0.5 else client).kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                client.wait(0.3)
            client.kill()
            client.communicate()
    with serving(library, tmp_path / "data", port) as (_, url):
        lines = killed_at_random("blocking", url, journal, to, COUNT, kills=0, seed="last")
        assert json.loads(lines[-1])["done"] == COUNT, lines
        assert len(jobs_of(url)) == COUNT
    for number in range(COUNT):
        assert (tmp_path / "out" / f"10.5555_batch.{number}.xml").read_bytes() == content_of(number)
