#!/bin/bash
# Which ports are open, from where? netstat shows who listens, nmap who answers; and the two are not the same.
#
#     another host 192.0.2.2 ──veth── host 192.0.2.1 ── port 8095 ──► web:80
#           nmap                        nmap            bridge cl-… ── web 10.99.16.2   80 (all), 81 (all), 82 (loopback)
#                                                          │
#                                                          └─────── ann 10.99.16.3     nmap
#
#     quiet: a network without inter-container communication: dan ──X── eve:80

set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/stage.sh"
needs nmap nmap
near=near$ID quiet=quiet$ID web=web$ID ann=ann$ID dan=dan$ID eve=eve$ID

# `PORT/tcp STATE` of each port, without asking first whether the host pings.
scan() { "$@" | awk '$1 ~ "/tcp$" { print $1, $2 }'; }
nmap=(nmap -sT -n -Pn --disable-arp-ping --max-retries 1 --host-timeout 30s)
from_ann() { scan within "$ann" "${nmap[@]}" "$@"; }
from_outside() { scan outside "${nmap[@]}" "$@"; }
from_dan() { scan within "$dan" "${nmap[@]}" "$@"; }
is() { # PORT STATE COMMAND...: the scan says so
  local port=$1 state=$2 found
  shift 2
  found=$("$@") || return 1
  printf '%s\n' "$found"
  grep -qx "$port/tcp $state" <<<"$found"
}

step 'A server on three ports: two on all addresses, one on the loopback alone; one is published'
another_host
network "$near" --subnet 10.99.16.0/24
container "$web" "$near" --ip 10.99.16.2 -p 8095:80 "$IMAGE" \
  sh -c 'httpd -p 81 -h /www; httpd -p 127.0.0.1:82 -h /www; exec httpd -f -p 80 -h /www'
container "$ann" "$near" --ip 10.99.16.3 "$IMAGE" sleep 86400
check 'all three listen' eventually sh -c "[ \$(docker exec $web netstat -ltn | grep -cE ':8[012] ') = 3 ]"

step 'netstat, inside: sockets, with the address that they listen on'
show docker exec "$web" netstat -ltn
check 'port 82 on the loopback alone' sh -c "docker exec $web netstat -ltn | grep -E '127[.]0[.]0[.]1:82 '"

step 'nmap from a neighbour on the network'
check '80 is open, published or not' is 80 open from_ann -p 80-83 10.99.16.2
check 'so is 81' is 81 open from_ann -p 80-83 10.99.16.2
check '82 is closed: nobody listens on this address' is 82 closed from_ann -p 80-83 10.99.16.2
check '83 is closed: nobody listens' is 83 closed from_ann -p 80-83 10.99.16.2

step 'nmap from another host, at the address of this one'
check 'the published port is open' is 8095 open from_outside -p 8095,8096 192.0.2.1
check 'the next one is closed: the host itself answers, and has nobody there' is 8096 closed from_outside -p 8095,8096 192.0.2.1
show cleat ports

step 'nmap from another host that knows the way to the network: what is not published is filtered'
show ip -n "out$ID" route add 10.99.16.0/24 via 192.0.2.1
for port in 80 81 82; do
  check "port $port of web gives no answer at all" is "$port" filtered from_outside -p "$port" 10.99.16.2
done

step 'A network whose containers shall not talk to each other'
network "$quiet" --subnet 10.99.17.0/24 -o com.docker.network.bridge.enable_icc=false
container "$dan" "$quiet" "$IMAGE" sleep 86400
container "$eve" "$quiet" --ip 10.99.17.20 "$IMAGE" httpd -f
check 'eve listens' eventually sh -c "docker exec $eve netstat -ltn | grep -q ':80 '"
check 'and dan gets no answer' is 80 filtered from_dan -p 80 10.99.17.20

step 'When the container goes, the port closes'
show docker stop -t 0 "$web"
check 'closed' is 8095 closed from_outside -p 8095 192.0.2.1
