"""What the progress line and the command line say of an event, in words."""

import pytest

from gofer.events import CancelSent, Changed, Submitted
from gofer.models import State, Status
from gofer.progress import in_words
from gofer.ticket import Ticket

CANCELLED = Status("failed", State.CANCELLED, error_code="CANCELLED")


@pytest.mark.parametrize(
    ("status", "confirmed", "words"),
    [
        (CANCELLED, True, "cancelled"),
        (Status("dismissed", State.CANCELLED), False, "cancelled"),
        (Status("completed", State.SUCCEEDED), True, "not cancelled, the job had ended: completed"),
        (Status("failed", State.FAILED), True, "not cancelled, the job had ended: failed"),
        (Status("searching", State.RUNNING), True, "cancellation accepted, last status: searching"),
        (Status("searching", State.RUNNING), False, "not cancelled, the service does not cancel jobs"),
    ],
)
def test_a_cancellation_is_called_what_the_service_showed(status: Status, confirmed: bool, words: str) -> None:
    """A job is only called cancelled if the service shows that it is."""
    assert in_words(CancelSent("j1", status, confirmed)) == words


def test_a_cancelled_job_is_not_called_failed() -> None:
    """The retrieval service's word for a cancelled job is "failed"; the words for a person say what it means."""
    assert in_words(Changed("j1", CANCELLED)) == "cancelled"
    assert in_words(Submitted("j1", CANCELLED, Ticket("retrieve", "http://h", "j1"))) == "submitted, cancelled"
    assert in_words(Changed("j1", Status("failed", State.FAILED))) == "failed"
