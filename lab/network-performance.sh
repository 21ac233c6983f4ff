#!/bin/bash
# How fast is a network, and where does it go? iperf3 on each part of a packet's way.
#
#     another host 192.0.2.2 ──veth── host ── port 5201 ─┐
#                                      │                 ▼
#                                      ├── bridge cl-… ── bob :5201   ◄── ann (a neighbour)
#                                      │   (MTU 1500)      lo ◄── bob itself
#                                      └── bridge cl-… ── dora :5201  ◄── cora
#                                          (MTU 9000)
#
# The figures are this machine's at this moment; what is checked is that everything sent has arrived.

set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/stage.sh"
needs iperf3 iperf3
net=perf$ID big=jumbo$ID ann=ann$ID bob=bob$ID cora=cora$ID dora=dora$ID
WORK=$(mktemp -d)
undo rm -rf "$WORK"

# A server in the network of a container, with the host's iperf3: the container needs to have none.
serve() {
  behind "$1" iperf3 -s -p 5201 >/dev/null 2>&1
  eventually within "$1" sh -c 'ss -Hlnt | grep -q :5201'
}

# measure WORDS NAME-OR-outside ADDRESS OPTIONS...: one line of figures, kept for the checks that follow
measure() {
  local words=$1 where=$2 address=$3
  shift 3
  local run=(within "$where")
  [ "$where" = outside ] && run=(outside)
  "${run[@]}" iperf3 -c "$address" -p 5201 -t 2 --json --connect-timeout 5000 "$@" >"$WORK/last" ||
    { cat "$WORK/last"; return 1; }
  printf '   | %-52s %6.2f Gbit/s  %s bytes a segment\n' "$words" "$(figure bits_per_second | awk '{ print $1 / 1e9 }')" "$(figure tcp_mss_default)"
}
# The last value of that name: iperf3 ends with the sums.
figure() { sed -n "s/.*\"$1\":[[:space:]]*\([0-9.e+]*\).*/\1/p" "$WORK/last" | tail -n 1; }
sent() { sed -n '/"sum_sent"/,/}/s/.*"bytes":[[:space:]]*\([0-9]*\).*/\1/p' "$WORK/last"; }
received() { sed -n '/"sum_received"/,/}/s/.*"bytes":[[:space:]]*\([0-9]*\).*/\1/p' "$WORK/last"; }
all_arrived() {
  # What is still in the buffers at the end is not counted by the receiver.
  [ "$(received)" -gt 0 ] && [ "$(($(sent) - $(received)))" -lt 33554432 ]
}

step 'Two containers, one of them with a server whose port is published'
another_host
network "$net" --subnet 10.99.14.0/24
container "$ann" "$net" "$IMAGE" sleep 86400
container "$bob" "$net" --ip 10.99.14.20 -p 5201:5201 "$IMAGE" sleep 86400
serve "$bob"

step 'TCP, two seconds each'
measure 'bob to itself, by the loopback' "$bob" 127.0.0.1
check 'everything has arrived' all_arrived
measure 'ann to bob, over the bridge' "$ann" 10.99.14.20
check 'everything has arrived' all_arrived
check 'in segments that fit 1500 bytes' test "$(figure tcp_mss_default)" -le 1460
measure 'ann to bob, four streams' "$ann" 10.99.14.20 -P 4
check 'everything has arrived' all_arrived
measure 'another host to bob, by the published port' outside 192.0.2.1
check 'everything has arrived' all_arrived
measure 'the same the other way round' outside 192.0.2.1 -R
check 'everything has arrived' all_arrived

step 'Larger packets: a network with an MTU of 9000'
network "$big" --subnet 10.99.15.0/24 -o com.docker.network.driver.mtu=9000
container "$cora" "$big" "$IMAGE" sleep 86400
container "$dora" "$big" --ip 10.99.15.20 "$IMAGE" sleep 86400
serve "$dora"
check 'both ends of the veth know' test "$(docker exec "$cora" cat /sys/class/net/eth0/mtu)" = 9000
measure 'cora to dora, MTU 9000' "$cora" 10.99.15.20
check 'everything has arrived' all_arrived
check 'in segments that need them' test "$(figure tcp_mss_default)" -gt 8000

step 'UDP at a fixed rate: what gets lost'
measure_udp() { within "$ann" iperf3 -c 10.99.14.20 -p 5201 -t 2 -u -b 50M --json --connect-timeout 5000 >"$WORK/last"; }
check 'ann sends 50 Mbit/s to bob' measure_udp
show sh -c "grep -E '\"(packets|lost_packets|lost_percent|jitter_ms)\"' $WORK/last | tail -n 4"
check 'datagrams arrived' test "$(figure packets)" -gt "$(figure lost_packets)"
