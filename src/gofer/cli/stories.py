r"""What `--help` says: a short story for each command, examples, and the exit codes. Text only.

A line with only \b keeps click from re-wrapping the paragraph after it.
"""

from gofer.cli.endings import EXITS, HEALTH_EXITS

_CODES = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {words}" for code, words, _ in sorted(EXITS))

_HEALTH_CODES = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {words}" for code, words in HEALTH_EXITS)

GOFER = """Send an errand: a DOI goes in, the paper's file comes back.

The service does the work as a job. gofer submits the job, waits for it, and brings the file, whole and checked.

\b
Examples:
  gofer serve
  gofer get 10.5555/12345678 --to paper.pdf

\b
Environment:
  SERVICE_URL    the service's address, where --url is not given; else SERVICE_HOST and SERVICE_PORT
  SERVICE_TOKEN  the bearer token; it is never a flag and never printed
"""

GOFER_END = _CODES

GET = f"""Fetch the paper with this DOI.

The job is submitted, waited for, and its file brought to PATH, which is replaced in one step and only by a whole file.
Nothing is submitted if PATH cannot be written. The path is the only output on stdout; progress goes to stderr.

The service gets nine tenths of the --timeout; a service that keeps to that ends the job itself, with TIMEOUT. When all
of the time is up the job is left as it is, and the `gofer attach` line that brings its file later is printed. Ctrl-C
cancels the job instead; a second Ctrl-C ends at once.

\b
Examples:
  gofer get 10.5555/12345678 --to paper.pdf
  gofer get https://doi.org/10.5555/12345678 --to paper.pdf --url http://papers.example.org:8000
  gofer get 10.5555/12345678 --to paper.pdf --timeout 600 --json | jq .verified

\b
--json prints one object on stdout in place of the path, at the end, with these fields:
  status      the job's last status, as in "completed"
  job_id      the service's id of the job
  path        where the file is
  size        its bytes
  format      pdf, epub, xml or html, as the service says
  source      where the service found it
  verified    how it was checked: digest, size, length or none
  ticket      goes on with the job: gofer attach TICKET
  error_code  the service's code, as in NOT_FOUND
  error       what went wrong, in words
What is not known is null. The object comes however the errand ends: also when it fails, runs out of time, is
interrupted, or the DOI is wrong. Only where the options themselves are wrong ("Usage: ..." on stderr, exit code 2)
nothing is printed on stdout.

{_CODES}
"""

ATTACH = f"""Go on with a job from its ticket, in any process, and bring its file.

A ticket names its own service, so --url is not needed. A transfer that broke off goes on where it stopped. Ctrl-C and
the deadline both leave the job running.

The token in SERVICE_TOKEN goes only to the service that you name with --url or SERVICE_URL (or to the default,
http://localhost:8000). If the ticket names another, nothing is sent, and you are asked to name it with --url.

\b
Examples:
  gofer attach gofer1.eyJj... --to paper.pdf
  gofer attach gofer1.eyJj... --to paper.pdf --url https://papers.example.org

--json prints the same object as `gofer get --json`.

{_CODES}
"""

HEALTH = f"""Tell how the service is, and whether jobs can run.

The service has 5 seconds to answer.

\b
Examples:
  gofer health
  gofer health --url http://localhost:8000 --json

\b
--json prints one object:
  status, vpn_connected, vpn_ip, capabilities, contract, version, checks   as the service says
  can_run                                                                  whether jobs can run
  error                                                                    null, or that nobody answered

{_HEALTH_CODES}
"""

SERVE = """Run the reference service on this machine, until Ctrl-C.

It looks papers up by DOI in a folder of files. Jobs and results are kept in the data folder, so that a restart goes on
with what was begun. If SERVICE_TOKEN is set, requests about jobs must carry it.

In a folder of your own, name each file after its DOI, with _ for each /: 10.1234_abc.pdf is 10.1234/abc. Or list it in
the folder's index.jsonl: {"doi": "10.1234/abc", "file": "any name.pdf"}. A PDF whose metadata or first page has the DOI
is found too. New files need no restart. docs/howto/your-papers.md tells all of it.

\b
Examples:
  gofer serve
  gofer serve --library ~/papers --port 8080

\b
Exit codes:
    0  ended by Ctrl-C or SIGTERM
    1  could not start: the port or the data folder is in use
    2  bad usage, or the extra `service` is not installed
"""
