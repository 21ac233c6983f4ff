#!/bin/bash
# cleat-gelf: the messages as they arrive, over udp and over tcp.
#
#   container ── cleat-logd ──► journal ──udp or tcp──► a receiver that writes down what arrives

set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/stage.sh"
. "$(dirname "$(readlink -f "$0")")/log-daemon.sh"
udp=udp$ID tcp=tcp$ID

step 'Over udp, not compressed so that we can read it'
receive udp udp:15141
undo kill "$receiver"
undo docker rm -f "$udp"
show docker run -d --name "$udp" --net none --log-driver cleat-gelf --log-opt gelf-address=udp://127.0.0.1:15141 \
  --log-opt gelf-compression-type=none --log-opt env=STAGE -e STAGE=lab -e SECRET=keep-me "$IMAGE" echo hello
check 'it arrives' eventually sh -c "test -s $WORK/udp"
show received udp
check 'with the variable that was asked for' bash -c "$(declare -f received); WORK=$WORK; received udp | grep -q '\"_STAGE\":\"lab\"'"
refute 'and none that was not' bash -c "$(declare -f received); WORK=$WORK; received udp | grep keep-me"

step 'Over tcp, a stack trace as one message'
receive tcp tcp:15142
undo kill "$receiver"
undo docker rm -f "$tcp"
show docker run -d --name "$tcp" --net none --log-driver cleat-gelf --log-opt gelf-address=tcp://127.0.0.1:15142 \
  --log-opt 'multiline-start=^[A-Z]' "$IMAGE" sh -c 'printf "Trace\n at one\n at two\nNext\n"'
check 'both arrive' eventually bash -c "$(declare -f received); WORK=$WORK; received tcp | grep -q Next"
show received tcp
check 'all of it is in full_message' bash -c "$(declare -f received); WORK=$WORK; received tcp | grep -qF '\"full_message\":\"Trace\\n at one\\n at two\"'"
