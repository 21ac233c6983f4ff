#!/bin/bash
# The path of a packet to a published port: from another host, from this host, from containers; and why no other port answers.
#
#     outside 192.0.2.2 ──veth── host 192.0.2.1 ──bridge cl-…── web 10.99.1.2:80
#      (a namespace)              │ port 8088 -> web:80
#                                 └──bridge cl-…── cat (another network)
#
#     192.0.2.2:40000 > 192.0.2.1:8088    arrives at the host
#     192.0.2.2:40000 > 10.99.1.2:80      after the map of table inet cleat (destination NAT), then forwarded to the bridge
#     10.99.1.2:80 > 192.0.2.2:40000      the answer leaves as 192.0.2.1:8088 > 192.0.2.2:40000, by connection tracking

set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/stage.sh"
near=near$ID far=far$ID web=web$ID ann=ann$ID cat=cat$ID port=8088
serve='echo "hello from web" >/www/index.html; httpd -p 81 -h /www; exec httpd -f -p 80 -h /www'
fetch() { echo "curl -sS --max-time 10 http://$1/"; }
knock() { echo "curl -sS --max-time 2 http://$1/"; }

step 'Another host, as a namespace with a cable to this one'
another_host

step 'A web server that publishes port 80 as 8088; it listens on port 81 too, which it does not publish'
network "$near" --subnet 10.99.1.0/24
network "$far" --subnet 10.99.2.0/24
container "$web" "$near" --ip 10.99.1.2 -p "$port:80" "$IMAGE" sh -c "$serve"
container "$ann" "$near" "$IMAGE" sleep 86400
container "$cat" "$far" "$IMAGE" sleep 86400
show cleat ports
for _ in $(seq 50); do (exec 3<>/dev/tcp/10.99.1.2/80) 2>/dev/null && break || sleep 0.1; done

step 'The rules: one map element for the port, and one rule that looks up the map'
show nft list table inet cleat

step 'From outside'
check 'the other host fetches the page' outside $(fetch 192.0.2.1:$port)
show sh -c "conntrack -L -p tcp --orig-port-dst $port 2>/dev/null | tail -n 1"

step 'From this host, by each of its addresses'
check 'by 127.0.0.1' $(fetch 127.0.0.1:$port)
check 'by 192.0.2.1' $(fetch 192.0.2.1:$port)
check 'by the gateway of the network' $(fetch 10.99.1.1:$port)

step 'From containers, through the port of the host'
check 'of the same network: out to the host and back through the same bridge (hairpin)' \
  docker exec "$ann" timeout 10 wget -q -O- "http://192.0.2.1:$port/"
check 'of another network' docker exec "$cat" timeout 10 wget -q -O- "http://192.0.2.1:$port/"

step 'Ports that are not published do not answer, also to a host that knows the way'
show ip -n "out$ID" route add 10.99.1.0/24 via 192.0.2.1
refute 'port 81 of web from outside' outside $(knock 10.99.1.2:81)
refute 'port 80 of web by its own address from outside' outside $(knock 10.99.1.2:80)
refute 'port 81 of web from another network' docker exec "$cat" timeout 2 wget -q -O- http://10.99.1.2:81/
check 'while a neighbour on the network may' docker exec "$ann" timeout 10 wget -q -O- "http://$web:81/"

step 'A port that is taken is refused, and the error names who holds it'
undo docker rm -f "thief$ID"
refute 'a second container cannot have it' docker run -d --name "thief$ID" --network "$far" -p "$port:80" "$IMAGE" httpd -f

step 'When the container goes, so does its port'
show docker stop -t 0 "$web"
refute 'nothing answers on the port' outside $(knock 192.0.2.1:$port)
