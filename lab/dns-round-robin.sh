#!/bin/bash
# Round robin: two containers share the name "search"; a third asks for it and gets both addresses, each time another one first.
#
#     one ── search ─┐
#     two ── search ─┤ network shop         ask: nslookup search
#     ask ───────────┘ 127.0.0.11 in each container is answered by cleat
#
# Then what else is a name here: the network's name behind it, wildcards, services, static records, addresses.

set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/stage.sh"
shop=shop$ID one=one$ID two=two$ID ask=ask$ID

known() { # NAME COUNT: waits until cleat has learned the name from the engine
  for _ in $(seq 100); do
    [ "$(cleat dns query "$1" --network "$shop" --json | grep -c '"section": "answer"')" = "$2" ] && return
    sleep 0.1
  done
  return 1
}
addresses() { docker exec "$ask" nslookup "$1" | awk '/^Name:/ { n = 1 } n && /^Address/ { print $NF }'; }
first() { addresses search | head -1; }

step 'Two containers under one name'
network "$shop" -o cleat.dns.record.db='A 192.0.2.7; A 192.0.2.8'
container "$one" "$shop" --network-alias search "$IMAGE" sleep 86400
container "$two" "$shop" --network-alias search --network-alias '*.app' --expose 80 "$IMAGE" sleep 86400
container "$ask" "$shop" "$IMAGE" sleep 86400
check 'cleat knows both' known search 2

step 'Both are answered, in changing order'
for _ in 1 2 3; do show docker exec "$ask" nslookup search; done
declare -A firsts=()
for _ in $(seq 10); do
  address=$(first)
  firsts[$address]=$((${firsts[$address]:-0} + 1))
done
for address in "${!firsts[@]}"; do echo "   $address came first ${firsts[$address]} times of 10"; done
check 'each was first five times' test "${firsts[$(address_of "$one" "$shop")]:-0}" = 5

step 'Why it is so'
show cleat dns query search --network "$shop"

step 'More names'
check "with the network's name behind it" docker exec "$ask" nslookup "search.$shop"
check 'in capital letters' docker exec "$ask" nslookup SEARCH
check 'below a wildcard' docker exec "$ask" nslookup any.thing.app
check 'a static record of the network' docker exec "$ask" nslookup db
check 'the host' docker exec "$ask" nslookup host.docker.internal
check 'an address gives the name' docker exec "$ask" nslookup "$(address_of "$one" "$shop")"
show cleat dns query _http._tcp.search SRV --network "$shop"
check 'where the service is' bash -c "$(dirname "$(readlink -f "$0")")/../bin/cleat dns query _http._tcp.search SRV --network $shop | grep -q '0 0 80 $two'"
