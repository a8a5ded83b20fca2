#!/bin/bash
# disk-gpt.sh IMAGE OUT.img: the root of an image made by disk-image.sh on a disk divided as Debian's images for clouds are: a GUID
# partition table, GRUB in a partition of its own for it (14), an empty EFI system partition (15), the root behind them (1).
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=262144 grub=2048 # sectors
sectors=$(($(stat -c %s "$1") / 512 - 2048))

rm -f "$2"
truncate -s $(((root + sectors + 2048) * 512)) "$2"
sfdisk -q "$2" <<TABLE
label: gpt
${2}14 : start=$grub, size=6144, type=21686148-6449-6E6F-744E-656564454649
${2}15 : start=8192, size=253952, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B
${2}1 : start=$root, size=$sectors, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709
TABLE
dd if="$1" of="$2" bs=1M skip=1 seek=$((root / 2048)) conv=notrunc,sparse status=none

# The first sector names the sector that the core image begins at (8 bytes at 0x5c), and that one where the rest follows (8 bytes at 0x1f4).
number() { for byte in 0 8 16 24 32 40 48 56; do printf "\\x$(printf %02x $(($1 >> byte & 255)))"; done; }
cp /usr/lib/grub/i386-pc/boot.img "$work/boot.img"
number $grub | dd of="$work/boot.img" bs=1 seek=$((0x5c)) conv=notrunc status=none
grub-mkimage -O i386-pc -p '(hd0,gpt1)/boot/grub' -o "$work/core.img" biosdisk part_gpt ext2 normal linux serial terminal echo \
  search search_label test sleep configfile reboot halt
number $((grub + 1)) | dd of="$work/core.img" bs=1 seek=$((0x1f4)) conv=notrunc status=none
dd if="$work/boot.img" of="$2" bs=440 count=1 conv=notrunc status=none
dd if="$work/core.img" of="$2" bs=512 seek=$grub conv=notrunc status=none
