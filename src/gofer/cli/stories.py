r"""What `--help` says: a short story for each command, examples, and the exit codes. Text only.

A line with only \b keeps click from re-wrapping the paragraph after it.
"""

from gofer.cli.endings import CHECK_EXITS, EXITS, HEALTH_EXITS

_CODES = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {words}" for code, words, _ in sorted(EXITS))

_HEALTH_CODES = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {words}" for code, words in HEALTH_EXITS)

_CHECK_CODES = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {words}" for code, words in CHECK_EXITS)

_PLAIN_CODES = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {words}" for code, words in CHECK_EXITS if code != 1)

GOFER = """Send an errand: a DOI goes in, the paper's file comes back.

The service does the work as a job. gofer submits the job, waits for it, and brings the file, whole and checked.

`gofer run` does the same with any other job API: a contract, which is a page of TOML, says how it speaks.

\b
Examples:
  gofer serve
  gofer get 10.5555/12345678 --to paper.pdf
  gofer run --contract ogc-processes --input request.json --to out/ --url https://ogc.example.org
  gofer contract list

\b
Environment:
  SERVICE_URL    the service's address, where --url is not given; else SERVICE_HOST and SERVICE_PORT
  SERVICE_TOKEN  the bearer token; it is never a flag and never printed
  GOFER_VAR_...  the variables of a declaration, as in GOFER_VAR_API_KEY for api_key; a secret one is never a flag
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

RUN = f"""Run a job on any service that has a contract, and bring what it gave.

The contract says how the service speaks: a name that `gofer contract list` has, or the file of a declaration of your
own (it ends in .toml, or has a slash in it). `gofer contract check` explains it, and says what the input must have.

What the job gave goes to --to: one file to a file; several into a folder, all or none of them, with a manifest.json; a
value to a file, as it is or as JSON. With a slash at the end of PATH, or where a folder is already, it is a folder,
which must be empty; several files make a folder of any PATH that is not there yet. Without --to the value is printed on
stdout as JSON. Progress goes to stderr.

A file that is sent along is named with --attach: it goes into the input's FIELD, which becomes a map of file names and
contents, as the multipart bodies of a declaration take it.

When the --timeout is up the job is left as it is, and the `gofer attach` line that goes on with it is printed. Ctrl-C
cancels the job instead; a second Ctrl-C ends at once.

A variable that is a secret, such as an API key, is only read from the environment: for api_key it is GOFER_VAR_API_KEY.
It goes to the service's own origin only, as the token in SERVICE_TOKEN does.

\b
Examples:
  gofer run --contract ogc-processes --input request.json --url https://ogc.example.org
  gofer run --contract mine.toml --input request.json --to out/ --url https://jobs.example.org
  gofer run --contract azure-lro --var api_version=2024-05-01 --input - --to made.json < request.json
  gofer run --contract wes --input run.json --attach workflow_attachment=main.cwl --to out/

\b
--json prints one object on stdout in place of the path or the value, at the end, with these fields:
  status      the job's last status, in the service's word
  job_id      the service's id of the job
  path        where the file or the folder is
  size        its bytes, all files together
  format      the file's format, as the service says
  files       the entries of the folder's manifest.json
  value       what the job gave inline
  verified    how it was checked, the weakest of several: digest, size, length or none
  ticket      goes on with the job: gofer attach TICKET
  error_code  the service's code
  error       what went wrong, in words
What is not known is null. The object comes however the errand ends; only where the options themselves are wrong
("Usage: ..." on stderr, exit code 2) nothing is printed on stdout.

{_CODES}
"""

ATTACH = f"""Go on with a job from its ticket, in any process, and bring what it gave.

A ticket names its own service, so --url is not needed. It names its contract too: one that comes with gofer is found,
and for a declaration of your own --contract says where it is. A transfer that broke off goes on where it stopped.
Ctrl-C and the deadline both leave the job running.

Without --to the job's value is printed on stdout as JSON, and no file is fetched.

The token in SERVICE_TOKEN goes only to the service that you name with --url or SERVICE_URL (or to the default,
http://localhost:8000), and so do secret variables. If the ticket names another, nothing is sent, and you are asked to
name it with --url.

\b
Examples:
  gofer attach gofer1.eyJj... --to paper.pdf
  gofer attach gofer1.eyJj... --to paper.pdf --url https://papers.example.org
  gofer attach gofer1.eyJj... --to out/ --contract mine.toml --var region=north

--json prints the same object as `gofer get --json`, or as `gofer run --json` where the contract is a declaration.

{_CODES}
"""

CONTRACT = f"""Explain contracts: which there are, and what a declaration means.

A contract says how a service speaks. A declaration is one in a page of TOML. Nothing is sent by these commands.

\b
Examples:
  gofer contract list
  gofer contract show uws > mine.toml
  gofer contract check mine.toml --input request.json

{_CHECK_CODES}
"""

CHECK = f"""Explain a declaration: what it sends, what it reads, and what its input must have.

The declaration is checked as a whole first; an error names its line and key. Then it is said in words, and drawn as the
line from the submission to the result.

With --input the very request is shown that `gofer run` would send to --url; secrets are masked.

With --reply it is held against recorded replies, as `curl -i` prints them: status line, headers, an empty line, the
body. For each it is said what would be read: the job's id and links, its status, the value, the files. LEG is submit,
poll (several are read in their order), result, reason or cancel. Pass as --url the address that the replies came from,
since no link may leave it. If the request tells what the job is, as a PUT may, pass its --input too.

\b
Examples:
  gofer contract check ogc-processes
  gofer contract check mine.toml --input request.json --url https://jobs.example.org
  curl -i https://jobs.example.org/jobs/7 > poll.txt
  gofer contract check mine.toml --reply submit=submit.txt --reply poll=poll.txt --url https://jobs.example.org

{_CHECK_CODES}
"""

LIST = f"""Name the contracts that gofer brings along, with a line about each.

\b
Example:
  gofer contract list

{_PLAIN_CODES}
"""

SHOW = f"""Print the declaration of a contract that gofer brings along, so that you can start from it.

\b
Example:
  gofer contract show ogc-processes > mine.toml

{_PLAIN_CODES}
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
