# shellcheck shell=bash
# Reads a WireGuard file as wg-quick has it. Sourced by services.sh and by the VPN container; prints no key but to its
# caller. Names of sections and keys count in any case, and # begins a comment. Commands (PostUp and the like) are never
# run.

# wg_values FILE SECTION KEY: each value of the key, one a line; a list with commas is several.
wg_values() {
  awk -v section="$2" -v key="$3" '
    function bare(text) { gsub(/^[ \t]+|[ \t]+$/, "", text); return text }
    { sub(/\r$/, ""); sub(/#.*/, ""); $0 = bare($0) }
    /^\[.*\]$/ { inside = tolower(bare(substr($0, 2, length($0) - 2))) == tolower(section); next }
    inside && (at = index($0, "=")) && tolower(bare(substr($0, 1, at - 1))) == tolower(key) {
      count = split(substr($0, at + 1), values, ",")
      for (i = 1; i <= count; i++) if (bare(values[i]) != "") print bare(values[i])
    }' "$1"
}

# wg_value FILE SECTION KEY: the first of them.
wg_value() {
  local values
  values=$(wg_values "$@")
  printf '%s' "${values%%$'\n'*}"
}

# wg_fault FILE: why no tunnel can be made of the file, in words that name the key; nothing if one can.
wg_fault() {
  local file=$1 place section key
  local base64='^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$' endpoint='^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$'
  for place in Interface/PrivateKey Interface/Address Peer/PublicKey Peer/Endpoint; do
    section=${place%/*} key=${place#*/}
    if [ -z "$(wg_value "$file" "$section" "$key")" ]; then
      printf '%s is missing in its section [%s]' "$key" "$section"
      return
    fi
    if [[ $key == *Key && ! $(wg_value "$file" "$section" "$key") =~ $base64 ]]; then
      printf '%s in its section [%s] is no key of WireGuard' "$key" "$section"
      return
    fi
  done
  if [[ ! $(wg_value "$file" Peer Endpoint) =~ $endpoint ]]; then
    printf 'Endpoint in its section [Peer] is no HOST:PORT'
  elif [ "$(wg_values "$file" Peer PublicKey | wc -l)" -gt 1 ]; then
    printf 'PublicKey is there more than once; a file with one [Peer] is supported'
  fi
}

# wg_resolvers FILE: the addresses of its DNS lines; wg_domains FILE: the other words there, which are search domains.
wg_resolvers() { wg_values "$1" Interface DNS | grep -E '^([0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$' || true; }
wg_domains() { wg_values "$1" Interface DNS | grep -vE '^([0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$' || true; }
