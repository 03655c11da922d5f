"""A program: the internet side of the lab. The institution's address gets papers, and all others a login page.

    python publisher.py ADDRESS INSTITUTION

It listens on port 80. ``/ip`` answers with the caller's address, ``/crossref/works/...`` with a record whose link is to
``/paper.pdf``, and ``/slow.pdf`` sends a file at 100 KB/s. The standard library only, as it stands for somebody else.
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OBJECTS = b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
OBJECTS += b"2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n"
OBJECTS += b"3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>\nendobj\n"
TABLE = b"xref\n0 4\n0000000000 65535 f \n0000000009 00000 n \n0000000058 00000 n \n0000000115 00000 n \n"
TABLE += b"trailer\n<< /Size 4 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
PDF = OBJECTS + TABLE % len(OBJECTS)
PADDING = b"%" + b"x" * 79 + b"\n"
SLOW = OBJECTS + 12_500 * PADDING + TABLE % (len(OBJECTS) + 12_500 * len(PADDING))


class Publisher(BaseHTTPRequestHandler):
    """Answers by who asks."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        caller = self.client_address[0]
        if self.path == "/ip":
            self.reply(caller.encode(), "text/plain")
        elif self.path.startswith("/crossref/works/"):
            name = "slow.pdf" if "slow" in self.path else "paper.pdf"
            link = {"URL": f"http://{sys.argv[1]}/{name}", "content-type": "application/pdf"}
            self.reply(json.dumps({"message": {"link": [link]}}).encode(), "application/json")
        elif caller != sys.argv[2]:
            self.reply(b"<html>Sign in, or purchase access</html>", "text/html")
        elif self.path == "/slow.pdf":
            self.reply(SLOW, "application/pdf", pause=0.1)
        else:
            self.reply(PDF, "application/pdf")

    def reply(self, body: bytes, kind: str, pause: float = 0.0) -> None:
        """Send a body, in pieces if there is a pause between them."""
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        for start in range(0, len(body), 10_000):
            self.wfile.write(body[start : start + 10_000])
            time.sleep(pause)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


if __name__ == "__main__":
    print("ready", flush=True)
    ThreadingHTTPServer((sys.argv[1], 80), Publisher).serve_forever()
