#!/bin/bash
# Containers on a LAN: hosts like any other, with addresses from its DHCP server, reached from this machine too.
#
#     this machine: p0 10.99.7.2, fd99:7::2 ── wire ── p1 10.99.7.1, fd99:7::1: router, DHCP servers .100 to .120 and
#       │                                               ::100 to ::120, somebody on the LAN
#       │
#       ├── ann  10.99.7.10 (by --ip)     macvlan links on p0, each with a MAC address of its own
#       ├── bob  from the DHCP servers
#       └── ch-… this machine's own link beside theirs, since the kernel lets no parent talk to the links on it
#
# With VLANs in the kernel (8021q): eve 10.99.8.10 in VLAN 8, which the others do not see.

set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/stage.sh"
lan=lan$ID plain=plain$ID leased=leased$ID tagged=tagged$ID ann=ann$ID bob=bob$ID eve=eve$ID
p0=p0$((ID % 100000)) p1=p1$((ID % 100000))
somebody() { ip netns exec "$lan" "$@"; }

step 'A wire to a LAN, with a router and a DHCP server at its other end'
show ip netns add "$lan"
undo ip netns del "$lan"
show ip link add "$p0" type veth peer name "$p1" netns "$lan"
undo sh -c "ip link del $p0 2>/dev/null || true"
ip addr add 10.99.7.2/24 dev "$p0"
ip addr add fd99:7::2/64 dev "$p0" nodad
ip link set "$p0" up
ip -n "$lan" addr add 10.99.7.1/24 dev "$p1"
ip -n "$lan" addr add fd99:7::1/64 dev "$p1" nodad
ip -n "$lan" link set "$p1" up
ip -n "$lan" link set lo up
leases=$(mktemp)
undo rm -f "$leases"
# No ping before an offer: it takes three of the four seconds that an engine gives a network.
somebody dnsmasq --no-ping --keep-in-foreground --port=0 --interface="$p1" --bind-interfaces --dhcp-range=10.99.7.100,10.99.7.120,2m \
  --dhcp-range=fd99:7::100,fd99:7::120,64,2m --enable-ra --dhcp-option=6,10.99.7.1 --dhcp-option=option6:dns-server,[fd99:7::1] \
  --dhcp-option=3,10.99.7.1 --dhcp-leasefile="$leases" --dhcp-authoritative --user=root --log-facility=- >/dev/null 2>&1 &
undo kill $!

step 'A network whose containers are hosts of that LAN'
show docker network create -d cleat-macvlan --subnet 10.99.7.0/24 --gateway 10.99.7.1 -o parent="$p0" -o cleat.host-access=on "$plain"
undo sh -c "docker network rm $plain >/dev/null 2>&1 || true"
container "$ann" "$plain" --ip 10.99.7.10 "$IMAGE" httpd -f
check 'somebody on the LAN reaches ann' somebody ping -c 1 -W 2 10.99.7.10
check 'ann reaches the router' docker exec "$ann" ping -c 1 -W 2 10.99.7.1
check 'this machine reaches ann, by its own link' ping -c 1 -W 2 10.99.7.10
check 'and ann this machine' docker exec "$ann" ping -c 1 -W 2 10.99.7.2
show ip route show proto 99

step 'What cannot work is refused, and says why'
refute 'a published port: every port of ann is open at its own address' docker run --rm --network "$plain" --ip 10.99.7.11 -p 8080:80 "$IMAGE" true
refute 'the address of the router' docker run --rm --network "$plain" --ip 10.99.7.1 "$IMAGE" true

step 'Addresses from the DHCP servers of the LAN, IPv4 and IPv6'
docker rm -f "$ann" >/dev/null
show docker network rm "$plain"
show docker network create -d cleat-macvlan -o parent="$p0" --ipam-driver cleat-dhcp --ipam-opt parent="$p0" --subnet 10.99.7.0/24 --ipv6 --subnet fd99:7::/64 "$leased"
undo docker network rm "$leased"
container "$bob" "$leased" "$IMAGE" sleep 86400
check 'bob has one of its range' sh -c "docker exec $bob ip addr show eth0 | grep -E 'inet 10[.]99[.]7[.]1[0-2][0-9]/24'"
check 'and one of the IPv6 range' sh -c "docker exec $bob ip addr show eth0 | grep -E 'inet6 fd99:7::1[0-2][0-9a-f]/64'"
check 'the server knows both' sh -c "grep 10.99.7.1 $leases && grep fd99:7::1 $leases"
address_of() { docker inspect -f "{{range .NetworkSettings.Networks}}{{.$2}}{{end}}" "$1"; }
check 'the server knows bob by his name' eventually grep -w "$bob" "$leases"
ipv4=$(address_of "$bob" IPAddress)
show docker restart -t 0 "$bob"
check 'bob keeps his address over a restart' test "$(address_of "$bob" IPAddress)" = "$ipv4"
check 'somebody reaches bob by IPv6' eventually somebody ping -c 1 -W 2 "$(address_of "$bob" GlobalIPv6Address)"
check 'somebody reaches bob' somebody ping -c 1 -W 2 "$ipv4"

if ip link add link "$p0" name vl$((ID % 100000)) type vlan id 99 2>/dev/null; then
  ip link del vl$((ID % 100000))
  step 'A VLAN, made and taken away with its network'
  ip -n "$lan" link add link "$p1" name "$p1.8" type vlan id 8
  ip -n "$lan" link set "$p1.8" up
  ip -n "$lan" addr add 10.99.8.1/24 dev "$p1.8"
  show docker network create -d cleat-macvlan --subnet 10.99.8.0/24 --gateway 10.99.8.1 -o parent="$p0.8" "$tagged"
  undo docker network rm "$tagged"
  container "$eve" "$tagged" --ip 10.99.8.10 "$IMAGE" sleep 86400
  check 'somebody in the VLAN reaches eve' somebody ping -c 1 -W 2 10.99.8.10
  check 'eve does not reach the LAN beside it' sh -c "! docker exec $eve ping -c 1 -W 1 10.99.7.1"
else
  step 'No VLANs here: this kernel lacks 8021q'
fi
