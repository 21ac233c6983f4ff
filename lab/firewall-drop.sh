#!/bin/bash
# A firewall that drops: how it looks from a client, and how nc finds the place where packets end.
#
#     another host 192.0.2.2 ──veth── host ── forward ──► bridge cl-… ── web 10.99.18.2:80
#           nc                        nc        ▲            │             nc
#                                               │            └── ann 10.99.18.3   nc
#                               table inet lab: drop
#
#     refused at once      somebody answered: nobody listens there
#     no answer            a firewall drops it, or there is no way
#     an answer            all is well

set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/stage.sh"
needs nc netcat-openbsd
needs nft nftables
net=fire$ID web=web$ID ann=ann$ID table=lab$ID

# What a client sees of a TCP port: open, refused, or silence for two seconds. COMMAND... runs nc somewhere.
knock() {
  local address=$1 port=$2 words
  shift 2
  if words=$("$@" nc -v -z -n -w 2 "$address" "$port" 2>&1); then echo open; return; fi
  case $words in
    *refused*) echo refused ;;
    *) echo silence ;;
  esac
}
sees() { # RESULT ADDRESS PORT COMMAND...
  local wanted=$1 found
  shift
  found=$(knock "$@")
  echo "$found"
  [ "$found" = "$wanted" ]
}
here() { "$@"; }
dropped() { nft list chain inet "$table" "$1" | sed -n 's/.*counter packets \([0-9]*\) .*drop.*/\1/p' | awk '{ sum += $1 } END { print sum + 0 }'; }

step 'A server with a published port, and nothing in its way'
another_host
network "$net" --subnet 10.99.18.0/24
container "$web" "$net" --ip 10.99.18.2 -p 8097:80 "$IMAGE" httpd -f
container "$ann" "$net" --ip 10.99.18.3 "$IMAGE" sleep 86400
eventually within "$ann" nc -z -n -w 1 10.99.18.2 80
check 'another host gets through' sees open 192.0.2.1 8097 outside
check 'a port where nobody listens refuses, at once' sees refused 192.0.2.1 8098 outside

step "Somebody's firewall on this host drops what it shall forward from there to port 80"
undo nft delete table inet "$table"
show nft add table inet "$table"
show nft add chain inet "$table" forward '{ type filter hook forward priority 10; }'
show nft add rule inet "$table" forward iifname "lab$ID" tcp dport 80 counter drop
check 'another host hears nothing any more' sees silence 192.0.2.1 8097 outside

step 'Where do the packets end? Ask from nearer and nearer'
check 'inside the container: the server is well' sees open 127.0.0.1 80 within "$web"
check 'from a neighbour on the bridge: its network is well' sees open 10.99.18.2 80 within "$ann"
check 'from this host: the bridge and the way to it are well' sees open 10.99.18.2 80 here
check 'so it is what the host forwards; its counters tell' test "$(dropped forward)" -gt 0
show nft list table inet "$table"

step 'Without that rule'
show nft flush chain inet "$table" forward
check 'another host gets through again' sees open 192.0.2.1 8097 outside

step "The same inside of the container's network: then nobody gets through but the container itself"
show within "$web" nft add table inet "$table"
show within "$web" nft add chain inet "$table" input '{ type filter hook input priority 0; }'
show within "$web" nft add rule inet "$table" input iifname eth0 tcp dport 80 counter drop
check 'another host' sees silence 192.0.2.1 8097 outside
check 'the neighbour' sees silence 10.99.18.2 80 within "$ann"
check 'the container itself does' sees open 127.0.0.1 80 within "$web"
show within "$web" nft list table inet "$table"

step 'A firewall that rejects is kinder: the client knows at once'
show within "$web" nft flush chain inet "$table" input
show within "$web" nft add rule inet "$table" input iifname eth0 tcp dport 80 reject with tcp reset
check 'refused, as if nobody listened' sees refused 10.99.18.2 80 within "$ann"
