#!/usr/bin/env bash
# ./dev demo: leat and this machine's kernel talk to each other over a TUN device, in a network namespace that ends with
# this script. Every checksum is checked; the first that differs ends the demo with exit code 1.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
binary=${LEAT:-$root/build/release/bin/leat}

die() { printf 'demo: %s\n' "$*" >&2; exit 1; }

if [ "${LEAT_DEMO_INSIDE:-}" != 1 ]; then
  [ -x "$binary" ] || die "there is no $binary; ./dev build makes it"
  [ -e /dev/net/tun ] || die "there is no /dev/net/tun here; as root: modprobe tun"
  if [ "$(id -u)" = 0 ]; then new=(--net --mount); else new=(--net --mount --user --map-root-user); fi
  unshare "${new[@]}" true 2>/dev/null || die "cannot make a network namespace; run it as root: sudo ./dev demo"
  exec env LEAT_DEMO_INSIDE=1 unshare "${new[@]}" "$0" "$@"
fi

work=$(mktemp -d)
server=
others=()
finish() {
  local p
  for p in $server "${others[@]}"; do kill "$p" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

bold= dim= green= plain=
if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' plain=$'\e[0m'; fi
width=$(($(tput cols 2>/dev/null || echo 100) - 6))
[ "$width" -ge 60 ] || width=100

step() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
note() { printf '  %s\n' "$*"; }
shown() { printf '  %s$ %s%s\n' "$dim" "$*" "$plain"; }
show() { # COMMAND…: what it is and what it prints
  shown "$@"
  "$@" 2>&1 | fold -s -w "$width" | sed 's/^/    /'
}
same() { # FILE COPY
  local wanted got
  wanted=$(sha256sum <"$1") got=$(sha256sum <"$2")
  [ "$wanted" = "$got" ] || die "the sha256 of $2 is ${got%% *}, not ${wanted%% *}"
  note "${green}ok${plain}  sha256 ${got:0:16}… on both sides"
}
timed() { # BYTES SHOWN COMMAND…
  local bytes=$1 begin
  shown "$2"
  shift 2
  begin=$(date +%s%N)
  "$@" || die "that failed"
  awk -v b="$bytes" -v ns=$(($(date +%s%N) - begin)) \
    'BEGIN { printf "  %d MiB in %.2f s: %.0f Mbit/s\n", b / 1048576, ns / 1e9, b * 8e3 / ns }'
}
leat() { "$binary" "$@"; }
reachable() { curl --silent --globoff --max-time 1 --output /dev/null "$1"; }
until_reachable() { # URL LOG
  local i
  for i in $(seq 100); do reachable "$1" && return; sleep 0.05; done
  cat "$2" >&2
  die "$1 does not answer"
}
device=(--tun leat0 --address 10.9.0.2/24 --address fd09::2/64 --peer-address 10.9.0.1/24 --peer-address fd09::1/64)
serve() { # OPTIONS…
  shown leat serve --tun leat0 --address 10.9.0.2/24 --address fd09::2/64 … "$@" www
  "$binary" serve "${device[@]}" --control control "$@" www >serve.log 2>&1 &
  server=$!
  until_reachable http://10.9.0.2/ serve.log
  until_reachable 'http://[fd09::2]/' serve.log
}
stop_server() {
  kill "$server"
  wait "$server" || die "leat serve did not end well"
  server=
}

cd "$work"
ip link set lo up
echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad 2>/dev/null || true
mkdir www
size=$((64 << 20))
head -c $size /dev/urandom >www/file
head -c $((4 << 20)) www/file >www/small

printf '%sleat and the Linux kernel, each with a TCP/IP of its own, at the two ends of a TUN device%s\n' "$bold" "$plain"
note "leat   10.9.0.2  fd09::2      kernel  10.9.0.1  fd09::1      (in a network namespace of this demo)"

step "1. The kernel's curl downloads from leat, over IPv4 and over IPv6"
serve
timed $size 'curl http://10.9.0.2/file' curl --silent --output v4 http://10.9.0.2/file
same www/file v4
timed $size 'curl http://[fd09::2]/file' curl --silent --globoff --output v6 'http://[fd09::2]/file'
same www/file v6

step "2. What an administrator sees while a download runs"
curl --silent --limit-rate 3M --output /dev/null http://10.9.0.2/file &
others=($!)
sleep 1
show leat ss -tin state established --control control
kill "${others[0]}" 2>/dev/null || true
wait "${others[0]}" 2>/dev/null || true
others=()
show leat nstat --control control 'Tcp*Segs' 'TcpPassiveOpens' 'TcpExtTCP*Acks' 'Ip*Octets'
stop_server

step "3. The other way round: leat fetches from a server on the kernel"
python3 -m http.server 8000 --bind :: --directory www >python.log 2>&1 &
others=($!)
until_reachable http://127.0.0.1:8000/ python.log
fetch() { "$binary" fetch "${device[@]}" --quiet "$@"; }
timed $size 'leat fetch http://10.9.0.1:8000/file' fetch -o fetched4 http://10.9.0.1:8000/file
same www/file fetched4
timed $size 'leat fetch http://[fd09::1]:8000/file' fetch -o fetched6 'http://[fd09::1]:8000/file'
same www/file fetched6

step "4. A bad road: 1 % of what leat sends is lost, and 20 ms late"
serve --impair delay=20ms,loss=1%
timed $((4 << 20)) 'curl http://10.9.0.2/small' curl --silent --output lossy http://10.9.0.2/small
same www/small lossy
show leat nstat --control control TcpRetransSegs TcpExtTCPSackRecovery TcpExtTCPFastRetrans TcpExtTCPLossProbes \
  TcpExtTCPTimeouts
stop_server

step "All checksums agree. By hand, as root (or in a namespace of your own: sudo unshare --net bash):"
cat <<END
  PATH=$root/build/release/bin:\$PATH
  leat serve --tun leat0 --address 10.9.0.2/24 --peer-address 10.9.0.1/24 /usr/share/doc
  curl http://10.9.0.2/                     # in another terminal
  leat ss -tiem                             # its sockets;   leat nstat, leat sysctl -a, leat proc net/sockstat
  leat ping --tun leat1 --address 10.8.0.2/24 --peer-address 10.8.0.1/24 10.8.0.1
  leat serve --help                         # --impair, --pcap, --sysctl, …
END
