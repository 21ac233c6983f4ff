# Sourced by the volume scripts after stage.sh: a cleat-volumed with folders of its own, unless the host has one already.
#
#   volumes ARGUMENTS...   the `cleat volume` command for that daemon
#   volume NAME OPTION...  creates a volume that goes away at the end
#   start_volumed          starts it again after its process in $WORK/pid was killed
#   $WORK                  a folder that goes away at the end
#   $STATE                 the daemon's folder

WORK=$(mktemp -d)
undo rm -rf "$WORK"
bin=$(dirname "$(readlink -f "$0")")/../bin

start_volumed() {
  "$bin/cleat-volumed" --run-dir "$RUN" --state-dir "$STATE" >>"$WORK/volumed.log" 2>&1 &
  echo $! >"$WORK/pid"
  until volumes ls >/dev/null 2>&1; do sleep 0.1; done
}

volumes() { "$bin/cleat" volume "$@" --run-dir "$RUN"; }

if [ -S /run/docker/plugins/cleat-local.sock ]; then
  RUN=/run/cleat STATE=${CLEAT_LAB_STATE:-/var/lib/cleat}
else
  RUN=$WORK/run STATE=$WORK/state
  # The pid comes from the file, since a script may start it again.
  undo bash -c "kill \$(cat $WORK/pid); tail --pid=\$(cat $WORK/pid) -f /dev/null"
  start_volumed
fi

volume() {
  local name=$1
  shift
  undo docker volume rm "$name"
  show docker volume create "$@" "$name"
}

# A command in a container of its own, on a volume at /data.
on() {
  local name=$1
  shift
  docker run --rm --network none -v "$name:/data" "$IMAGE" "$@"
}
