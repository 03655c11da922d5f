"""The options of a client: one list of them, shown everywhere, obeyed by both faces."""

import inspect
import pydoc
import re
import threading
import time
import typing

import anyio
import attrs
import pytest

import gofer
from gofer.core.policies import Rules
from gofer.options import ClientOptions
from support.raw_server import http, raw_server

FACES = [gofer.Client, gofer.AsyncClient, gofer.RetrieveClient, gofer.AsyncRetrieveClient]
FIELDS = attrs.fields_dict(ClientOptions)

faces = pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)


def first_arguments(face):
    """What a client of this class needs."""
    return ("http://service.test",) if face in (gofer.Client, gofer.AsyncClient) else ()


def test_type_checkers_are_shown_the_same_options():
    """The keywords for type checkers have the names and types of the options; `timeout` stands by itself."""
    types = {name: field.type for name, field in FIELDS.items() if name != "timeout"}
    assert {name: hint.__forward_arg__ for name, hint in gofer.Options.__annotations__.items()} == types
    assert typing.get_type_hints(gofer.Options)


def test_every_option_is_documented():
    """Each option has one entry in the docstring, in the order of the fields."""
    assert re.findall(r"^ {4}(\w+): ", inspect.cleandoc(ClientOptions.__doc__), re.MULTILINE) == list(FIELDS)


@faces
def test_every_option_is_in_the_signature_with_its_default(face):
    """`inspect.signature` of a client has each option's type and default, and no `**options`."""
    shown = inspect.signature(face).parameters
    for name, field in FIELDS.items():
        assert (shown[name].default, shown[name].annotation) == (field.default, field.type)
    assert all(one.kind is not one.VAR_KEYWORD for one in shown.values())


@faces
def test_every_argument_is_documented_once(face):
    """Help and the reference say what each argument of a constructor is."""
    entries = re.findall(r"^ {4}(\w+): ", face.__init__.__doc__.partition("Raises:")[0], re.MULTILINE)
    assert sorted(entries) == sorted(inspect.signature(face).parameters)
    text = pydoc.plain(pydoc.render_doc(face))
    assert "max_connections: 'int' = 100" in text
    assert "max_connections: requests that" in text


@faces
def test_a_misspelt_option_is_named_with_the_nearest_one(face):
    """A wrong keyword is a TypeError, as for any function, and says what was probably meant."""
    for wrong, right in (("hodl", "hold"), ("max_conections", "max_connections"), ("transprt", "transport")):
        with pytest.raises(TypeError, match=rf"{face.__name__}\(\) .*'{wrong}'\. Did you mean '{right}'\?"):
            face(*first_arguments(face), **{wrong: 1})
    with pytest.raises(TypeError, match=r"'zzz'\.$"):
        face(*first_arguments(face), zzz=1)


def test_a_retrieval_client_has_its_own_contract():
    """`contract=` is no argument of the retrieval clients."""
    for face in (gofer.RetrieveClient, gofer.AsyncRetrieveClient):
        with pytest.raises(TypeError, match="contract"):
            face(contract="ogc-processes")


def test_a_subclass_shows_its_own_signature():
    """A constructor of one's own is not hidden behind the options."""

    class Papers(gofer.RetrieveClient):
        def __init__(self, host: str = "papers.test", **options: object) -> None:
            super().__init__(host, **options)

    assert list(inspect.signature(Papers).parameters) == ["host", "options"]
    with pytest.raises(TypeError, match=r"Papers\(\) .*Did you mean 'hold'"):
        Papers(hodl=1)


def test_the_core_has_the_same_defaults():
    """A client without options decides by the defaults of the core's rules."""
    rules, defaults = gofer.Client("http://service.test")._service.rules, attrs.fields_dict(Rules)
    for name in ("hold", "timeout", "stall", "file_cap", "on_abandon", "verify", "encoded", "hosts"):
        assert getattr(rules, name) == defaults[name].default


@pytest.mark.parametrize("face", ["sync", "async"])
def test_no_more_connections_than_allowed(face):
    """With `max_connections=2`, six calls at once have two connections open at a time, and all are answered."""
    lock, now, most, both = threading.Lock(), 0, 0, threading.Barrier(2, timeout=60)

    def script(call):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        both.wait()  # until two are here
        time.sleep(0.1)  # and a third, if there were one
        with lock:
            now -= 1
        yield http(200, '{"job_id": "1", "status": "completed"}')

    def sync(url):
        with gofer.RetrieveClient(base_url=url, max_connections=2) as client:
            threads = [threading.Thread(target=client.get_job_status, args=("1",)) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    async def awaited(url):
        async with (
            gofer.AsyncRetrieveClient(base_url=url, max_connections=2) as client,
            anyio.create_task_group() as tasks,
        ):
            for _ in range(6):
                tasks.start_soon(client.get_job_status, "1")

    with raw_server(script) as server:
        if face == "sync":
            sync(server.url)
        else:
            anyio.run(awaited, server.url)
        assert len(server.calls) == 6
    assert most == 2


@faces
@pytest.mark.parametrize("wrong", ["gzip", "", None, True, "KEEP"])
def test_a_wrong_treatment_of_encoded_files(face, wrong):
    """The error names the option, and what it can be."""
    with pytest.raises(gofer.UsageError, match='encoded is "refuse" or "keep", not '):
        face(*first_arguments(face), encoded=wrong)


@faces
@pytest.mark.parametrize("wrong", ["files.example.org", ["https://files.example.org"], [None], 5])
def test_wrong_hosts(face, wrong):
    """The error names the option; its entries are tried in tests/core/test_hosts.py."""
    with pytest.raises(gofer.UsageError, match="allow_hosts= "):
        face(*first_arguments(face), allow_hosts=wrong)


@faces
@pytest.mark.parametrize("wrong", [0, -1, "5", None, True])
def test_a_wrong_number_of_connections(face, wrong):
    """The error names the option."""
    with pytest.raises(gofer.UsageError, match="max_connections"):
        face(*first_arguments(face), max_connections=wrong)
