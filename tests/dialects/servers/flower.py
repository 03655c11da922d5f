"""Celery behind the HTTP API of Flower, with Redis as its broker and the keeper of its results.

The tasks are those of flower_tasks.py. Nothing is kept: Redis has no persistence here, and Flower forgets all tasks.
"""

import base64
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dialects.servers.processes import alone, fetched, free_port, launched, make_venv, run, wait_for

REQUIREMENTS = Path(__file__).with_name("flower-requirements.txt")
TASKS = Path(__file__).with_name("flower_tasks.py")


def install(home: Path) -> None:
    """Make the venv `home/flower` with Celery and Flower; get redis-server with apt-get if it is not there."""
    with alone(home / "redis.lock"):
        if shutil.which("redis-server") is None:
            missing = "redis-server on PATH, or root and apt-get to install it"
            if shutil.which("apt-get") is None or os.geteuid() != 0:
                raise RuntimeError(f"missing: {missing}")
            run(["apt-get", "update", "-qq"], missing)
            # `env`: no question may be asked; nothing needs the daemon that the package would start
            quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq"]
            run([*quiet, "--no-install-recommends", "redis-server"], missing)
    make_venv(home / "flower", REQUIREMENTS)


@contextmanager
def running(home: Path, folder: Path, basic_auth: str | None = None) -> Iterator[str]:
    """Run Redis, a worker and Flower, and give Flower's base URL; without `basic_auth` ("name:word") all may call."""
    folder = folder.resolve()
    # a copy of the tasks in a folder of its own: beside them here a flower.py would hide the package of that name
    code = folder / "code"
    code.mkdir(parents=True, exist_ok=True)
    shutil.copy(TASKS, code / TASKS.name)
    celery = [str((home / "flower" / "bin" / "celery").resolve()), "-A", TASKS.stem]
    redis_port, port = free_port(), free_port()
    logs = {name: folder / f"{name}.log" for name in ("redis", "worker", "flower")}
    env = {
        "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
        "C_FORCE_ROOT": "true",
        "FLOWER_UNAUTHENTICATED_API": "" if basic_auth else "true",
    }
    redis = [
        *("redis-server", "--bind", "127.0.0.1", "--port", str(redis_port)),
        *("--dir", str(folder), "--save", "", "--appendonly", "no"),
    ]
    worker = [*celery, "worker", "--events", "--concurrency=2", "--loglevel=INFO", "--without-mingle"]
    flower = [*celery, "flower", "--address=127.0.0.1", f"--port={port}"]
    headers = {}
    if basic_auth:
        flower.append(f"--basic-auth={basic_auth}")
        headers["Authorization"] = "Basic " + base64.b64encode(basic_auth.encode()).decode()
    url = f"http://127.0.0.1:{port}"

    def has_a_worker() -> bool:
        seen = fetched(url + "/api/workers?status=true", headers)
        return seen is not None and any(json.loads(seen).values())

    with (
        launched(redis, cwd=folder, log=logs["redis"], env=env) as redis_process,
        launched(flower, cwd=code, log=logs["flower"], env=env) as flower_process,
    ):
        watched = {"redis-server": (redis_process, logs["redis"]), "flower": (flower_process, logs["flower"])}
        # Flower comes before the worker: it learns of a worker, and of its tasks, by the events that it hears itself
        wait_for(lambda: fetched(url + "/api/workers?status=true", headers) is not None, watched)
        with launched(worker, cwd=code, log=logs["worker"], env=env) as worker_process:
            wait_for(has_a_worker, {**watched, "worker": (worker_process, logs["worker"])})
            yield url
