#!/bin/sh
# Arms the wall around a VPN: nothing leaves but the tunnel's own packets, and answers to callers.
#
#     killswitch.sh INTERFACE ENDPOINT PORT CALLERS SERVICE_PORT
#     killswitch.sh closed
#
# INTERFACE is the tunnel's, ENDPOINT the address of its other end and PORT the UDP port there, CALLERS the network from
# which requests to SERVICE_PORT come. With `closed`, nothing leaves at all but root's queries for names: so the name of
# the endpoint can be looked up while whatever else is in this network is shut in already.
#
# It runs before the tunnel is made, and needs NET_ADMIN. What is refused is rejected, so that a connection fails at once
# and does not hang. All is one table, which is replaced in one step. 127.0.0.11 is the resolver that Docker puts into a
# container: its queries leave by other ways than this network's, so it counts as outside although it looks like loopback.
set -eu

arm() {
    nft -f - <<RULES
table inet killswitch
delete table inet killswitch
table inet killswitch {
  chain output {
    type filter hook output priority 0; policy drop;
$1
    counter reject with icmpx type admin-prohibited
  }
  chain input {
    type filter hook input priority 0; policy drop;
    iifname "lo" accept
$2
  }
  chain forward {
    type filter hook forward priority 0; policy drop;
  }
}
RULES
}

family() {
    case $1 in
    *:*) echo ip6 ;;
    *) echo ip ;;
    esac
}

if [ "$*" = closed ]; then
    arm '    ip daddr 127.0.0.11 meta skuid != 0 counter reject with icmpx type admin-prohibited
    oifname "lo" accept
    meta skuid 0 udp dport 53 accept
    meta skuid 0 tcp dport 53 accept' \
        '    ct state established,related accept'
elif [ "$#" -eq 5 ]; then
    end=$(family "$2") callers=$(family "$4")
    arm "    ip daddr 127.0.0.11 counter reject with icmpx type admin-prohibited
    oifname { \"lo\", \"$1\" } accept
    $end daddr $2 udp dport $3 accept
    $callers daddr $4 tcp sport $5 ct state established,related accept" \
        "    iifname \"$1\" ct state established,related accept
    $end saddr $2 udp sport $3 accept
    $callers saddr $4 tcp dport $5 accept"
else
    echo "usage: killswitch.sh INTERFACE ENDPOINT PORT CALLERS SERVICE_PORT | killswitch.sh closed" >&2
    exit 2
fi
