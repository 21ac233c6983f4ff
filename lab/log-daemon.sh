# Sourced by the log scripts after stage.sh: a cleat-logd with folders of its own, unless the host has one already.
#
#   logs ARGUMENTS...   the `cleat log` command for that daemon
#   $WORK               a folder that goes away at the end
#   receive NAME PLACE  writes what arrives at PLACE (udp:5514, tcp:5515; see log-receiver.ts) to $WORK/NAME; its pid is $receiver
#   received NAME       what arrived there, as text

WORK=$(mktemp -d)
undo rm -rf "$WORK"
bin=$(dirname "$(readlink -f "$0")")/../bin

if [ -S /run/docker/plugins/cleat-json-file.sock ]; then
  RUN=/run/cleat STATE=${CLEAT_LAB_STATE:-/var/lib/cleat}
else
  RUN=$WORK/run STATE=$WORK/state
  "$bin/cleat-logd" --run-dir "$RUN" --state-dir "$STATE" >"$WORK/logd.log" 2>&1 &
  undo kill $!
  until [ -S "$RUN/logd.sock" ]; do sleep 0.05; done
fi

logs() { "$bin/cleat" log "$@" --run-dir "$RUN"; }

receive() {
  "$bin/node" "$bin/../lab/log-receiver.ts" "$WORK/$1" "${@:2}" >"$WORK/$1.ready" &
  receiver=$!
  until grep -q ready "$WORK/$1.ready"; do sleep 0.05; done
}

received() {
  [ -e "$WORK/$1" ] || return 0
  sed 's/.*"hex":"\(.*\)"}/\1/' "$WORK/$1" | xxd -r -p | tr '\0' '\n'
}
