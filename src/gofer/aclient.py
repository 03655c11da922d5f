"""The awaited face, on asyncio and trio: `AsyncClient` and `AsyncJob`. It builds errands; the driver performs flows.

`client.py` is its blocking twin, written by hand; parity tests hold the two together.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, BinaryIO, Generic, Literal, Self, TypeVar, Unpack, overload

import httpx
from anyio import CancelScope
from anyio.to_thread import run_sync
from tenacity.wait import wait_base

from gofer.contracts.base import Contract, Ref
from gofer.core import flows
from gofer.core.errand import Errand
from gofer.core.policies import OnAbandon, Retry
from gofer.core.record import JobMemory, JobRecord
from gofer.core.run import Flow, Run
from gofer.core.service import Service
from gofer.core.target import Target
from gofer.events import Event
from gofer.models import Fetched, Outcome, ResultFile, RetrieveRequest, RetrieveResult, Status
from gofer.setup import (
    Auth,
    Options,
    budget,
    contract_of,
    key_of,
    listeners_of,
    one_door,
    positive,
    random_key,
    service_of,
    target_of,
)
from gofer.transports.adrive import adrive, awatch
from gofer.transports.ahttpx_io import AsyncHttpxIO
from gofer.transports.base import AsyncIO, Listener, listening
from gofer.transports.disk import LocalDisk, copy_into
from gofer.transports.family import AwaitedClient

In = TypeVar("In")
Out = TypeVar("Out")
T = TypeVar("T")


class AsyncClient(Generic[In, Out]):
    """A client of one service that runs jobs: submit, poll, download.

    Nothing is connected before the first request. One client may be used by many tasks of one event loop. Use it as an
    async context manager, or await `close()`; it opens again on use.
    """

    @overload
    def __init__(
        self: AsyncClient[RetrieveRequest, RetrieveResult],
        url: str,
        *,
        contract: None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        http_client: AwaitedClient | None = None,
        io: AsyncIO | None = None,
        timeout: float = ...,
        **options: Unpack[Options],
    ) -> None: ...

    @overload
    def __init__(
        self,
        url: str,
        *,
        contract: Contract[In, Out],
        transport: httpx.AsyncBaseTransport | None = None,
        http_client: AwaitedClient | None = None,
        io: AsyncIO | None = None,
        timeout: float = ...,
        **options: Unpack[Options],
    ) -> None: ...

    @overload
    def __init__(
        self: AsyncClient[Any, Any],
        url: str,
        *,
        contract: str | Path,
        variables: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        http_client: AwaitedClient | None = None,
        io: AsyncIO | None = None,
        timeout: float = ...,
        **options: Unpack[Options],
    ) -> None: ...

    def __init__(
        self,
        url: str,
        *,
        contract: Contract[In, Out] | str | Path | None = None,
        variables: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        http_client: AwaitedClient | None = None,
        io: AsyncIO | None = None,
        auth: Auth | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        retry: Retry | None = None,
        patience: Retry | None = None,
        poll: wait_base | None = None,
        hold: int = 20,
        stall: float = 60.0,
        on_abandon: OnAbandon | None = None,
        verify: Literal["auto", "require"] = "auto",
        max_file_bytes: int = 1 << 40,
        progress: bool | Listener = False,
        rng: random.Random | None = None,
        new_key: Callable[[], str] = random_key,
    ) -> None:
        """Describe the service; nothing is sent.

        Args:
            url: the service's address, as in "http://localhost:8000".
            contract: how the service speaks: the name of a contract that gofer brings along ("ogc-processes", …), the
                path of a declaration, or an object of your own; the retrieval contract by default.
            variables: values for the variables of a declaration.
            transport: an httpx transport, for a client of our own over it.
            http_client: an httpx or httpx2 client that is yours: used, never closed.
            io: a wire and a clock of your own making.
            auth: a bearer token, or a function that returns the signed request; for the service's own origin only.
            headers: sent with every request to the service's own origin.
            timeout: seconds for one request. The timeout of a verb is another: the total.
            retry: for a failed submission; by default four tries.
            patience: for failed polls and downloads in a row; by default five minutes of them.
            poll: a tenacity wait strategy for services that do not hold status requests.
            hold: seconds the service may hold a request, at most; 0 asks it not to.
            stall: seconds a download may pause, or bring less than a kibibyte.
            on_abandon: what becomes of the job on a deadline, Ctrl-C or cancellation: "cancel", "leave", or
                "cancel-if-interrupted" (a deadline leaves it). By default `run` cancels it, and the verbs of a
                handle leave it.
            verify: "require" refuses a file that nothing was named to check it by.
            max_file_bytes: a larger file is refused.
            progress: True for a line on a terminal's stderr, or a function that takes events. Someone who watches
                gets news early: the service is then asked to hold a submission for one second at most.
            rng: the source of jitter, seeded in tests.
            new_key: mints idempotency keys.

        Raises:
            UsageError: an argument is wrong; the message says what to write instead.
        """
        one_door(transport=transport, http_client=http_client, io=io)
        self._service = service_of(
            url,
            contract_of(contract, variables),
            auth=auth,
            headers=headers,
            timeout=timeout,
            retry=retry,
            patience=patience,
            poll=poll,
            hold=hold,
            stall=stall,
            on_abandon=on_abandon,
            verify=verify,
            max_file_bytes=max_file_bytes,
            rng=rng,
        )
        self._own = AsyncHttpxIO(transport=transport, client=http_client)  # opens nothing before it is used
        self._io: AsyncIO = self._own if io is None else io
        self._listeners, self._new_key = listeners_of(progress), new_key

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._service.base!r})"

    async def submit(self, request: In, *, key: str | None = None) -> AsyncJob[Out]:
        """Submit a job and return its handle, without waiting for the job.

        Args:
            request: what the contract takes.
            key: the key of an uncertain submission that is to be repeated; by default a new one.

        Raises:
            SubmitUncertain: the answer was lost and the service does not promise to replay keys.
            Unreachable, ServiceError, BadReply, UsageError: see `gofer.errors`.
        """
        errand = self._errand()
        _ = await self._perform(flows.start(errand, request, key_of(key, self._new_key), again=key is not None), errand)
        return self._handle(errand.memory)

    async def run(
        self,
        request: In,
        *,
        to: str | PathLike[str] | None = None,
        timeout: float | None = None,
        key: str | None = None,
    ) -> Outcome[Out]:
        """Submit a job, wait for it and bring its file.

        Args:
            request: what the contract takes.
            to: where the file goes, or the folder of the files (see `Job.download`); None fetches no file.
            timeout: seconds in all, None for no deadline.
            key: the key of an uncertain submission that is to be repeated; by default a new one.

        Raises:
            JobFailed, JobCancelled: the job ended without a result.
            OutOfTime: the budget ran out; the job is cancelled, unless `on_abandon="leave"`.
            WrongFile, TargetError: the file is not what was promised, or cannot be written.
            SubmitUncertain, JobLost, Expired, TransportError, ServiceError, BadReply, UsageError: see `gofer.errors`.
        """
        target = None if to is None else target_of(to, folders=self._service.contract.folders)
        errand = self._errand(timeout=budget(timeout))
        hold = min(1, self._service.rules.hold) if self._listeners else self._service.rules.hold
        flow = flows.run(errand, request, key_of(key, self._new_key), target, hold=hold, again=key is not None)
        return await self._perform(flow, errand)

    def job(self, id: str) -> AsyncJob[Out]:
        """Return the handle of a job by its id. No request is sent."""
        return self._handle(JobMemory(JobRecord(self._service.contract.ref(id))))

    def attach(self, ticket: str) -> AsyncJob[Out]:
        """Return the handle of the job that a ticket names. No request is sent.

        Raises:
            TicketError: the ticket is damaged, or another service's or contract's.
        """
        return self._handle(JobMemory(self._service.record_of(ticket)))

    async def close(self) -> None:
        """Close the connections; harmless the second time, and the client opens again on use.

        Errands under way go on over new connections; close again when they have ended.
        """
        await self._own.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _handle(self, memory: JobMemory[Out]) -> AsyncJob[Out]:
        return AsyncJob(self, memory)

    def _errand(
        self,
        memory: JobMemory[Out] | None = None,
        *,
        timeout: float | None = None,
        service: Service[In, Out] | None = None,
    ) -> Errand[In, Out]:
        service = self._service if service is None else service
        return Errand(service, memory, timeout=timeout, heard=bool(self._listeners))

    async def _perform(self, flow: Flow[T], errand: Errand[In, Out]) -> T:
        with listening(self._listeners) as tell:
            return await adrive(Run(flow, errand), self._io, LocalDisk(), tell)

    def _events(self, flow: Flow[Any], errand: Errand[In, Out]) -> AsyncGenerator[Event, None]:
        errand.heard = True
        return awatch(Run(flow, errand), self._io, LocalDisk())


class AsyncJob(Generic[Out]):
    """The handle of one job. Properties do no I/O; every verb may be called again, from any task.

    Handles come from `AsyncClient.submit`, `AsyncClient.job` and `AsyncClient.attach`. `memory` is what a
    handle shares with the errands it starts; it is not part of the public interface.
    """

    def __init__(self, client: AsyncClient[Any, Out], memory: JobMemory[Out]) -> None:
        self._client, self.memory = client, memory

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.status or 'not looked at yet'}>"

    @property
    def id(self) -> str:
        """The service's id of the job."""
        return self._ref.id

    @property
    def _ref(self) -> Ref:
        assert self.memory.record.ref is not None, "a handle always has its job"  # noqa: S101
        return self.memory.record.ref

    @property
    def status(self) -> Status:
        """The last status seen, "" before the first look; `refresh()` looks again."""
        return self.memory.record.status

    @property
    def files(self) -> tuple[ResultFile, ...]:
        """The files of the job's result; empty until `result()` or `download()` has read the results."""
        return self.memory.record.files

    @property
    def done(self) -> bool:
        """Whether the last status seen was an end."""
        return self.memory.record.status.done

    @property
    def ticket(self) -> str:
        """A short string that goes on with this job from any process; `attach` of a client takes it."""
        return str(self._client._service.ticket_of(self.memory.record))  # pyright: ignore[reportPrivateUsage]

    async def refresh(self) -> Status:
        """Look at the job once and return its status."""
        errand = self._errand(None)
        return await self._perform(flows.refresh(errand), errand)

    async def wait(self, timeout: float | None = None) -> Status:
        """Wait until the job has ended, well or not, and return its status.

        Args:
            timeout: seconds in all, None for no deadline.

        Raises:
            WaitTimeout: the job had not ended in time; it goes on, unless `on_abandon="cancel"`.
            JobLost, TransportError, ServiceError, BadReply: see `gofer.errors`.
        """
        errand = self._errand(timeout)
        return await self._perform(flows.wait(errand), errand)

    async def result(self, timeout: float | None = None) -> Out:
        """Wait for the job and return its document; no file is fetched.

        Args:
            timeout: seconds in all, None for no deadline.

        Raises:
            JobFailed, JobCancelled: the job ended without a result.
            WaitTimeout, JobLost, TransportError, ServiceError, BadReply: see `gofer.errors`.
        """
        errand = self._errand(timeout)
        return await self._perform(flows.result(errand), errand)

    async def download(self, to: str | PathLike[str], timeout: float | None = None) -> Path:
        """Wait for the job, bring its file to `to`, and return where it is.

        A transfer that broke off, in this process or another, goes on where it stopped. Where the contract allows for
        several files, they go into a folder, all or none of them, with a `manifest.json` that lists them; a value that
        the service sent in its document is written to the file as it is, or as JSON.

        Args:
            to: the file to write; folders are made as needed. With a slash at its end, or where a folder is already,
                a folder: it must be empty.
            timeout: seconds in all, None for no deadline.

        Raises:
            WrongFile, TargetError: the file is not what was promised, or cannot be written; the target is untouched.
            JobFailed, OutOfTime, JobLost, Expired, TransportError, ServiceError, BadReply: see `gofer.errors`.
        """
        path, _ = await self._fetch(target_of(to, folders=self._client._service.contract.folders), timeout)  # pyright: ignore[reportPrivateUsage]
        return path

    async def download_into(self, file: BinaryIO, timeout: float | None = None) -> int:
        """Wait for the job and write its file into a binary file object, once it is whole and verified.

        Args:
            file: open for writing; it is neither closed nor flushed.
            timeout: seconds in all, None for no deadline.

        Returns:
            The file's size in bytes.

        Raises:
            WrongFile, TargetError: the file is not what was promised, or there is no room for it; nothing was written.
            JobFailed, OutOfTime, JobLost, Expired, TransportError, ServiceError, BadReply: see `gofer.errors`.
        """
        folder = await run_sync(partial(TemporaryDirectory, prefix="gofer-"))
        try:
            path, (fetched,) = await self._fetch(Target(Path(folder.name) / "file"), timeout)
            await run_sync(copy_into, path, file)
        finally:
            with CancelScope(shield=True):
                await run_sync(folder.cleanup)
        return fetched.size

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Wait for the job and return its file as bytes.

        Args:
            max_bytes: a larger file is refused with `WrongFile`.
            timeout: seconds in all, None for no deadline.

        Raises:
            WrongFile, JobFailed, OutOfTime, JobLost, Expired, TransportError, ServiceError, BadReply: see
                `gofer.errors`.
        """
        most = int(positive(max_bytes, "max_bytes"))
        errand = self._errand(timeout)
        return await self._perform(flows.read(errand, most), errand)

    async def cancel(self) -> bool:
        """Ask the service to cancel the job.

        Returns:
            False where the service offers no cancellation; True when it took the request, or the job had ended. Some
            take it and go on all the same: `status` is what the service showed afterwards.
        """
        errand = self._errand(None)
        return await self._perform(flows.cancel(errand), errand)

    def watch(self, timeout: float | None = None) -> AsyncGenerator[Event, None]:
        """Wait for the job and yield what happens meanwhile; leaving the loop early leaves the job as it is.

        Args:
            timeout: seconds in all, None for no deadline.

        Raises:
            WaitTimeout, JobLost, TransportError, ServiceError, BadReply: see `gofer.errors`.
        """
        errand = self._errand(timeout)
        return self._client._events(flows.wait(errand), errand)  # pyright: ignore[reportPrivateUsage]

    async def _fetch(self, target: Target, timeout: float | None) -> tuple[Path, tuple[Fetched, ...]]:
        errand = self._errand(timeout)
        return await self._perform(flows.download(errand, target), errand)

    def _errand(self, timeout: float | None) -> Errand[Any, Out]:
        return self._client._errand(self.memory, timeout=budget(timeout))  # pyright: ignore[reportPrivateUsage]

    async def _perform(self, flow: Flow[T], errand: Errand[Any, Out]) -> T:
        return await self._client._perform(flow, errand)  # pyright: ignore[reportPrivateUsage]
