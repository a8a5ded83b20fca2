# What the tests of whole PCs share; read by the scripts beside it with PARAVANE and KERNELS as arguments.
# HVM_ONLY, a pattern, chooses tests by name.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
paravane=$(realpath "$1")
kernels=$(realpath "$2")
work=$(mktemp -d)
images=$work/images
server=
guest=
trap '[ -z "$server" ] || kill $server 2>/dev/null; [ -z "$guest" ] || kill -9 $guest 2>/dev/null; rm -rf "$work"' EXIT
passed=0 failed=0
log=$work/log

# check NAME COMMAND…: counts one result.
check() {
  local name=$1 since=$SECONDS
  shift
  [[ "$name" =~ ${HVM_ONLY:-.} ]] || return 0
  rm -f "$log" "$work/err"
  if "$@"; then
    passed=$((passed + 1))
    echo "ok: $name ($((SECONDS - since)) s)"
  else
    failed=$((failed + 1))
    echo "FAILED: $name"
    [ ! -e "$log" ] || tail -n 30 "$log"
    [ ! -e "$work/err" ] || tail -n 20 "$work/err"
  fi
  stop
}

# run [OPTIONS…]: a PC from beginning to end, its serial port in $log; true if it powered itself off.
run() {
  "$paravane" run --type hvm --timeout 1200 "$@" </dev/null >"$log" 2>"$work/err"
  local status=$?
  [ $status = 0 ] || { echo "status $status" >>"$work/err"; return 1; }
}

# begin [OPTIONS…]: the same in the background, with a control socket; its console reads from the file $input, if there is one.
begin() {
  rm -f "$work/monitor"
  : >"$log"
  "$paravane" run --type hvm --timeout 1200 --monitor "unix:$work/monitor" "$@" <"${input:-/dev/null}" >"$log" 2>"$work/err" &
  guest=$!
}

ask() { "$paravane" monitor "$work/monitor" "$@"; }

# said PATTERN [SECONDS]: waits until the guest has said it; false if it ends or the time is over first.
said() {
  local pattern=$1 tenths=$((${2:-1200} * 10))
  until grep -aqE "$pattern" "$log"; do
    tenths=$((tenths - 1))
    [ $tenths -gt 0 ] && kill -0 $guest 2>/dev/null || { grep -aqE "$pattern" "$log"; return; }
    sleep 0.1
  done
}

# ended: waits for the end of the guest that was begun; true if it powered itself off.
ended() {
  wait $guest
  local status=$?
  guest=
  [ $status = 0 ] || { echo "status $status" >>"$work/err"; return 1; }
}

stop() {
  [ -n "$guest" ] || return 0
  kill -9 $guest 2>/dev/null
  wait $guest 2>/dev/null
  guest=
}

# The guest came to its end and complained of nothing.
content() { grep -aq TEST-DONE "$log" && ! grep -aE '^DMESG|^FAILED-UNIT|WARNING:|BUG:|MP-BIOS bug|Oops' "$log"; }

sum_in_log() { sed -n 's/^SUM \([0-9a-f]*\).*/\1/p' "$log" | tr -d '\r'; }

# picture FILE BYTES: the file is a PNG of more than so many bytes: there is something on it.
picture() { [ "$(head -c 8 "$1" | od -An -tx1 | tr -d ' ')" = 89504e470d0a1a0a ] && [ "$(stat -c %s "$1")" -gt "$2" ]; }
