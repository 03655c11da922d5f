"""The tools of the MCP server for the tests of the dialect: some run as tasks, some answer at once.

Only fastmcp.py starts this. The server makes an event stream of an answer after 15 s: here it does so after 0.5 s.
"""

import asyncio
import sys
from datetime import timedelta
from typing import Any

from fastmcp import Context, FastMCP
from fastmcp.exceptions import ToolError
from fastmcp.utilities.tasks import TaskConfig
from fastmcp.utilities.types import File, Image
from fastmcp_tasks import TasksExtension
from mcp.server import _streamable_http_modern as transport
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitRequest, ElicitRequestFormParams, InputRequiredResult
from starlette.requests import Request
from starlette.responses import PlainTextResponse

transport._SSE_PING_INTERVAL = 0.5
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003010100c9fe92ef"
    "0000000049454e44ae426082"
)

server = FastMCP("tools")
server.add_extension(TasksExtension())
task = TaskConfig(poll_interval=timedelta(seconds=0.5))


@server.tool
def add(x: float, y: float) -> float:
    """Answer at once."""
    return x + y


@server.tool
def refuse(why: str) -> None:
    """Fail at once."""
    raise ToolError(why)


@server.tool
async def think(seconds: float) -> dict[str, float]:
    """Take a while, and make no task of it."""
    await asyncio.sleep(seconds)
    return {"thought": seconds}


@server.tool(task=task)
async def slow(seconds: float) -> str:
    """Take a while."""
    await asyncio.sleep(seconds)
    return f"slept {seconds} s"


@server.tool(task=task)
async def fail(why: str) -> None:
    """Fail, as tools do: the task is completed, and its result is an error."""
    raise ToolError(why)


@server.tool(task=task)
async def fault(why: str) -> None:
    """Fail in the protocol: the task has failed."""
    raise MCPError(code=-32042, message=why)


@server.tool(task=task)
async def report(title: str, rows: int = 2) -> dict[str, Any]:
    """Return a document."""
    return {"title": title, "rows": [{"row": n, "square": n * n} for n in range(rows)]}


@server.tool(task=task)
async def draw() -> list[Any]:
    """Return a text, a table and a picture."""
    return ["two files", File(data=b"x,y\n1,2\n", name="points", format="csv"), Image(data=PIXEL, format="png")]


@server.tool(task=task)
async def ask(ctx: Context) -> Any:
    """Ask for a year before anything else."""
    given = ctx.input_responses
    if given:
        return {name: response.model_dump(exclude_none=True) for name, response in given.items()}
    schema = {"type": "object", "properties": {"year": {"type": "integer"}}, "required": ["year"]}
    form = ElicitRequestFormParams(message="Which year?", requested_schema=schema)
    return InputRequiredResult(input_requests={"year": ElicitRequest(params=form)}, request_state="asked")


@server.tool
async def ask_at_once(ctx: Context) -> Any:
    """Ask, and make no task of it."""
    return await ask(ctx)


@server.custom_route("/ready", methods=["GET"])
async def ready(request: Request) -> PlainTextResponse:
    """Tell that the server answers."""
    return PlainTextResponse("ready")


if __name__ == "__main__":
    server.run(transport="http", host="127.0.0.1", port=int(sys.argv[1]), show_banner=False)
