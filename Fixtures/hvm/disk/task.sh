#!/bin/sh
# What a test wants of this machine, by words of the kernel command line or of /etc/paravane/task:
#   pv.test=boot      tells of what is here and of units that failed
#   pv.test=network   fetches pv.url and prints its sum
#   pv.test=write     writes numbered files without end, each named when it is on the disk, until the host kills the machine
#   pv.test=check     tells which of those files are whole
# Each ends with TEST-DONE and powers off; pv.test=stay only says TEST-DONE, for a test that asks by the power button.
words="$(cat /etc/paravane/task 2>/dev/null) $(cat /proc/cmdline)" # the last one counts
option() { echo " $words " | sed -n "s/.* $1=\([^ ]*\) .*/\1/p"; }
test=$(option pv.test)
[ -n "$test" ] || exit 0
exec >/dev/console 2>&1 </dev/null
files=/var/lib/paravane
echo "TEST-BEGINS $test $(uname -r)"
case "$test" in
  boot | stay)
    echo "DISKS $(cd /sys/block && echo [hsvx]*)"
    echo "NETWORK $(cd /sys/class/net && echo *)"
    echo "CLOCK $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
    ;;
  network)
    tries=0
    until ip route | grep -q '^default' || [ $tries = 300 ]; do
      sleep 1
      tries=$((tries + 1))
    done
    ip -br addr
    echo "SUM $(wget -q -O - "$(option pv.url)" | sha256sum)"
    ;;
  write)
    mkdir -p $files
    sync
    number=0
    while :; do
      number=$((number + 1))
      size=$((number * 37 % 97 + 1))
      dd if=/dev/urandom of=$files/new bs=4k count=$size conv=fsync 2>/dev/null
      sum=$(sha256sum <$files/new)
      mv $files/new "$files/$number-${sum%% *}"
      sync $files
      echo "FLUSHED $number-${sum%% *}"
    done
    ;;
  check)
    for file in $files/*-*; do
      [ -e "$file" ] || continue
      sum=$(sha256sum <"$file")
      case "$file" in
        *-"${sum%% *}") echo "WHOLE ${file##*/}" ;;
        *) echo "TORN ${file##*/}" ;;
      esac
    done
    ;;
  *) echo "unknown pv.test=$test" ;;
esac
systemctl --failed --no-legend --plain | sed 's/^/FAILED-UNIT /'
dmesg | grep -E 'WARNING:|BUG:|Oops|MP-BIOS bug|unchecked MSR|Call Trace|I/O error|EXT4-fs error' | sed 's/^/DMESG /'
echo "TEST-DONE"
[ "$test" = stay ] || systemctl poweroff
