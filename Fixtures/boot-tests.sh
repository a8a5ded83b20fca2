#!/bin/bash
# boot-tests.sh PARAVANE KERNELS: boots Debian's stock kernels (see debian/kernel.sh) and tries what a user would: both
# kernels with both orders of machine frames, a disk across two boots, a download, two runs that must be the same.
source "$(dirname "$0")/testing.sh"

# linux FLAVOUR "WORDS": the options of a guest, in $linux.
linux() {
  linux=(--kernel "$kernels/vmlinuz-$1" --ramdisk "$kernels/initrd-$1.cpio" --cmdline "console=hvc0 $2")
}

# boot FLAVOUR "WORDS" [OPTIONS…]: runs a guest to its end; true if it ended well and had no complaint.
boot() {
  linux "$1" "$2"
  shift 2
  run "${linux[@]}" "$@" && content
}

both_devices() { boot "$@" && grep -aq xvda "$log" && grep -aq eth0 "$log"; }

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
  local format=$1 image=$work/kill.$1 first
  rm -f "$image"
  if [ "$format" = raw ]; then truncate -s 96M "$image"; else "$paravane" image create -f "$format" "$image" 96M >/dev/null; fi
  linux cloud-amd64 "quiet pv.test=disk-kill pv.megabytes=8"
  begin "${linux[@]}" --disk "$image,$format,xvda,rw"
  said FLUSHED || return 1
  sleep 0.$((RANDOM % 9 + 1))
  stop
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

serve
download() {
  boot cloud-amd64 "pv.test=network pv.url=http://10.0.2.2:$port/download" --vif link=user --capture "$work/net.pcap" || return 1
  grep -aq "2 packets received" "$log" && [ "$(sum_in_log)" = "$wanted" ]
}
check "ping, and a download with the right sum" download

same_on_every_run() {
  local run=0 engine
  for engine in auto auto interpreter; do
    run=$((run + 1))
    truncate -s 0 "$work/again.raw" && truncate -s 32M "$work/again.raw"
    boot cloud-amd64 "pv.test=disk-write pv.megabytes=4" --engine $engine --clock virtual --disk "$work/again.raw,raw,xvda,rw" \
      --stats "$work/stats.$run" || return 1
  done
  alike "$work/stats.1" "$work/stats.2" "$work/stats.3" && cat "$work/stats.1.same"
}
check "runs on the virtual clock are the same, on both engines" same_on_every_run

same_at_every_step() {
  truncate -s 0 "$work/again.raw" && truncate -s 32M "$work/again.raw"
  boot cloud-amd64 "pv.test=disk-write pv.megabytes=4" --engine lockstep --disk "$work/again.raw,raw,xvda,rw" || return 1
  [ "$(tr -d '\0' <"$work/again.raw" | wc -c)" = 0 ]
}
check "the engines agree all through a boot, and the disk is left alone" same_at_every_step

summary
