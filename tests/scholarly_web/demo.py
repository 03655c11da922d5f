"""`python -m tests.scholarly_web.demo`: one errand more of the demo, for a paper that only the stand-in web has.

The service has no such paper in its library. It asks an index, meets a bot wall, and takes the copy in a repository.
"""

import argparse
import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.scholarly_web import scholarly_web
from tests.scholarly_web.__main__ import fill
from tests.service.papers import service, settings_for

from gofer import RetrieveClient
from gofer.contracts.flaws import words_of
from gofer_service.demo import say, tell

PAPER = "10.5555/green"


def main() -> int:
    """Run the errand; return 1 if the result is not as expected."""
    parser = argparse.ArgumentParser(prog="python -m tests.scholarly_web.demo", description="Fetch a paper of the web.")
    parser.add_argument("--to", type=Path, default=Path("demo"), metavar="DIR", help="where the file goes")
    path: Path = parser.parse_args().to / "open-web.pdf"
    logging.disable()  # the attempts below say what the service logs
    with scholarly_web() as web, TemporaryDirectory(prefix="gofer-") as folder:
        fill(web)
        settings = settings_for(web, ["library", "unpaywall", "openalex"])
        say(f"\n6. A paper that is in no library, {PAPER}: the service looks for it on a stand-in for the open web.")
        with (
            service(Path(folder), settings, allow=[web.host]) as http,
            RetrieveClient(base_url=str(http.base_url), progress=tell) as client,
        ):
            _, job = client.retrieve_and_download(PAPER, path, timeout=60)
    for attempt in job.attempts:
        say(f"    tried {attempt.source}, {attempt.place}: {words_of(attempt.failure)}")
    say(f"    It came from {job.source} ({job.version}): {path} ({path.stat().st_size} bytes)")
    return 0 if job.source == "openalex" else 1


if __name__ == "__main__":
    sys.exit(main())
