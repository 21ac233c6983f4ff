#!/bin/bash
# Links and several networks: who knows whom by which name, and which way is out.
#
#     the default network            network front              network back
#       shop ── --link ──► db0         web ────┐                  ┌──── db
#       (DATABASE_… variables,                 └──── app ─────────┘
#        a line in /etc/hosts)         app: eth0 and eth1, one default route
#
#     app calls db "store" by --link: that name is app's alone

set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/stage.sh"
front=front$ID back=back$ID db0=db0$ID shop=shop$ID web=web$ID app=app$ID db=db$ID
serve='echo "hello from $(hostname)" >/www/index.html; exec httpd -f -h /www'
default_link() { docker exec "$app" ip route | sed -n 's/^default .* dev \([^ ]*\).*/\1/p'; }

step 'A link on the default network: the oldest way to find a neighbour'
container "$db0" bridge --expose 80 --hostname db0 "$IMAGE" sh -c "$serve"
container "$shop" bridge --link "$db0:database" "$IMAGE" sleep 86400
show docker exec "$shop" grep database /etc/hosts
show docker exec "$shop" env
check 'shop finds it by its alias' eventually docker exec "$shop" timeout 5 wget -q -O- http://database/
address=$(docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' "$db0")
check 'variables say where' sh -c "docker exec $shop env | grep -x DATABASE_PORT_80_TCP=tcp://$address:80"
refute 'a link has one direction: nothing about shop in the hosts file of db0' docker exec "$db0" grep "$shop" /etc/hosts

step 'The linked container comes back with another address, perhaps: the line follows'
show docker restart -t 0 "$db0"
address=$(docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' "$db0")
check 'the line has the address of now' eventually sh -c "docker exec $shop grep -w database /etc/hosts | grep -wF $address"

step 'Two networks, and a container on both'
network "$front" --subnet 10.99.12.0/24
network "$back" --subnet 10.99.13.0/24
container "$web" "$front" "$IMAGE" sleep 86400
container "$db" "$back" "$IMAGE" sh -c "$serve"
container "$app" "$front" "$IMAGE" sleep 86400
show docker network connect --link "$db:store" --alias api "$back" "$app"
show docker exec "$app" ip addr
check 'app reaches web, by name' docker exec "$app" ping -c 1 -W 2 "$web"
check 'and db' docker exec "$app" ping -c 1 -W 2 "$db"
refute 'web does not know db' docker exec "$web" nslookup "$db"
refute 'nor reach it' docker exec "$web" ping -c 1 -W 1 "$(address_of "$db" "$back")"

step 'Names are of a network, and links of a container'
check 'db knows app as api' eventually docker exec "$db" ping -c 1 -W 2 api
refute 'web does not: the alias is of the other network' docker exec "$web" ping -c 1 -W 1 api
check 'app has a name of its own for db' eventually docker exec "$app" ping -c 1 -W 2 store
refute 'which db itself does not know' docker exec "$db" ping -c 1 -W 1 store

step 'One way out, whatever the number of networks'
show docker exec "$app" ip route
check 'one default route' test "$(docker exec "$app" ip route | grep -c ^default)" = 1
gone=$front
[ "$(default_link)" = eth0 ] || gone=$back
show docker network disconnect "$gone" "$app"
show docker exec "$app" ip route
check 'when its network goes, the route moves to the other' test "$(docker exec "$app" ip route | grep -c ^default)" = 1
