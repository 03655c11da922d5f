"""Contracts as data: a TOML file, a declaration, in place of a class.

The way of a declaration:

    text        toml, positions      parsed into a `declaration` of `parts`; every fault names its line and its key
                checks, variables    whether its parts fit each other: a table of rules
    request     calls                which request is next, with which variables, and where it may go
                sending, templates   its address, its headers and its body
    reply       selectors, markup    where a value is in a reply, be it JSON or XML
                statuses, links      the job's state, and what is kept for later addresses
                streams              event streams, multipart bodies, Base64
                results, media       value and files, and whether an answer is a document or a file
                refusals             errors
    contract    contract             all of it as `DeclaredContract`, which the core uses as it uses any class
                shipped              the dialects that come with gofer, one `.toml` file each beside it
    in words    explain, drawing, inputs, layout      `gofer contract check`
                rehearsal, recordings                 the same, with recorded replies

No module here may name a service: what is particular to one is in its `.toml` file. The core and the contract classes
import nothing from here, and a client does so only if it is made with a declaration.
"""
