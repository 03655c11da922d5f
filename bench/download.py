"""`download`: throughput, memory and the event loop's pauses during a large download, compared with loops of httpx.

A local nginx serves a file and the job's documents. Every transfer runs in a fresh process, so that its memory can be
measured. gofer writes a part file, verifies it, syncs it to disk and puts it in place. One loop only writes the file;
the other also syncs it. The ratios are to both.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from figures import Figure, at_least, at_most, interleaved, ratios, spread
from gofer import AsyncRetrieveClient, RetrieveClient
from gofer.transports import parts

MIB = 1 << 20
SMALL = 128 * MIB
"""Bytes of the file for the slow disk."""

CONFIG = """
daemon off; worker_processes 1; error_log stderr crit; pid {folder}/pid;
events {{ }}
http {{
    access_log off; sendfile on; default_type application/json;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    server {{
        listen 127.0.0.1:{port};
        location = /jobs/size {{ return 200 '{{"job_id":"size","status":"completed","file_size":{size}}}'; }}
        location = /jobs/digest {{ return 200 '{{"job_id":"digest","status":"completed","file_size":{size}}}'; }}
        location = /jobs/small {{ return 200 '{{"job_id":"small","status":"completed","file_size":{small}}}'; }}
        location = /jobs/small/file {{ default_type application/octet-stream; alias {folder}/small; }}
        location = /jobs/size/file {{ default_type application/octet-stream; alias {folder}/file; }}
        location = /jobs/digest/file {{
            default_type application/octet-stream; alias {folder}/file; add_header Repr-Digest "sha-256=:{digest}:";
        }}
    }}
}}
"""


def measure(*, quick: bool) -> list[Figure]:
    """Compare both faces with the loops, then measure the event loop's pauses while the disk is slow."""
    if shutil.which("nginx") is None:
        return [Figure("skipped", "nginx is not installed: apt-get install nginx-light")]
    rounds, size = (3, 500 * MIB) if quick else (5, 2048 * MIB)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name, _nginx(Path(name), size) as url:
        for face in ("blocking", "awaited"):
            grown: dict[str, list[float]] = {}
            ways = [f"{face}-{way}" for way in ("gofer", "digest", "loop", "loop+fsync")]
            took = interleaved({way: partial(_child, way, url, Path(name), grown) for way in ways}, rounds)
            gofer, digest, loop, synced = (took[way] for way in ways)
            figures += [
                at_least(f"{face}, size verified / loop, throughput", ratios(loop, gofer), 0.95),
                at_least(f"{face}, size verified / loop + fsync, throughput", ratios(synced, gofer), 0.95),
                Figure(f"{face}, digest verified / loop + fsync, throughput", spread(ratios(synced, digest))),
                at_most(f"{face}, memory grown by, MiB", grown[ways[0]] + grown[ways[1]], 40, ".1f"),
                Figure(f"{face}, memory grown by the loop, MiB", spread(grown[ways[2]])),
            ]
        stalls = interleaved({way: partial(_child, way, url, Path(name)) for way in ("slow-gofer", "slow-loop")}, 3)
    figures += [
        at_most("awaited, longest pause of the event loop on a slow disk, ms", stalls["slow-gofer"], 30, ".1f"),
        Figure("the same for a loop of httpx that writes in the event loop, ms", spread(stalls["slow-loop"])),
    ]
    return figures


@contextlib.contextmanager
def _nginx(folder: Path, size: int) -> Generator[str]:
    """Serve a file of zeros of this size, and the documents of two jobs that have it."""
    with (folder / "file").open("wb") as file:
        _ = file.truncate(size)
    with (folder / "small").open("wb") as file:
        _ = file.truncate(SMALL)
    with (folder / "file").open("rb") as file:
        digest = base64.b64encode(hashlib.file_digest(file, "sha256").digest()).decode()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    folder.chmod(0o755)  # its worker is another user
    _ = (folder / "conf").write_text(CONFIG.format(folder=folder, port=port, size=size, small=SMALL, digest=digest))
    with subprocess.Popen(["nginx", "-p", folder, "-c", folder / "conf", "-e", "stderr"]) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _ = httpx.HTTPTransport(retries=5).handle_request(httpx.Request("GET", f"{url}/jobs/size")).read()
            yield url
        finally:
            process.terminate()


def _child(way: str, url: str, folder: Path, grown: dict[str, list[float]] | None = None) -> float:
    """Download once in a fresh process; return its figure, and note how much its memory grew."""
    command = [sys.executable, __file__, way, url, str(folder / "target")]
    figure, memory = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=300).stdout)
    if grown is not None:
        grown.setdefault(way, []).append(memory)
    return figure


# --- in the fresh process ---


def _transfer(way: str, url: str, target: Path) -> None:
    face, _, how = way.partition("-")
    job = "digest" if how == "digest" else "size"
    match face, how:
        case "blocking", "gofer" | "digest":
            with RetrieveClient(base_url=url) as client:
                _ = client.job(job).download(target)
        case "blocking", _:
            _loop(url, target, sync=how == "loop+fsync")
        case _, "gofer" | "digest":
            asyncio.run(_agofer(url, job, target))
        case _:
            asyncio.run(_aloop(url, target, sync=how == "loop+fsync"))


def _loop(url: str, target: Path, *, sync: bool) -> None:
    with httpx.Client() as client, client.stream("GET", f"{url}/jobs/size/file") as reply, target.open("wb") as file:
        for chunk in reply.iter_raw():
            _ = file.write(chunk)
        if sync:
            file.flush()
            os.fsync(file.fileno())


async def _agofer(url: str, job: str, target: Path) -> None:
    async with AsyncRetrieveClient(base_url=url) as client:
        _ = await client.job(job).download(target)


async def _aloop(url: str, target: Path, *, sync: bool = False) -> None:
    async with httpx.AsyncClient() as client:
        await _aloop_with(client, f"{url}/jobs/size/file", target, sync=sync)


async def _aloop_with(client: httpx.AsyncClient, url: str, target: Path, *, sync: bool = False) -> None:
    async with client.stream("GET", url) as reply:
        with parts.FileIO(target, "w") as file:
            async for chunk in reply.aiter_raw():
                _ = file.write(chunk)
            if sync:
                os.fsync(file.fileno())


class SlowFile(parts.FileIO):
    """A file on a disk that takes 2 ms for each write."""

    def write(self, block: Any) -> int:
        """Write, slowly."""
        time.sleep(0.002)
        return super().write(block)


async def _longest_pause(way: str, url: str, target: Path) -> float:
    """Tick during a download to a slow disk; return the longest time between two ticks, in ms."""
    parts.FileIO = SlowFile  # type: ignore[misc]
    pauses: list[float] = []

    async def tick() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            pauses.append(1000 * (time.perf_counter() - began))

    # The first request of a client reads certificates, which does not belong to the download.
    async with AsyncRetrieveClient(base_url=url) as gofer, httpx.AsyncClient() as plain:
        _ = await gofer.get_job_status("small")
        _ = await plain.get(f"{url}/jobs/small")
        ticker = asyncio.create_task(tick())
        if way == "slow-gofer":
            _ = await gofer.job("small").download(target)
        else:
            await _aloop_with(plain, f"{url}/jobs/small/file", target)
        _ = ticker.cancel()
    return max(pauses)


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / MIB


def _peak() -> float:
    """The most memory that this process had, in MiB; the figure of `getrusage` is inherited from the parent process."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    """Download once; print the figure (seconds, or the longest pause in ms) and by how many MiB the memory grew."""
    way, url, target = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    target.unlink(missing_ok=True)
    os.sync()  # so that the bytes of the previous download are not written during this one
    before, began = _resident(), time.perf_counter()
    if way.startswith("slow"):
        figure = asyncio.run(_longest_pause(way, url, target))
    else:
        _transfer(way, url, target)
        figure = time.perf_counter() - began
    print(json.dumps([figure, _peak() - before]))


if __name__ == "__main__":
    main()
