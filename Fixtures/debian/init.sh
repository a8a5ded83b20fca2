#!/bin/busybox sh
# The first process of the guests that Paravane boots to try itself. Words of the kernel command line choose what it does:
#   pv.test=NAME   run that part below, say TEST-DONE and power off; without it, a shell on the console
export PATH=/bin:/sbin HOME=/root TERM=linux
/bin/busybox mkdir -p /bin /sbin /usr/bin /usr/sbin
/bin/busybox --install -s
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
echo "PARAVANE-BOOTED $(uname -r)"
for module in $(cat /lib/modules/order); do insmod "/lib/modules/$module" 2>/dev/null; done
option() { sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" /proc/cmdline; }
network() {
  ip link set lo up
  ip link set eth0 up 2>/dev/null && udhcpc -q -n -t 5 -T 2 -i eth0 -s /etc/udhcpc.sh >/dev/null 2>&1
}
disk=/dev/xvda
[ -d /sys/block/xvda ] || disk=/dev/sda
test=$(option pv.test)
case "$test" in
  "")
    network
    hostname paravane
    echo
    echo "A shell inside $(uname -sr). Try: ip addr, ping 10.0.2.2, mke2fs $disk, mount $disk /mnt, poweroff"
    # The host asks for an orderly end: the kernel runs poweroff, which signals this process.
    trap 'sync; poweroff -f' USR2 TERM
    setsid cttyhack sh </dev/console >/dev/console 2>&1 &
    wait $!
    ;;
  boot) ls /sys/block /sys/class/net ;;
  disk-write) # a file system with a random file; prints its sum
    mke2fs -F $disk >/dev/null 2>&1 && mount -t ext4 $disk /mnt || mount -t ext2 $disk /mnt
    dd if=/dev/urandom of=/mnt/file bs=1M count="$(option pv.megabytes)" 2>/dev/null
    sync
    echo "SUM $(sha256sum < /mnt/file)"
    umount /mnt
    ;;
  disk-kill) # a file that is flushed, its sum, and then writing without end: the host kills the machine in the middle
    mke2fs -F $disk >/dev/null 2>&1 && mount -t ext4 $disk /mnt || mount -t ext2 $disk /mnt
    dd if=/dev/urandom of=/mnt/file bs=1M count="$(option pv.megabytes)" 2>/dev/null
    sync
    echo "SUM $(sha256sum < /mnt/file)"
    echo "FLUSHED"
    while :; do
      dd if=/dev/urandom of=/mnt/more bs=256k count=64 conv=fsync 2>/dev/null
    done
    ;;
  disk-read)
    mount -t ext4 -o ro $disk /mnt
    echo "SUM $(sha256sum < /mnt/file)"
    umount /mnt
    ;;
  disc) # the CD's marker file
    mount -t iso9660 -o ro /dev/sr0 /mnt
    echo "SUM $(sha256sum < /mnt/marker)"
    ls /mnt
    umount /mnt
    ;;
  network)
    network
    ip addr show eth0
    ping -c 2 10.0.2.2
    wget -q -O /tmp/file "$(option pv.url)" && echo "SUM $(sha256sum < /tmp/file)"
    ;;
  *) echo "unknown pv.test=$test" ;;
esac
dmesg | grep -E 'WARNING:|BUG:|Oops|MP-BIOS bug|I/O error|unchecked MSR|Call Trace' | sed 's/^/DMESG /'
[ -z "$test" ] || echo "TEST-DONE"
sync
poweroff -f
