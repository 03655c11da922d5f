"""Several files of a job, or none: a folder with a manifest, all of them or nothing. Without a disk."""

import json
from pathlib import Path

import attrs
import pytest

from gofer.contracts.base import Ref, Snapshot
from gofer.contracts.retrieve import RetrieveContract
from gofer.core import flows
from gofer.core.commands import MANIFEST, Assemble, Put
from gofer.core.deliver import deliver
from gofer.core.errand import Errand
from gofer.core.folder import safe_names, weakest
from gofer.core.record import JobMemory, JobRecord
from gofer.core.table import Move
from gofer.core.target import Target
from gofer.errors import NotSupported, Unauthorized, UsageError
from gofer.events import Saved
from gofer.models import Fetched, ResultFile, State, Status, Verified
from support.files import completed
from support.world import BASE, World, reply

OUT = Path("/results/out")


@attrs.frozen
class Several(RetrieveContract):
    """A contract whose jobs give these files."""

    given: tuple[ResultFile, ...] = ()

    def build_results(self, base, seen):
        """Show the files as the results."""
        return attrs.evolve(seen, files=self.given)


def named(*names):
    """The files of these names, each at an address of its own."""
    return tuple(ResultFile(name, f"{BASE}/f/{name}?signature=secret") for name in names)


def service(request, world):
    """Answer with a job that has ended, or with a file whose length is named."""
    if "/f/" not in request.url:
        return completed()
    content = f"content of {request.url.partition('?')[0][-1]}"
    return reply(200, content, content_type="text/plain", content_length=str(len(content)))


def download(given, *, world=None, kind="folder", to=OUT, only=None):
    """Download the results of a job that gave these files; return what came, and the world."""
    world = World(service) if world is None else world
    memory = JobMemory(JobRecord(Ref("j1"), accepted=True))
    errand = Errand(world.service(contract=Several(given=given)), memory)
    return world.play(flows.download(errand, Target(to, kind), only), errand), world


def fetched(world):
    """The files that were requested."""
    return [request.url.partition("?")[0].rpartition("/f/")[2] for request in world.requests if "/f/" in request.url]


def test_the_files_of_a_job_are_in_the_folder_with_a_manifest():
    """The manifest says what each file is called, how it was verified, and where it came from, without the query."""
    sent_along = ResultFile("note.json", content=b"{}")
    (path, files), world = download((*named("a", "b"), sent_along))
    assert path == OUT
    assert files == (
        Fetched(OUT / "a", 12, Verified.LENGTH),
        Fetched(OUT / "b", 12, Verified.LENGTH),
        Fetched(OUT / "note.json", 2, Verified.LENGTH),
    )
    manifest = json.loads(world.files.pop(OUT / MANIFEST))
    assert world.files == {OUT / "a": b"content of a", OUT / "b": b"content of b", OUT / "note.json": b"{}"}
    assert manifest == {
        "job": "j1",
        "service": BASE,
        "files": [
            {"file": "a", "name": "a", "size": 12, "verified": "length", "from": f"{BASE}/f/a"},
            {"file": "b", "name": "b", "size": 12, "verified": "length", "from": f"{BASE}/f/b"},
            {"file": "note.json", "name": "note.json", "size": 2, "verified": "length"},
        ],
    }


def test_a_folder_is_reported_once_with_all_its_bytes_and_the_weakest_check():
    """One event for the folder, and none for its files."""
    untold = ResultFile("c", f"{BASE}/untold")

    def answer(request, world):
        return (
            reply(200, "???", content_type="text/plain") if request.url.endswith("untold") else service(request, world)
        )

    (_, files), world = download((*named("a"), untold), world=World(answer))
    assert [one.verified for one in files] == [Verified.LENGTH, Verified.NONE]
    assert [event for event in world.events if isinstance(event, Saved)] == [Saved("j1", OUT, 15, Verified.NONE)]


def test_a_later_try_does_not_fetch_again_what_came():
    """The manifest is kept after each file, and what the first try found out of it counts."""
    refused = {"b"}

    def answer(request, world):
        return reply(401) if request.url.partition("?")[0][-1] in refused else service(request, world)

    world = World(answer)
    with pytest.raises(Unauthorized):
        download(named("a", "b", "c"), world=world)
    assert not any(path.parent == OUT for path in world.files)
    refused.clear()
    (_, files), _ = download(named("a", "b", "c"), world=world)
    assert fetched(world) == ["a", "b", "b", "c"]
    assert [one.size for one in files] == [12, 12, 12]
    assert {path.name for path in world.files if path.parent == OUT} == {"a", "b", "c", MANIFEST}
    assert len(json.loads(world.files[OUT / MANIFEST])["files"]) == 3


class Signed(RetrieveContract):
    """A contract whose jobs give two files of one name, with links that are new in each document."""

    def build_results(self, base, seen):
        """Show the files as the results."""
        links = [f"{BASE}/{place}/f/a?signature={seen.value.message}" for place in "xy"]
        return attrs.evolve(seen, files=tuple(ResultFile("a", link) for link in links))


def test_links_that_have_expired_are_read_again_for_files_of_one_name():
    """One poll renews both, and the new link of each is the one with the same path."""
    polls = iter("12")

    def answer(request, world):
        if "/f/" not in request.url:
            return completed(message=next(polls))
        return reply(403) if request.url.endswith("1") else reply(200, request.url[-17], content_type="text/plain")

    world = World(answer)
    errand = Errand(world.service(contract=Signed()), JobMemory(JobRecord(Ref("j1"), accepted=True)))
    world.play(flows.download(errand, Target(OUT, "folder")), errand)
    assert fetched(world) == ["a"] * 4
    assert (world.files[OUT / "a"], world.files[OUT / "a-2"]) == (b"x", b"y")


ENTRY = {"file": "a", "name": "a", "size": 0, "verified": "length"}
DAMAGED = [{**ENTRY, "verified": "sworn"}, {**ENTRY, "size": -1}, {**ENTRY, "size": "12"}, {"file": "a"}, {}, "a", None]


@pytest.mark.parametrize("note", ["{", "[]", '{"files": 5}', "[" * 100_000, *({"files": [one]} for one in DAMAGED)])
def test_a_manifest_that_says_nonsense_counts_as_none(note):
    """Every file is fetched again then."""
    world = World(service)
    text = note if isinstance(note, str) else json.dumps(note)
    staging = staging_of(named("a"))
    world.files[staging / MANIFEST] = text.encode()
    download(named("a"), world=world)
    assert fetched(world) == ["a"]


def test_a_manifest_that_says_sense_counts():
    """Also for an empty file, which is complete with no byte."""
    world = World(service)
    world.files[staging_of(named("a")) / MANIFEST] = json.dumps({"files": [ENTRY]}).encode()
    (_, files), _ = download(named("a"), world=world)
    assert fetched(world) == []
    assert files == (Fetched(OUT / "a", 0, Verified.LENGTH),)


def test_what_the_folder_has_of_this_job_is_not_fetched_again():
    """Its manifest lists all, also what was not asked for now."""
    world = World(service)
    download(named("a", "b", "c"), world=world, only=("a",))
    (_, files), _ = download(named("a", "b", "c"), world=world, only=("[ab]",))
    assert fetched(world) == ["a", "b"]
    assert [one.path.name for one in files] == ["a", "b"]
    download(named("a", "b", "c"), world=world, only=("c",))
    assert [one["file"] for one in json.loads(world.files[OUT / MANIFEST])["files"]] == ["a", "b", "c"]


def test_what_was_read_before_the_job_succeeded_stays_partial():
    """Another call of the handle may see the success meanwhile; the files are not those of the result for that."""
    world = World(service)
    seen = Snapshot(Ref("j1"), Status("busy", State.RUNNING), None, files=named("a"))
    succeeded = attrs.evolve(seen, status=Status("completed", State.SUCCEEDED))
    errand = Errand(world.service(), JobMemory(JobRecord(Ref("j1"), accepted=True, seen=succeeded)))
    errand.move(Move.ATTACH)
    world.play(deliver(errand, seen, Target(OUT, "folder")), errand)
    assert json.loads(world.files[OUT / MANIFEST])["partial"] is True


def staging_of(given):
    """Where the files of this job are gathered."""
    _, world = download(given)
    (staging,) = {command.staging for command in world.commands if isinstance(command, Assemble)}
    return staging


def test_the_staging_folder_lies_beside_the_target():
    """It is hidden, and named after the folder."""
    staging = staging_of(named("a"))
    assert staging.parent == OUT.parent
    assert staging.name.startswith(".out.")
    assert staging.name.endswith(".parts")


def test_a_job_without_files_makes_a_folder_with_an_empty_manifest():
    """The caller asked for a folder, and there it is."""
    (path, files), world = download(())
    assert (path, files) == (OUT, ())
    assert json.loads(world.files[OUT / MANIFEST])["files"] == []
    assert [event.size for event in world.events if isinstance(event, Saved)] == [0]


@pytest.mark.parametrize("kind", ["folder", "either"])
def test_the_kind_of_target_decides_what_one_file_becomes(kind):
    """One file goes into a folder only where a folder is wanted."""
    (path, files), world = download(named("a"), kind=kind)
    inside = kind == "folder"
    assert path == OUT
    assert files[0].path == (OUT / "a" if inside else OUT)
    assert any(isinstance(command, Put) for command in world.commands) is inside


def test_several_files_for_one_file_are_refused_by_name():
    """The error says how many there are and names the first five."""
    with pytest.raises(UsageError, match=r"gave 5 files \('a', 'b', 'c', 'd', 'e'\): name a folder"):
        download(named(*"abcde"), kind="file")
    with pytest.raises(UsageError, match=r"gave 6 files \('a', 'b', 'c', 'd', 'e', …\)"):
        download(named(*"abcdef"), kind="file")


@pytest.mark.parametrize("kind", ["file", "either"])
def test_no_file_is_an_error_where_no_folder_is_wanted(kind):
    """There is nothing to put at the target."""
    with pytest.raises(NotSupported, match="gave no file"):
        download((), kind=kind)


NAMES = {
    "two alike": (["a.txt", "a.txt", "a.txt"], ["a.txt", "a-2.txt", "a-3.txt"]),
    "alike but for case": (["a.txt", "A.TXT"], ["a.txt", "A-2.TXT"]),
    "without a suffix": (["a", "a"], ["a", "a-2"]),
    "the number is taken": (["a-2", "a", "a"], ["a-2", "a", "a-3"]),
    "the manifest's": (["manifest.json", "MANIFEST.json"], ["manifest-2.json", "MANIFEST-3.json"]),
    "paths": (["../../etc/passwd", "C:\\x\\y.txt", "/"], ["passwd", "y.txt", "_"]),
    "hidden": ([".profile"], ["profile"]),
}


@pytest.mark.parametrize("case", NAMES)
def test_names_in_a_folder_are_safe_and_no_two_alike(case):
    """Nothing that a service says is a path, and no file takes another's place in any file system."""
    given, names = NAMES[case]
    assert safe_names([ResultFile(name) for name in given]) == names


def test_a_name_without_a_suffix_gets_that_of_its_format():
    """A name that has one keeps it."""
    files = [ResultFile("a", format="pdf"), ResultFile("b.txt", format="pdf"), ResultFile("a", format="text/csv")]
    assert safe_names(files) == ["a.pdf", "b.txt", "a.csv"]


def test_a_folder_is_as_well_verified_as_its_weakest_file():
    """From nothing over length and size to the digest; no files are not verified."""
    order = [Verified.NONE, Verified.LENGTH, Verified.SIZE, Verified.DIGEST]
    for at, check in enumerate(order):
        assert weakest([Fetched(OUT, 1, one) for one in reversed(order[at:])]) is check
    assert weakest([]) is Verified.NONE
