"""The schedule of many runs: sleeps, news, turns, limits, and what it hands out when."""

import pytest

from gofer import setup
from gofer.contracts.base import Ref
from gofer.contracts.retrieve import RetrieveContract
from gofer.core.commands import Answered, AwaitNews, Failed, Listening, Now, Send, Sleep, Wake
from gofer.core.errand import Errand
from gofer.core.journal import Entry, Fate
from gofer.core.record import JobMemory, JobRecord
from gofer.core.run import Run
from gofer.core.schedule import Limits, Schedule, Seat
from gofer.errors import Unreachable
from gofer.options import ClientOptions
from gofer.wire import Reply, Request

SERVICE = setup.service_of("http://x", RetrieveContract(), ClientOptions())


def now(mono):
    """A time."""
    return Now(mono, 1_767_225_600.0 + mono)


def seat(flow, number=1, job=None):
    """A run of this flow, about a job if one is named."""
    errand = Errand(SERVICE, JobMemory() if job is None else JobMemory(JobRecord(Ref(job))))
    return Seat(Entry(number, {}, None, Fate.WAITING, "k"), Run(flow, errand), errand)


def schedule(**limits):
    """A schedule with these limits."""
    return Schedule(Limits(**limits), lambda: None)


def sleeps(seconds):
    """Sleep, and end with the answer."""
    return (yield Sleep(seconds))


def waits(seconds):
    """Wait for news, and end with it."""
    return (yield AwaitNews(seconds))


def wakes(jobs):
    """Wake these jobs."""
    return (yield Wake(jobs))


def sends(count):
    """Send requests, one after the other."""
    for _ in range(count):
        yield Send(Request("GET", "http://x/"), 5.0, 100)


def reply(status=200, **headers):
    """An answer."""
    return Reply("http://x/", status, {name.replace("_", "-"): value for name, value in headers.items()})


def test_a_sleep_costs_nothing_until_it_is_due():
    """Nothing is handed out, and `due` says when to ask again."""
    many = schedule()
    many.add(seat(sleeps(5.0)), now(10.0))
    assert many.next(now(14.9)) is None
    assert many.due() == 15.0
    assert not many.ended
    assert many.next(now(15.0)) is None
    assert len(many.ended) == 1


@pytest.mark.parametrize("early", [True, False])
def test_news_is_not_missed_whether_it_comes_before_or_after(early):
    """The feed may be quicker than the answer that names the job."""
    many, waiter = schedule(), seat(waits(900.0), job="j1")
    order = [seat(wakes({"j1": "shown", "j2": None}), 2), waiter]
    for one in order if early else reversed(order):
        many.add(one, now(0.0))
    assert many.next(now(0.0)) is None
    assert waiter.run.over
    assert waiter.value == "shown"


def test_without_news_the_wait_ends_by_itself():
    """It ends with nothing, when its time is over; what is woken again later is another wait."""
    many, waiter = schedule(), seat(waits(900.0), job="j1")
    many.add(waiter, now(0.0))
    many.add(seat(wakes({"j2": None}), 2), now(1.0))
    assert many.due() == 900.0
    many.next(now(900.0))
    assert waiter.run.over
    assert waiter.value is None


def test_who_listens_is_named_in_the_order_of_waiting():
    """All that wait for news can be woken at once."""

    def asks():
        return (yield Listening())

    many, waiters = schedule(), [seat(waits(900.0), at, f"j{at}") for at in range(3)]
    for one in waiters:
        many.add(one, now(0.0))
    asking = seat(asks(), 9)
    many.add(asking, now(0.0))
    assert asking.value == ("j0", "j1", "j2")
    many.add(seat(wakes(None), 10), now(1.0))
    many.next(now(1.0))
    assert all(one.run.over for one in waiters)


def test_requests_keep_to_the_rate():
    """With two a second the third is due after a second, whichever run it is of."""
    many = schedule(per_second=2.0)
    for number in range(3):
        many.add(seat(sends(1), number + 1), now(0.0))
    tasks = [many.next(now(0.0))]
    assert tasks[0] is not None
    assert many.next(now(0.4)) is None
    assert many.due() == 0.5
    assert many.next(now(0.5)) is not None
    assert many.due() == 1.0


@pytest.mark.parametrize("rate", [None, 10.0])
def test_no_run_has_two_turns_while_another_waits(rate):
    """However many want to send, with and without a rate, each waits for one turn of every other at most."""
    many, counts, time = schedule(per_second=rate), dict.fromkeys(range(1, 51), 0), 0.0
    for number in counts:
        many.add(seat(sends(4), number), now(0.0))
    while min(counts.values()) < 4:
        task = many.next(now(time))
        if task is None:
            time = many.due()
            continue
        counts[task.seat.entry.number] += 1
        assert max(counts.values()) - min(counts.values()) <= 1
        many.advance(task, Answered(now(time), reply()))


def test_a_refusal_for_now_holds_back_the_others():
    """They are due when its Retry-After is over."""
    many = schedule()
    for number in range(2):
        many.add(seat(sends(2), number + 1), now(0.0))
    first = many.next(now(0.0))
    many.advance(first, Answered(now(1.0), reply(429, retry_after="30")))
    assert many.next(now(2.0)) is None
    assert many.due() == 31.0


def test_after_a_stop_no_request_is_handed_out():
    """What is under way ends with its outcome; the others are closed at once."""
    many = schedule()
    runs = [seat(sends(2), number + 1) for number in range(3)]
    for one in runs:
        many.add(one, now(0.0))
    task = many.next(now(0.0))
    many.stop()
    assert many.next(now(0.0)) is None
    assert [one.run.over for one in runs] == [False, True, True]
    many.advance(task, Answered(now(1.0), reply()))
    assert runs[0].run.over
    assert set(many.stopped) == set(runs)
    assert not many.ended


def test_an_error_ends_its_run_only():
    """A failed command is thrown into its flow; what the flow raises is kept for whoever takes the run out."""
    many, runs = schedule(), [seat(sends(1), number + 1) for number in range(2)]
    for one in runs:
        many.add(one, now(0.0))
    many.advance(many.next(now(0.0)), Failed(now(1.0), Unreachable("no")))
    assert isinstance(runs[0].error, Unreachable)
    assert not runs[1].run.over


def test_jobs_are_counted_until_they_have_ended():
    """A run counts as an unfinished job from its beginning to its end, also if it is closed."""
    many, runs = schedule(), [seat(sleeps(5.0), number + 1) for number in range(3)]
    for one in runs:
        many.add(one, now(0.0))
    assert many.unfinished == 3
    many.close(runs[0])
    assert many.unfinished == 2
    many.next(now(5.0))
    assert many.unfinished == 0


def test_a_wait_that_news_has_ended_does_not_end_the_next_one():
    """The time at which it would have ended by itself means nothing any more."""

    def waits_and_sleeps():
        yield AwaitNews(900.0)
        yield Sleep(5000.0)

    many, waiter = schedule(), seat(waits_and_sleeps(), job="j1")
    many.add(waiter, now(0.0))
    many.add(seat(wakes({"j1": None}), 2), now(1.0))
    many.next(now(1.0))
    many.next(now(900.0))
    assert not waiter.run.over
    many.next(now(5001.0))
    assert waiter.run.over
