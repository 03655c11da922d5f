"""Reads the settings from the command line, the environment and the configuration file; the first that has one counts.

The file is checked as a whole, also where something goes before it. Every error says where the mistake is.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import cattrs
from attrs import evolve
from cattrs import AttributeValidationNote, override
from cattrs.gen import make_dict_structure_fn

from gofer.contracts.declared.positions import line_of, misfit, syntax_line
from gofer.contracts.faults import dotted
from gofer.contracts.payload import as_list, as_map, strict_converter
from gofer.contracts.spelling import hint
from gofer.wire import may_be_sent
from gofer_service.settings import FromFile, Inline, RemoteSettings, Secret, Settings, SourcesSettings, Tokens
from gofer_service.sources.chosen import BUILT_IN, installed_sources

_CALLER = re.compile(r"[A-Za-z0-9._-]{1,64}")

Values = Mapping[str, Mapping[str, Any]]
"""Settings by table and key; None stands for one that is not set."""


class ConfigError(ValueError):
    """A setting is wrong. The message is one line for the operator: the place, the key, and why."""

    def __init__(self, why: str, *, place: object, line: int | None = None, key: str = "") -> None:
        where = f"{place}:{line}" if line is not None else f"{place}"
        super().__init__(": ".join(part for part in (where, key, why) if part))


def config_file(option: Path | None) -> Path | None:
    """Return the configuration file: that of ``--config``, else of ``GOFER_CONFIG``, else the XDG one if it exists."""
    if option is not None:
        return option
    if named := os.environ.get("GOFER_CONFIG"):
        return Path(named)
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or "")
    try:
        file = (folder if folder.is_absolute() else Path.home() / ".config") / "gofer-service.toml"
    except RuntimeError:  # this user has no home, as in a container
        return None
    return file if os.path.lexists(file) else None


def load(file: Path | None, options: Values, *, data: Path | None = None) -> Settings:
    """Return the settings of the command line, the environment, the file and the defaults, in this order.

    Args:
        file: what `config_file` returned.
        options: what the command line sets.
        data: the data folder if nothing names one; None means that of `JobSettings`.

    Raises:
        ConfigError: the file cannot be read, or something in it or in the options is wrong.
    """
    given: Values = {}
    settings = Settings()
    if file is not None:
        given, settings = _read(file)
    if data is not None and "data" not in given.get("jobs", {}):
        settings = evolve(settings, jobs=evolve(settings.jobs, data=data))
    if token := os.environ.get("SERVICE_TOKEN"):
        settings = evolve(settings, serve=evolve(settings.serve, token_file=Secret(token, "SERVICE_TOKEN")))
    if remote := os.environ.get("SERVICE_REMOTE"):
        try:
            other = evolve(settings.sources.remote or RemoteSettings(), url=remote)
        except ValueError as error:
            raise ConfigError(str(error), place="environment", key="SERVICE_REMOTE") from error
        settings = evolve(settings, sources=evolve(settings.sources, remote=other))
    for table, members in options.items():
        for key, value in members.items():
            if value is not None:
                try:
                    settings = evolve(settings, **{table: evolve(getattr(settings, table), **{key: value})})
                except ValueError as error:
                    raise ConfigError(str(error), place="command line", key=f"{table}.{key}") from error
    return settings


def _read(file: Path) -> tuple[Values, Settings]:
    try:
        content = file.read_bytes()
        text = content.decode()
        raw = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"the configuration cannot be read: {error.strerror}", place=file) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError("the configuration is not in UTF-8", place=file, line=line) from error
    except (ValueError, RecursionError) as error:  # the second: brackets within brackets without end
        raise ConfigError(f"it is no TOML: {error}", place=file, line=syntax_line(error)) from error
    try:
        return raw, _converter(file.absolute().parent).structure(raw, Settings)
    except cattrs.BaseValidationError as error:
        key, why = misfit(error, not_keys=("others",))
        raise ConfigError(why, place=file, line=line_of(text, key), key=dotted(key)) from error


def _converter(folder: Path) -> cattrs.Converter:
    """Make the converter for a file in this folder, which relative paths start from."""

    def path(value: object, _: object) -> Path:
        if not isinstance(value, str) or not value or "\0" in value:
            raise TypeError("expected a path")
        try:
            return folder / Path(value).expanduser()
        except RuntimeError as error:
            raise ValueError("there is no home folder for the ~ in it") from error

    def inline(value: object, _: object) -> Inline:
        if not isinstance(value, str) or not value or not may_be_sent(value):
            raise TypeError("expected a text of ASCII characters (not shown, as it may be a secret)")
        return Inline(value, "the configuration")

    def words(value: object, kind: object) -> list[str]:
        # The path is not quoted: it may be a secret that was put here by mistake.
        try:
            return path(value, kind).read_text(encoding="ascii").split()
        except OSError as error:
            raise ValueError(f"the file that it names cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            return []

    def secret(value: object, kind: object) -> Secret:
        found = words(value, kind)
        if len(found) != 1:
            raise ValueError("the file that it names must have one word of ASCII characters in it, the secret")
        return Secret(found[0], "serve.token_file")

    def tokens(value: object, kind: object) -> Tokens:
        found = Tokens(" ".join(words(value, kind)), "serve.tokens_file")
        if not found.pairs or not all(_CALLER.fullmatch(name) and token for name, token in found.pairs):
            raise ValueError("the file that it names must have lines of ASCII characters, as name:token")
        if len({token for _, token in found.pairs}) < len(found.pairs):
            raise ValueError("two lines of the file that it names have the same token")
        return found

    converter = strict_converter(closed=True)
    converter.register_structure_hook_factory(attrs.has, partial(_table, converter))
    converter.register_structure_hook(Path, path)
    converter.register_structure_hook(Secret, secret)
    converter.register_structure_hook(Tokens, tokens)
    converter.register_structure_hook(FromFile, lambda value, kind: FromFile(secret(value, kind).text, "a file"))
    converter.register_structure_hook(Inline, inline)
    converter.register_structure_hook(SourcesSettings, partial(_sources, converter))
    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _names)
    return converter


def _table(converter: cattrs.Converter, kind: type[Any]) -> Any:
    read = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True)

    def structure(value: object, _: object) -> Any:
        members = as_map(value)
        if members is None:
            raise TypeError(f"expected a table, got {type(value).__name__}")
        return read(members, kind)

    return structure


def _sources(converter: cattrs.Converter, value: object, kind: object) -> SourcesSettings:
    """Read the table ``[sources]``, in which tables of other packages' sources may be."""
    members = as_map(value)
    if members is None:
        raise TypeError(f"expected a table, got {type(value).__name__}")
    installed = installed_sources()
    others = {name: _plain(name, table) for name, table in members.items() if name in installed}
    omitted = override(omit=True)
    read = make_dict_structure_fn(SourcesSettings, converter, _cattrs_forbid_extra_keys=True, others=omitted)
    rest = {name: table for name, table in members.items() if name not in others}
    settings = evolve(read(rest, kind), others=others)
    names = [*BUILT_IN, *installed]
    for name in settings.order or ():
        if name not in names or (settings.order or ()).count(name) > 1:
            twice = f"{name!r} is there twice" if name in names else f"there is no source {name!r}.{hint(name, names)}"
            error = ValueError(twice)
            error.add_note(AttributeValidationNote("", "order", None))
            raise error
    return settings


def _plain(name: str, table: object) -> Mapping[str, Any]:
    members = as_map(table)
    if members is None:
        error = TypeError(f"expected a table, got {type(table).__name__}")
        error.add_note(AttributeValidationNote("", name, None))
        raise error
    return members


def _names(value: object, _: object) -> tuple[str, ...]:
    names = as_list(value)
    if names is None or not all(isinstance(name, str) and name for name in names):
        raise TypeError('expected a list of names, as in ["papers.example.org"]')
    return tuple(names)
