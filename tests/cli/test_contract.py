"""`gofer contract`: the explanation of a declaration, and the request that it makes of an input."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from gofer.cli.commands import gofer as command
from gofer.contracts.declared import shipped, toml
from gofer.contracts.declared.drawing import drawing
from gofer.contracts.declared.inputs import needs

from .checking import BASE, check, contract, section
from .conftest import TOKEN
from .mine import MINE, SECRET, mine_server
from .shell import gofer

pytestmark = pytest.mark.usefixtures("in_a_folder")


# --- in words ---


def test_explains_a_declaration() -> None:
    """The explanation says what is sent on each leg, what is read where, and what the status words mean."""
    ran = contract("check", "mine.toml")
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert ran.stdout.startswith("mine: Jobs of our own. The input has the task.\n")
    assert "https://jobs.example.org/docs" in ran.stdout
    assert section(ran.stdout, "input") == " must have task\n may have size, data\n"
    assert " api_key from your account page; secret; must be given\n" in section(ran.stdout, "variables")
    assert " headers x-api-key: {api_key}\n" in section(ran.stdout, "every request")
    submit = section(ran.stdout, "submit")
    assert " sends POST {base}/jobs\n multipart task={input.task}\n" in submit
    assert " id /id\n" in submit
    assert section(ran.stdout, "poll") == " sends GET {base}/jobs/{id}\n"
    assert " progress /done, of 100\n" in section(ran.stdout, "status document")
    words = section(ran.stdout, "words")
    assert " succeeded ready\n" in words
    assert " any other is an error after 60 s of it\n" in words
    assert " value /value, else nothing\n" in section(ran.stdout, "result")
    assert section(ran.stdout, "cancel") == " sends DELETE {base}/jobs/{id}\n"


def test_draws_the_line() -> None:
    """A job's path is drawn: start, hold, cancel, the result's request and a job that is finished at once."""
    declaration = toml.parse(
        """
name = "all"
[submit]
url = "{base}"
id = "/id"
finished = 200
[start]
url = "{base}/{id}/go"
[poll]
url = "{base}/{id}"
hold = { query = { wait = "{hold?}" } }
[status]
state = "/state"
[reason]
url = "{base}/{id}/log"
[result]
url = "{base}/{id}/result"
[cancel]
url = "{base}/{id}"
""",
        "all.toml",
    )
    assert "\n".join(drawing(declaration)) == (
        r"""
    .----------------- finished ----------------.
    |                                           v
  submit ---> start ---> poll ---> result ---> file or value
                          |  ^
                          +--'  until a word ends the job, held by the service
                          |
                          +---> reason, where it has failed
                          |
                          '---> cancel
""".strip("\n")
    )


@pytest.mark.parametrize("name", shipped.names())
def test_explains_every_shipped_declaration(name: str) -> None:
    """Each declaration that comes with gofer is explained, with every address and every place it reads."""
    ran = contract("check", name)
    assert ran.exit_code == 0
    declaration = shipped.shipped(name)
    flat = re.sub(r"\s+", " ", ran.stdout)
    for call in (declaration.submit, *declaration.poll, *declaration.result, declaration.cancel):
        assert call is None or call.url is None or call.url.text in ran.stdout
    for place in (*declaration.submit.id, *declaration.status.state, *declaration.status.error):
        assert place.text.removeprefix("header:").partition(" ~ ")[0] in flat
    assert all(
        word in flat
        for word in ([] if declaration.states is None else [word for word, _ in declaration.states.meanings()])
    )
    assert not [line for line in ran.stdout.splitlines() if len(line) > 120]


def test_what_an_input_needs() -> None:
    """A member is needed if any template needs it; a template of the complete input needs no member."""
    assert needs(shipped.shipped("ogc-processes"))[0] == ["process"]
    assert needs(shipped.shipped("uws")) == ([""], [])


def test_lists_the_contracts() -> None:
    """`contract list` has one line for each contract."""
    ran = contract("list")
    assert ran.exit_code == 0
    assert [line.split()[0] for line in ran.stdout.splitlines()] == ["retrieve", *shipped.names()]


@pytest.mark.parametrize("name", shipped.names())
def test_shows_a_contract(name: str) -> None:
    """What `contract show` prints is the declaration, and can be parsed again."""
    ran = contract("show", name)
    assert ran.exit_code == 0
    assert toml.parse(ran.stdout, f"{name}.toml").digest == shipped.shipped(name).digest


# --- the request ---


def test_shows_the_request() -> None:
    """With --input the request is shown, with its secrets masked."""
    ran = check("--input", "request.json", SERVICE_TOKEN=TOKEN, GOFER_VAR_API_KEY=SECRET)
    assert ran.exit_code == 0, ran.stderr
    shown = ran.stdout[ran.stdout.index("\nfor this input") :]
    assert f"  POST {BASE}/jobs?region=north\n" in shown
    assert "  x-api-key: ***\n" in shown
    assert "  authorization: Bearer ***\n" in shown
    assert 'name="data"; filename="a.txt"' in shown
    assert TOKEN not in ran.output
    assert SECRET not in ran.output


def test_the_shown_request_is_the_one_that_is_sent(tmp_path: Path) -> None:
    """`gofer run` sends the request that `gofer contract check` shows, except for its key and boundary."""
    with mine_server() as (server, _):
        there = server.url
        words = ("--var", "region=north", "--input", "request.json", "--url", there)
        ran = contract("check", "mine.toml", *words)
        assert gofer("run", "--contract", "mine.toml", *words, cwd=tmp_path, GOFER_VAR_API_KEY=SECRET).returncode == 0
        sent = server.calls[0]
    shown = ran.stdout[ran.stdout.index("for this input\n") :].splitlines()[1:]
    assert shown[0] == f"  {sent.method} {there}{sent.path}"
    for line in shown[1 : shown.index("")]:
        name, _, value = line.strip().partition(": ")
        assert name in sent.headers
        assert value in ("***", sent.headers[name]) or name == "content-type"
    body = re.sub(r"--gofer-\w+", "", sent.body.decode()).split()
    assert re.sub(r"--gofer-\w+", "", " ".join(shown[shown.index("") :])).split() == body


def test_a_file_that_would_be_sent_is_shown_by_its_name_and_size() -> None:
    """--attach sets the field to the file, or makes a map of files if the declaration sends several there."""
    Path("raw.toml").write_text(MINE.replace('"{input.data*?}"', '"{input.data?}"'))
    Path("a.bin").write_bytes(b"\xff" * 70_000)
    for name in ("mine.toml", "raw.toml"):
        words = ("--var", "region=north", "--input", "-", "--attach", "data=a.bin", "--url", BASE)
        ran = CliRunner().invoke(command, ["contract", "check", name, *words], input='{"task": "x"}')
        assert ran.exit_code == 0, ran.output
        assert 'name="data"; filename="a.bin"' in ran.stdout
        assert "<file a.bin, 70000 bytes>" in ran.stdout


def test_shows_what_is_uploaded_before_the_submission() -> None:
    """What only the answers have is shown by its name in capitals."""
    first = '[[upload]]\nurl = "{base}/files"\nlinks = { put = "/put" }\nvalues = { handle = "/handle" }\n'
    second = '[[upload]]\nurl = "{links.put}"\nbody = "{input.data}"\n'
    text = MINE.replace("[submit]", f"{first}{second}[submit]").replace('"{input.data*?}"', '"{values.handle}"')
    Path("raw.toml").write_text(text)
    Path("a.bin").write_bytes(b"\xff" * 7)
    words = ("--var", "region=north", "--input", "-", "--attach", "data=a.bin", "--url", BASE)
    ran = CliRunner().invoke(command, ["contract", "check", "raw.toml", *words], input='{"task": "x"}')
    assert ran.exit_code == 0, ran.output
    assert "  upload ---> submit ---> poll" in ran.stdout
    assert " must have task, data\n" in section(ran.stdout, "input").replace("data, task", "task, data")
    assert " sends PUT {links.put}\n body {input.data}\n" in section(ran.stdout, "upload 2, before the submission")
    shown = re.sub(r"\s+", " ", ran.stdout[ran.stdout.index("for this input") :])
    assert f"POST {BASE}/files?region=north" in shown
    assert f"PUT {BASE}/PUT" in shown
    assert "<file a.bin, 7 bytes>" in shown
    assert 'name="data" HANDLE' in shown


def test_masks_a_secret_in_an_address() -> None:
    """A secret in the address is masked, and the mask is not percent-encoded."""
    Path("mine.toml").write_text(
        MINE.replace('headers = { x-api-key = "{api_key}" }', "").replace(
            'query = { region = "{region}" }', 'query = { region = "{region}", key = "{api_key}" }'
        )
    )
    assert f"POST {BASE}/jobs?region=north&key=***\n" in check("--input", "request.json").stdout


def test_says_what_is_not_sent() -> None:
    """A member of the input that no template sends is named."""
    Path("more.json").write_text('{"task": "value", "sise": 3}')
    assert "not sent: sise\n" in check("--input", "more.json").stdout


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("check", "bad.toml"), "bad.toml:2: sumbit: unknown key"),
        (("check", "no.toml"), "cannot be read"),
        (("check", "ogc"), "gofer has no contract named 'ogc'"),
        (("check", "retrieve"), "`gofer get` uses it"),
        (("show", "retrieve"), "`gofer get` uses it"),
        (("check", "mine.toml", "--input", "request.json"), "--var region=VALUE"),
        (("check", "uws", "--input", "none.json"), "cannot be read"),
        (("check", "uws", "--reply", "x.txt"), "LEG=FILE"),
        (("check", "uws", "--reply", "start=x.txt"), "submit, poll, result, reason, cancel"),
        (("check", "uws", "--reply", "poll=none.txt"), "cannot be read"),
        (("check", "uws", "--reply", "poll=request.json"), "request.json is no recorded reply"),
    ],
)
def test_bad_usage(args: tuple[str, ...], says: str) -> None:
    """A wrong declaration or argument is exit code 2, and one line says what is wrong."""
    Path("bad.toml").write_text('name = "bad"\n[sumbit]\n')
    ran = contract(*args)
    assert ran.exit_code == 2
    assert says in ran.stderr
    assert ran.stderr.count("\n") == 1
