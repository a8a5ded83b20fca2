#!/bin/sh
# before.sh ROOT FILES: what must stand in the tree before the kernel's package makes its RAM disk.
set -e
mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d" "$1/etc"
# Read through the BIOS one sector at a time, so it holds no more than finding the root takes.
printf 'MODULES=list\nCOMPRESS=zstd\n' >"$1/etc/initramfs-tools/conf.d/paravane"
printf 'ata_piix\nsd_mod\nxen_blkfront\next4\ncrc32c_generic\n' >"$1/usr/share/initramfs-tools/modules.d/paravane"
cp "$2/fstab" "$1/etc/fstab"
