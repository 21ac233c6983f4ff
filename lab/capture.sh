#!/bin/bash
# A capture in a container's namespace: the host's tcpdump sees what the container sees, and nothing else.
#
#     ann 10.99.19.3 ── veth ── bridge cl-… ── veth ── web 10.99.19.2:80
#      lo: questions                │                   eth0: tcpdump, by cleat netshoot web
#      to 127.0.0.11                │
#                                   └── veth ── cat 10.99.19.4   tcpdump: not its business

set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/stage.sh"
needs tcpdump tcpdump
net=wire$ID web=web$ID ann=ann$ID cat=cat$ID
WORK=$(mktemp -d)
undo rm -rf "$WORK"

# capture NAME LINK FILTER: begins one in the network of a container; `captured NAME` ends it and prints it.
declare -A captures=()
capture() {
  behind "$1" tcpdump -n -U --immediate-mode -i "$2" -w "$WORK/$1" "$3" >"$WORK/$1.log" 2>&1
  captures[$1]=$behind
  eventually grep -q 'listening on' "$WORK/$1.log"
}
captured() {
  # A packet that has just passed takes a moment to get there.
  sleep 1
  end "${captures[$1]}"
  tcpdump -n -A -r "$WORK/$1" 2>/dev/null >"$WORK/$1.txt"
}

step 'Three containers on one network'
network "$net" --subnet 10.99.19.0/24
container "$web" "$net" --ip 10.99.19.2 "$IMAGE" sh -c 'echo "hello from web" >/www/index.html; exec httpd -f -h /www'
container "$ann" "$net" --ip 10.99.19.3 "$IMAGE" sleep 86400
container "$cat" "$net" --ip 10.99.19.4 "$IMAGE" sleep 86400
check 'the server answers' eventually docker exec "$ann" timeout 5 wget -q -O- http://10.99.19.2/
refute 'web itself has no tcpdump' docker exec "$web" tcpdump --version

step 'Captures in the network of web and of cat, while ann fetches a page'
capture "$web" eth0 'tcp port 80'
capture "$cat" eth0 'tcp port 80'
check 'ann fetches it' docker exec "$ann" timeout 5 wget -q -O- "http://10.99.19.2/"
captured "$web"
captured "$cat"
show sh -c "grep -E '^[0-9:.]+ IP' $WORK/$web.txt | cut -c1-110"
check 'the connection begins with a SYN of ann' grep -E 'IP 10[.]99[.]19[.]3[.][0-9]+ > 10[.]99[.]19[.]2[.]80: Flags \[S\]' "$WORK/$web.txt"
check 'the question is to be read' grep 'GET / HTTP' "$WORK/$web.txt"
check 'and the answer' grep 'hello from web' "$WORK/$web.txt"
check 'cat saw nothing of it: a bridge is no hub' test ! -s "$WORK/$cat.txt"

step 'The same packets on the bridge, for the host sees everything'
bridge=cl-$(docker network inspect -f '{{.Id}}' "$net" | cut -c1-12)
tcpdump -n -U --immediate-mode -i "$bridge" -w "$WORK/bridge" 'tcp port 80' >"$WORK/bridge.log" 2>&1 &
captures[bridge]=$!
undo end $!
eventually grep -q 'listening on' "$WORK/bridge.log"
check 'ann fetches it again' docker exec "$ann" timeout 5 wget -q -O- "http://10.99.19.2/"
captured bridge
check 'the host can read it as well' grep 'GET / HTTP' "$WORK/bridge.txt"

step 'A name is asked for on the loopback, where the resolver of the network answers'
capture "$ann" lo 'udp'
check 'ann looks up web' docker exec "$ann" nslookup "$web" 127.0.0.11
captured "$ann"
show sh -c "grep -E '^[0-9:.]+ IP' $WORK/$ann.txt | cut -c1-110"
check 'the question and the answer' sh -c "grep -q '127[.]0[.]0[.]11' $WORK/$ann.txt && grep -q '$web' $WORK/$ann.txt"
