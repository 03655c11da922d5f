"""``python -m gofer_service``: run the service from a shell. The token comes from ``SERVICE_TOKEN`` or the file."""

import argparse
import sys
from pathlib import Path

import anyio

from gofer_service.check import parts, probe
from gofer_service.config import ConfigError, config_file, load
from gofer_service.engine import EngineUnusable
from gofer_service.hosts import Exposed
from gofer_service.server import serve


def main() -> int:
    """Read the settings and serve until a signal; return 2 if a setting is wrong, 1 if the service cannot start."""
    # No option has a default: one that is not passed leaves its setting to the environment and the file.
    parser = argparse.ArgumentParser(prog="python -m gofer_service", description="Serve papers by DOI as jobs.")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration, in TOML")
    parser.add_argument("--check", action="store_true", help="say what is on and off, and do not serve")
    parser.add_argument("--probe", action="store_true", help="with --check: also ask each source whether it answers")
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="0 takes a free one (default: 8000)")
    parser.add_argument("--library", type=Path, help="folder of papers (default: the samples)")
    parser.add_argument("--data", type=Path, help="records and results (default: gofer-data)")
    parser.add_argument("--allow-host", action="append", metavar="NAME", help="a name of the service; may be repeated")
    parser.add_argument("--open", action="store_true", default=None, help="serve beyond loopback without a token")
    parser.add_argument(
        "--log-requests", action="store_true", default=None, help="print a line for each request on stderr"
    )
    args = parser.parse_args()
    if args.probe and not args.check:
        print("gofer service: --probe belongs to --check", file=sys.stderr)
        return 2
    options = {
        "library": {"folder": args.library},
        "jobs": {"data": args.data},
        "serve": {
            "host": args.host,
            "port": args.port,
            "allow_hosts": args.allow_host and tuple(args.allow_host),
            "open": args.open,
            "log_requests": args.log_requests,
        },
    }
    try:
        file = config_file(args.config)
        settings = load(file, options)
    except ConfigError as error:
        print(f"gofer service: {error}", file=sys.stderr)
        return 2
    if args.check:
        found = parts(file, settings)
        print(*found, *(anyio.run(probe, settings) if args.probe else ()), sep="\n")
        return 2 if any(part.state == "wrong" for part in found) else 0
    try:
        serve(settings)
    except (EngineUnusable, Exposed, OSError) as error:
        print(f"gofer service: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
