"""One client that is shared: by threads, by forks, and by errands that run while it is closed."""

import contextlib
import random
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import gofer
from contract_server import content, contract_server
from faults.processes import SlowService, wait_until
from gofer.transports.parts import part_of
from support.faces import MODES, face
from support.raw_server import raw_server

PAPER = b"%PDF-1.7 " + random.Random(1).randbytes(400_000)
THREADS = 16


def sockets():
    """Count this process's open sockets."""
    links = []
    for number in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(str(number.readlink()))
    return sum(link.startswith("socket:") for link in links)


def test_sixteen_threads_share_a_client(tmp_path):
    """Each thread downloads its own file, and no two errands share a job."""
    dois = ["10.5555/quick", "10.5555/large"]
    with contract_server() as url, gofer.RetrieveClient(base_url=url) as client:
        together = threading.Barrier(THREADS)

        def errand(number):
            together.wait(60)
            return client.retrieve_and_download(dois[number % 2], tmp_path / f"{number}.pdf", timeout=60)[1].job_id

        with ThreadPoolExecutor(THREADS) as pool:
            jobs = list(pool.map(errand, range(THREADS)))
    assert len(set(jobs)) == THREADS
    for number in range(THREADS):
        assert (tmp_path / f"{number}.pdf").read_bytes() == content(dois[number % 2])


FORKED = textwrap.dedent(
    """
    import os, sys, gofer
    client = gofer.RetrieveClient(base_url=sys.argv[1])
    def poll(name):
        assert client.get_job_status(name).job_id == name
    poll("before")
    child = os.fork()
    if child == 0:
        try:
            poll("child"), poll("child")
            os._exit(0)
        finally:
            os._exit(1)
    poll("parent")
    assert os.waitpid(child, 0)[1] == 0
    poll("parent")
    """
)


def test_a_fork_has_connections_of_its_own():
    """After a fork, parent and child use the same client over connections of their own, and each gets its answers."""
    ports: dict[str, set[int]] = {}

    class KeepAlive(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            name = self.path.rpartition("/")[2]
            ports.setdefault(name, set()).add(self.client_address[1])
            body = f'{{"job_id":"{name}","status":"completed"}}'.encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), KeepAlive) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        done = subprocess.run([sys.executable, "-c", FORKED, url], capture_output=True, text=True, timeout=60)
        server.shutdown()
        thread.join()
    assert done.returncode == 0, done.stderr
    assert ports["parent"] == ports["before"]
    assert len(ports["child"]) == 1
    assert not ports["child"] & ports["parent"]


@pytest.mark.parametrize("mode", MODES)
def test_running_errands_outlive_a_closed_client(mode, tmp_path):
    """Closing a client breaks the connections of running errands, they continue over new ones, and no socket stays."""
    service = SlowService(PAPER, pace=0.02)
    service.answering.clear()
    target = tmp_path / "paper.pdf"
    with raw_server(service) as server, face(mode, "httpx") as driver, ThreadPoolExecutor(2) as pool:
        before = sockets()
        client = driver.client(server.url)
        fetching = pool.submit(client.job("job-1").download, target, timeout=60)
        submitting = pool.submit(client.retrieve, "10.5555/12345678")
        assert service.submitted.wait(60)
        wait_until(lambda: part_of(target).exists() and service.sent and service.sent[0] > len(PAPER) // 4)
        client.close()
        service.answering.set()
        assert fetching.result(20) == target
        assert submitting.result(20).id == "job-1"
        client.close()
        wait_until(lambda: sockets() <= before)
    assert target.read_bytes() == PAPER
    assert len(service.keys) == 1
