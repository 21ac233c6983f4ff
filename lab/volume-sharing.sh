#!/bin/bash
# One volume, several containers: who holds it, what a remove does meanwhile, and what a killed daemon changes (nothing).
#
#     STATE_DIR/volumes/cleat-local/NAME/_data ──bind──► /data of writer
#                                              └─bind──► /data of reader (read-only)

set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/stage.sh"
. "$(dirname "$(readlink -f "$0")")/volume-daemon.sh"
data=data$ID writer=writer$ID reader=reader$ID

step 'A volume, and two containers on it'
volume "$data" -d cleat-local -o uid=1000 -o mode=0770
undo docker rm -f "$writer"
show docker run -d --name "$writer" --network none -v "$data:/data" "$IMAGE" sleep 86400
undo docker rm -f "$reader"
show docker run -d --name "$reader" --network none -v "$data:/data:ro" "$IMAGE" sleep 86400
check 'what one writes' docker exec "$writer" sh -c 'echo hello >/data/f'
check 'the other reads' docker exec "$reader" grep -x hello /data/f
refute 'which cannot write' docker exec "$reader" touch /data/g
check 'the root has the owner and mode that were asked for' docker exec "$reader" sh -c 'stat -c "%u %a" /data | grep -x "1000 770"'

step 'Who holds it'
show volumes holders "$data"
show docker volume inspect --format '{{json .Status.holders}}' "$data"
refute 'it cannot be removed' docker volume rm "$data"

step 'docker cp mounts and unmounts with the ID that is in use; the container keeps its volume'
check 'a file goes out' docker cp "$writer:/data/f" "$WORK/f"
check 'and in' docker cp "$WORK/f" "$writer:/data/copy"
check 'both containers see it' docker exec "$reader" cat /data/copy

if [ -e "$WORK/pid" ]; then
  step 'The daemon is killed; containers do not notice, and it knows everything when it is back'
  show kill -9 "$(cat "$WORK/pid")"
  check 'the volume works without it' docker exec "$writer" sh -c 'echo alone >>/data/f'
  start_volumed
  show volumes holders "$data"
fi

step 'When the containers go, so do the holds, and the volume can be removed'
show docker rm -f "$writer" "$reader"
check 'nobody holds it' sh -c "docker volume inspect --format '{{json .Status.holders}}' $data | grep -x '\[\]'"
