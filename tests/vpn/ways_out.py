"""A program that tries to leave beside the tunnel: TCP, UDP, DNS, ICMP and IPv6, bound, marked and plain.

Its words are the publisher, the institution, the router, the address outside, the device, the mark and the port.
"""

WAYS_OUT = """
import socket, struct, sys

def attempt(family, kind, protocol, address, data=None, **options):
    try:
        with socket.socket(family, kind, protocol) as s:
            s.settimeout(0.3)
            if "device" in options: s.setsockopt(socket.SOL_SOCKET, 25, options["device"].encode())
            if "mark" in options: s.setsockopt(socket.SOL_SOCKET, 36, options["mark"])
            if "source" in options: s.bind((options["source"], 0))
            if data is None: s.connect(address)
            else: s.sendto(data, address)
    except OSError:
        pass

publisher, institution, router, outside, device, mark, port = sys.argv[1:8]
INET, INET6, TCP, UDP = socket.AF_INET, socket.AF_INET6, socket.SOCK_STREAM, socket.SOCK_DGRAM
dns = b"\\x00\\x01\\x01\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x07example\\x03org\\x00\\x00\\x01\\x00\\x01"
ping = struct.pack("!BBHHH", 8, 0, 0xf7fd, 1, 1)
attempt(INET, TCP, 0, (publisher, 80))
attempt(INET, TCP, 0, (publisher, 80), device=device)
attempt(INET, TCP, 0, (publisher, 80), source=outside)
attempt(INET, TCP, 0, (publisher, 80), mark=int(mark))
attempt(INET, UDP, 0, (router, 53), dns)
attempt(INET, UDP, 0, (router, 53), dns, device=device)
attempt(INET, UDP, 0, (publisher, 9), b"x", device=device)
attempt(INET, UDP, 0, (publisher, int(port)), b"x", mark=int(mark))
attempt(INET, socket.SOCK_RAW, socket.IPPROTO_ICMP, (publisher, 0), ping, device=device)
attempt(INET6, UDP, 0, ("ff02::1", 9, 0, socket.if_nametoindex(device)), b"x")
"""
