#!/usr/bin/env bash
# The main process of the VPN container: the wall first, then the tunnel, then a watch that heals the tunnel in place.
#
# Containers that share this network keep the old one when this container restarts, so it must not restart: what fails
# is tried again here, with the wall up.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=deploy/vpn/wireguard-file.sh
. "$here/wireguard-file.sh"

file=/run/secrets/wg0.conf device=wg0 mark=23820 service_port=8000

say() { printf 'vpn: %s\n' "$*" >&2; }

pause() { # waits so that signals are heard
  sleep "$1" &
  wait $!
}

# Names come through the tunnel only, for this container and those that share its network: they share this file. The
# engine's own lines are kept beside ours, as it does not write them again when the container restarts.
resolvers=/etc/resolv.conf
outside() {
  if grep -q '^#outside ' $resolvers; then sed -n 's/^#outside //p' $resolvers; else cat $resolvers; fi
}
use_outside_names() {
  local lines
  lines=$(outside)
  printf '%s\n' "$lines" >$resolvers
}
use_tunnel_names() {
  local lines names domains
  lines=$(outside | sed 's/^/#outside /')
  names=$(wg_resolvers "$file" | sed 's/^/nameserver /')
  domains=$(wg_domains "$file" | tr '\n' ' ')
  {
    printf '%s\n%s\n' "$lines" "${names:-nameserver 127.0.0.1}"
    [ -z "$domains" ] || printf 'search %s\n' "$domains"
  } >$resolvers
}

look_up() { # the address of the endpoint; an IPv4 one where there is one
  local found
  found=$(getent ahostsv4 "$1" || getent ahosts "$1") || return 1
  found=${found%%$'\n'*}
  printf '%s' "${found%% *}"
}

make_device() {
  ip link delete $device 2>/dev/null || true
  if ip link add $device type wireguard 2>/dev/null; then return; fi
  rm -f /var/run/wireguard/$device.sock
  WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD=1 wireguard-go -f $device >/dev/null 2>&1 &
  for _ in {1..50}; do
    if wg show $device >/dev/null 2>&1; then return; fi
    pause 0.1
  done
  return 1
}

add_rules() { # all that WireGuard did not mark goes into the tunnel
  ip "$1" route replace default dev $device table $mark
  if ! ip "$1" rule show | grep -q "fwmark .* lookup $mark"; then
    ip "$1" rule add not fwmark $mark table $mark
    ip "$1" rule add table main suppress_prefixlength 0
  fi
}

raise() {
  local allowed keepalive mtu address family peer shared
  make_device || return
  allowed=$(wg_values "$file" Peer AllowedIPs | paste -sd, -)
  keepalive=$(wg_value "$file" Peer PersistentKeepalive)
  mtu=$(wg_value "$file" Interface MTU)
  peer=$(wg_value "$file" Peer PublicKey)
  shared=$(wg_value "$file" Peer PresharedKey)
  # Keys come by pipes: words of a command can be seen by others.
  wg set $device fwmark $mark private-key <(wg_value "$file" Interface PrivateKey) \
    peer "$peer" endpoint "$endpoint" allowed-ips "${allowed:-0.0.0.0/0,::/0}" persistent-keepalive "${keepalive:-25}" || return
  if [ -n "$shared" ]; then
    wg set $device peer "$peer" preshared-key <(printf '%s' "$shared") || return
  fi
  while read -r address; do
    ip address replace "$address" dev $device
  done < <(wg_values "$file" Interface Address)
  ip link set $device mtu "${mtu:-1420}" up || return
  while read -r family; do
    add_rules "$family"
  done < <(wg_values "$file" Interface Address | sed 's/.*:.*/-6/; t; s/.*/-4/' | sort -u)
}

is_up() { # there is a device, and all goes into it
  wg show $device >/dev/null 2>&1 || return
  [ -n "$(ip route show table $mark 2>/dev/null || true)$(ip -6 route show table $mark 2>/dev/null || true)" ]
}

trap 'exit 0' TERM INT
sh "$here/killswitch.sh" closed
say "the wall is closed"
fault=$(wg_fault "$file")
[ -z "$fault" ] || say "$fault"
while [ -n "$fault" ]; do pause 3600; done

place=$(wg_value "$file" Peer Endpoint)
host=${place%:*} port=${place##*:}
host=${host#[} host=${host%]}
use_outside_names
until address=$(look_up "$host"); do
  say "the name of the endpoint cannot be looked up; trying again"
  pause 2
done
use_tunnel_names
case $address in *:*) endpoint="[$address]:$port" ;; *) endpoint="$address:$port" ;; esac

outer=$(ip -o route show default | sed 's/.* dev \([^ ]*\).*/\1/' | head -n 1)
callers=$(ip -o -4 route show dev "$outer" proto kernel scope link | head -n 1 | cut -d ' ' -f 1)
sh "$here/killswitch.sh" $device "$address" "$port" "$callers" $service_port
say "the wall is up; callers come from $callers"

until is_up; do
  if raise; then say "the tunnel is made"; else say "the tunnel cannot be made; trying again"; fi
  pause 1
done
while pause 1; do
  if ! is_up; then
    say "the tunnel is gone; making it again"
    raise || say "the tunnel cannot be made; trying again"
  fi
done
