# Process 1 of the guest kernel: file systems, modules, loopback, then the script; its output and exit code go to the
# folder of the outside that is mounted at /mnt. The root is the outside's own, read-only. The folder's path is the kernel parameter cleat=.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C CLEAT_GUEST=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
folder=$(sed 's/.*cleat=\([^ ]*\).*/\1/' /proc/cmdline)
mount -t hostfs none /mnt -o "$folder"
exec >/mnt/output 2>&1
for d in /tmp /run /srv /var/lib/nfs; do
  [ ! -d $d ] || mount -t tmpfs tmpfs $d
done
# A checkout in one of these is not hidden.
checkout=$(sed 's/.*checkout=\([^ ]*\).*/\1/' /proc/cmdline)
if [ ! -d "$checkout" ]; then
  mkdir -p "$checkout"
  mount -t hostfs none "$checkout" -o "$checkout"
fi
mkdir -p /run/lock /run/netns
ln -s /proc/self/fd /dev/fd
# The modules are not where modprobe looks, and that folder may not exist on a read-only root: a modprobe that knows,
# for the kernel's own requests and, first in PATH, for everybody else's.
mkdir -p /tmp/bin /tmp/modules/lib/modules
ln -s "/usr/lib/uml/modules/$(uname -r)" "/tmp/modules/lib/modules/$(uname -r)"
printf '#!/bin/sh\nexec /sbin/modprobe -d /tmp/modules "$@"\n' >/tmp/bin/modprobe
chmod 755 /tmp/bin/modprobe
echo /tmp/bin/modprobe >/proc/sys/kernel/modprobe
export PATH=/tmp/bin:$PATH
mkdir -p /tmp/etc/upper /tmp/etc/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/tmp/etc/upper,workdir=/tmp/etc/work /etc 2>/dev/null || {
  cp -a /etc/. /tmp/etc/upper/
  mount --bind /tmp/etc/upper /etc
}
[ ! -d /sys/fs/cgroup ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
modprobe -a overlay bridge br_netfilter veth tun 2>/dev/null
# This kernel has no nftables families, only the older iptables.
for family in iptables ip6tables; do
  for tool in "" -save -restore; do
    ln -sf "/usr/sbin/$family-legacy$tool" "/etc/alternatives/$family$tool"
  done
done
bash /mnt/script </dev/null
echo $? >/mnt/exit
sync
exec busybox poweroff -f >/dev/null 2>&1
