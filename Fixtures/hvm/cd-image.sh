#!/bin/bash
# cd-image.sh OUT.iso KERNEL INITRD: a CD that boots without emulation of another medium (El Torito) through ISOLINUX: it
# starts the kernel, which tells of itself on the serial port, finds the marker file on the CD by its file system and powers off.
set -euo pipefail
out=$1
isolinux=/usr/lib/ISOLINUX/isolinux.bin
module=/usr/lib/syslinux/modules/bios/ldlinux.c32
for need in $isolinux $module; do
  [ -e "$need" ] || { echo "cd-image.sh: $need is missing; make packages brings it" >&2; exit 69; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/isolinux"
cp "$isolinux" "$module" "$work/isolinux/"
cp "$2" "$work/vmlinuz"
cp "$3" "$work/initrd"
head -c 3000000 /dev/zero | tr '\0' 'P' >"$work/marker"
cat >"$work/isolinux/isolinux.cfg" <<CONFIG
SERIAL 0 115200
DEFAULT test
PROMPT 0
LABEL test
  KERNEL /vmlinuz
  INITRD /initrd
  APPEND console=ttyS0,115200 quiet pv.test=disc
CONFIG
# The same files give the same image: times, identifiers and the order are fixed.
SOURCE_DATE_EPOCH=1700000000 xorriso -as mkisofs -quiet -V PARAVANE -J -R -o "$out" -b isolinux/isolinux.bin -c isolinux/boot.cat \
  -no-emul-boot -boot-load-size 4 -boot-info-table "$work" >/dev/null 2>&1 ||
  { echo "cd-image.sh: xorriso failed" >&2; exit 70; }
