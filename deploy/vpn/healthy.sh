#!/usr/bin/env bash
# The health check of the VPN container: the wall is up, and WireGuard's last handshake is younger than three minutes.
# It sends nothing; whether the exit is the right one is asked by the service, which has an address to ask.
set -euo pipefail

if ! nft list chain inet killswitch output 2>/dev/null | grep -q '"wg0"'; then
  echo "down: the wall is not up yet"
  exit 1
fi
if ! shaken=$(wg show wg0 latest-handshakes 2>/dev/null); then
  echo "down: there is no tunnel"
  exit 1
fi
shaken=${shaken##*[[:space:]]}
age=$(($(date +%s) - ${shaken:-0}))
if [ "$age" -gt 180 ]; then
  echo "down: no handshake within 180 s"
  exit 1
fi
echo "up: the last handshake was $age s ago"
