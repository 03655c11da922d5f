"""``python -m gofer_service``: run the service from a shell. The token comes from ``SERVICE_TOKEN``."""

import argparse
import os
import sys
from pathlib import Path

from gofer_service.engine import EngineUnusable
from gofer_service.hosts import Exposed
from gofer_service.server import sample_library, serve


def main() -> int:
    """Read the arguments and serve until a signal; return 1 if the service cannot start."""
    parser = argparse.ArgumentParser(prog="python -m gofer_service", description="Serve papers by DOI as jobs.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: %(default)s)")
    parser.add_argument(
        "--library", type=Path, default=sample_library(), help="folder of papers (default: the samples)"
    )
    parser.add_argument(
        "--data", type=Path, default=Path("gofer-data"), help="records and results (default: %(default)s)"
    )
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a name of the service; may be repeated"
    )
    parser.add_argument("--open", action="store_true", help="serve beyond loopback without a token")
    parser.add_argument("--log-requests", action="store_true", help="print a line for each request on stderr")
    args = parser.parse_args()
    try:
        serve(
            args.host,
            args.port,
            library=args.library,
            data=args.data,
            token=os.environ.get("SERVICE_TOKEN") or None,
            allow_hosts=args.allow_host,
            open_to_all=args.open,
            log_requests=args.log_requests,
        )
    except (EngineUnusable, Exposed, OSError) as error:
        print(f"gofer service: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
