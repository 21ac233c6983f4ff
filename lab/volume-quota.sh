#!/bin/bash
# Limits that hold: bytes and inodes of a volume, on a disk without quota, and a neighbour that does not notice.
#
#     STATE_DIR/volumes/cleat-local/NAME/image (sparse) ──loop──► mounts/cleat-local/NAME/device ──bind──► /data

set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/stage.sh"
. "$(dirname "$(readlink -f "$0")")/volume-daemon.sh"
small=small$ID other=other$ID

step 'A volume of 20 MB and 100 files, and one without limits'
volume "$small" -d cleat-local -o size=20m -o inodes=100
volume "$other" -d cleat-local
show du -h --apparent-size "$STATE/volumes/cleat-local/$small"
check 'it takes no room yet' sh -c "[ \$(du -m $STATE/volumes/cleat-local/$small | tail -1 | cut -f1) -lt 5 ]"

step 'It gets full'
refute '30 MB do not fit' on "$small" dd if=/dev/zero of=/data/big bs=1M count=30
check 'no more than 20 MB are in it' on "$small" sh -c '[ $(du -m /data/big | cut -f1) -le 20 ]'
check 'the neighbour does not notice' on "$other" dd if=/dev/zero of=/data/big bs=1M count=30
show volumes df

step 'Deleted files give their room back to the disk'
check 'deleted' on "$small" rm /data/big
refute 'a thousand files do not fit' on "$small" sh -c 'for i in $(seq 1000); do : >/data/f$i || exit 1; done'
check 'about a hundred do' on "$small" sh -c 'n=$(ls /data | wc -l); echo $n; [ $n -ge 90 ] && [ $n -le 130 ]'

step 'A larger limit, in place'
show volumes update "$small" -o size=60m
check '30 MB fit now' on "$small" dd if=/dev/zero of=/data/big bs=1M count=30
show volumes df
