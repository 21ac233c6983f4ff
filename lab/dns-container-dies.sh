#!/bin/bash
# What happens to a name when a container dies, is paused, fails its health check, and when cleat itself is gone.
#
#     one ── web ─┐
#     two ── web ─┤ network shop        ask: asks for web all the time
#     ask ────────┘

set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/stage.sh"
shop=shop$ID one=one$ID two=two$ID ask=ask$ID

answers() { docker exec "$ask" nslookup web 2>/dev/null | awk '/^Name:/ { n = 1 } n && /^Address/ { print $NF }' | sort | xargs; }
expect() { # ADDRESSES: waits until they are the answer
  for _ in $(seq 100); do
    [ "$(answers)" = "$*" ] && { answers; return; }
    sleep 0.1
  done
  answers
  return 1
}

step 'Two containers under one name'
network "$shop"
health=(--health-cmd 'test ! -e /tmp/ill' --health-interval 1s --health-retries 1)
container "$one" "$shop" --network-alias web "${health[@]}" "$IMAGE" sleep 86400
container "$two" "$shop" --network-alias web "$IMAGE" sleep 86400
container "$ask" "$shop" "$IMAGE" sleep 86400
a=$(address_of "$one" "$shop") b=$(address_of "$two" "$shop")
both=$(printf '%s\n' "$a" "$b" | sort | xargs)
check 'both are answered' expect $both

step 'One dies: the very next answer is without it'
show docker kill "$two"
check 'no waiting here: asked once' test "$(answers)" = "$a"
show docker start "$two"
b=$(address_of "$two" "$shop")
both=$(printf '%s\n' "$a" "$b" | sort | xargs)
check 'and back' expect $both

step 'Paused: it could not serve anybody, so its address is not given'
show docker pause "$two"
check 'one is left' expect "$a"
show docker unpause "$two"
check 'and back' expect $both

step 'Unhealthy: the same'
show docker exec "$one" touch /tmp/ill
check 'the healthy one is left' expect "$b"
show cleat dns query web --network "$shop"
show docker exec "$one" rm /tmp/ill
check 'and back' expect $both

step 'The name of a container that is alone and paused exists, without an address'
show docker pause "$two"
no_address() { for _ in $(seq 50); do docker exec "$ask" nslookup "$two" | grep -q "Address: $b" || return 0; sleep 0.1; done; return 1; }
check 'nslookup finds no address' no_address
check 'but the name is there: NOERROR, not NXDOMAIN' bash -c "$(dirname "$(readlink -f "$0")")/../bin/cleat dns query $two --network $shop | grep NOERROR"
show docker unpause "$two"
