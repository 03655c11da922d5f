"""What the requests and replies of services are: pure functions from values to values, no I/O, no clock.

Here is what contract classes need: the protocol (`base`), strict reading of JSON (`payload`), formats of files, and the
retrieval contract with its DOIs and codes. Contracts that are data are in `declared`, which nothing here imports.
"""
