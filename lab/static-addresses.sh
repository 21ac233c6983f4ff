#!/bin/bash
# Static addresses: subnets, fixed addresses and MAC addresses, reserved ones, IPv6; and what happens when one is taken.
#
#     network 10.99.3.0/24 and 2001:db8:99:3::/64
#       .1    gateway (the bridge)
#       .5    reserved for a printer (an auxiliary address): nobody gets it
#       .10   ann, by --ip        ::10 by --ip6, and a MAC address by --mac-address
#       .129  bob: the first of the range that free addresses are taken from (--ip-range 10.99.3.128/25)

set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/stage.sh"
net=static$ID ann=ann$ID bob=bob$ID cid=cid$ID dan=dan$ID

step 'A network with a subnet of each family, a range for free addresses, and one address reserved'
network "$net" --subnet 10.99.3.0/24 --gateway 10.99.3.1 --ip-range 10.99.3.128/25 --aux-address printer=10.99.3.5 \
  --ipv6 --subnet 2001:db8:99:3::/64 --gateway 2001:db8:99:3::1
show docker network inspect -f '{{json .IPAM.Config}}' "$net"

step 'A container with addresses of its own choice'
# The docker command from version 25 on gives a MAC address to engines from 1.44 of their API on only.
mac=(--mac-address 02:00:00:00:99:03)
read -r client server < <(docker version -f '{{.Client.Version}} {{.Server.APIVersion}}')
if [ "${client%%.*}" -ge 25 ] && [ "${server#1.}" -lt 44 ]; then mac=(); fi
container "$ann" "$net" --ip 10.99.3.10 --ip6 2001:db8:99:3::10 "${mac[@]}" "$IMAGE" httpd -f
has() { docker exec "$1" ip addr show eth0 | grep -w "$2"; }
check 'IPv4 as asked for' has "$ann" 10.99.3.10/24
check 'IPv6 as asked for' has "$ann" 2001:db8:99:3::10/64
[ ${#mac[@]} = 0 ] || check 'MAC as asked for' has "$ann" 02:00:00:00:99:03
mac_before=$(docker exec "$ann" cat /sys/class/net/eth0/address)

step 'One without: it gets an address of the range'
container "$bob" "$net" "$IMAGE" sleep 86400
check 'from the upper half' sh -c "docker exec $bob ip addr show eth0 | grep -E 'inet 10[.]99[.]3[.](12[89]|1[3-9][0-9]|2[0-9][0-9])/24'"
check 'both families work' docker exec "$bob" ping -c 1 -W 2 10.99.3.10
check 'IPv6 too' docker exec "$bob" ping -6 -c 1 -W 2 2001:db8:99:3::10

step 'An address that is taken, reserved or outside of the subnet is refused'
undo docker rm -f "$cid"
refute 'the address of ann' docker run -d --name "$cid" --network "$net" --ip 10.99.3.10 "$IMAGE" httpd -f
show docker rm -f "$cid"
refute 'the printer' docker run -d --name "$cid" --network "$net" --ip 10.99.3.5 "$IMAGE" httpd -f
show docker rm -f "$cid"
refute 'somewhere else' docker run -d --name "$cid" --network "$net" --ip 10.99.4.10 "$IMAGE" httpd -f

step 'It stays over a restart of the container'
show docker restart -t 0 "$ann"
check 'the same IPv4 address' has "$ann" 10.99.3.10/24
check 'the same MAC address' has "$ann" "$mac_before"

step 'When the container is gone, its address is free again'
show docker rm -f "$ann"
container "$dan" "$net" --ip 10.99.3.10 "$IMAGE" sleep 86400
check 'another container can have it' has "$dan" 10.99.3.10/24
