#!/bin/bash
# boot-tests.sh PARAVANE KERNELS: boots whole PCs without a system on a disk: SeaBIOS, Debian's kernels by themselves, an ISOLINUX CD,
# a real-mode program at whose keyboard somebody types.
source "$(dirname "$0")/../testing.sh"
type=hvm

mkdir "$images"
"$here/cd-image.sh" "$images/cd.iso" "$kernels/vmlinuz-cloud-amd64" "$kernels/initrd-cloud-amd64-pc.cpio" || exit
"$here/real-mode/build.sh" "$images/real-mode.img" || exit

direct() {
  local flavour=$1
  shift
  run --kernel "$kernels/vmlinuz-$flavour" --ramdisk "$kernels/initrd-$flavour-pc.cpio" "$@" && content
}

for flavour in cloud-amd64 amd64 686 686-pae; do
  check "$flavour boots by itself and powers off" direct $flavour --cmdline "console=ttyS0 pv.test=boot" --clock virtual
done

# What the firmware says on its debug console while it starts a kernel: it is Debian's SeaBIOS, and it comes to booting.
firmware_speaks() {
  direct cloud-amd64 --cmdline "console=ttyS0 quiet pv.test=boot" -vv && grep -aq "SeaBIOS (version" "$work/err" &&
    grep -aq "Booting from" "$work/err"
}
check "SeaBIOS comes to booting" firmware_speaks

same_on_both_engines() {
  local engine
  for engine in auto interpreter; do
    direct $1 --cmdline "console=ttyS0 pv.test=boot" --engine $engine --clock virtual --stats "$work/$engine.stats" || return 1
  done
  alike "$work/auto.stats" "$work/interpreter.stats"
}
for flavour in cloud-amd64 686-pae; do
  check "both engines do the same with $flavour" same_on_both_engines $flavour
done

on_the_disk() {
  local first
  truncate -s 0 "$work/disk.raw" && truncate -s 64M "$work/disk.raw"
  direct amd64 --cmdline "console=ttyS0 quiet pv.test=disk-write pv.megabytes=24" --disk "$work/disk.raw,raw,hda,rw" || return 1
  first=$(sum_in_log)
  direct cloud-amd64 --cmdline "console=ttyS0 quiet pv.test=disk-read" --disk "$work/disk.raw,raw,hda,ro" || return 1
  [ -n "$first" ] && [ "$first" = "$(sum_in_log)" ]
}
check "a file on an IDE disk survives a reboot" on_the_disk

real_mode() {
  begin --memory 64 --disk "$images/real-mode.img,raw,hda,rw"
  local key
  # The program names the key it waits for; each name below is how that key is pressed.
  for key in p:p Q:shift-q 1:f1 '<:left' c:ctrl-c; do
    said "^KEY ${key%%:*}" 60 || return 1
    ask sendkey "${key#*:}" || return 1
  done
  said REAL-MODE-DONE 60 && ended && ! grep -a FAILED "$log" && [ "$(grep -ac '^ok:' "$log")" = 24 ]
}
check "a real-mode program's screen, disk, keyboard, memory, clock" real_mode

disc() { run --memory 256 --disk "$images/cd.iso,raw,hdc,ro,cdrom" --boot d && content && grep -aq "^ISOLINUX" "$log" &&
  [ "$(sum_in_log)" = "$(head -c 3000000 /dev/zero | tr '\0' P | sha256sum | cut -d' ' -f1)" ]; }
check "ISOLINUX boots from a CD" disc

summary
