#!/bin/bash
# Bridges and isolation: who reaches whom on cleat-bridge networks, and what in the kernel says so.
#
#        network red               network blue
#     ┌──────────────┐           ┌──────────────┐
#     │  ann    bob  │           │     cid      │
#     └───┬──────┬───┘           └──────┬───────┘
#       veth   veth                   veth            one end in the container, one on the bridge
#         └──┬───┘                      │
#        bridge cl-…                bridge cl-…       in the host, with the gateway's address
#            └───────── host ───────────┘             forwards nothing between the two
#
# Then dan and eve on a network with inter-container communication switched off, and fay on an internal one.

set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/stage.sh"
red=red$ID blue=blue$ID quiet=quiet$ID inner=inner$ID
ann=ann$ID bob=bob$ID cid=cid$ID dan=dan$ID eve=eve$ID fay=fay$ID

step 'Two networks: two bridges in the host, each with a gateway address'
network "$red"
network "$blue"
container "$ann" "$red" "$IMAGE" sleep 86400
container "$bob" "$red" "$IMAGE" httpd -f
container "$cid" "$blue" "$IMAGE" httpd -f
show ip -brief link show type bridge
bridge_of() { echo "cl-$(docker network inspect -f '{{.Id}}' "$1" | cut -c1-12)"; }
check 'ann and bob are ports of the bridge of red' \
  test "$(ip -oneline link show master "$(bridge_of "$red")" | wc -l)" = 2
check 'and cid is alone on the bridge of blue' \
  test "$(ip -oneline link show master "$(bridge_of "$blue")" | wc -l)" = 1

step 'Neighbours on one network reach each other, by name'
check 'ann reaches bob' docker exec "$ann" ping -c 1 -W 2 "$bob"

step 'Containers on different networks do not, neither by name nor by address'
refute 'ann does not know the name of cid' docker exec "$ann" nslookup "$cid"
refute 'ann does not reach the address of cid' docker exec "$ann" ping -c 1 -W 1 "$(address_of "$cid" "$blue")"
show nft list table inet cleat

step 'A container on both networks reaches both'
undo docker network disconnect -f "$blue" "$ann"
show docker network connect "$blue" "$ann"
check 'ann has a second interface' docker exec "$ann" ip addr show eth1
check 'and reaches cid now' docker exec "$ann" ping -c 1 -W 2 "$cid"
check 'while bob still does not' \
  bash -c "! docker exec $bob ping -c 1 -W 1 $(address_of "$cid" "$blue")"

step 'Inter-container communication off: the ports of the bridge are isolated from each other, not from the gateway'
network "$quiet" -o com.docker.network.bridge.enable_icc=false
container "$dan" "$quiet" "$IMAGE" sleep 86400
container "$eve" "$quiet" "$IMAGE" httpd -f
show bridge -details link show master "$(bridge_of "$quiet")"
refute 'dan does not reach eve' docker exec "$dan" ping -c 1 -W 1 "$(address_of "$eve" "$quiet")"
gateway=$(docker network inspect -f '{{(index .IPAM.Config 0).Gateway}}' "$quiet")
check 'but the gateway' docker exec "$dan" ping -c 1 -W 2 "$gateway"

step 'An internal network has no way out'
network "$inner" --internal
container "$fay" "$inner" "$IMAGE" sleep 86400
show docker exec "$fay" ip route
refute 'fay has no default route' docker exec "$fay" sh -c 'ip route | grep default'
