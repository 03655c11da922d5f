"""Another service of the same contract, as one behind a VPN: it looks for the paper in its own sources."""

from collections.abc import AsyncGenerator

import httpx

from gofer.aretrieve import AsyncRetrieveClient
from gofer.transports.base import Listener
from gofer_service.fetch.polite import host_of
from gofer_service.fetch.wall import tls
from gofer_service.settings import RemoteSettings
from gofer_service.sources.base import OtherService, Paper, Source, Web


class Remote(Source):
    """The service at ``url``. Its own sources keep to the limits of hosts, so jobs there run side by side."""

    name = "remote"

    def __init__(self, url: str, settings: RemoteSettings) -> None:
        self.base, self._token = url, settings.secret

    async def candidates(self, paper: Paper, web: Web) -> AsyncGenerator[OtherService, None]:  # noqa: ARG002 - a client of its own
        """Name the service."""
        yield OtherService(host_of(self.base), self._connect)

    def _connect(self, tell: Listener) -> AsyncRetrieveClient:
        transport = httpx.AsyncHTTPTransport(verify=tls(), trust_env=False)
        return AsyncRetrieveClient(base_url=self.base, auth=self._token, progress=tell, transport=transport)
