"""How gently hosts are asked: places, gaps, Retry-After, and hosts that are left alone; on a virtual clock."""

from typing import Any

import anyio
import pytest
import trio.testing

from gofer_service.fetch.manners import FAILURES, MOST_HOSTS, PATIENCE, REST, Manners, Refused

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    """Run on a clock that jumps to the next event."""
    return ("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})


async def ask(manners: Manners, starts: list[float], *host: str, seconds: float = 0.0, **how: Any) -> None:
    """Ask a host, and note when the request began."""
    async with manners.turn("source", *host, **how):
        starts.append(anyio.current_time())
        await anyio.sleep(seconds)


async def ask_many(manners: Manners, hosts: list[str], **how: Any) -> list[float]:
    """Ask hosts at the same time; return when the requests began, from the first one on."""
    starts: list[float] = []
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for host in hosts:
            tasks.start_soon(lambda host=host: ask(manners, starts, host, **how))
    return [start - began for start in starts]


async def test_one_request_at_a_time_to_one_host() -> None:
    """A host's second request waits for the end of the first, while other hosts are asked at the same time."""
    starts = await ask_many(Manners(gap=0), ["a:80", "a:80", "b:80", "a:80"], seconds=10.0)
    assert sorted(starts) == [0, 0, 10, 20]


async def test_several_requests_at_a_time_if_that_is_allowed() -> None:
    """`per_host` requests are under way at once, and no more."""
    assert await ask_many(Manners(per_host=2, gap=0), ["a:80"] * 5, seconds=10.0) == [0, 0, 10, 10, 20]


@pytest.mark.parametrize(("how", "gap"), [({}, 1.0), ({"gap": 3.0}, 3.0), ({"gap": 0.0}, 0.0)])
async def test_the_gap_between_two_requests(how: dict[str, Any], gap: float) -> None:
    """Two requests of one kind begin a gap apart: that of the source, or else that for all hosts."""
    assert await ask_many(Manners(), ["a:80"] * 3, **how) == [0, gap, 2 * gap]


async def test_requests_of_another_kind_keep_no_gap() -> None:
    """A source's own requests and links to the same host do not wait for each other's gap."""
    manners, starts = Manners(gap=100), list[float]()
    began = anyio.current_time()
    await ask(manners, starts, "a:80", kind="source")
    await ask(manners, starts, "a:80")
    assert [start - began for start in starts] == [0, 0]


async def test_a_request_that_is_given_up_leaves_its_place() -> None:
    """Who is cancelled in the queue, or while asking, lets the next one ask."""
    manners, starts = Manners(gap=0), list[float]()
    with anyio.move_on_after(5):
        await ask(manners, starts, "a:80", seconds=1000)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: ask(manners, starts, "a:80", seconds=50))
        await anyio.sleep(1)
        with anyio.move_on_after(1):
            await ask(manners, starts, "a:80")
    await ask(manners, starts, "a:80")
    assert len(starts) == 3


async def test_a_pause_that_the_host_asks_for_is_kept_by_all() -> None:
    """After Retry-After nobody asks the host for that time, whoever heard of it."""
    manners, starts = Manners(gap=0), list[float]()
    await ask(manners, starts, "a:80")
    manners.asked_to_wait("other", "a:80", PATIENCE)
    await ask(manners, starts, "a:80")
    assert starts[1] - starts[0] == PATIENCE


async def test_a_host_that_asks_for_a_long_pause_is_left_alone() -> None:
    """Nobody waits for longer than `PATIENCE`: requests are refused at once, until that time is over."""
    manners, starts = Manners(gap=0), list[float]()
    manners.asked_to_wait("source", "a:80", 100 * PATIENCE)
    with pytest.raises(Refused, match="left alone"):
        await ask(manners, starts, "a:80")
    assert list(manners.left_alone("source")) == ["a:80"]
    await anyio.sleep(100 * PATIENCE)
    await ask(manners, starts, "a:80")
    assert manners.left_alone("source") == {}


async def test_an_answer_does_not_end_a_pause_that_the_host_asked_another_request_for() -> None:
    """Of two requests at the same time, one is told to come later; the other one's answer changes nothing in that."""
    manners = Manners(per_host=2, gap=0)
    manners.asked_to_wait("source", "a:80", 100 * PATIENCE)
    manners.answered("source", "a:80")
    assert list(manners.left_alone("source")) == ["a:80"]


async def test_a_host_is_left_alone_after_five_failures_in_a_row() -> None:
    """Four failures, or five with an answer between them, change nothing; five are counted for one source and host."""
    manners, starts = Manners(gap=0), list[float]()
    for _ in range(FAILURES - 1):
        manners.failed("source", "a:80")
    manners.answered("source", "a:80")
    for _ in range(FAILURES - 1):
        manners.failed("source", "a:80")
    await ask(manners, starts, "a:80")
    manners.failed("source", "a:80")
    with pytest.raises(Refused):
        await ask(manners, starts, "a:80")
    await ask(manners, starts, "a:81")
    async with manners.turn("other", "a:80"):
        pass
    await anyio.sleep(REST)
    await ask(manners, starts, "a:80")
    manners.failed("source", "a:80")
    with pytest.raises(Refused):
        await ask(manners, starts, "a:80")


async def test_who_waits_for_a_place_hears_that_the_host_failed_meanwhile() -> None:
    """A request in the queue is refused once the host is left alone."""
    manners, starts = Manners(gap=0), list[float]()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: ask(manners, starts, "a:80", seconds=10))
        await anyio.sleep(1)
        for _ in range(FAILURES):
            manners.failed("source", "a:80")
        with pytest.raises(Refused):
            await ask(manners, starts, "a:80")


async def test_hosts_that_nobody_asks_are_forgotten() -> None:
    """Third parties name hosts: what is remembered of them does not grow without end."""
    manners, starts = Manners(gap=0), list[float]()
    for number in range(3 * MOST_HOSTS):
        manners.failed("source", f"h{number}:80")
        await ask(manners, starts, f"h{number}:80")
    assert len(manners._hosts) <= MOST_HOSTS + 1
    assert len(manners._records) <= MOST_HOSTS + 1
