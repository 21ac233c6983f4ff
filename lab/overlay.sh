#!/bin/bash
# One network over three hosts with an engine each, in clear and encrypted; and what becomes of it when one of them dies.
#
#     a 192.0.2.1  web-a safe-a ──┐
#     b 192.0.2.2  web-b safe-b ──┼── switch, where everything that passes can be seen
#     c 192.0.2.3  web-c safe-c ──┘

set -euo pipefail
export CLEAT_LAB_TOPOLOGY=overlay
. "$(dirname "$(readlink -f "$0")")/stage.sh"

cleat=$(dirname "$(readlink -f "$0")")/../bin/cleat
docker_on() { local host=$1; shift; on "$host" env DOCKER_HOST=unix:///run/docker.sock docker "$@"; }
ping_from() { docker_on "$1" exec "$2-$1" ping -c1 -W1 "$2-$3"; }
names() { [ "$(docker_on a exec web-a nslookup web | grep -c '10\.90\.0\.')" = "$1" ]; }
knows() { [[ $(on a bridge fdb show) == *"dst $1 "* ]]; }
forgotten() { ! knows "$1"; }
watch_wire() { # FILE: from now on
  on switch timeout 60 tcpdump -lnni sw -s0 -A udp >"$1" 2>/dev/null &
  wire=$!
  sleep 1
}
stop_watching() { kill "$wire" 2>/dev/null || true; wait "$wire" 2>/dev/null || true; }
lab_files=$(mktemp -d)
undo rm -rf "$lab_files"
undo stop_watching

step 'Three plain engines, one network: each host gives addresses of its own part'
show on a "$cleat" overlay status
for host in b c; do check "a reaches $host by its name" eventually ping_from a web "$host"; done
check 'one name for all of them' eventually names 3
show on a "$cleat" overlay trace web-a web-b

step 'In clear: whoever is on the wire reads along'
watch_wire "$lab_files/clear"
docker_on a exec web-a sh -c 'wget -q -O - http://web-b/' >/dev/null
sleep 1
stop_watching
check 'the request can be read' grep -q 'GET / HTTP' "$lab_files/clear"

step 'Encrypted: the same with -o encrypted'
for host in a b c; do
  docker_on "$host" network create -d cleat-overlay -o cleat.network=safe -o encrypted --subnet 10.91.0.0/24 \
    --gateway 10.91.0.1 --ipam-driver cleat-ipam --ipam-opt cleat.network=safe safe >/dev/null
  docker_on "$host" run -d --name "safe-$host" --network safe "$IMAGE" httpd -f -h /etc >/dev/null
done
for host in b c; do check "a reaches $host" eventually ping_from a safe "$host"; done
watch_wire "$lab_files/safe"
docker_on a exec safe-a sh -c 'wget -q -O - http://safe-b/passwd' >/dev/null
sleep 1
stop_watching
check 'there is WireGuard on the wire' grep -qE '192\.0\.2\.1\.478[67] > 192\.0\.2\.2' "$lab_files/safe"
refute 'and nothing to read' grep -qE 'GET /|safe-b|root:' "$lab_files/safe"
check 'new keys, while everything goes on' on a "$cleat" overlay rotate
check 'a still reaches b' ping_from a safe b

step 'Host c dies: after the lease of five seconds nothing of it is left, and the others go on'
check 'it is known' knows 192.0.2.3
show kill -9 "$HOST_c"
check 'b is reached all the time' ping_from a web b
check 'its entries are gone' eventually forgotten 192.0.2.3
check 'and its name' eventually names 2
check 'a reaches b, encrypted too' ping_from a safe b
refute 'the list of peers tells who is missing' on a "$cleat" overlay peers
