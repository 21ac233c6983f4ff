#!/bin/bash
# A log server that is not there, comes, goes and comes back: the container never notices, and every line arrives.
#
#   container ── cleat-logd ──► journal on disk ──► server        down · up · down · up

set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/stage.sh"
. "$(dirname "$(readlink -f "$0")")/log-daemon.sh"
name=writer$ID

arrived() { received one; received two; }
complete() { [ "$(arrived | grep -o 'number [0-9]*' | sort -u | wc -l)" -ge "$1" ]; }

step 'The server is down, and the container starts all the same'
undo docker rm -f "$name"
show docker run -d --name "$name" --net none --log-driver cleat-syslog --log-opt syslog-address=tcp://127.0.0.1:15143 \
  "$IMAGE" sh -c 'trap exit TERM; i=0; while :; do echo "number $i"; i=$((i+1)); sleep 0.02; done'
sleep 1
check 'its lines are here' bash -c "docker logs --tail 3 $name | grep number"
show logs stats

step 'The server comes: what waited is sent'
receive one tcp:15143
check 'lines from the beginning arrive' eventually bash -c "$(declare -f received); WORK=$WORK; received one | grep -q 'number 0\$'"

step 'It dies, and the container goes on'
kill -9 "$receiver"
sleep 2
show logs stats

step 'The container is stopped meanwhile: that takes no longer than usual'
show docker stop "$name"
last=$(docker logs --tail 1 "$name" | cut -d' ' -f2)

step 'The server comes back: everything is there, lines around its death perhaps twice'
receive two tcp:15143
undo kill "$receiver"
check "all lines up to number $last have arrived" eventually complete $((last + 1))
show logs stats
