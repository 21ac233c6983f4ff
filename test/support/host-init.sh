# Process 1 of a host: prepares its mount namespace, says "ready", then only reaps orphans until it is killed.
# The host's namespaces (net, mount, pid, uts) exist already. Arguments: DIR NAME IPTABLES
#
#   /run          a tmpfs of its own, shared with the engine's root: sockets, FIFOs, named network namespaces
#   /etc          the machine's below, writable and private above (plugin specs, resolv.conf, alternatives)
#   DIR           the host's folder on disk, same path everywhere; mounts below it reach the engine too
set -eu
dir=$1 name=$2 iptables=$3
echo "$name" >/proc/sys/kernel/hostname
resolv=$(readlink -m /etc/resolv.conf)
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/netns /run/docker/plugins /run/docker/logging /run/.etc/upper /run/.etc/work
if ! mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/.etc/upper,workdir=/run/.etc/work /etc 2>/dev/null; then
  cp -a /etc/. /run/.etc/upper/
  mount --bind /run/.etc/upper /etc
fi
mount --bind "$dir" "$dir"
mount --make-shared "$dir"
mount --make-shared /run
mkdir -p "$(dirname "$resolv")"
[ -e "$resolv" ] || : >"$resolv"
mount --bind "$dir/resolv.conf" "$resolv"
if [ "$iptables" != default ]; then
  for family in iptables ip6tables; do
    for tool in "" -save -restore; do
      ln -sf "/usr/sbin/$family-$iptables$tool" "/etc/alternatives/$family$tool"
    done
  done
fi
ip link set lo up
echo ready
trap : TERM INT HUP
while :; do
  sleep 86400 &
  wait $! || :
done
