"""A program: the resolver of the lab's institution, which knows one name.

    python names.py NAME ADDRESS

It listens on UDP port 53 and answers a query for the IPv4 address of the name; of everything else it says that there is
no such name. The standard library only.
"""

import socket
import struct
import sys


def answer(query: bytes, name: str, address: str) -> bytes:
    """Return the answer to a query with one question."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "replace"))
        at += 1 + query[at]
    question = query[12 : at + 5]
    ours = ".".join(labels).lower() == name
    has_address = ours and struct.unpack("!H", query[at + 1 : at + 3]) == (1,)
    head = query[:2] + struct.pack("!HHHHH", 0x8580 if ours else 0x8583, 1, int(has_address), 0, 0)
    record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton(address)
    return head + question + (record if has_address else b"")


if __name__ == "__main__":
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("0.0.0.0", 53))
        while True:
            received, caller = listener.recvfrom(512)
            listener.sendto(answer(received, sys.argv[1], sys.argv[2]), caller)
