#!/usr/bin/env bash
# ./dev demo: leat and the kernel talk to each other over a TUN, in a network namespace that ends with this script.
set -euo pipefail
cd "$(dirname "$0")/.."
leat=$PWD/build/release/bin/leat
if [ "${LEAT_DEMO_INSIDE:-}" != 1 ]; then
  exec env LEAT_DEMO_INSIDE=1 unshare --net ${UNSHARE_OPTIONS:-} "$0" "$@"
fi

work=$(mktemp -d)
pids=()
finish() {
  for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

bold=$'\e[1m' plain=$'\e[0m'
[ -t 1 ] || bold='' plain=''
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
run() { printf '  $ %s\n' "$*"; "$@" 2>&1 | sed 's/^/    /'; }
same() { # NAME FILE FILE
  cmp -s "$2" "$3" || { echo "    $1: the checksums differ"; exit 1; }
  printf '    %s: sha256 %s, as it should be\n' "$1" "$(sha256sum < "$3" | cut -c1-16)…"
}
serve() { # extra options
  "$leat" serve --tun leat0 --address 10.9.0.2/24 --address fd09::2/64 \
    --peer-address 10.9.0.1/24 --peer-address fd09::1/64 --control "$work/control" "$@" "$work/www" > "$work/log" 2>&1 &
  pids+=($!)
  for _ in $(seq 100); do
    curl --silent --max-time 1 --output /dev/null http://10.9.0.2/ && curl --silent --globoff --max-time 1 --output /dev/null 'http://[fd09::2]/' && return
    sleep 0.1
  done
  echo "leat serve did not come up:"; cat "$work/log"; exit 1
}
stop_last() { kill "${pids[-1]}"; wait "${pids[-1]}" 2>/dev/null || true; unset 'pids[-1]'; }
timed() { # WHAT BYTES COMMAND…
  local what=$1 bytes=$2 start end
  shift 2
  start=$(date +%s%N); "$@"; end=$(date +%s%N)
  awk -v w="$what" -v b="$bytes" -v ns=$((end - start)) 'BEGIN { printf "    %s: %.1f MiB in %.2f s, %.2f Gbit/s\n", w, b/1048576, ns/1e9, b*8/ns }'
}

ip link set lo up
mkdir "$work/www" "$work/got"
head -c $((64 << 20)) /dev/urandom > "$work/www/file"

say "1. leat serves a folder on a TUN device; the kernel's curl downloads 64 MiB over IPv4 and IPv6"
serve
timed "curl http://10.9.0.2/file" $((64 << 20)) curl --silent --output "$work/got/v4" http://10.9.0.2/file
same "IPv4" "$work/www/file" "$work/got/v4"
timed "curl http://[fd09::2]/file" $((64 << 20)) curl --silent --globoff --output "$work/got/v6" 'http://[fd09::2]/file'
same "IPv6" "$work/www/file" "$work/got/v6"

say "2. What an administrator sees, while a download runs: ss and nstat ask the running leat"
curl --silent --limit-rate 2M --output /dev/null http://10.9.0.2/file &
pids+=($!)
sleep 1
run "$leat" ss -tin --control "$work/control"
kill "${pids[-1]}" 2>/dev/null || true; unset 'pids[-1]'
run "$leat" nstat --control "$work/control" 'Tcp*'
stop_last

say "3. The other way round: leat fetches from a server on the kernel"
(cd "$work/www" && exec python3 -m http.server 8000 --bind :: > "$work/server.log" 2>&1) &
pids+=($!)
for _ in $(seq 100); do curl --silent --max-time 1 --output /dev/null http://127.0.0.1:8000/ && break; sleep 0.1; done
timed "leat fetch http://10.9.0.1:8000/file" $((64 << 20)) "$leat" fetch --quiet --tun leat0 --address 10.9.0.2/24 --peer-address 10.9.0.1/24 \
  -o "$work/got/fetched" http://10.9.0.1:8000/file
same "leat fetch" "$work/www/file" "$work/got/fetched"

say "4. A bad road: 1 % loss and 20 ms delay on what leat sends; 8 MiB"
head -c $((8 << 20)) "$work/www/file" > "$work/www/small"
serve --impair delay=20ms,loss=1%
timed "curl over the bad link" $((8 << 20)) curl --silent --output "$work/got/lossy" http://10.9.0.2/small
same "after the losses" "$work/www/small" "$work/got/lossy"
run "$leat" nstat --control "$work/control" 'TcpRetransSegs' 'TcpExtTCPSackRecovery' 'TcpExtTCPFastRetrans' 'TcpExtTCPLossProbes'
stop_last

say "All checksums agree. Try it by hand (as root, or in a namespace: sudo unshare --net bash):"
cat <<'END'
  leat=build/release/bin/leat
  $leat serve --tun leat0 --address 10.9.0.2/24 --peer-address 10.9.0.1/24 /usr/share/doc
  curl http://10.9.0.2/
  $leat ss -tiem          $leat nstat -az          $leat sysctl -a | grep tcp_
  $leat ping --tun leat0 --address 10.9.0.2/24 --peer-address 10.9.0.1/24 10.9.0.1
END
