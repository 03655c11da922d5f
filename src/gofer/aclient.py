"""The async face, on asyncio and trio: `AsyncClient` and `AsyncJob`. It builds errands; the driver performs them.

`client.py` is its sync twin, written by hand; parity tests compare the two.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping
from contextlib import aclosing
from functools import partial
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, Literal, Self, TypeVar, Unpack

import httpx
from anyio import CancelScope
from anyio.to_thread import run_sync

from gofer import setup
from gofer.contracts.base import Contract, Ref
from gofer.core import flows
from gofer.core.deliver import Only
from gofer.core.errand import Errand
from gofer.core.feed import Listing
from gofer.core.record import JobMemory, JobRecord
from gofer.core.run import Flow, Run
from gofer.core.service import Service
from gofer.core.target import Target
from gofer.errors import GoferError
from gofer.events import Event
from gofer.models import BatchErrand, Fetched, Outcome, ResultFile, Status
from gofer.options import TIMEOUT, Options, options_of, shows_options
from gofer.setup import In, Out
from gofer.transports.adrive import adrive, awatch
from gofer.transports.ahttpx_io import AsyncHttpxIO
from gofer.transports.base import AsyncIO, listening
from gofer.transports.disk import LocalDisk, copy_into
from gofer.transports.family import AwaitedClient

if TYPE_CHECKING:
    from gofer.abatch import AsyncBatch

T = TypeVar("T")


class AsyncClient(Generic[In, Out]):
    """A client of one service that runs jobs: submit, poll, download.

    It connects at the first request. Many tasks of one event loop may share one client. Use it as an async context
    manager, or await `close()`; it opens again when it is used again.

    For type checkers, a client with a contract of your own is an `AsyncClient[In, Out]`: `In` is what the contract
    takes, and `Out` what it returns. Otherwise both are Any, unless you annotate the variable.
    """

    @shows_options
    def __init__(
        self,
        url: str,
        *,
        contract: Contract[In, Out] | str | Path | None = None,
        variables: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        http_client: AwaitedClient | None = None,
        io: AsyncIO | None = None,
        timeout: float = TIMEOUT,
        **options: Unpack[Options],
    ) -> None:
        """Set the client up; no request is sent.

        Args:
            url: the service's address, for example "http://localhost:8000".
            contract: the service's contract: the name of one that is part of gofer ("ogc-processes", …), the path of a
                declaration, or an object of your own; by default the retrieval contract.
            variables: values for the variables of a declaration.
            transport: an httpx transport of yours; the client's own httpx client uses it.
            http_client: an httpx or httpx2 client of yours; it is used, and never closed.
            io: a wire and a clock of yours, in place of httpx.
            options: see `ClientOptions`.

        Raises:
            UsageError: the value of an argument is wrong; the message says what to write instead.
            TypeError: there is no such argument; the message names the nearest one.
        """
        setup.one_door(transport=transport, http_client=http_client, io=io)
        chosen = options_of(type(self), timeout, options)
        self._service = setup.service_of(url, setup.contract_of(contract, variables), chosen, awaited=True)
        # Opens nothing before its first use.
        self._own = AsyncHttpxIO(transport=transport, client=http_client, max_connections=chosen.max_connections)
        self._io: AsyncIO = self._own if io is None else io
        self._listeners, self._new_key = setup.listeners_of(chosen.progress), chosen.new_key or setup.random_key

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._service.base!r})"

    async def submit(self, request: In, *, key: str | None = None) -> AsyncJob[Out]:
        """Submit a job and return its handle, without waiting for the job.

        Args:
            request: what the contract takes.
            key: the key of an uncertain submission, to repeat that submission; by default a new key.

        Raises:
            SubmitUncertain: the answer was lost, and the service does not promise to replay keys.
            Unreachable, ServiceError, BadReply, UsageError: see `gofer.errors`.
        """
        errand = self._errand()
        flow = flows.start(errand, request, setup.key_of(key, self._new_key), again=key is not None)
        _ = await self._perform(flow, errand)
        return AsyncJob(self, errand.memory)

    async def run(
        self,
        request: In,
        *,
        to: str | PathLike[str] | None = None,
        timeout: float | None = None,
        key: str | None = None,
    ) -> Outcome[Out]:
        """Submit a job, wait for it and download its file.

        Args:
            request: what the contract takes.
            to: the path of the file, or a folder (see `AsyncJob.download`); None downloads no file. What the request
                says is filled in: "papers/{doi}.{format}" for a paper, else the texts and numbers of a map.
                "{job_id}" is the job's id, and ".{format}" at the end the suffix of the format that comes. "{{" is
                a brace. A paper in a folder is named after its DOI.
            timeout: seconds in total; None for no deadline.
            key: the key of an uncertain submission that is to be repeated; by default a new one.

        Raises:
            JobFailed, JobCancelled: the job ended without a result.
            OutOfTime: the timeout ended; the job is cancelled, unless `on_abandon="leave"`.
            WrongFile, TargetError: the file is not the promised one, or cannot be written.
            SubmitUncertain, JobLost, Expired, TransportError, ServiceError, BadReply, UsageError: see `gofer.errors`.
        """
        target = None if to is None else setup.target_of(to, self._service.contract, request)
        errand = self._errand(timeout=setup.budget(timeout))
        hold = min(1, self._service.rules.hold) if self._listeners else self._service.rules.hold
        flow = flows.run(errand, request, setup.key_of(key, self._new_key), target, hold=hold, again=key is not None)
        return await self._perform(flow, errand)

    def batch(
        self,
        journal: str | PathLike[str] | None = None,
        *,
        to: str | PathLike[str] | None = None,
        jobs: int = 20,
        downloads: int = 8,
        requests_per_second: float | None = None,
        exists: Literal["replace", "refuse"] = "replace",
        again: Callable[[GoferError, int], float | None] | None = None,
        stop_after: int | None = None,
        look_every: float = 900.0,
    ) -> AsyncBatch[In, Out]:
        """Open a batch: many errands, written down in a journal, with limits for all of them together.

        Args:
            journal: the file with the batch. It is made if it is not there, else gone on with; None keeps the batch in
                memory.
            to: where each result goes, as in `run`; "{...}" is what sets the requests apart: "papers/{doi}.{format}".
            jobs: unfinished jobs at the service, at most.
            downloads: results that come at the same time, at most.
            requests_per_second: requests to the service; None for no limit but the service's own.
            exists: what to do about a target that is there before its errand is added: "replace" it when the result
                comes, or "refuse" the errand.
            again: a function of a failed errand's error and the number of its attempt (from 1); it returns the seconds
                until another job is made for it, or None.
            stop_after: stop after so many failures in a row; None goes on.
            look_every: seconds after which a job is polled although the service, which tells of changes, was silent.

        Raises:
            JournalError: the journal is damaged, another service's, in use, or cannot be written.
            UsageError: an argument is wrong.
        """
        from gofer.abatch import AsyncBatch  # most clients have none, and none should pay for it
        from gofer.batches import BatchOptions

        options = BatchOptions(to, jobs, downloads, requests_per_second, exists, again, stop_after, look_every)
        own_clock = self._io is not self._own
        return AsyncBatch(
            self._service, self._io, self._listeners, self._new_key, journal, options, own_clock=own_clock
        )

    async def map(
        self,
        requests: Iterable[In] | Iterable[str] | AsyncIterable[In],
        *,
        journal: str | PathLike[str] | None = None,
        to: str | PathLike[str] | None = None,
        jobs: int = 20,
        timeout: float | None = None,
    ) -> AsyncGenerator[BatchErrand[Out], None]:
        """Do many errands and yield each as it ends, well or not: the short form of a batch.

        Args:
            requests: what the contract takes; DOIs for a `AsyncRetrieveClient`. They are read as there is
                room, so that they may be more than fit into memory, or without end.
            journal: the file with the batch, as in `batch`; None keeps it in memory.
            to: where each result goes, as in `batch`.
            jobs: unfinished jobs at the service, at most.
            timeout: seconds in total; None for no deadline.

        Raises:
            UsageError: a request is wrong, or two errands would write to one path; what was added before is left.
            BatchStopped, OutOfTime: see `AsyncBatch.run`.
        """
        async with self.batch(journal, to=to, jobs=jobs) as batch, aclosing(batch.feed(requests, timeout)) as ended:
            async for errand in ended:
                yield errand

    def job(self, id: str) -> AsyncJob[Out]:
        """Return the handle of a job by its id. No request is sent."""
        return AsyncJob(self, JobMemory(JobRecord(self._service.contract.ref(id))))

    async def jobs(self) -> AsyncGenerator[AsyncJob[Out], None]:
        """Yield the handles of all jobs that the service lists for its caller, with the status in the list.

        Raises:
            NotSupported: the contract or the service has no such list.
            TransportError, ServiceError, BadReply: see `gofer.errors`.
        """
        listing = Listing()
        while not listing.over:
            errand = self._errand()
            for memory in await self._perform(listing.next(errand), errand):
                yield AsyncJob(self, memory)

    def attach(self, ticket: str) -> AsyncJob[Out]:
        """Return the handle of the job that a ticket names. No request is sent.

        Raises:
            TicketError: the ticket is damaged, or another service's or contract's.
        """
        return AsyncJob(self, JobMemory(self._service.record_of(ticket)))

    async def close(self) -> None:
        """Close the connections. A second call does nothing, and the client opens again when it is used again.

        An errand that is under way continues over new connections; close again after it has ended.
        """
        await self._own.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

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
    """The handle of one job. Its properties send nothing. Every verb may be called again, from any task.

    Handles come from `AsyncClient.submit`, `AsyncClient.job` and `AsyncClient.attach`. `memory` is what a
    handle shares with the errands it starts; it is not part of the public interface.
    """

    def __init__(self, client: AsyncClient[Any, Out], memory: JobMemory[Out]) -> None:
        self._client, self.memory = client, memory

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.status or 'not polled yet'}>"

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
        """The status in the service's last answer, "" before the first one; `refresh()` polls the job."""
        return self.memory.record.shown

    @property
    def files(self) -> tuple[ResultFile, ...]:
        """The files that the job's results have named so far, also those of a job that has not succeeded.

        A succeeded job names them when `result()` or `download()` has read its result.
        """
        return self.memory.record.files

    @property
    def done(self) -> bool:
        """Whether the job had ended at the service's last answer."""
        return self.memory.record.shown.done

    @property
    def ticket(self) -> str:
        """A short string that identifies this job in any process; pass it to a client's `attach`."""
        return str(self._client._service.ticket_of(self.memory.record))  # pyright: ignore[reportPrivateUsage]

    async def refresh(self) -> Status:
        """Poll the job once and return its status.

        Raises:
            NotFound, JobLost: the service does not have this job, or lost it.
            TransportError, ServiceError, BadReply: see `gofer.errors`.
        """
        errand = self._errand(None)
        return await self._perform(flows.refresh(errand), errand)

    async def wait(self, timeout: float | None = None) -> Status:
        """Wait until the job has ended, with success or without, and return its status.

        Args:
            timeout: seconds in total; None for no deadline.

        Raises:
            WaitTimeout: the timeout ended first; the job keeps running, unless `on_abandon="cancel"`.
            NeedsInput: the job waits for an answer of its caller.
            JobLost, TransportError, ServiceError, BadReply: see `gofer.errors`.
        """
        errand = self._errand(timeout)
        return await self._perform(flows.wait(errand), errand)

    async def result(self, timeout: float | None = None) -> Out:
        """Wait for the job and return its result document; no file is downloaded.

        Args:
            timeout: seconds in total; None for no deadline.

        Raises:
            JobFailed, JobCancelled: the job ended without a result.
            WaitTimeout, NeedsInput, JobLost, TransportError, ServiceError, BadReply: see `gofer.errors`.
        """
        errand = self._errand(timeout)
        return await self._perform(flows.result(errand), errand)

    async def download(
        self, to: str | PathLike[str], timeout: float | None = None, *, only: str | Iterable[str] | None = None
    ) -> Path:
        """Wait for the job, download its file to `to`, and return the file's path.

        A download that was interrupted, in this process or another, is resumed. If the contract allows several files,
        they are written into a folder, all of them or none, with a `manifest.json` that lists them. If the result is a
        value in the service's document, it is written to the file: text as it is, anything else as JSON.

        Args:
            to: the file to write; missing folders are created. If it ends in a slash, or is a folder already, the
                files are written into that folder, which must be empty, or have nothing but files of this job; if the
                contract allows one file only, the file is added to the folder, named after the job's id. "{job_id}" is
                filled in, and ".{format}" at the end is the suffix of the format that comes. `~` is the home, and the
                file behind a link is replaced.
            timeout: seconds in total; None for no deadline.
            only: the files to download, by their names in `files`: a text, or several, each of which must match; "*"
                stands for any characters, as in a shell. A folder keeps the files of this job that it has.

        Raises:
            WrongFile, TargetError: the file is not the promised one, or cannot be written; the target is unchanged.
            JobFailed, NeedsInput, OutOfTime, JobLost, Expired, TransportError, ServiceError, BadReply: see
                `gofer.errors`.
        """
        contract = self._client._service.contract  # pyright: ignore[reportPrivateUsage]
        path, _ = await self._fetch(setup.target_of_job(to, contract, self.id), timeout, setup.only_of(only))
        return path

    async def partial(
        self, to: str | PathLike[str], timeout: float | None = None, *, only: str | Iterable[str] | None = None
    ) -> Outcome[Out]:
        """Download what there is of a job that has not succeeded, and do not wait for it; arguments as of `download`.

        The job is polled unless it has ended. A result document of its own is requested once, and none if that fails.
        The manifest of a folder has "partial": true; `download` neither takes nor completes such a folder.

        Raises:
            JobFailed, JobCancelled, NotReady: the job names no file.
            UsageError: the job has succeeded: `download` brings its results.
            WrongFile, TargetError, OutOfTime, JobLost, Expired, TransportError, ServiceError, BadReply: see
                `gofer.errors`.
        """
        contract = self._client._service.contract  # pyright: ignore[reportPrivateUsage]
        target, errand = setup.target_of_job(to, contract, self.id), self._errand(timeout)
        return await self._perform(flows.partial(errand, target, setup.only_of(only)), errand)

    async def download_into(self, file: BinaryIO, timeout: float | None = None) -> int:
        """Wait for the job and write its file into a binary file object, after it is complete and verified.

        Args:
            file: opened for writing; it is neither closed nor flushed.
            timeout: seconds in total; None for no deadline.

        Returns:
            The file's size in bytes.

        Raises:
            WrongFile, TargetError: the file is not the promised one, or the disk is full; nothing was written.
            JobFailed, NeedsInput, OutOfTime, JobLost, Expired, TransportError, ServiceError, BadReply: see
                `gofer.errors`.
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
            timeout: seconds in total; None for no deadline.

        Raises:
            WrongFile, JobFailed, NeedsInput, OutOfTime, JobLost, Expired, TransportError, ServiceError, BadReply: see
                `gofer.errors`.
        """
        most = int(setup.positive(max_bytes, "max_bytes"))
        errand = self._errand(timeout)
        return await self._perform(flows.read(errand, most), errand)

    async def cancel(self) -> bool:
        """Ask the service to cancel the job.

        Returns:
            False if the service cannot cancel jobs. True if it accepted the request, or the job had ended. Some
            services accept it and keep the job running: `status` is what the service answered afterwards.

        Raises:
            TransportError, ServiceError, BadReply: see `gofer.errors`.
        """
        errand = self._errand(None)
        return await self._perform(flows.cancel(errand), errand)

    async def answer(self, answer: object) -> None:
        """Answer a job that waits for its caller, as `NeedsInput` and `status.question` show; wait for it again then.

        If it is unclear whether the answer has arrived, it is sent again only if the job still asks the same.

        Args:
            answer: plain JSON, as the contract's `[answer]` sends it.

        Raises:
            UsageError: the job asks nothing, or this is no answer.
            NotSupported: the contract has no answers.
            TransportError, ServiceError, BadReply: see `gofer.errors`.
        """
        errand = self._errand(None)
        await self._perform(flows.answer(errand, answer), errand)

    def watch(self, timeout: float | None = None) -> AsyncGenerator[Event, None]:
        """Wait for the job and yield its events. If you leave the loop early, the job keeps running.

        Args:
            timeout: seconds in total; None for no deadline.

        Raises:
            WaitTimeout, NeedsInput, JobLost, TransportError, ServiceError, BadReply: see `gofer.errors`.
        """
        errand = self._errand(timeout)
        return self._client._events(flows.wait(errand), errand)  # pyright: ignore[reportPrivateUsage]

    async def _fetch(
        self, target: Target, timeout: float | None, only: Only = None
    ) -> tuple[Path, tuple[Fetched, ...]]:
        errand = self._errand(timeout)
        return await self._perform(flows.download(errand, target, only), errand)

    def _errand(self, timeout: float | None) -> Errand[Any, Out]:
        return self._client._errand(self.memory, timeout=setup.budget(timeout))  # pyright: ignore[reportPrivateUsage]

    async def _perform(self, flow: Flow[T], errand: Errand[Any, Out]) -> T:
        return await self._client._perform(flow, errand)  # pyright: ignore[reportPrivateUsage]
