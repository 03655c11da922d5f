"""``python runner.py FACE URL JOURNAL TO COUNT [KEY=VALUE ...]``: a batch of papers, to be killed at any moment.

It adds the same papers each time, prints a line for each errand that ends, and at last how many there are of each
state.
"""

import json
import sys

import anyio

import gofer


def requests(count):
    """The requests of a batch: papers of the library that `papers` makes, by their numbers."""
    return [{"doi": f"10.5555/batch.{number}", "n": number} for number in range(count)]


def client_of(face, url, options):
    """A client of either face; its contract may be a declaration."""
    kind = gofer.Client if face == "blocking" else gofer.AsyncClient
    return kind(url, **options)


def show(errand):
    """Print how an errand ended."""
    print(errand.number, errand.state, errand.error or "", flush=True)


def blocking(url, journal, to, count, options, batch_options):
    """Run the batch with blocking calls."""
    with client_of("blocking", url, options) as client, client.batch(journal, to=to, **batch_options) as batch:
        batch.add(batch_requests(options, count))
        for errand in batch.run():
            show(errand)
        print(json.dumps(batch.counts), flush=True)


async def awaited(url, journal, to, count, options, batch_options):
    """Run the batch with awaited calls."""
    async with (
        client_of("awaited", url, options) as client,
        client.batch(journal, to=to, **batch_options) as batch,
    ):
        await batch.add(batch_requests(options, count))
        async for errand in batch.run():
            show(errand)
        print(json.dumps(batch.counts), flush=True)


def batch_requests(options, count):
    """DOIs alone for the retrieval contract, else maps."""
    asked = requests(count)
    return asked if "contract" in options else [one["doi"] for one in asked]


if __name__ == "__main__":
    face, url, journal, to, count, *more = sys.argv[1:]
    options = dict(one.split("=", 1) for one in more)
    batch_options = {name: int(options.pop(name)) for name in ("jobs", "downloads") if name in options}
    if "contract" in options:
        from pathlib import Path

        options["contract"] = Path(options["contract"])
    arguments = url, journal, to, int(count), options, batch_options
    if face == "blocking":
        blocking(*arguments)
    else:
        anyio.run(awaited, *arguments, backend=face)
