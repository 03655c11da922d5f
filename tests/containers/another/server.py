"""A service of another make that speaks the contract's base: one paper, standard library only."""

import json
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAPER = b"%PDF-1.4\n% of another make\n%%EOF\n"
JOBS: dict[str, str] = {}


class Another(BaseHTTPRequestHandler):
    """Every job is completed at once."""

    def do_POST(self) -> None:
        """Take a job."""
        doi = json.loads(self.rfile.read(int(self.headers["content-length"])))["doi"]
        job = str(uuid.uuid4())
        JOBS[job] = doi
        self.reply(202, {"job_id": job, "status": "pending"})

    def do_GET(self) -> None:
        """Answer about the service or a job."""
        _, kind, *rest = self.path.split("/")
        if kind == "health":
            self.reply(200, {"status": "healthy", "vpn_connected": False, "vpn_ip": None})
        elif kind != "jobs" or rest[0] not in JOBS:
            self.reply(404, {"detail": "no such job"})
        elif rest[1:] == ["file"]:
            self.reply(200, PAPER, "application/pdf")
        else:
            about = {"status": "completed", "doi": JOBS[rest[0]], "file_size": len(PAPER), "file_format": "pdf"}
            self.reply(200, {"job_id": rest[0], **about})

    def reply(self, status: int, body: object, kind: str = "application/json") -> None:
        """Send a reply."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", 8000), Another).serve_forever()
