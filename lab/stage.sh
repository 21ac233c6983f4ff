# Sourced by the scripts of this folder, first thing: a Docker engine with the cleat drivers to run on, and the words that the
# scripts are told in. The engine is this machine's when one runs, otherwise one in namespaces of its own (lab/stage.ts);
# `--own` asks for the latter, `--shim` for cleat-shim instead. The scripts undo what they did when they end, however they end.
#
#   step TEXT               what comes now
#   show COMMAND...         a command and its output
#   check CLAIM COMMAND...  a claim and the command that proves it; when it fails, so does the script
#   refute CLAIM COMMAND... the same for a command that must fail
#   undo COMMAND...         to run at the end, the last one first
#   needs PROGRAM PACKAGE   stops with a word when the program is not installed
#   eventually COMMAND...   asks again until it is so, for 20 s
#   within NAME COMMAND...  a program of the host in the network of a container
#   behind NAME COMMAND...  the same in the background until the end, or `end $behind`
#   another_host            makes a host beside this one, 192.0.2.2 on a cable to 192.0.2.1
#   outside COMMAND...      a program there
#   on NAME COMMAND...      a program on that host of the topology which the script asked for by CLEAT_LAB_TOPOLOGY
#   $IMAGE                  a busybox image; $ID a word that is different in each run

if [ -z "${CLEAT_LAB_STAGE:-}" ]; then
  lab=$(dirname "$(readlink -f "$0")")
  for argument in "$@"; do
    case $argument in
      -h | --help)
        sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
        echo "usage: $0 [--own | --shim]"
        echo "  --own    on a Docker engine of its own, even if this machine runs one"
        echo "  --shim   on cleat-shim"
        exit 0
        ;;
      --own | --shim) ;;
      *)
        echo "$0 does not know \"$argument\"; try --help" >&2
        exit 2
        ;;
    esac
  done
  exec "$lab/../bin/node" --disable-warning=ExperimentalWarning "$lab/stage.ts" "$(readlink -f "$0")" "$@"
fi

IMAGE=$CLEAT_LAB_IMAGE
ID=$$
checks=0
undo_list=()

step() { printf '\n== %s\n' "$*"; }
undo() { undo_list+=("$(printf '%q ' "$@")"); }

show() {
  printf '   $ %s\n' "$*"
  "$@" 2>&1 | sed 's/^/   | /'
}

check() {
  local claim=$1 output
  shift
  printf '   $ %s\n' "$*"
  if output=$("$@" 2>&1); then
    [ -z "$output" ] || sed 's/^/   | /' <<<"$output"
    printf '   ok: %s\n' "$claim"
    checks=$((checks + 1))
  else
    sed 's/^/   | /' <<<"$output"
    printf '   FAILED: %s\n' "$claim"
    exit 1
  fi
}

refute() {
  local claim=$1 output
  shift
  printf '   $ %s\n' "$*"
  if output=$("$@" 2>&1); then
    sed 's/^/   | /' <<<"$output"
    printf '   FAILED: %s\n' "$claim"
    exit 1
  fi
  [ -z "$output" ] || sed 's/^/   | /' <<<"$output"
  printf '   ok: %s\n' "$claim"
  checks=$((checks + 1))
}

clean_up() {
  local code=$?
  trap - EXIT
  trap '' INT TERM HUP
  local index
  for ((index = ${#undo_list[@]} - 1; index >= 0; index--)); do
    eval "${undo_list[index]}" >/dev/null 2>&1 || echo "   could not undo: ${undo_list[index]}" >&2
  done
  if [ "$code" = 0 ]; then
    printf '\nall %d checks passed; everything is taken down\n' "$checks"
  else
    printf '\nstopped; everything is taken down\n'
  fi
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# A network and a container that go away at the end.
network() {
  local name=$1
  shift
  undo docker network rm "$name"
  show docker network create -d cleat-bridge "$@" "$name"
}

container() {
  local name=$1 net=$2
  shift 2
  undo docker rm -f "$name"
  show docker run -d --name "$name" --network "$net" "$@"
}

needs() {
  command -v "$1" >/dev/null || { echo "this script needs the Debian package $2"; exit 1; }
}

eventually() {
  local attempt
  for ((attempt = 0; attempt < 200; attempt++)); do
    if "$@"; then return 0; fi
    sleep 0.1
  done
  return 1
}

within() {
  local name=$1
  shift
  cleat netshoot "$name" -- "$@"
}

behind() {
  local name=$1
  shift
  # Not by the function: the process number shall be that of the command.
  "$(dirname "$(readlink -f "$0")")/../bin/cleat" netshoot "$name" -- "$@" &
  behind=$!
  undo end "$behind"
}

end() {
  kill "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

another_host() {
  undo ip netns del "out$ID"
  show ip netns add "out$ID"
  undo ip link del "lab$ID"
  show ip link add "lab$ID" type veth peer name eth0 netns "out$ID"
  show ip addr add 192.0.2.1/24 dev "lab$ID"
  show ip link set "lab$ID" up
  show ip -n "out$ID" addr add 192.0.2.2/24 dev eth0
  show ip -n "out$ID" link set eth0 up
}

outside() { nsenter --net="/run/netns/out$ID" "$@"; }

on() {
  local host=HOST_$1
  shift
  nsenter -t "${!host}" -n -m -p -u "$@"
}

cleat() { "$(dirname "$(readlink -f "$0")")/../bin/cleat" "$@"; }

address_of() { docker inspect -f "{{(index .NetworkSettings.Networks \"$2\").IPAddress}}" "$1"; }
