#!/bin/bash
# cleat-syslog to a real rsyslog: what arrives, with whole lines, severities and attributes.
#
#   container ── cleat-logd ──► journal ──tcp, RFC 5424──► rsyslogd

set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/stage.sh"
. "$(dirname "$(readlink -f "$0")")/log-daemon.sh"
name=writer$ID
needs rsyslogd rsyslog

step 'rsyslog with a configuration of its own'
cat >"$WORK/rsyslog.conf" <<CONF
global(workDirectory="$WORK" maxMessageSize="1m")
module(load="imtcp") input(type="imtcp" port="15140")
template(name="t" type="string" string="%syslogseverity-text% %app-name% %structured-data% %msg%\n")
action(type="omfile" file="$WORK/messages" template="t")
CONF
rsyslogd -n -f "$WORK/rsyslog.conf" -i "$WORK/rsyslog.pid" &
undo kill $!
check 'it listens' eventually sh -c 'ss -Hlnt | grep -q :15140'

step 'A container that logs to it'
undo docker rm -f "$name"
show docker run -d --name "$name" --net none --log-driver cleat-syslog --log-opt syslog-address=tcp://127.0.0.1:15140 \
  --log-opt syslog-format=rfc5424 --log-opt 'tag={{.Name}}' --log-opt severity-from-line=true --log-opt multiline-indent=true \
  --log-opt syslog-structured-data=docker@32473 --log-opt labels=team --label team=blue \
  "$IMAGE" sh -c 'echo hello; echo "[WARN] careful" >&2; printf "Trace:\n  at one\n  at two\n"; head -c 40000 /dev/zero | tr "\0" x; echo; echo bye'
check 'the last line arrives' eventually grep -q bye "$WORK/messages"
show cut -c1-100 "$WORK/messages"
check 'with the severity of the line' grep -q '^warning.*careful' "$WORK/messages"
check 'a trace is one message' grep -q 'Trace:#012  at one#012  at two' "$WORK/messages"
check 'and so is a line of 40 000 bytes, which the engine cuts into three' awk 'length > 40000 { found = 1 } END { exit !found }' "$WORK/messages"
check 'docker logs works as well' bash -c "docker logs $name 2>/dev/null | grep -qx hello"
show logs stats
