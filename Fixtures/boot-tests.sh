#!/bin/bash
# boot-tests.sh PARAVANE KERNELS: boots Debian's stock kernels (see debian/kernel.sh) and tries what a user would: both
# kernels with both orders of machine frames, a disk across two boots, a download, two runs that must be the same.
set -uo pipefail
paravane=$(realpath "$1")
kernels=$(realpath "$2")
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill $server 2>/dev/null; rm -rf "$work"' EXIT
passed=0 failed=0

# check NAME COMMAND…: counts one result.
check() {
  local name=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    echo "ok: $name"
  else
    failed=$((failed + 1))
    echo "FAILED: $name"
    [ ! -e "$work/log" ] || tail -n 30 "$work/log"
    [ ! -e "$work/err" ] || tail -n 20 "$work/err"
  fi
}

# boot FLAVOUR "WORDS" [OPTIONS…]: runs a guest to its end, console in $work/log; true if it ended well and had no complaint.
boot() {
  local flavour=$1 words=$2
  shift 2
  "$paravane" run --kernel "$kernels/vmlinuz-$flavour" --ramdisk "$kernels/initrd-$flavour.cpio" --timeout 600 \
    --cmdline "console=hvc0 $words" "$@" </dev/null >"$work/log" 2>"$work/err"
  local status=$?
  [ $status = 0 ] || { echo "status $status" >>"$work/err"; return 1; }
  grep -q TEST-DONE "$work/log" && ! grep -E '^DMESG|WARNING:|BUG:|Oops' "$work/log"
}

sum_in_log() { sed -n 's/^SUM \([0-9a-f]*\).*/\1/p' "$work/log" | tr -d '\r'; }

both_devices() { boot "$@" && grep -q xvda "$work/log" && grep -q eth0 "$work/log"; }

truncate -s 128M "$work/disk.raw"
for flavour in cloud-amd64 amd64; do
  for frames in identity scattered; do
    check "$flavour boots, frames $frames" both_devices $flavour "pv.test=boot" --frames $frames --clock virtual \
      --disk "$work/disk.raw,raw,xvda,rw" --vif link=none
  done
done

disk_round_trip() {
  local format=$1 image=$work/disk.$1 first second
  boot cloud-amd64 "pv.test=disk-write pv.megabytes=64" --disk "$image,$format,xvda,rw" || return 1
  first=$(sum_in_log)
  boot cloud-amd64 "pv.test=disk-read" --disk "$image,$format,xvda,ro" || return 1
  second=$(sum_in_log)
  [ -n "$first" ] && [ "$first" = "$second" ]
}
check "a file on a raw disk survives a reboot" disk_round_trip raw

# A machine is killed while its guest writes: what the guest was told is flushed must be there afterwards.
killed_while_writing() {
  local format=$1 image=$work/kill.$1 first waited=0 pid
  rm -f "$image"
  if [ "$format" = raw ]; then truncate -s 96M "$image"; else "$paravane" image create -f "$format" "$image" 96M >/dev/null; fi
  "$paravane" run --kernel "$kernels/vmlinuz-cloud-amd64" --ramdisk "$kernels/initrd-cloud-amd64.cpio" --timeout 300 \
    --cmdline "console=hvc0 quiet pv.test=disk-kill pv.megabytes=8" --disk "$image,$format,xvda,rw" </dev/null >"$work/log" 2>"$work/err" &
  pid=$!
  until grep -q FLUSHED "$work/log" || [ $waited = 240 ]; do
    sleep 1
    waited=$((waited + 1))
  done
  sleep 0.$((RANDOM % 9 + 1))
  kill -9 $pid
  wait $pid 2>/dev/null
  first=$(sum_in_log)
  if [ "$format" = qcow2 ] && command -v qemu-img >/dev/null; then qemu-img check -q "$image" || return 1; fi
  boot cloud-amd64 "pv.test=disk-read" --disk "$image,$format,xvda,rw" || return 1
  [ -n "$first" ] && [ "$first" = "$(sum_in_log)" ]
}
check "what was flushed to a raw disk survives kill -9" killed_while_writing raw
check "what was flushed to a qcow2 disk survives kill -9" killed_while_writing qcow2
if "$paravane" image --help >/dev/null 2>&1; then
  "$paravane" image create -f qcow2 "$work/disk.qcow2" 128M >/dev/null
  check "a file on a qcow2 disk survives a reboot" disk_round_trip qcow2
  check "the qcow2 image is sound" "$paravane" image check "$work/disk.qcow2"
fi

head -c 33554432 /dev/urandom >"$work/download"
mkdir "$work/www" && mv "$work/download" "$work/www/"
port=$((20000 + RANDOM % 20000))
busybox httpd -f -p 127.0.0.1:$port -h "$work/www" &
server=$!
download() {
  boot cloud-amd64 "pv.test=network pv.url=http://10.0.2.2:$port/download" --vif link=user --capture "$work/net.pcap" || return 1
  grep -q "2 packets received" "$work/log" && [ "$(sum_in_log)" = "$(sha256sum <"$work/www/download" | cut -d' ' -f1)" ]
}
check "ping, and a download with the right sum" download

same_on_every_run() {
  local run=0 engine
  for engine in auto auto interpreter; do
    run=$((run + 1))
    truncate -s 0 "$work/again.raw" && truncate -s 32M "$work/again.raw"
    boot cloud-amd64 "pv.test=disk-write pv.megabytes=4" --engine $engine --clock virtual --disk "$work/again.raw,raw,xvda,rw" \
      --stats "$work/stats.$run" || return 1
    grep -E '"(state_digest|guest_instructions|guest_cycles)"' "$work/stats.$run" >"$work/same.$run"
  done
  cat "$work/same.1"
  [ "$(wc -l <"$work/same.1")" = 3 ] && cmp -s "$work/same.1" "$work/same.2" && cmp -s "$work/same.1" "$work/same.3"
}
check "runs on the virtual clock are the same, on both engines" same_on_every_run

same_at_every_step() {
  truncate -s 0 "$work/again.raw" && truncate -s 32M "$work/again.raw"
  boot cloud-amd64 "pv.test=disk-write pv.megabytes=4" --engine lockstep --disk "$work/again.raw,raw,xvda,rw" || return 1
  [ "$(tr -d '\0' <"$work/again.raw" | wc -c)" = 0 ]
}
check "the engines agree all through a boot, and the disk is left alone" same_at_every_step

echo "$passed passed, $failed failed"
[ $failed = 0 ]
