# What the tests of whole guests share; read by boot-tests.sh, hvm/boot-tests.sh and hvm/disk-tests.sh, whose first arguments are
# PARAVANE and KERNELS. TESTS_ONLY, a pattern, chooses tests by name.
set -uo pipefail
# The folder of the script that reads this.
here=$(cd "$(dirname "$0")" && pwd)
paravane=$(realpath "$1")
kernels=$(realpath "$2")
work=$(mktemp -d)
images=$work/images
server=
guest=
trap '[ -z "$server" ] || kill $server 2>/dev/null; [ -z "$guest" ] || kill -9 $guest 2>/dev/null; rm -rf "$work"' EXIT
passed=0 failed=0
# The guest's console, or its serial port.
log=$work/log
# What guests are unless an option says otherwise.
type=pv

# check NAME COMMAND…: counts one result.
check() {
  local name=$1 since=$SECONDS
  shift
  [[ "$name" =~ ${TESTS_ONLY:-.} ]] || return 0
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

# summary: counts them all; false if one failed.
summary() {
  echo "$passed passed, $failed failed"
  [ $failed = 0 ]
}

# run [OPTIONS…]: a guest from beginning to end, what it says in $log; true if it powered itself off.
run() {
  "$paravane" run --type $type --timeout 1200 "$@" </dev/null >"$log" 2>"$work/err"
  local status=$?
  [ $status = 0 ] || { echo "status $status" >>"$work/err"; return 1; }
}

# begin [OPTIONS…]: the same in the background, with a control socket; its console reads from the file $input, if there is one.
begin() {
  rm -f "$work/monitor"
  : >"$log"
  "$paravane" run --type $type --timeout 1200 --monitor "unix:$work/monitor" "$@" <"${input:-/dev/null}" >"$log" 2>"$work/err" &
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

# alike FILE…: the runs whose statistics (--stats) these are were the same, instruction for instruction.
alike() {
  local file
  for file in "$@"; do
    grep -E '"(state_digest|guest_instructions|guest_cycles)"' "$file" >"$file.same"
    [ "$(wc -l <"$file.same")" = 3 ] && diff "$1.same" "$file.same" || return 1
  done
}

# serve: 32 MB of chance on the host's $port as /download, and their sum in $wanted.
serve() {
  mkdir "$work/www"
  head -c 33554432 /dev/urandom >"$work/www/download"
  wanted=$(sha256sum <"$work/www/download" | cut -d' ' -f1)
  port=$((20000 + RANDOM % 20000))
  busybox httpd -f -p 127.0.0.1:$port -h "$work/www" &
  server=$!
}

# picture FILE BYTES: the file is a PNG of more than so many bytes: there is something on it.
picture() { [ "$(head -c 8 "$1" | od -An -tx1 | tr -d ' ')" = 89504e470d0a1a0a ] && [ "$(stat -c %s "$1")" -gt "$2" ]; }
