# Sourced by the scripts of this folder, first thing: a Docker engine with the cleat drivers to run on, and the words that the
# scripts are told in. The engine is this machine's when one runs, otherwise one in namespaces of its own (lab/stage.ts);
# `--own` asks for the latter, `--shim` for cleat-shim instead. The scripts undo what they did when they end, however they end.
#
#   step TEXT               what comes now
#   show COMMAND...         a command and its output
#   check CLAIM COMMAND...  a claim and the command that proves it; when it fails, so does the script
#   refute CLAIM COMMAND... the same for a command that must fail
#   undo COMMAND...         to run at the end, the last one first
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

cleat() { "$(dirname "$(readlink -f "$0")")/../bin/cleat" "$@"; }

address_of() { docker inspect -f "{{(index .NetworkSettings.Networks \"$2\").IPAddress}}" "$1"; }
