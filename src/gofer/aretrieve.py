"""The awaited client of the user's own contract: `AsyncRetrieveClient`, by the names the user's first client had.

`retrieve.py` is its blocking twin, written by hand; parity tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Unpack

import httpx

from gofer.aclient import AsyncClient, AsyncJob
from gofer.contracts.retrieve import SERVICE_BUDGET, RetrieveContract
from gofer.core import flows
from gofer.core.download import fetch
from gofer.core.record import JobMemory
from gofer.errors import GoferError
from gofer.models import HealthStatus, JobPage, RetrieveRequest, RetrieveResult
from gofer.setup import HEALTH_SECONDS, Options, address, budget, polling_every, target_of
from gofer.transports.base import AsyncIO
from gofer.transports.family import AwaitedClient


class AsyncRetrieveJob(AsyncJob[RetrieveResult]):
    """The handle of one retrieval."""

    @property
    def job_id(self) -> str:
        """The service's id of the job."""
        return self.id


class AsyncRetrieveClient(AsyncClient[RetrieveRequest, RetrieveResult]):
    """A client of the document-retrieval service: a DOI in, the paper's file out.

    It works against a service that has only the four base endpoints, and uses every extension it finds. Errors are
    gofer's own (`gofer.errors`), not httpx's. Subclasses may change the defaults of the constructor.
    """

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        timeout: float = 30.0,
        host_env_var: str = "SERVICE_HOST",
        port_env_var: str = "SERVICE_PORT",
        host_default: str = "localhost",
        port_default: int = 8000,
        *,
        base_url: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        http_client: AwaitedClient | None = None,
        io: AsyncIO | None = None,
        **options: Unpack[Options],
    ) -> None:
        """Find the service's address; nothing is sent.

        Args:
            host: the service's host; else that of the environment, else the default.
            port: its port; likewise.
            timeout: seconds for one request.
            host_env_var: names the environment variable of the host.
            port_env_var: names the environment variable of the port.
            host_default: the host where neither says.
            port_default: the port where neither says.
            base_url: the whole address in place of host and port, as in "https://papers.example.org/api".
            transport: see `AsyncClient`.
            http_client: see `AsyncClient`.
            io: see `AsyncClient`.
            options: every other keyword option of `AsyncClient`, but `contract`.

        Raises:
            UsageError: an argument is wrong; the message says what to write instead.
        """
        url = address(host, port, host_env_var, port_env_var, host_default, port_default, base_url)
        self._contract = RetrieveContract()
        super().__init__(
            url,
            contract=self._contract,
            transport=transport,
            http_client=http_client,
            io=io,
            timeout=timeout,
            **options,
        )

    async def submit(self, request: RetrieveRequest, *, key: str | None = None) -> AsyncRetrieveJob:
        """Submit a retrieval and return its handle; see `AsyncClient.submit`."""
        return self._handle((await super().submit(request, key=key)).memory)

    async def health_check(self) -> bool:
        """Tell within 5 s whether the service answers and its VPN is up. Never raises.

        A service without a VPN is of use too: `get_health_status()` has `can_run`.
        """
        health = await self.get_health_status()
        return health is not None and health.vpn_connected

    async def get_health_status(self) -> HealthStatus | None:
        """Return within 5 s how the service is; None when it does not answer as it should. Never raises."""
        errand = self._errand(timeout=HEALTH_SECONDS)
        try:
            reply = await self._perform(flows.probe(errand, self._contract.build_health(self._service.base)), errand)
            return self._contract.read_health(reply)
        except GoferError:
            return None

    async def retrieve(
        self,
        doi: str,
        title: str | None = None,
        authors: Sequence[str] | None = None,
        timeout_seconds: int = SERVICE_BUDGET,
    ) -> AsyncRetrieveJob:
        """Submit a retrieval and return its handle at once: it has `job_id` and `status`.

        Args:
            doi: in any of its usual spellings.
            title: helps the service to recognise the right paper.
            authors: their names.
            timeout_seconds: seconds the service may spend on the job, 120 by default.

        Raises:
            UsageError: the DOI is not one, or another argument is wrong; nothing was sent.
            SubmitUncertain, Unreachable, ServiceError, BadReply: see `gofer.errors`.
        """
        return await self.submit(RetrieveRequest(doi, title, authors, timeout_seconds))

    async def get_job_status(self, job_id: str) -> RetrieveResult:
        """Look at a job once.

        Raises:
            NotFound: the service knows no such job.
            TransportError, ServiceError, BadReply: see `gofer.errors`.
        """
        errand = self._errand(self.job(job_id).memory)
        return await self._perform(flows.check(errand), errand)

    async def wait_for_completion(
        self, job_id: str, timeout: float = 120.0, poll_interval: float = 2.0
    ) -> RetrieveResult:
        """Wait until a job is completed or failed, and return it.

        Args:
            job_id: the job.
            timeout: seconds in all.
            poll_interval: seconds between looks where the service does not hold requests.

        Raises:
            WaitTimeout: it had not ended in time (also a TimeoutError); it goes on.
            NotFound, JobLost, TransportError, ServiceError, BadReply: see `gofer.errors`.
        """
        service = polling_every(self._service, poll_interval)
        errand = self._errand(self.job(job_id).memory, timeout=budget(timeout), service=service)
        return await self._perform(flows.ended(errand), errand)

    async def download_file(self, job_id: str, local_path: str | PathLike[str]) -> str:
        """Bring the file of a completed job and return where it is; folders are made as needed.

        Raises:
            NotReady: the job is not completed yet.
            NotFound, Expired, WrongFile, TargetError, TransportError, ServiceError, BadReply: see `gofer.errors`.
        """
        errand = self._errand(self.job(job_id).memory)
        file = self._contract.file(self._service.base, errand.ref)
        return str((await self._perform(fetch(errand, target_of(local_path).path, file), errand)).path)

    async def retrieve_and_download(
        self,
        doi: str,
        local_path: str | PathLike[str],
        title: str | None = None,
        authors: Sequence[str] | None = None,
        timeout: float = 120.0,
    ) -> tuple[str, RetrieveResult]:
        """Submit a retrieval, wait for it and bring the file: the whole errand in one call.

        Args:
            doi: in any of its usual spellings.
            local_path: the file to write; folders are made as needed.
            title: helps the service to recognise the right paper.
            authors: their names.
            timeout: seconds in all; the service gets nine tenths of it, so that it gives up first.

        Returns:
            Where the file is, and the job.

        Raises:
            JobFailed: the job failed (also a RuntimeError); it names `error_code` and `error`.
            OutOfTime: the budget ran out (also a TimeoutError); the job is cancelled, unless `on_abandon="leave"`.
            SubmitUncertain, WrongFile, TargetError, TransportError, ServiceError, BadReply, UsageError: see
                `gofer.errors`.
        """
        outcome = await self.run(RetrieveRequest(doi, title, authors), to=target_of(local_path).path, timeout=timeout)
        return str(outcome.path), outcome.value

    async def list_jobs(
        self, status: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> JobPage:
        """Return one page of the service's jobs, newest first.

        Args:
            status: only jobs whose status is this word.
            limit: jobs a page at most.
            cursor: the `next` of the page before.

        Raises:
            NotSupported: this service does not list its jobs.
            TransportError, ServiceError, BadReply: see `gofer.errors`.
        """
        request = self._contract.build_listing(self._service.base, status=status, limit=limit, cursor=cursor)
        errand = self._errand()
        return self._contract.read_listing(await self._perform(flows.optional(errand, request), errand))

    def _handle(self, memory: JobMemory[RetrieveResult]) -> AsyncRetrieveJob:
        return AsyncRetrieveJob(self, memory)
