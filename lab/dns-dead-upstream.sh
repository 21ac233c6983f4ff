#!/bin/bash
# A dead upstream: outside names are asked of several servers; one of them never answers.
#
#     ask ── network shop ── cleat ─┬─ 127.0.0.1:PORT1  takes questions and says nothing
#                                   └─ 127.0.0.1:PORT2  answers
#
# The first question costs a moment; from then on the living one is asked first. Answers are kept, so that both may be gone.

set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/stage.sh"
shop=shop$ID ask=ask$ID
folder=$(dirname "$(readlink -f "$0")")
silent=$((20000 + ID % 20000)) live=$((20001 + ID % 20000))

upstream() { # PORT WHAT
  "$folder/../bin/node" "$folder/dns-upstream.ts" "$@" &
  undo bash -c "kill $! || true"
  LAST=$!
}
took() { lookup "$1" | sed -n 's/.*"ms": \([0-9]*\).*/\1/p'; }
lookup() { cleat dns query "$1" --network "$shop" --json; }

step 'Two upstreams, the first of them dead'
upstream $silent silent
upstream $live 192.0.2.53
live_pid=$LAST
network "$shop" -o cleat.dns.upstream=127.0.0.1:$silent,127.0.0.1:$live
container "$ask" "$shop" "$IMAGE" sleep 86400
answered() { for _ in $(seq 100); do lookup ready.example.org | grep -q 192.0.2.53 && return; sleep 0.1; done; return 1; }
check 'an outside name is answered' answered

step 'What the dead one costs'
for n in 1 2 3 4 5; do
  ms=$(took "n$n.example.org")
  check "question $n took $ms ms, less than 300" test "$ms" -lt 300
done
show cleat dns status
check 'the dead one is known as silent or slow' bash -c "$folder/../bin/cleat dns status | grep -q '127.0.0.1:$silent'"
check 'from a container' docker exec "$ask" nslookup www.example.org

step 'Answers are kept: now both are gone'
show kill "$live_pid"
check 'what was asked before is still answered' docker exec "$ask" nslookup www.example.org
refute 'what was not is an error, after four seconds' docker exec "$ask" nslookup other.example.org

step 'And it comes back by itself'
upstream $live 192.0.2.53
check 'a new name' bash -c "for i in \$(seq 30); do docker exec $ask nslookup back\$i.example.org && exit; sleep 0.5; done; exit 1"
