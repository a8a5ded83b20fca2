#!/bin/bash
# Records what the guests of this folder print on the real Xen, as domUs under xl: the texts that Paravane must reproduce.
#
#   Fixtures/record-xen.sh                 records every guest of Fixtures/conformance.list into Fixtures/Expected/
#   Fixtures/record-xen.sh traps events    records these
#   Fixtures/record-xen.sh --check         records all to a scratch place and compares with Fixtures/Expected/
#
# Debian's packages are fetched by name (hypervisor, a kernel for dom0, xl and its libraries) into .cache/xen at the top of the
# package, and all of it runs in QEMU without hardware virtualization: a minute, and a second or two per guest.
# Needs: apt-get, dpkg, qemu-system-x86_64, busybox-static, cpio, perl, make, clang, ld.lld.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=$here/../.cache/xen
guests=$here/../.build-fixtures
out=$here/Expected
check=
[ "${1:-}" != --check ] || { check=yes; shift; }
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

complain() { echo "record-xen: $*" >&2; exit 1; }
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  missing=
  for package in qemu-system-x86 busybox-static cpio perl-base make lld; do
    dpkg-query -W -f '${Status}' $package 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
  done
  [ -z "$missing" ] || {
    echo "installing$missing" >&2
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends $missing; } >/dev/null 2>&1 ||
      complain "these packages cannot be installed:$missing"
  }
fi
for tool in apt-get dpkg qemu-system-x86_64 cpio perl make; do
  command -v $tool >/dev/null || complain "$tool is missing; apt-get install qemu-system-x86 busybox-static cpio perl make"
done
[ -x /bin/busybox ] || complain "/bin/busybox is missing; apt-get install busybox-static"

# --- Packages ---
dependency() { apt-cache depends "$1" | sed -n "s/^ *Depends: \($2\)\$/\1/p" | head -1; }
fetch() { # NAME...: unpacks packages into $cache/tree, once each
  local p
  for p; do
    [ -e "$cache/got-$p" ] && continue
    (cd "$work" && apt-get download -q "$p" >/dev/null 2>&1) || complain "package $p cannot be fetched; try apt-get update"
    dpkg -x "$work/${p%%:*}"_*.deb "$cache/tree" && rm -f "$work/${p%%:*}"_*.deb && touch "$cache/got-$p"
  done
}
if [ ! -e "$cache/ready" ]; then
  hypervisor=$(dependency xen-system-amd64 'xen-hypervisor-.*-amd64')
  kernel=$(dependency linux-image-amd64 'linux-image-[0-9].*')
  [ -n "$hypervisor" ] && [ -n "$kernel" ] || complain "no Xen or Linux package is known; try apt-get update"
  version=${hypervisor#xen-hypervisor-}
  version=${version%-amd64}
  fetch "$hypervisor" "$kernel" "xen-utils-$version" xen-utils-common xenstore-utils
  # What xl and the daemons link with, and what that links with.
  mapfile -t libraries < <(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances "xen-utils-$version" xenstore-utils | grep -E '^(lib|zlib)[^:]*$' | grep -vE '^lib(python|perl|ssl|db)' | sort -u)
  fetch "${libraries[@]}"
  gzip -dc "$cache"/tree/boot/xen-*.gz > "$cache/xen"
  cp "$cache"/tree/boot/vmlinuz-* "$cache/dom0-kernel"
  touch "$cache/ready"
fi

# --- dom0: busybox, xl, the daemons, and a script that runs the guests ---
tools=$(echo "$cache"/tree/usr/lib/xen-[0-9]*)
tools=/usr/lib/$(basename "$tools")
root=$work/root
mkdir -p "$root"/{bin,dev,proc,sys,tmp,run,etc/xen,lib,lib64,modules,guests,usr/lib} "$root"/var/{lib/xen,lib/xenstored,log/xen/console,lock}
cp /bin/busybox "$root/bin/"
for name in sh mount mkdir ln insmod sleep cat echo sed grep poweroff; do ln -s busybox "$root/bin/$name"; done
cp -a "$cache/tree$tools" "$root/usr/lib/"
rm -rf "$root$tools/boot"
find "$cache/tree/lib" "$cache/tree/usr/lib" -name 'lib*.so*' ! -type d ! -path '*/xen-*' -exec cp -L {} "$root/lib/" \; 2>/dev/null || true
cp -L "$(find "$cache/tree" -name ld-linux-x86-64.so.2 | head -1)" "$root/lib64/"
for module in xen-privcmd xen-evtchn xen-gntdev xen-gntalloc xenfs; do
  cp "$(find "$cache/tree/lib/modules" -name $module.ko | head -1)" "$root/modules/"
done

make -s -C "$here"
list=$(sed 's/#.*//' "$here/conformance.list" | grep .)
wanted=" $* "
count=0
while read -r name image extra; do
  [ "$wanted" = "  " ] || [[ "$wanted" == *" $name "* ]] || continue
  cp "$guests/$image" "$root/guests/$name.kernel"
  head -c 5000 /dev/zero > "$root/guests/ramdisk"
  cat > "$root/guests/$name.cfg" <<CFG
name="$name"
type="pv"
kernel="/guests/$name.kernel"
ramdisk="/guests/ramdisk"
extra="$extra"
memory=64
vcpus=2
on_poweroff="destroy"
on_reboot="destroy"
on_crash="preserve"
CFG
  count=$((count + 1))
done <<< "$list"
[ $count -gt 0 ] || complain "none of these is in conformance.list: $*"

cat > "$root/init" <<INIT
#!/bin/sh
export PATH=$tools/bin:/bin LD_LIBRARY_PATH=/lib:$tools/lib/x86_64-linux-gnu
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /run
ln -s /run /var/run
mkdir -p /dev/pts /run/xen /run/xenstored /run/lock
mount -t devpts devpts /dev/pts
for module in xen-privcmd xen-evtchn xen-gntdev xen-gntalloc xenfs; do insmod /modules/\$module.ko; done
mount -t xenfs xenfs /proc/xen
xenstored --pid-file /run/xenstored.pid
sleep 1
xen-init-dom0
xenconsoled --log=guest --log-dir=/var/log/xen/console --pid-file=/run/xenconsoled.pid
sleep 1
for config in /guests/*.cfg; do
  name=\${config##*/}
  name=\${name%.cfg}
  xl create -q \$config 2>&1 | sed "s/^/#xl \$name: /"
  left=60
  crashed=
  while [ \$left -gt 0 ] && xl list \$name >/run/state 2>/dev/null; do
    # The fifth of the six letters of its state: crashed.
    if grep -q ' ....c. ' /run/state; then
      crashed=yes
      break
    fi
    sleep 1
    left=\$((left - 1))
  done
  if xl list \$name >/dev/null 2>&1; then
    [ "\$crashed" ] || echo "#xl \$name: still running"
    sleep 1
    xl destroy \$name
  fi
  sleep 1
  echo "#begin \$name"
  cat /var/log/xen/console/guest-\$name.log
  [ -z "\$crashed" ] || echo "(crashed)"
  echo "#end \$name"
done
echo "#all done"
poweroff -f
INIT
: > "$root/etc/xen/xl.conf"
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet | gzip -1) > "$work/dom0.gz"

# --- Run ---
timeout "${LIMIT:-900}" qemu-system-x86_64 -machine pc -accel tcg,thread=single -cpu max,-smap -m 1536 -nodefaults -no-user-config \
  -display none -serial stdio -no-reboot -kernel "$cache/xen" \
  -append "console=com1 com1=115200,8n1 loglvl=error guest_loglvl=error dom0_mem=640M,max:640M dom0=pv no-real-mode" \
  -initrd "$cache/dom0-kernel console=hvc0 quiet loglevel=3 rdinit=/init,$work/dom0.gz" </dev/null > "$work/console" 2>&1 &
emulator=$!
while kill -0 $emulator 2>/dev/null && ! grep -q '#all done' "$work/console"; do sleep 1; done
kill $emulator 2>/dev/null || true
wait $emulator 2>/dev/null || true
tr -d '\r' < "$work/console" | grep -v '^(XEN)' > "$work/text" || true
cp "$work/console" "$cache/last-console.log"
grep -q '^#all done' "$work/text" || complain "the machine did not come to its end; see .cache/xen/last-console.log"
grep '^#xl' "$work/text" >&2 || true

# --- The texts, with the emulated CPU's known faults put right (oracle-errata.pl) ---
[ -z "$check" ] || out=$work/expected
mkdir -p "$out"
status=0
while read -r name image extra; do
  sed -n "/^#begin $name\$/,/^#end $name\$/p" "$work/text" | sed '1d;$d' > "$work/$name.txt"
  [ -s "$work/$name.txt" ] || continue
  perl "$here/oracle-errata.pl" "$name" < "$work/$name.txt" > "$out/$name.txt"
  if [ -n "$check" ]; then
    diff -u "$here/Expected/$name.txt" "$out/$name.txt" || status=1
  else
    echo "recorded Expected/$name.txt ($(wc -l < "$out/$name.txt") lines)"
  fi
done <<< "$list"
exit $status
