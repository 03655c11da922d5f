"""The options that several commands share."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args

import click

Command = TypeVar("Command", bound=Callable[..., None])

Encoded = Literal["refuse", "keep"]
"""What `--encoded` can be, as the client's option of this name."""


class Seconds(click.FloatRange):
    """A time above zero, as `--timeout` takes it."""

    name = "number of seconds"

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the number; infinity and NaN are refused."""
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is not a valid {self.name}.", param, ctx)
        return seconds


def _target(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value == "-":
        raise click.BadParameter("a file is not written to stdout, as it is checked before it appears; name a file.")
    return value


def _log_everything(_ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        logging.getLogger("gofer").setLevel(logging.DEBUG)  # shown by `screen.showing`


verbose_option = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_log_everything,
    help="Show each request and each step on stderr.",
)
url_option = click.option(
    "--url",
    metavar="URL",
    help="The service's address. [default: $SERVICE_URL, else $SERVICE_HOST:$SERVICE_PORT, else localhost:8000]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
quiet_option = click.option("--quiet", is_flag=True, help="Show no progress; errors still go to stderr.")
attach_option = click.option(
    "--attach",
    "attached",
    multiple=True,
    metavar="FIELD=FILE",
    help="Put a file, by its name, into this field of the input; may be repeated.",
)
key_option = click.option(
    "--key",
    metavar="KEY",
    help="Repeat the submission that had this key; a service that replays keys makes no second job.",
)
variables_option = click.option(
    "--var",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    help="A variable of the declaration; may be repeated. [default: $GOFER_VAR_NAME]",
)


def errand_options(to_help: str, *, to_required: bool) -> Callable[[Command], Command]:
    """Add the options of a command that waits for a job, from `--to` to `-v`."""

    def decorate(command: Command) -> Command:
        for option in (
            verbose_option,
            quiet_option,
            json_option,
            click.option(
                "--timeout",
                type=Seconds(),
                metavar="SECONDS",
                default=120.0,
                show_default=True,
                help="Seconds for the complete errand.",
            ),
            click.option(
                "--encoded",
                type=click.Choice(get_args(Encoded)),
                default="refuse",
                show_default=True,
                help="What to do with a file that comes encoded, as by gzip, although gofer asks for it plain.",
            ),
            click.option("--to", required=to_required, metavar="PATH", callback=_target, help=to_help),
        ):
            command = option(command)
        return command

    return decorate
