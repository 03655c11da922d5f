r"""What `--help` prints: what each command does, examples, and the exit codes. Text only.

A line with only \b keeps click from re-wrapping the paragraph after it.
"""

from __future__ import annotations

from collections.abc import Iterable

from gofer.cli import exit_codes


def _table(rows: Iterable[tuple[int, str]]) -> str:
    return "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {meaning}" for code, meaning in sorted(rows))


_ERRAND_CODES = _table((code, meaning) for code, meaning, _ in exit_codes.ERRAND)

GOFER = """Send an errand: a DOI goes in, the paper's file comes back.

The service does the work as a job. gofer submits the job, waits for it, and downloads and checks the file. `gofer
submit`, `status`, `list` and `cancel` do one step each, and do not wait.

`gofer run` does the same with any other job API. A contract, which is a page of TOML, describes the API.

\b
Examples:
  gofer serve
  gofer get 10.5555/12345678 --to paper.pdf
  gofer batch dois.txt --to 'papers/{doi}.{format}' --journal papers.gofer
  gofer run --contract ogc-processes --input request.json --to out/ --url https://ogc.example.org
  gofer contract list

\b
Environment:
  SERVICE_URL    the service's address, used without --url; else SERVICE_HOST and SERVICE_PORT
  SERVICE_TOKEN  the bearer token; it is never a flag and never printed
  GOFER_VAR_...  a variable of a declaration, as in GOFER_VAR_API_KEY for api_key; a secret is never a flag

\b
Completion of commands and options, in the start-up file of your shell:
  bash  eval "$(_GOFER_COMPLETE=bash_source gofer)"
  zsh   eval "$(_GOFER_COMPLETE=zsh_source gofer)"
  fish  _GOFER_COMPLETE=fish_source gofer | source
"""

GOFER_END = _ERRAND_CODES

GET = f"""Get the paper with this DOI.

gofer submits the job, waits for it, and downloads its file to PATH. PATH is replaced in one step, and only by a
complete file. Nothing is submitted if PATH cannot be written. The path is the only output on stdout; progress goes to
stderr.

PATH may leave the name to gofer. If it ends in a slash or is a folder already, the file is named after the DOI. In
PATH itself {{doi}}, {{title}} and {{job_id}} are filled in, and .{{format}} at its end is the suffix of the format that
comes. A brace of the path itself is written twice.

The service is asked to finish within nine tenths of the --timeout. A service that does so ends a late job itself, with
TIMEOUT. When the --timeout is over, gofer does not cancel the job. It prints the `gofer attach` line that downloads the
file later. Ctrl-C cancels the job instead; a second Ctrl-C ends gofer at once.

If the answer to the submission is lost, the job may exist or not. gofer then prints the option --key KEY. The same
command with this option repeats the submission.

\b
Examples:
  gofer get 10.5555/12345678 --to paper.pdf
  gofer get 10.5555/12345678 --to papers/
  gofer get https://doi.org/10.5555/12345678 --to '{{doi}}.pdf' --url http://papers.example.org:8000
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
  ticket      continues with the job: gofer attach TICKET
  key         repeats the submission after a lost answer: --key KEY; null if nothing was submitted
  error_code  the service's code, as in NOT_FOUND
  error       what went wrong, in words
A field without a value is null. The object is also printed if the job fails, the time runs out, Ctrl-C is pressed, or
the DOI is wrong. Only if the options themselves are wrong ("Usage: ..." on stderr, exit code 2) is stdout empty.

{_ERRAND_CODES}
"""

RUN = f"""Run a job on any service by a contract.

The contract describes the service's API. It is a name from `gofer contract list`, or the file of a declaration of your
own (the file ends in .toml, or its path has a slash). `gofer contract check` explains it, and lists what the input must
have.

The result goes to --to. One file becomes a file. Several files go into a folder, all or none of them, with a
manifest.json. A value becomes a file: text as it is, anything else as JSON. PATH is a folder if it ends in a slash or
is a folder already; that folder must be empty. Several files make a folder of a PATH that does not exist. Without --to
the value is printed on stdout as JSON. Progress goes to stderr.

In PATH {{job_id}} and the texts and numbers of the input are filled in: {{region}} is the input's "region". If PATH
ends in .{{format}}, the file gets the suffix of the format that comes. A brace of the path itself is written twice.

--attach puts a file into the input's FIELD, to be sent as it is. If the declaration sends several files there, the
field becomes a map of file names and files.

When the --timeout is over, gofer does not cancel the job. It prints the `gofer attach` line that continues with it.
Ctrl-C cancels the job instead; a second Ctrl-C ends gofer at once.

If the answer to the submission is lost, the job may exist or not. If the contract sends a key, gofer then prints the
option --key KEY. The same command with this option repeats the submission. A contract that sends none refuses --key.

A secret variable, such as an API key, is only read from the environment: for api_key it is GOFER_VAR_API_KEY. It is
sent to the service's own origin only, like the token in SERVICE_TOKEN.

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
  value       the job's value, if it sent one in a document
  verified    how it was checked, the weakest of several: digest, size, length or none
  ticket      continues with the job: gofer attach TICKET
  key         repeats the submission after a lost answer: --key KEY; null if nothing was submitted,
              or if the contract sends no key
  error_code  the service's code
  error       what went wrong, in words
A field without a value is null. The object is also printed if the errand fails. Only if the options themselves are
wrong ("Usage: ..." on stderr, exit code 2) is stdout empty.

{_ERRAND_CODES}
"""

BATCH = f"""Do many errands, and go on where it was, whatever ended the last run.

INPUT has the requests: a list with a DOI in each line, CSV or TSV with names in the first row, or JSON lines; - is
stdin. They are written down in the journal before anything is sent. A request that is there already is left out, so the
same command again goes on. So does `gofer batch JOURNAL`, without an input.

Each errand has its own job, and a failed one ends no other. --to names the files: {{doi}} and {{title}}, or the members
of the request, are filled in, and .{{format}} at the end is the suffix of the format that comes. Two errands that would
write to one path are refused. Without --to no file is fetched.

The paths of files that have come are printed on stdout, each in a line. Ctrl-C leaves the jobs at the service, and
prints the line that goes on.

\b
Examples:
  gofer batch dois.txt --to 'papers/{{doi}}.{{format}}' --journal papers.gofer
  gofer batch papers.gofer
  gofer batch papers.gofer --status
  gofer batch papers.gofer --retry failed
  gofer batch papers.gofer --report papers.csv
  gofer batch scenes.csv --contract mine.toml --to 'scenes/{{scene}}.{{format}}' --journal scenes.gofer

\b
--json prints one object at the end:
  waiting, open, done, failed, uncertain   how many errands there are of each state
  journal                                  the file
  error                                    null, or why the batch has stopped

{_table(exit_codes.BATCH)}
"""

ATTACH = f"""Continue with a job from its ticket.

This works in any process. A ticket names its service, so --url is not needed. It also names its contract: one that
comes with gofer is found by its name; --contract names the file of a declaration of your own. An interrupted download
continues where it stopped. Neither Ctrl-C nor the end of the --timeout cancels the job.

Without --to the job's value is printed on stdout as JSON, and no file is downloaded. In PATH {{job_id}} is filled in,
and .{{format}} at its end; a ticket says no more. A paper that goes into a folder is named after the id of its job.
--only adds files to a folder that has others of the same job; it names the files as the service does.

The token in SERVICE_TOKEN is only sent to the service that you name with --url or SERVICE_URL (by default
http://localhost:8000), and so are secret variables. If the ticket names another service, nothing is sent, and gofer
asks you to name it with --url.

\b
Examples:
  gofer attach gofer1.eyJj... --to paper.pdf
  gofer attach gofer1.eyJj... --to paper.pdf --url https://papers.example.org
  gofer attach gofer1.eyJj... --to out/ --contract mine.toml --var region=north
  gofer attach gofer1.eyJj... --to out/ --only north.tif --only '*.csv'

--json prints the same object as `gofer get --json`, or as `gofer run --json` if the contract is a declaration. Its
`key` is always null, because nothing is submitted.

{_ERRAND_CODES}
"""

_JOB_JSON = """\b
--json prints one object on stdout in place of the line, also if the command fails, with these fields:
  status      the job's last status, in the service's word
  job_id      the service's id of the job
  state       what the word means: pending, running, succeeded, failed, cancelled or unknown
  progress    the finished part, from 0 to 1
  message     what the service says it is doing
  ticket      continues with the job: gofer attach TICKET
  key         repeats the submission after a lost answer: --key KEY; null if nothing was submitted,
              or if the contract sends no key
  error_code  the service's code for why the job or the command failed
  error       what went wrong, in words
A field without a value is null."""

_NAMING = """Name the job by its ticket, or by its id at the service of --url. A ticket has its service and its
contract, as for `gofer attach`. With an id, name the contract with --contract if it is not retrieve."""

SUBMIT = f"""Submit a job, and do not wait for it.

The line on stdout has the job's id and its ticket, with a tab between them. `gofer status`, `attach` and `cancel` take
the ticket.

If the answer to the submission is lost, or Ctrl-C is pressed before it comes, the job may exist or not. If the contract
sends a key, gofer then prints the option --key KEY, as `gofer get` does.

\b
Examples:
  gofer submit 10.5555/12345678
  gofer submit --contract mine.toml --input request.json --url https://jobs.example.org
  gofer submit 10.5555/12345678 --json | jq -r .ticket

{_JOB_JSON}

{_ERRAND_CODES}
"""

STATUS = f"""Show the status of a job.

gofer polls the job once. The line on stdout has the job's id and its status, with a tab between them. The exit code is
0 for a failed job too: it only says whether the job could be polled.

{_NAMING}

\b
Examples:
  gofer status gofer1.eyJj...
  gofer status 7kEMlNAGGPE8RsUJVqKc4A --json | jq -r .state

{_JOB_JSON}

{_ERRAND_CODES}
"""

ANSWER = f"""Answer a job that waits for its caller.

ANSWER is JSON; what is no JSON is sent as a text. `gofer status` shows what the job asks, and `gofer attach` waits for
it again afterwards.

{_NAMING}

\b
Examples:
  gofer answer gofer1.eyJj... yes
  gofer answer gofer1.eyJj... '{{"year": 2026}}'

{_JOB_JSON}

{_ERRAND_CODES}
"""

CANCEL = f"""Cancel a job.

The line on stdout has the job's id and the status that the service shows afterwards. A job that has ended stays as it
is, and the exit code is 0. If the service cannot cancel jobs, the exit code is 1.

{_NAMING}

\b
Examples:
  gofer cancel gofer1.eyJj...
  gofer cancel 7kEMlNAGGPE8RsUJVqKc4A

{_JOB_JSON}

{_ERRAND_CODES}
"""

LIST_JOBS = f"""List the jobs of the retrieval service, newest first.

A line on stdout has a job's id, its status and its DOI, with tabs between them. If there are more jobs, stderr has the
option --cursor CURSOR that continues the list. Not every service can list its jobs.

\b
Examples:
  gofer list
  gofer list --status completed --limit 10
  gofer list --json | jq -r '.jobs[].job_id'

--json prints one object: `jobs`, each with the service's fields, its `state` and its `ticket` as `gofer status --json`
has them, and `next`, the cursor, or null. If the command fails, stdout is empty.

{_ERRAND_CODES}
"""

CONTRACT = f"""List and explain contracts.

A contract describes a service's API. A declaration is a contract in a page of TOML. These commands send nothing.

\b
Examples:
  gofer contract list
  gofer contract show uws > mine.toml
  gofer contract guess openapi.json -o mine.toml
  gofer contract check mine.toml --input request.json

{_table(exit_codes.CONTRACT_CHECK)}
"""

CHECK = f"""Explain a declaration.

gofer checks the complete declaration first; an error names its line and key. Then it lists what is sent, what is read
and what the input must have, and draws a job's path from the submission to the result.

With --input it shows the request that `gofer run` would send to --url; secrets are masked.

With --reply it reads recorded replies, as `curl -i` prints them: status line, headers, an empty line, the body. For
each it shows what an errand would read: the job's id and links, its status, the value, the files. LEG is submit, poll
(several are read in their order), result, reason or cancel. Pass as --url the address that sent the replies, since a
link may not lead to another origin. If the request says what the job is, as a PUT may, pass its --input too.

\b
Examples:
  gofer contract check ogc-processes
  gofer contract check mine.toml --input request.json --url https://jobs.example.org
  curl -i https://jobs.example.org/jobs/7 > poll.txt
  gofer contract check mine.toml --reply submit=submit.txt --reply poll=poll.txt --url https://jobs.example.org

{_table(exit_codes.CONTRACT_CHECK)}
"""

GUESS = f"""Draft a declaration from an OpenAPI document.

FILE is the document, of version 3, in JSON; - is stdin. YAML is read if PyYAML is installed beside gofer. gofer looks
for the operation that submits a job, the one that shows its status, its result and its cancellation, and writes a page
with them. `gofer contract check` accepts the page, explains it, and with --reply holds it against real answers.

Where a line ends with `# ?`, it may be wrong for the reason that follows: read the API's documentation there. The page
names the other operations that might be meant. If nothing looks like a submission or a status request, the page has a
placeholder there, stderr says so, and the exit code is 1.

Nothing is sent, and no reference out of the document is followed.

\b
Examples:
  gofer contract guess openapi.json -o mine.toml
  curl https://jobs.example.org/openapi.json | gofer contract guess - > mine.toml

{_table(exit_codes.CONTRACT_GUESS)}
"""

LIST = f"""List the contracts that come with gofer, with a line about each.

\b
Example:
  gofer contract list

{_table(exit_codes.CONTRACT)}
"""

SHOW = f"""Print a declaration that comes with gofer, to start from.

\b
Example:
  gofer contract show ogc-processes > mine.toml

{_table(exit_codes.CONTRACT)}
"""

HEALTH = f"""Show whether the service can run jobs.

The service has 5 seconds to answer.

\b
Examples:
  gofer health
  gofer health --url http://localhost:8000 --json

\b
--json prints one object:
  status, vpn_connected, vpn_ip, capabilities, contract, version, checks   as the service says
  can_run                                                                  whether jobs can run
  error                                                                    null, or that no service answers

{_table(exit_codes.HEALTH)}
"""

SERVE = f"""Run the reference service here, until Ctrl-C.

It finds papers by DOI in a folder of files. Jobs and results are kept in the data folder, so that after a restart the
service continues with unfinished jobs. If SERVICE_TOKEN is set, requests about jobs must carry it. It must be set if
--host is an address that other machines can reach, or --open must say that everybody may use the service.

In a folder of your own, name each file after its DOI, with _ for each /: 10.1234_abc.pdf is 10.1234/abc. Or list it in
the folder's index.jsonl: {{"doi": "10.1234/abc", "file": "any name.pdf"}}. A PDF whose metadata or first page has the
DOI is found too. New files need no restart. docs/howto/your-papers.md has the details.

Settings can also be in a TOML file: that of --config, else of GOFER_CONFIG, else gofer-service.toml in $XDG_CONFIG_HOME
or ~/.config. Options go before SERVICE_TOKEN and SERVICE_REMOTE, and these before the file. --check reads all of them,
prints what is on and off, and exits. It sends nothing. docs/howto/configure-the-service.md has every key.

\b
Examples:
  gofer serve
  gofer serve --library ~/papers --port 8080
  gofer serve --config service.toml --check
  gofer serve --library ~/papers --host 0.0.0.0 --allow-host papers.example.org

{_table(exit_codes.SERVE)}
"""
