#!/bin/bash
# Four ways to a network: none, the host's own, one on a bridge, and another container's. What each of them sees.
#
#     host ─┬─ its own links ─────────────── hank   --network host: these links, no others
#           │
#           └─ bridge cl-… 10.99.11.1
#                └── veth ── eth0 10.99.11.2 ── bess   --network NET
#                                  └─────────── joe    --network container:bess: the same eth0, the same loopback
#
#                              lo alone ─────── nina   --network none

set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/stage.sh"
needs curl curl
net=modes$ID nina=nina$ID hank=hank$ID bess=bess$ID joe=joe$ID
# From /proc/net/dev, which shows the network of whoever reads it.
names() { awk -F: 'NR > 2 { gsub(" ", "", $1); print $1 }' | sort; }
links_of() { docker exec "$1" cat /proc/net/dev | names; }
namespace_of() { docker exec "$1" readlink /proc/self/ns/net; }

step 'None: a namespace with nothing in it but a loopback'
container "$nina" none "$IMAGE" sleep 86400
check 'lo is all there is' test "$(links_of "$nina")" = lo
check 'it works' docker exec "$nina" ping -c 1 -W 2 127.0.0.1
refute 'but leads nowhere' docker exec "$nina" ping -c 1 -W 1 192.0.2.1
check 'a namespace of its own' test "$(namespace_of "$nina")" != "$(readlink /proc/self/ns/net)"

step "The host's: no namespace at all, so every link, address and port of the host"
container "$hank" host "$IMAGE" sh -c 'echo "hello from hank" >/www/index.html; exec httpd -f -p 8093 -h /www'
check 'the same namespace as ours' test "$(namespace_of "$hank")" = "$(readlink /proc/self/ns/net)"
check 'the same links' test "$(links_of "$hank" | xargs)" = "$(names </proc/net/dev | xargs)"
check 'what it serves is served by the host, without any publishing' eventually curl -sS --max-time 5 http://127.0.0.1:8093/
show docker run --rm --network host -p 8094:80 "$IMAGE" true

step 'A bridge: a namespace with one end of a veth, whose other end is a port of the bridge'
network "$net" --subnet 10.99.11.0/24
container "$bess" "$net" --ip 10.99.11.2 "$IMAGE" sh -c 'echo "hello from bess" >/www/index.html; exec httpd -f -h /www'
show docker exec "$bess" ip addr show eth0
show docker exec "$bess" ip route
check 'an address of the network' sh -c "docker exec $bess ip addr show eth0 | grep -w 10.99.11.2/24"
check 'the host reaches it over the bridge' eventually curl -sS --max-time 5 http://10.99.11.2/
bridge=cl-$(docker network inspect -f '{{.Id}}' "$net" | cut -c1-12)
show ip -brief link show master "$bridge"
check 'one port on the bridge' test "$(ip -oneline link show master "$bridge" | wc -l)" = 1

step "Another container's: both in one namespace"
container "$joe" "container:$bess" "$IMAGE" sleep 86400
check 'the same namespace' test "$(namespace_of "$joe")" = "$(namespace_of "$bess")"
check 'so joe reaches what bess serves by the loopback' docker exec "$joe" wget -q -O- http://127.0.0.1/
same_hosts() { [ "$(docker exec "$1" cat /etc/hosts)" = "$(docker exec "$2" cat /etc/hosts)" ]; }
check 'has the same names for both' same_hosts "$joe" "$bess"
check 'and brings no second port' test "$(ip -oneline link show master "$bridge" | wc -l)" = 1
check 'files and processes stay apart' sh -c "! docker exec $joe ls /www/index.html"
refute 'joe cannot publish ports: they are those of bess' \
  docker run --rm --network "container:$bess" -p 8094:80 "$IMAGE" true

step 'When joe ends, bess does not notice; when bess has ended, nobody can join it'
show docker rm -f "$joe"
check 'bess still answers' curl -sS --max-time 5 http://10.99.11.2/
show docker stop -t 0 "$bess"
refute 'a container that does not run has no network to join' \
  docker run --rm --network "container:$bess" "$IMAGE" true
