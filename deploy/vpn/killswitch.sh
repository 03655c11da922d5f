#!/bin/sh
# Arms the wall around a VPN: nothing leaves but the tunnel's own packets, and answers to callers.
#
#     killswitch.sh INTERFACE ENDPOINT PORT CALLERS SERVICE_PORT
#
# INTERFACE is the tunnel's, ENDPOINT the address of its other end and PORT the UDP port there, CALLERS the network from
# which requests to SERVICE_PORT come. It runs before the tunnel is made, and needs NET_ADMIN. What is refused is
# rejected, so that a connection fails at once and does not hang. All in one table, which is replaced in one step.
set -eu

if [ "$#" -ne 5 ]; then
    echo "usage: killswitch.sh INTERFACE ENDPOINT PORT CALLERS SERVICE_PORT" >&2
    exit 2
fi

nft -f - <<RULES
table inet killswitch
delete table inet killswitch
table inet killswitch {
  chain output {
    type filter hook output priority 0; policy drop;
    oifname "lo" accept
    oifname "$1" accept
    ip daddr $2 udp dport $3 accept
    ip daddr $4 tcp sport $5 ct state established,related accept
    counter reject with icmpx type admin-prohibited
  }
  chain input {
    type filter hook input priority 0; policy drop;
    iifname "lo" accept
    iifname "$1" ct state established,related accept
    ip saddr $2 udp sport $3 accept
    ip saddr $4 tcp dport $5 accept
  }
  chain forward {
    type filter hook forward priority 0; policy drop;
  }
}
RULES
