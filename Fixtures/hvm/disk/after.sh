#!/bin/sh
# after.sh ROOT FILES: settings of the finished tree.
set -e
root=$1
files=$2
echo paravane >"$root/etc/hostname"
echo 'root:paravane' | chroot "$root" chpasswd
mkdir -p "$root/boot/grub" "$root/etc/paravane" "$root/var/log/journal"
cp "$files/grub.cfg" "$root/boot/grub/grub.cfg"
install -D -m 644 "$files/system.conf" "$root/etc/systemd/system.conf.d/paravane.conf"
cp "$files/network" "$root/etc/systemd/network/80-dhcp.network"
install -m 755 "$files/task.sh" "$root/usr/local/sbin/paravane-task"
cp "$files/task.service" "$root/etc/systemd/system/paravane-task.service"
chroot "$root" systemctl -q enable paravane-task.service systemd-networkd.service getty@tty1.service
chroot "$root" systemctl -q mask systemd-networkd-wait-online.service systemd-timesyncd.service apt-daily.timer apt-daily-upgrade.timer \
  dpkg-db-backup.timer fstrim.timer e2scrub_all.timer e2scrub_reap.service
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/journal
