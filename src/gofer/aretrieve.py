"""The async client of the retrieval contract: `AsyncRetrieveClient` and `AsyncRetrieveJob`.

`retrieve.py` is its sync twin, written by hand; parity tests compare the two.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from os import PathLike
from typing import Unpack

import httpx

from gofer.aclient import AsyncClient, AsyncJob
from gofer.contracts.retrieve import SERVICE_BUDGET, RetrieveContract
from gofer.core import flows
from gofer.core.deliver import deliver_file
from gofer.errors import GoferError
from gofer.models import HealthStatus, JobPage, RetrieveJobResponse, RetrieveRequest, RetrieveResult
from gofer.options import TIMEOUT, Options, shows_options
from gofer.setup import HEALTH_SECONDS, Address, address, budget, path_of, polling_every, target_of_job
from gofer.transports.base import AsyncIO
from gofer.transports.family import AwaitedClient


class AsyncRetrieveJob(AsyncJob[RetrieveResult], RetrieveJobResponse):
    """The handle of one retrieval, which is also the `RetrieveJobResponse` that `retrieve` returns."""


class AsyncRetrieveClient(AsyncClient[RetrieveRequest, RetrieveResult], Address):
    """A client of the document-retrieval service: it takes a DOI and downloads the paper.

    The four base endpoints of the service are enough. The client uses every extension that the service has. Errors are
    gofer's own (`gofer.errors`), not httpx's. Subclasses may change the defaults of the constructor.
    """

    @shows_options
    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        timeout: float = TIMEOUT,
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
        """Find the service's address; no request is sent.

        Args:
            host: the service's host name or IP address.
            port: the service's port.
            host_env_var: the environment variable that is used if `host` is None.
            port_env_var: the environment variable that is used if `port` is None.
            host_default: used if neither `host` nor the environment variable is set.
            port_default: used if neither `port` nor the environment variable is set.
            base_url: the complete address in place of host and port, for example "https://papers.example.org/api".
            transport: see `AsyncClient`.
            http_client: see `AsyncClient`.
            io: see `AsyncClient`.
            options: see `ClientOptions`.

        Raises:
            UsageError: the value of an argument is wrong; the message says what to write instead.
            TypeError: there is no such argument; the message names the nearest one.
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
        return AsyncRetrieveJob(self, (await super().submit(request, key=key)).memory)

    def job(self, id: str) -> AsyncRetrieveJob:
        """Return the handle of a retrieval by its id. No request is sent."""
        return AsyncRetrieveJob(self, super().job(id).memory)

    async def jobs(self) -> AsyncGenerator[AsyncRetrieveJob, None]:
        """Yield the handles of the retrievals that the service lists; see `Client.jobs`."""
        async with aclosing(super().jobs()) as jobs:
            async for job in jobs:
                yield AsyncRetrieveJob(self, job.memory)

    def attach(self, ticket: str) -> AsyncRetrieveJob:
        """Return the handle of the retrieval that a ticket names; see `AsyncClient.attach`."""
        return AsyncRetrieveJob(self, super().attach(ticket).memory)

    async def health_check(self) -> bool:
        """Return within 5 s whether the service answers and its VPN is up. Never raises.

        Services without a VPN can run jobs too: see `can_run` of `get_health_status()`.
        """
        health = await self.get_health_status()
        return health is not None and health.vpn_connected

    async def get_health_status(self) -> HealthStatus | None:
        """Return the service's health within 5 s; None if there is no valid answer. Never raises."""
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
        """Submit a retrieval and return its handle without waiting; it has `job_id` and `status`.

        Args:
            doi: in any of its usual spellings.
            title: helps the service to recognise the right paper.
            authors: their names.
            timeout_seconds: seconds that the service may spend on the job.

        Raises:
            UsageError: the DOI or another argument is wrong; nothing was sent.
            SubmitUncertain, Unreachable, ServiceError, BadReply: see `gofer.errors`.
        """
        return await self.submit(RetrieveRequest(doi, title, authors, timeout_seconds))

    async def get_job_status(self, job_id: str) -> RetrieveResult:
        """Poll a job once.

        Raises:
            NotFound: the service has no such job.
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
            timeout: seconds in total.
            poll_interval: seconds between two polls, at least 0.25, if the service does not support long polling.

        Raises:
            WaitTimeout: the timeout ended first (also a TimeoutError); the job keeps running.
            NotFound, JobLost, TransportError, ServiceError, BadReply: see `gofer.errors`.
        """
        service = polling_every(self._service, poll_interval)
        errand = self._errand(self.job(job_id).memory, timeout=budget(timeout), service=service)
        return await self._perform(flows.ended(errand), errand)

    async def download_file(self, job_id: str, local_path: str | PathLike[str]) -> str:
        """Download the file of a completed job and return its path; missing folders are created.

        In a folder the file is named after the job's id; "{job_id}" and ".{format}" are filled in.

        Raises:
            NotReady: the job is not completed yet.
            NotFound, Expired, WrongFile, TargetError, TransportError, ServiceError, BadReply: see `gofer.errors`.
        """
        target = target_of_job(local_path, self._contract, job_id)
        errand = self._errand(self.job(job_id).memory)
        file = self._contract.file(self._service.base, errand.ref)
        return str((await self._perform(deliver_file(errand, target, file), errand)).path)

    async def retrieve_and_download(
        self,
        doi: str,
        local_path: str | PathLike[str],
        title: str | None = None,
        authors: Sequence[str] | None = None,
        timeout: float = 120.0,
    ) -> tuple[str, RetrieveResult]:
        """Submit a retrieval, wait for it and download the file, in one call.

        Args:
            doi: in any of its usual spellings.
            local_path: the file to write, or a folder, in which the file is named after the DOI; missing folders are
                created. "{doi}" and "{title}" are filled in, and ".{format}" at the end is the suffix of the format
                that comes: "papers/{doi}.{format}".
            title: helps the service to recognise the right paper.
            authors: their names.
            timeout: seconds in total. The service gets nine tenths of them, so that it stops first and says why.

        Returns:
            The path of the file, and the job.

        Raises:
            JobFailed: the job failed (also a RuntimeError); see `error_code` and `error`.
            OutOfTime: the timeout ended (also a TimeoutError); the job is cancelled, unless `on_abandon="leave"`.
            SubmitUncertain, WrongFile, TargetError, TransportError, ServiceError, BadReply, UsageError: see
                `gofer.errors`.
        """
        outcome = await self.run(RetrieveRequest(doi, title, authors), to=path_of(local_path), timeout=timeout)
        return str(outcome.path), outcome.value

    async def list_jobs(
        self, status: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> JobPage:
        """Return one page of the service's jobs, newest first.

        Args:
            status: only jobs with this status.
            limit: the number of jobs on a page, at most.
            cursor: `next` of the page before.

        Raises:
            NotSupported: this service cannot list jobs.
            TransportError, ServiceError, BadReply: see `gofer.errors`.
        """
        request = self._contract.build_listing(self._service.base, status=status, limit=limit, cursor=cursor)
        errand = self._errand()
        return self._contract.read_listing(await self._perform(flows.optional(errand, request), errand))
