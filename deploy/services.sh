#!/usr/bin/env bash
# Starts the services of compose.yaml that are configured here, and says how they are. `services.sh help` has the usage.
set -euo pipefail

SERVICES=(api)
VPN_SERVICES=(vpn api-vpn)

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=deploy/vpn/wireguard-file.sh
. "$here/vpn/wireguard-file.sh"

usage() {
  cat <<'USAGE'
services.sh: runs the services in containers, each only where it is configured

  services.sh plan             say which services would start, and why the others would not; no container tool is needed
  services.sh start [--build]  start them, and wait until they answer; --build makes the images again
  services.sh status [--json]  say for each service whether it runs, its health, and its VPN
  services.sh logs [SERVICE]   show what they print
  services.sh stop             stop all of them; papers and records are kept

`api` always starts. `vpn` and `api-vpn` start if there is a WireGuard file: secrets/wg0.conf beside this script.

  WG_CONF        another place of the WireGuard file
  SERVICE_IMAGE  an image to run as the service in place of ours; it must speak docs/contract.md on port 8000.
                 Without it, a git submodule at private/ beside this script is built, if there is one with a Dockerfile.
  API_PORT       the port of api on 127.0.0.1 (23001); VPN_PORT that of api-vpn (23002)
  COMPOSE_PROJECT_NAME  the name of all of it, so that two can run on one machine (gofer)
USAGE
}

say() { printf 'services.sh: %s\n' "$*" >&2; }
fail() {
  say "$*"
  exit 1
}

# --- what is configured ---

wg=${WG_CONF:-$here/secrets/wg0.conf}
case $wg in /*) ;; *) wg=$PWD/$wg ;; esac

why_no_vpn() { # why the VPN's services do not start; nothing if they do
  local fault
  if [ ! -e "$wg" ]; then
    printf 'there is no WireGuard file %s' "$wg"
  elif [ ! -f "$wg" ] || [ ! -r "$wg" ]; then
    printf 'the WireGuard file %s cannot be read' "$wg"
  else
    fault=$(wg_fault "$wg")
    [ -z "$fault" ] || printf 'the WireGuard file %s is incomplete: %s' "$wg" "$fault"
  fi
}

warnings() {
  local mode config=$here/config/api-vpn.toml
  mode=$(ls -ldL -- "$wg")
  if [ "${mode:4:1}${mode:7:1}" != -- ]; then
    say "warning: others can read the keys in $wg; run: chmod 600 $wg"
  fi
  if [ -z "$(wg_resolvers "$wg")" ]; then
    say "warning: $wg has no DNS line, so names will not resolve in vpn and api-vpn"
  fi
  if [ -r "$config" ] && ! grep -qE '^[[:space:]]*probe[[:space:]]*=' "$config"; then
    say "warning: $config has no vpn.probe, so api-vpn does not know that there is a VPN"
  fi
}

plan() {
  local service
  for service in "${SERVICES[@]}"; do printf '%-8s starts\n' "$service"; done
  for service in "${VPN_SERVICES[@]}"; do
    if [ -z "$without_vpn" ]; then
      printf '%-8s starts\n' "$service"
    else
      printf '%-8s does not start: %s\n' "$service" "$without_vpn"
    fi
  done
  case $made_of in
  image) printf 'The service is the image %s.\n' "$SERVICE_IMAGE" ;;
  private) printf 'The service is built from %s.\n' "$here/private" ;;
  esac
  [ -n "$without_vpn" ] || warnings
}

without_vpn=$(why_no_vpn)
export WG_CONF=$wg COMPOSE_PROJECT_NAME=${COMPOSE_PROJECT_NAME:-gofer}
if [ -z "$without_vpn" ]; then
  export SERVICE_REMOTE=http://vpn:8000
fi
if [ -n "${SERVICE_IMAGE:-}" ]; then
  made_of=image
elif [ -f "$here/private/Dockerfile" ]; then
  made_of=private
  export SERVICE_IMAGE=gofer-private:local SERVICE_CONTEXT=$here/private SERVICE_DOCKERFILE=Dockerfile
else
  made_of=project
fi

# --- the container tool ---

find_tool() { # the first of the three that is there and whose engine answers
  if docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1; then
    compose=(docker compose) engine=docker
  elif podman compose version >/dev/null 2>&1 && podman info >/dev/null 2>&1; then
    compose=(podman compose) engine=podman
  elif podman-compose --version >/dev/null 2>&1 && podman info >/dev/null 2>&1; then
    compose=(podman-compose) engine=podman
  else
    fail "no container tool answers: tried docker compose, podman compose and podman-compose"
  fi
  compose+=(--file "$here/compose.yaml")
}

running() { # SERVICE: its container, if it runs
  "$engine" ps --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
    --filter "label=com.docker.compose.service=$1" --filter status=running
}

# --- how they are ---

ask() { # PORT: the answer of /health there
  local line
  exec 3<>"/dev/tcp/127.0.0.1/$1" || return
  printf 'GET /health HTTP/1.0\r\nHost: 127.0.0.1:%s\r\nConnection: close\r\n\r\n' "$1" >&3
  while IFS= read -r -t 5 line <&3 || [ -n "$line" ]; do printf '%s\n' "$line"; done
  exec 3>&-
}

member() { # DOCUMENT KEY PATTERN: the value, if the document has one of this pattern
  local expression="\"$2\"[[:space:]]*:[[:space:]]*\"?($3)"
  [[ $1 =~ $expression ]] && printf '%s' "${BASH_REMATCH[1]}"
}

look() { # SERVICE: sets runs (yes, no), health, vpn and ip
  local container document said
  runs=no health=- vpn=- ip=
  container=$(running "$1")
  [ -n "$container" ] || return 0
  runs=yes
  if [ "$1" = vpn ]; then
    # podman runs no health checks where there is no systemd, so it is asked here.
    if said=$("$engine" exec "$container" /usr/local/lib/vpn/healthy.sh 2>/dev/null); then
      health=healthy vpn=up
    else
      health=unhealthy vpn=down
      [ -n "$said" ] || health='no answer'
    fi
    return 0
  fi
  document=$(ask "$(port_of "$1")" 2>/dev/null || true)
  # Words of single checks are others, so these stand for the whole.
  health=$(member "$document" status 'healthy|degraded|unhealthy' || printf 'no answer')
  if [ "$(member "$document" vpn_connected 'true|false' || true)" = true ]; then
    vpn=up ip=$(member "$document" vpn_ip '[0-9A-Fa-f.:]+' || true)
  elif [ "$1" != api ] && [ "$health" != 'no answer' ]; then
    vpn=down
  fi
}

port_of() { if [ "$1" = api ]; then printf '%s' "${API_PORT:-23001}"; else printf '%s' "${VPN_PORT:-23002}"; fi; }

all_services() { printf '%s\n' "${SERVICES[@]}" "${VPN_SERVICES[@]}"; }

planned() {
  printf '%s\n' "${SERVICES[@]}"
  [ -n "$without_vpn" ] || printf '%s\n' "${VPN_SERVICES[@]}"
}

status() {
  local service runs health vpn ip comma=
  find_tool
  [ "${1:-}" = --json ] && printf '[' || printf '%-8s  %-7s  %-9s  %s\n' SERVICE RUNS HEALTH VPN
  while read -r service <&4; do
    look "$service"
    if [ "${1:-}" = --json ]; then
      printf '%s{"service": "%s", "runs": %s, "health": %s, "vpn": %s, "vpn_ip": %s}' "$comma" "$service" \
        "$([ "$runs" = yes ] && echo true || echo false)" "$(quoted "$health")" "$(quoted "$vpn")" "$(quoted "${ip:--}")"
      comma=', '
    else
      printf '%-8s  %-7s  %-9s  %s\n' "$service" "$runs" "$health" "$vpn${ip:+ ($ip)}"
    fi
  done 4< <(all_services)
  [ "${1:-}" != --json ] || printf ']\n'
}

quoted() { if [ "$1" = - ]; then printf null; else printf '"%s"' "$1"; fi; }

# --- start and stop ---

have_image() { "$engine" image inspect "$1" >/dev/null 2>&1; }

build_images() { # --build or nothing
  local wanted=()
  if [ $made_of != image ]; then
    if [ -n "$1" ] || ! have_image "${SERVICE_IMAGE:-gofer-service:local}"; then wanted+=(api); fi
  fi
  if [ -z "$without_vpn" ] && { [ -n "$1" ] || ! have_image gofer-vpn:local; }; then wanted+=(vpn); fi
  if [ "${#wanted[@]}" -gt 0 ]; then
    if [ $made_of = project ] && [ ! -f "$here/../pyproject.toml" ]; then
      fail "there is no image gofer-service:local, and this folder is not in the project, so it cannot be built here"
    fi
    "${compose[@]}" "${profile[@]}" build "${wanted[@]}"
  fi
}

start() {
  local service runs health vpn ip begun names=() profile=(--profile default)
  find_tool
  plan
  [ -n "$without_vpn" ] || profile=(--profile vpn)
  build_images "${1:-}"
  while read -r service; do names+=("$service"); done < <(planned)
  begun=$SECONDS
  "${compose[@]}" "${profile[@]}" up --detach --no-build "${names[@]}"
  while read -r service <&4; do
    until
      look "$service"
      [ "$runs" = yes ] && [ "$health" != 'no answer' ]
    do
      if [ $((SECONDS - begun)) -ge 60 ]; then
        fail "$service does not answer; see: $0 logs $service"
      fi
      sleep 0.1
    done
  done 4< <(planned)
  status
}

stop() {
  find_tool
  "${compose[@]}" --profile vpn down
}

logs() {
  find_tool
  "${compose[@]}" --profile vpn logs "$@"
}

case ${1:-help}:${2:-} in
plan:) plan ;;
start: | start:--build) start "${2:-}" ;;
status: | status:--json) status "${2:-}" ;;
stop:) stop ;;
logs:*) shift && logs "$@" ;;
help: | --help: | -h:) usage ;;
*)
  usage >&2
  exit 2
  ;;
esac
