# Makes the newer engine's root the root of a mount namespace below the host's, then holds it until it is killed.
# Runs in the host, in a fresh mount namespace that still shares mounts with the host. Arguments: ROOT DIR IPTABLES
# The root itself stays as it is: changes go to an overlay in /run, which ends with the host.
set -eu
root=$1 dir=$2 iptables=$3
mkdir -p /run/.root/upper /run/.root/work
mount -t overlay overlay -o "lowerdir=$root,upperdir=/run/.root/upper,workdir=/run/.root/work" /mnt
for shared in /run "$dir" /proc /sys /dev; do
  mkdir -p "/mnt$shared"
  mount --rbind "$shared" "/mnt$shared"
done
rm -f /mnt/etc/resolv.conf
: >/mnt/etc/resolv.conf
mount --bind "$dir/resolv.conf" /mnt/etc/resolv.conf
if [ "$iptables" != default ]; then
  for family in iptables ip6tables; do
    for tool in "" -save -restore; do
      ln -sf "/usr/sbin/$family-$iptables$tool" "/mnt/etc/alternatives/$family$tool"
    done
  done
fi
mkdir -p /mnt/oldroot
cd /mnt
# pivot_root(2) and not chroot: containerd looks for the mount of its own root.
pivot_root . oldroot
cd /
umount -l /oldroot
echo ready
exec sleep infinity
