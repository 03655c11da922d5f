"""What a cassette of a foreign server keeps: nothing of the machine, of the moment, or of chance.

Addresses, folders, times and ids are put in another's place, in requests and replies alike, so that a replayed client
asks for what is on the cassette. An id that the script itself was the first to say stays as it is. How often a job was
looked at is left as it was: these servers work in real time, so two recordings of them differ in that.
"""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import define, field

SENT = {"accept", "authorization", "content-type", "cookie", "idempotency-key", "if-none-match", "if-range"}
SENT |= {"prefer", "range", "want-repr-digest", "a2a-version", "mcp-method", "mcp-name", "mcp-protocol-version"}
RECEIVED = {"azure-asyncoperation", "content-disposition", "content-encoding", "content-length", "content-type"}
RECEIVED |= {"content-location", "etag", "link", "location", "openeo-identifier", "operation-location"}
RECEIVED |= {"preference-applied", "retry-after", "set-cookie", "x-progress"}

ID = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b[0-9a-f]{32}\b"
    r"|(?<![\w-])[\w-]{43}(?![\w-])|(?<=[:/])[0-9a-f]{16}\b"  # tasks of MCP, and what they ask; exports of sekmet
)
TIME = re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
ANSWER = re.compile(rb'(?<="messageId":")[0-9a-f]{32}(?=")')
"""The key of an answer to a question: it is made of the job's id, which is another one on a cassette."""
LIFE = re.compile(r"; Max-Age=\d+|; Expires=\w+, \d+ \w+ 2\d{3} [\d:]+ GMT")  # of a cookie; an end in 1970 deletes it
TEMPORARY = re.compile(r"(?<=/scratch/)(tmp)?[a-z0-9_]{8}\b")


def stand_in_for(server: str) -> str:
    """Return the address that a server has on cassettes."""
    return f"http://{server}.test"


def kept_request(request: Any) -> Any:
    """Keep of a request what the contract speaks of."""
    request.headers = {name.lower(): text for name, text in sorted(request.headers.items()) if name.lower() in SENT}
    if request.body:
        request.body = ANSWER.sub(b"an-answer", request.body)
    return request


@define
class Scrubber:
    """One cassette's substitutions.

    Attributes:
        places: what stands for the server's address and folders.
    """

    places: dict[str, str]
    _ids: dict[str, str] = field(factory=dict)

    @classmethod
    def of(cls, server: str, url: str, folder: Path, home: Path) -> "Scrubber":
        """Make the scrubber for a server that runs at `url` and in `folder`, installed under `home`."""
        places = {url: stand_in_for(server), str(folder.resolve()): f"/srv/{server}", str(home.resolve()): "/opt"}
        places["http://localhost/"] = stand_in_for("elsewhere") + "/"  # a server's own example: none runs there
        return cls(places)

    def request(self, request: Any) -> Any:
        """Scrub a request before it is recorded."""
        request = kept_request(request)
        with suppress(UnicodeDecodeError):
            body = (request.body or b"").decode()
            for said in ID.findall(f"{request.uri} {body}"):
                self._ids.setdefault(said, said)
            request.body = self._text(body).encode() if body else request.body
        request.uri = self._text(request.uri)
        request.headers = {name: self._text(text) for name, text in request.headers.items()}
        return request

    def response(self, response: dict[str, Any]) -> dict[str, Any]:
        """Scrub a reply before it is recorded; its length is then that of the scrubbed body."""
        headers = {name.lower(): texts for name, texts in sorted(response["headers"].items())}
        headers = {name: [self._text(text) for text in texts] for name, texts in headers.items() if name in RECEIVED}
        if "set-cookie" in headers:
            headers["set-cookie"] = [LIFE.sub("", text) for text in headers["set-cookie"]]
        if "etag" in headers:
            headers["etag"] = ['"a-tag"']
        body = response["body"]["string"]
        with suppress(UnicodeDecodeError):  # a picture, in which there is nothing of this kind
            body = self._text(body.decode()).encode()
        if "content-length" in headers:
            headers["content-length"] = [str(len(body))]
        response["headers"], response["body"] = headers, {"string": body}
        return response

    def _text(self, text: str) -> str:
        for place, stand_in in self.places.items():
            text = text.replace(place, stand_in)
        text = ID.sub(lambda found: self._id(found[0]), text)
        return TEMPORARY.sub("temporary", TIME.sub("2026-01-01T00:00:00.000000Z", text))

    def _id(self, known: str) -> str:
        """Return what stands for an id: another of the same length, by the order in which they came."""
        if known not in self._ids:
            number = f"{len(self._ids) + 1:032x}"
            dashed = "-".join((number[:8], number[8:12], number[12:16], number[16:20], number[20:]))
            self._ids[known] = dashed if "-" in known else number
        return self._ids[known]
