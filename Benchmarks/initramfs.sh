#!/bin/bash
# initramfs.sh DIR: builds the workloads (static, in DIR/workloads) and DIR/initramfs.cpio, a first process that runs them:
# words of the kernel command line, rows=a,b (or none).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"
compiler=$(command -v clang || command -v gcc) || { echo "initramfs.sh: clang or gcc is missing" >&2; exit 69; }
# No fused multiplication and no vectorizing: the instructions that the source says, and the same sums from every compiler.
flags="-O2 -ffp-contract=off -fno-tree-vectorize -Wall -static"
# shellcheck disable=SC2086
"$compiler" $flags -o workloads "$here"/guest/*.c -lm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{bin,dev,proc}
cp /bin/busybox workloads "$work/bin/"
cat >"$work/init" <<'END'
#!/bin/busybox sh
/bin/busybox echo BENCH boot
/bin/busybox mount -t proc proc /proc
for word in $(/bin/busybox cat /proc/cmdline); do
  case $word in rows=*) rows=${word#rows=} ;; esac
done
# shellcheck disable=SC2046
[ "$rows" = none ] || /bin/workloads $(echo "$rows" | /bin/busybox tr , ' ')
echo BENCH done
/bin/busybox poweroff -f
END
chmod 755 "$work/init"
(cd "$work" && find . | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0) >initramfs.cpio
