#!/bin/bash
# A backup of a volume in use, checked; a damaged one that changes nothing; a clone and a snapshot.
#
#     volume ──tar──► sha256 ──► zstd ──► data.tar.zst (checksum in its last frame) ──► volume of any driver

set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/stage.sh"
. "$(dirname "$(readlink -f "$0")")/volume-daemon.sh"
data=data$ID copy=copy$ID writer=writer$ID
socket=${DOCKER_HOST:-unix:///var/run/docker.sock}

step 'A container that writes all the time'
volume "$data" -d cleat-local
undo docker rm -f "$writer"
show docker run -d --name "$writer" --network none -v "$data:/data" "$IMAGE" \
  sh -c 'i=0; while :; do for f in a b; do echo $i >/data/t; mv /data/t /data/$f; done; i=$((i+1)); done'
refute 'it is not backed up behind its back' volumes backup "$data" -O "$WORK/b.tar.zst"
check 'while paused, it is' volumes backup "$data" -O "$WORK/b.tar.zst" --pause --engine "$socket"
check 'the container goes on' sh -c "docker inspect -f '{{.State.Status}}' $writer | grep -x running"
check 'the backup is an ordinary archive' sh -c "zstd -dcq $WORK/b.tar.zst | tar -tf -"

step 'Restored into a volume with a limit'
volume "$copy" -d cleat-local -o size=20m
check 'it is read and its checksum compared' volumes restore "$copy" -i "$WORK/b.tar.zst"
check 'both files are of the same moment, or one apart' on "$copy" sh -c 'cd /data; echo $(cat a) $(cat b); [ $(($(cat a) - $(cat b))) -le 1 ]'

step 'Damaged, cut short, or in the way of something'
head -c 100 "$WORK/b.tar.zst" >"$WORK/cut"
refute 'a backup that was cut short is refused' volumes restore "$copy" --force -i "$WORK/cut"
refute 'what is there is not overwritten' volumes restore "$copy" -i "$WORK/b.tar.zst"
check 'and still there' on "$copy" cat /data/a

step 'A larger clone, and a snapshot'
undo docker volume rm "clone$ID"
check 'the clone has another limit' volumes clone "$copy" "clone$ID" -o size=40m
undo docker volume rm "snap$ID"
check 'the snapshot' volumes snapshot "$copy" "snap$ID"
refute 'is read-only' on "snap$ID" touch /data/new
show volumes df
show docker rm -f "$writer"
