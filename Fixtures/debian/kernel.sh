#!/bin/bash
# kernel.sh FLAVOUR DIR: fetches Debian's stock kernel of a flavour (cloud-amd64, amd64; 686, 686-pae of the i386 archive) by package
# name into DIR, as vmlinuz-FLAVOUR, and makes RAM disks of busybox, ext4, isofs and init.sh beside this script: initrd-FLAVOUR.cpio
# with the PV front ends (not of i386), and initrd-FLAVOUR-pc.cpio with a PC's disk controller and network card (which the cloud
# kernel has not).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
flavour=$1
mkdir -p "$2"
cd "$2"
busybox=/bin/busybox
case "$flavour" in
  686*) # Another architecture has package lists of its own, so that this machine's stay as they are.
    mkdir -p apt-i386/{lists,archives}/partial
    cat >apt-i386/apt.conf <<END
APT { Architecture "i386"; Architectures "i386"; };
Dir { State::Lists "$PWD/apt-i386/lists"; Cache "$PWD/apt-i386"; };
END
    export APT_CONFIG=$PWD/apt-i386/apt.conf
    busybox=tree-$flavour/bin/busybox
    ;;
esac
if [ ! -e "vmlinuz-$flavour" ] || [ ! -d "tree-$flavour/lib/modules" ]; then
  others=()
  [ "$busybox" = /bin/busybox ] || others=(busybox-static)
  bash "$here/package.sh" "linux-image-$flavour" 'linux-image-[0-9].*' "tree-$flavour" "${others[@]}"
  cp tree-"$flavour"/boot/vmlinuz-* "vmlinuz-$flavour"
fi
made() { [ "$1" -nt "$here/init.sh" ] && [ "$1" -nt "$here/kernel.sh" ]; }
{ [[ "$flavour" = 686* ]] || made "initrd-$flavour.cpio"; } && made "initrd-$flavour-pc.cpio" && exit 0
version=$(ls "tree-$flavour/lib/modules")
[ -e "tree-$flavour/lib/modules/$version/modules.dep.bin" ] || depmod -b "tree-$flavour" "$version"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# ramdisk NAME MODULE…
ramdisk() {
  local name=$1 tree=$work/$1 module ordered
  shift
  mkdir -p "$tree"/{bin,dev,etc,lib/modules,mnt,proc,root,sys,tmp}
  cp "$busybox" "$tree/bin/busybox"
  install -m 755 "$here/init.sh" "$tree/init"
  install -m 755 "$here/udhcpc.sh" "$tree/etc/udhcpc.sh"
  ordered=$(for module in "$@"; do
    modprobe -d "tree-$flavour" -S "$version" --show-depends "$module" 2>/dev/null | awk '$1 == "insmod" {print $2}'
  done | awk '!seen[$0]++')
  for module in $ordered; do
    cp "$module" "$tree/lib/modules/"
    basename "$module" >> "$tree/lib/modules/order"
  done
  (cd "$tree" && find . | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0) > "$name.new"
  mv "$name.new" "$name"
}
[[ "$flavour" = 686* ]] || ramdisk "initrd-$flavour.cpio" xen-blkfront xen-netfront af_packet ext4 crc32c_generic isofs
ramdisk "initrd-$flavour-pc.cpio" ata_piix sd_mod sr_mod e1000 af_packet ext4 crc32c_generic isofs
