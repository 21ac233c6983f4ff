#!/bin/bash
# cleat-json-file: Docker's own log format with limits, rotated, compressed, and read back.
#
#   container ── engine ── FIFO ── cleat-logd ──► ID-json.log, ID-json.log.1.gz, ID-json.log.2.gz ──► docker logs

set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/stage.sh"
. "$(dirname "$(readlink -f "$0")")/log-daemon.sh"
name=writer$ID

step 'A container that writes 600 lines, 10 kB a file, three files'
undo docker rm -f "$name"
show docker run -d --name "$name" --net none --log-driver cleat-json-file \
  --log-opt max-size=10k --log-opt max-file=3 --log-opt compress=true --log-opt labels=team --label team=blue \
  "$IMAGE" sh -c 'i=0; while [ $i -lt 600 ]; do echo "line $i"; i=$((i+1)); done'
docker wait "$name" >/dev/null
id=$(docker inspect -f '{{.Id}}' "$name")
files=$STATE/log/$id

step 'The files: Docker names, Docker format'
check 'the older ones get compressed' eventually test -e "$files/$id-json.log.2.gz"
show ls -s "$files"
show tail -n 2 "$files/$id-json.log"
check 'each line is JSON with the label' bash -c "tail -n 1 $files/$id-json.log | grep -q '\"attrs\":{\"team\":\"blue\"}'"

step 'docker logs reads over all of them'
check 'the last line' bash -c "docker logs --tail 1 $name | grep -qx 'line 599'"
check 'lines that are in the compressed files' bash -c "docker logs $name | wc -l | grep -qv '^1$'"
show docker logs --tail 3 --timestamps "$name"

step 'What the daemon knows'
show logs ls
check 'options can be tried before use' logs check --driver cleat-json-file --log-opt max-size=10k --log-opt max-file=3
refute 'and a wrong one names the right one' logs check --driver cleat-json-file --log-opt max-siz=10k
