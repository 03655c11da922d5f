"""The virtual clocks that the replays run on."""

import threading
import time

import anyio
import pytest

from gofer.transports import adrive


@pytest.mark.anyio
async def test_a_clock_stands_still_while_a_worker_thread_is_at_work() -> None:
    """A write that takes long on a busy machine brings no deadline nearer, and a sleep takes no time."""
    here = threading.get_ident()

    def write() -> None:
        assert threading.get_ident() != here
        time.sleep(0.1)

    with anyio.fail_after(7):
        await adrive.run_sync(write)
        await anyio.sleep(6)
    began = anyio.current_time()
    await anyio.sleep(3600)
    assert anyio.current_time() - began >= 3600
