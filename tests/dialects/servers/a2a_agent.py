"""The agent of the A2A server for the tests of the dialect: it does what the first word of a message says.

Only a2a.py starts this.
"""

import asyncio
import sys

import uvicorn
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_rest_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types.a2a_pb2 import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    Message,
    Part,
    Role,
    Task,
    TaskState,
    TaskStatus,
)
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Value
from starlette.applications import Starlette


class Words(AgentExecutor):
    """An agent of few words."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Answer a message: at once, or as a task."""
        word, _, rest = context.get_user_input().partition(" ")
        if word == "hello":
            said = Message(role=Role.ROLE_AGENT, message_id="greeting", parts=[Part(text=f"Hello {rest}!")])
            await event_queue.enqueue_event(said)
            return
        if context.current_task is None:
            submitted = TaskStatus(state=TaskState.TASK_STATE_SUBMITTED)
            task = Task(id=context.task_id, context_id=context.context_id, status=submitted, history=[context.message])
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        await updater.start_work(updater.new_agent_message([Part(text="working on it")]))
        if word == "slow":
            await asyncio.sleep(float(rest))
            await updater.add_artifact([Part(text=f"slept {rest} s")], name="nap")
            await updater.complete(updater.new_agent_message([Part(text="well rested")]))
        elif word == "fail":
            await updater.failed(updater.new_agent_message([Part(text=rest)]))
        elif word == "reject":
            await updater.reject(updater.new_agent_message([Part(text=rest)]))
        elif word == "ask":
            await updater.requires_input(updater.new_agent_message([Part(text="Which year?")]))
        elif word == "files":
            table = Part(raw=b"x,y\n1,2\n", filename="points.csv", media_type="text/csv")
            await updater.add_artifact([table], name="table")
            summary = Part(data=ParseDict({"rows": 1}, Value()))
            await updater.add_artifact([summary, Part(text="one row")], name="summary")
            await updater.complete()
        else:  # the answer to a question
            await updater.add_artifact([Part(text=f"the year {word}")], name="answer")
            await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Cancel a task."""
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


def app(url: str) -> Starlette:
    """Make the server: the agent's card, and the HTTP+JSON interface of version 1.0."""
    card = AgentCard(
        name="words",
        description="does what the first word says",
        version="1",
        capabilities=AgentCapabilities(),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="words", name="words", description="all of them", tags=["test"])],
        supported_interfaces=[AgentInterface(url=url, protocol_binding="HTTP+JSON", protocol_version="1.0")],
    )
    handler = DefaultRequestHandler(agent_executor=Words(), task_store=InMemoryTaskStore(), agent_card=card)
    return Starlette(routes=[*create_agent_card_routes(card), *create_rest_routes(handler)])


if __name__ == "__main__":
    port = int(sys.argv[1])
    uvicorn.run(app(f"http://127.0.0.1:{port}"), host="127.0.0.1", port=port)
