#!/bin/bash
# Installs the Debian packages that Paravane builds and tests with; without root it says which are missing and stops.
set -euo pipefail
wanted="zlib1g-dev liblzma-dev liblz4-dev libzstd-dev libbz2-dev libslirp-dev libglib2.0-dev libssl-dev libcapstone-dev
  busybox-static cpio kmod xz-utils lld make qemu-utils acpica-tools seabios
  mmdebstrap fakeroot e2fsprogs fdisk grub-pc-bin grub-xen-host isolinux syslinux-common xorriso"
missing=""
for package in $wanted; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
  echo "packages missing:$missing" >&2
  echo "install them with: sudo apt-get install$missing" >&2
  exit 69
fi
echo "installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get install -yq --no-install-recommends $missing >/dev/null 2>&1 ||
  { apt-get update -q >/dev/null && apt-get install -yq --no-install-recommends $missing >/dev/null; }
