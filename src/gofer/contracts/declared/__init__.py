"""Contracts as data: a TOML file, a declaration, in place of a class.

The way of a declaration:

    text      toml, positions      parsed into the classes of `declaration`; every fault names its line and its key
              checks               its parts fit each other; the table of rules is here
    request   calls                which request is next, with which variables, and where it may go
              sending, templates   the address, the headers and the body
    reply     selectors, markup    where a value is in a reply, be it JSON or XML
              answers              states, links, values and files
    contract  contract             all of it as `DeclaredContract`, which the core uses as it uses any class
              shipped              the dialects that come with gofer, one `.toml` file each beside it
    person    explain, rehearsal   `gofer contract check`: a declaration in words, and read against recorded replies

No module here may name a service: what is particular to one is in its `.toml` file. The core and the contract classes
import nothing from here, and a client imports it only once it is made with a declaration.
"""
