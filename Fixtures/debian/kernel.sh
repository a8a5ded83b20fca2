#!/bin/bash
# kernel.sh FLAVOUR DIR: fetches Debian's stock kernel of a flavour (cloud-amd64, amd64) by package name into DIR, as
# vmlinuz-FLAVOUR, and makes initrd-FLAVOUR.cpio: busybox, the PV front ends, ext4, and init.sh beside this script.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
flavour=$1
mkdir -p "$2"
cd "$2"
if [ ! -e "vmlinuz-$flavour" ] || [ ! -d "tree-$flavour/lib/modules" ]; then
  find_package() { apt-cache depends "linux-image-$flavour" 2>/dev/null | awk '/Depends: linux-image-[0-9]/{print $2; exit}'; }
  package=$(find_package)
  [ -n "$package" ] || { apt-get update -q >/dev/null; package=$(find_package); }
  [ -n "$package" ] || { echo "kernel.sh: the package archive has no linux-image-$flavour" >&2; exit 69; }
  echo "fetching $package" >&2
  rm -rf "tree-$flavour" download && mkdir download
  (cd download && { apt-get download -q "$package" || { apt-get update -q && apt-get download -q "$package"; }; } >/dev/null 2>&1) ||
    { echo "kernel.sh: cannot fetch $package: is the package archive reachable?" >&2; exit 69; }
  dpkg -x download/*.deb "tree-$flavour"
  rm -rf download
  cp tree-"$flavour"/boot/vmlinuz-* "vmlinuz-$flavour"
fi
[ "initrd-$flavour.cpio" -nt "$here/init.sh" ] && [ "initrd-$flavour.cpio" -nt "$here/kernel.sh" ] && exit 0
version=$(ls "tree-$flavour/lib/modules")
[ -e "tree-$flavour/lib/modules/$version/modules.dep.bin" ] || depmod -b "tree-$flavour" "$version"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{bin,dev,etc,lib/modules,mnt,proc,root,sys,tmp}
cp /bin/busybox "$work/bin/busybox"
install -m 755 "$here/init.sh" "$work/init"
install -m 755 "$here/udhcpc.sh" "$work/etc/udhcpc.sh"
ordered=$(for module in xen-blkfront xen-netfront af_packet ext4 crc32c_generic isofs; do
  modprobe -d "tree-$flavour" -S "$version" --show-depends "$module" 2>/dev/null | awk '$1 == "insmod" {print $2}'
done | awk '!seen[$0]++')
for module in $ordered; do
  cp "$module" "$work/lib/modules/"
  basename "$module" >> "$work/lib/modules/order"
done
(cd "$work" && find . | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0) > "initrd-$flavour.cpio.new"
mv "initrd-$flavour.cpio.new" "initrd-$flavour.cpio"
