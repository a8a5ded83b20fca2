#!/bin/bash
# xen.sh KERNELS: what the column of Xen under QEMU's TCG needs, made in KERNELS: Debian's hypervisor (xen-amd64) and the kernel that can be
# its dom0 (vmlinuz-amd64; the cloud kernel cannot). Status 69 and a sentence where that cannot be.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$1"
command -v qemu-system-x86_64 >/dev/null ||
  { echo "qemu-system-x86_64 is not installed, so Xen has nothing to run on (apt-get install qemu-system-x86)" >&2; exit 69; }
if [ ! -e xen-amd64 ]; then
  bash "$here/../Fixtures/debian/package.sh" xen-system-amd64 'xen-hypervisor-[0-9].*-amd64' tree-xen
  # As a multiboot kernel it is to be unpacked.
  gzip -dc tree-xen/boot/xen-*.gz >xen-amd64.new
  mv xen-amd64.new xen-amd64
fi
[ -e vmlinuz-amd64 ] || bash "$here/../Fixtures/debian/kernel.sh" amd64 .
