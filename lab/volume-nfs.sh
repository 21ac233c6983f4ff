#!/bin/bash
# NFS with a server that goes away: one mount for many volumes, errors in time, and everything works again when it is back.
#
#     server (a namespace, 192.0.2.10)                    this host, 192.0.2.1
#       nfsd, /srv/export ───────────── veth ───────────── mounts/exports/KEY ──bind──► volumes one, two
#
# The kernel of most machines has no NFS server to play with, so all of it runs in a guest kernel (User-Mode Linux). There is
# no engine in it: the calls that an engine makes are made by curl.

set -euo pipefail
lab=$(dirname "$(readlink -f "$0")")
if [ -z "${CLEAT_LAB_STAGE:-}" ]; then
  case ${1:-} in
    '' | --own) exec "$lab/../bin/node" --disable-warning=ExperimentalWarning "$lab/setup/in-guest.ts" "$(readlink -f "$0")" ;;
  esac
fi
. "$lab/stage.sh"
sockets=/run/docker/plugins

call() { curl -sS --unix-socket "$sockets/cleat-nfs.sock" "http://plugin.example.org/VolumeDriver.$1" -d "$2"; }
# An engine's call that must succeed, or that must be refused.
engine() { call "$1" "$2" | tee /dev/stderr | grep -qv '"Err":"'; }
seconds() { local begin=$SECONDS; "$@"; [ $((SECONDS - begin)) -le 6 ]; }

step 'A server in a namespace of its own, with the kernel’s NFS service'
ip netns add server
ip link add lab type veth peer name eth0 netns server
ip addr add 192.0.2.1/24 dev lab
ip link set lab up
server() { nsenter -t "$holder" -n -m "$@"; }
nsenter --net=/run/netns/server unshare -m sleep 86400 &
holder=$!
until server true 2>/dev/null; do sleep 0.1; done
server bash -euc '
  ip link set lo up; ip addr add 192.0.2.10/24 dev eth0; ip link set eth0 up
  modprobe nfsd; mount -t tmpfs tmpfs /srv; mkdir -p /srv/export /var/lib/nfs/rpc_pipefs /var/lib/nfs/v4recovery; touch /var/lib/nfs/etab /var/lib/nfs/rmtab
  mount -t nfsd nfsd /proc/fs/nfsd; mkdir -p /etc/exports.d; echo "/srv/export *(rw,no_root_squash,insecure,no_subtree_check,fsid=0)" >/etc/exports.d/lab.exports
  rpcbind -w; exportfs -ra; echo 10 >/proc/fs/nfsd/nfsv4leasetime; echo 10 >/proc/fs/nfsd/nfsv4gracetime; rpc.nfsd 4; rpc.mountd' 
show server ss -Hltn sport = :2049

step 'Two volumes on it, each a folder that is made there'
"$lab/../bin/cleat-volumed" --run-dir /run/cleat --state-dir /tmp/state --plugin-dir "$sockets" >/tmp/volumed.log 2>&1 &
until [ -S "$sockets/cleat-nfs.sock" ]; do sleep 0.1; done
for name in one two; do
  options="{\"server\":\"192.0.2.10\",\"export\":\"/\",\"version\":\"4.2\",\"subdir\":\"apps/$name\",\"uid\":\"1000\",\"mount-timeout\":\"20s\"}"
  check "create $name" engine Create "{\"Name\":\"$name\",\"Opts\":$options}"
  check "mount $name" engine Mount "{\"Name\":\"$name\",\"ID\":\"1\"}"
done
show grep ' nfs4 ' /proc/self/mounts
check 'one mount of the export serves both' sh -c "[ \$(grep -c '/exports/' /proc/self/mounts) = 1 ]"
check 'what is written here is there' sh -c 'echo hello >/tmp/state/mounts/cleat-nfs/one/root/f'
check 'with its owner' server sh -c 'cat /srv/export/apps/one/f; stat -c %u /srv/export/apps/one | grep -x 1000'

step 'The server goes away'
show ip link set lab down
check 'a list is answered at once' seconds engine List '{}'
check 'and so is a look at the volume' seconds engine Get '{"Name":"one"}'
call Create '{"Name":"three","Opts":{"server":"192.0.2.10","export":"/","version":"4.2"}}' >/dev/null
refute 'a mount is refused in time' engine Mount '{"Name":"three","ID":"1"}'
check 'a container that stops is not kept waiting' seconds engine Unmount '{"Name":"two","ID":"1"}'

step 'It comes back'
show ip link set lab up
check 'what was mounted works again' timeout 60 cat /tmp/state/mounts/cleat-nfs/one/root/f
check 'a new mount too' engine Mount '{"Name":"three","ID":"2"}'
for name in one three; do call Unmount "{\"Name\":\"$name\",\"ID\":\"$([ $name = one ] && echo 1 || echo 2)\"}" >/dev/null; done
for name in one two three; do check "remove $name" engine Remove "{\"Name\":\"$name\"}"; done
check 'what is on the server stays' server cat /srv/export/apps/one/f
