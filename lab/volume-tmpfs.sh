#!/bin/bash
# Memory with a name: shared by its holders, limited, gone with the last of them, or kept.
#
#     tmpfs "cleat:NAME" on mounts/cleat-tmpfs/NAME/root ──bind──► /data of each holder

set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/stage.sh"
. "$(dirname "$(readlink -f "$0")")/volume-daemon.sh"
memory=memory$ID kept=kept$ID holder=holder$ID

step 'Shared'
volume "$memory" -d cleat-tmpfs -o size=8m -o noexec -o uid=1000 -o mode=0700
undo docker rm -f "$holder"
show docker run -d --name "$holder" --network none -v "$memory:/data" "$IMAGE" sleep 86400
check 'another container writes' on "$memory" sh -c 'echo shared >/data/f'
check 'the first one reads' docker exec "$holder" grep -x shared /data/f
show docker exec "$holder" grep ' /data ' /proc/mounts
refute 'more than 8 MB do not fit' on "$memory" dd if=/dev/zero of=/data/big bs=1M count=16
show docker volume inspect --format '{{json .Status.used}} of {{json .Status.limit}}' "$memory"
refute 'nothing runs from it' on "$memory" sh -c 'cp /bin/busybox /data/run; /data/run true'

step 'Gone with the last holder'
show docker rm -f "$holder"
check 'it is empty again' on "$memory" sh -c '[ -z "$(ls /data)" ]'

step 'Kept'
volume "$kept" -d cleat-tmpfs -o keep=always
check 'written by one' on "$kept" sh -c 'echo kept >/data/f'
check 'read by a later one' on "$kept" grep -x kept /data/f
show volumes ls
