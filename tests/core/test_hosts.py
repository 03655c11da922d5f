"""Hosts as `allow_hosts` compares them: one spelling each, and nothing that has two readings."""

import pytest

from gofer.core.hosts import allows, pattern
from gofer.errors import UsageError
from gofer.setup import hosts_of
from gofer.wire import origin

LISTED = ["files.example.org", "*.cdn.example.org", "10.0.0.7", "[fd00::7]", "xn--bcher-kva.example", "worker1"]


def allowed(url, listed=LISTED):
    """Whether a link may lead there."""
    return allows(hosts_of(listed), origin(url)[1])


@pytest.mark.parametrize(
    "authority",
    [
        "files.example.org",
        "FILES.Example.ORG",
        "files.example.org.",
        "files.example.org:8443",
        "10.0.0.7@files.example.org",
        "a.cdn.example.org",
        "a.b.cdn.example.org",
        "10.0.0.7:9000",
        "[fd00::7]",
        "[FD00:0:0:0:0:0:0:7]:9000",
        "xn--bcher-kva.example",
        "worker1:9000",
    ],
)
def test_a_listed_host_is_allowed_in_any_case_and_on_any_port(authority):
    """Case, a dot at the end, a user part, a port and the spelling of IPv6 make no difference."""
    assert allowed(f"http://{authority}/x")


@pytest.mark.parametrize(
    "authority",
    [
        "elsewhere.test",
        "example.org",
        "cdn.example.org",
        "notcdn.example.org",
        "evil-cdn.example.org",
        "files.example.org.elsewhere.test",
        "files.example.org@elsewhere.test",
        "files.example.org:80@elsewhere.test",
        "a.files.example.org",
        "elsewhere.test%2F.cdn.example.org",
        "elsewhere.test\\.cdn.example.org",
        "elsewhere test.cdn.example.org",
        "[fe80::1%25x.cdn.example.org]",
        "[fe80::1%x.cdn.example.org]",
        "bücher.example",
        "bücher.cdn.example.org",
        "files。example.org",
        "10.0.0.8",
    ],
)
def test_another_host_is_not(authority):
    """A name is allowed only if it is listed itself, or is below one with `*.`; user parts and ends decide nothing."""
    assert not allowed(f"http://{authority}/x")


@pytest.mark.parametrize(
    "authority",
    [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "127.0.0.01",
        "１２７.０.０.１",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[fe80::1%25eth0]",
        "169.254.169.254",
        "10.0.0.07",
        "10.7",
        "0.0.0.0",
        "[::]",
        "localhost",
    ],
)
@pytest.mark.parametrize("listed", [[], LISTED, ["*.example.org"]], ids=["nothing", "some", "any"])
def test_an_address_that_is_not_listed_is_refused_in_every_spelling(authority, listed):
    """Loopback, private and link-local addresses need no rule of their own."""
    assert not allowed(f"http://{authority}/x", listed)


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
def test_an_odd_spelling_of_a_listed_address_is_refused_too(address):
    """A listed address allows itself, and none of the forms that only some systems read as it."""
    assert allowed(f"http://{address}/x", [address])
    for odd in ("127.1", "0x7f.1", "0177.0.0.1", "2130706433", "127.0.0.1.", "[::ffff:127.0.0.1]", "[::1%25lo]"):
        assert not allowed(f"http://{odd}/x", [address])


@pytest.mark.parametrize(
    "entry",
    [
        *("", "*", "*.", "*.*", "a.*", "*a.test", "*.127.0.0.1", ".a.test", "a..b", "a test", "bücher.example"),
        *(
            "https://a.test",
            "a.test:80",
            "a.test/",
            "me@a.test",
            "127.1",
            "0x7f.1",
            "[::1]:80",
            "fe80::1%eth0",
            None,
            7,
        ),
    ],
)
def test_an_entry_that_is_no_host_is_a_usage_error(entry):
    """The error shows the entry and says what one looks like."""
    with pytest.raises(UsageError, match=r"allow_hosts= has .* which is no host"):
        hosts_of([entry])


@pytest.mark.parametrize("wrong", ["files.example.org", 7, True])
def test_one_text_is_no_list(wrong):
    """A name by itself would be read as a list of letters."""
    with pytest.raises(UsageError, match="allow_hosts= is a list"):
        hosts_of(wrong)


@pytest.mark.parametrize(
    ("entry", "compared"),
    [("Files.Example.ORG.", "files.example.org"), ("*.CDN.test", "*.cdn.test"), ("[FD00:0::7]", "fd00::7")],
)
def test_an_entry_is_kept_in_the_one_spelling(entry, compared):
    """Entries may be spelled as links may."""
    assert pattern(entry) == compared
