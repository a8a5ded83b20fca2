#!/bin/bash
# disk-tests.sh PARAVANE KERNELS [CACHE]: a Debian disk through GRUB to a login on the serial port and on the screen; the same as a PV
# guest, through pvgrub and from the command line; it fetches, and is killed while it writes. HVM_KILLS is how often (1).
source "$(dirname "$0")/../testing.sh"
type=hvm

mkdir "$images"
"$here/disk-image.sh" "$images/debian.img" ${3:+"$3"} || exit

# copy NAME "WORDS": a fresh copy of the Debian disk as $images/NAME.img, with something to do.
copy() { cp --sparse=always --reflink=auto "$images/debian.img" "$images/$1.img" && "$here/disk-task.sh" "$images/$1.img" "$2"; }

# press KEYS…: one after another.
press() {
  local key
  for key in "$@"; do ask sendkey $key || return 1; done
}

# GRUB, Linux, systemd; the login prompt on the serial port and on the screen; somebody logs in at the keyboard; the power button.
debian() {
  local pause
  begin --disk "$images/login.img,raw,hda,rw" --clock host
  said GRUB-LOADS-LINUX && said 'paravane login:' && said TEST-DONE || return 1
  ask screendump "$work/login.png" && picture "$work/login.png" 1000 || return 1
  # The picture of the login screen is part of what the tests leave behind.
  mkdir -p "$here/../../.build-screens" && cp "$work/login.png" "$here/../../.build-screens/"
  # What is typed at the screen's shell is heard on the serial port. A guest that is slow on a busy host gets more time to ask.
  for pause in 3 10 30; do
    press r o o t ret && sleep $pause && press p a r a v a n e ret && sleep $pause || return 1
    press e c h o spc s e e n shift-dot slash d e v slash t t y shift-s 0 ret || return 1
    said seen $pause && break
    press ctrl-c && sleep $pause
  done
  said seen 1 || return 1
  ask screendump "$work/shell.png" && picture "$work/shell.png" 1000 && ! cmp -s "$work/login.png" "$work/shell.png" || return 1
  ask system_powerdown && ended && content
}
copy login "pv.test=stay"
check "a Debian disk through GRUB to a login, and the power button" debian

# The same disk as a PV guest, to the same login on its console; somebody logs in, and switches it off by a command. On the virtual
# clock, here and for what is fetched, a guest has time for its work however busy the host is: on the host's, with a fifteenth of a
# processor, the kernel's crypto tests and systemd's units have run out of theirs.
mkfifo "$work/keys"
exec {keys}<>"$work/keys"
logged_in() {
  local input=$work/keys
  begin --type pv --clock virtual --disk "$images/login.img,raw,xvda,rw" "$@"
  said 'paravane login: ' && said TEST-DONE || return 1
  echo root >&$keys
  said 'Password: ' || return 1
  sleep 1
  echo paravane >&$keys
  said 'root@paravane:~# ' || return 1
  # What is typed comes back first, as it was typed.
  echo 'echo "ROOT $(findmnt -no SOURCE /) AT $(tty)"; systemctl poweroff' >&$keys
  said 'ROOT /dev/xvda1 AT /dev/hvc0' && ended && content
}
pvgrub() { logged_in && grep -aq GRUB-LOADS-LINUX "$log"; }
named() {
  logged_in --kernel "$images/debian.vmlinuz" --ramdisk "$images/debian.initrd" --cmdline "root=LABEL=paravane ro console=hvc0 quiet" &&
    ! grep -aq GRUB "$log"
}
check "the same disk as a PV guest through pvgrub to a login" pvgrub
check "the same disk as a PV guest with its kernel named, to a login" named

# Divided as Debian's images for clouds are; the root is found behind two other partitions.
copy boot "pv.test=boot"
"$here/disk-gpt.sh" "$images/boot.img" "$images/gpt.img"
divided() { run "$@" && content && grep -aq GRUB-LOADS-LINUX "$log"; }
check "a Debian PC from a disk with a GUID partition table" divided --disk "$images/gpt.img,raw,hda,rw"
check "the same disk as a PV guest through pvgrub" divided --type pv --disk "$images/gpt.img,raw,xvda,rw"
rm -f "$images/gpt.img" "$images/boot.img"

serve
copy network "pv.test=network pv.url=http://10.0.2.2:$port/download"
fetched() { content && [ "$(sum_in_log)" = "$wanted" ]; }
as_pc() { run --clock virtual --disk "$images/network.img,raw,hda,rw" --vif link=user && fetched; }
check "a Debian PC fetches 32 MB with the right sum" as_pc
as_pv() {
  run --type pv --clock virtual --kernel "$images/debian.vmlinuz" --ramdisk "$images/debian.initrd" \
    --cmdline "root=LABEL=paravane ro console=hvc0 quiet" --disk "$images/network.img,raw,xvda,rw" --vif link=user && fetched
}
check "a PV guest of the same disk fetches 32 MB with the right sum" as_pv

# A machine is killed at a random moment while its guest writes; what the guest said to be on the disk is there afterwards, whole.
# The journal is replayed by the next boot; the file system is whole after it.
killed() {
  local round name words="root=LABEL=paravane ro console=ttyS0 quiet"
  local linux=(--kernel "$images/debian.vmlinuz" --ramdisk "$images/debian.initrd" --disk "$images/kill.img,raw,hda,rw")
  cp --sparse=always --reflink=auto "$images/debian.img" "$images/kill.img"
  for round in $(seq "${HVM_KILLS:-1}"); do
    begin "${linux[@]}" --cmdline "$words pv.test=write"
    said 'FLUSHED [0-9]' || return 1
    sleep $((RANDOM % 3)).$((RANDOM % 10))
    stop
    # A last line that the kill cut off says nothing. The login prompt may stand in front of a line: it comes to the same port when it will.
    sed -n 's/^.*FLUSHED \([0-9]*-[0-9a-f]*\)\r*$/\1/p' "$log" | grep -E -- '-[0-9a-f]{64}$' >"$work/flushed"
    run "${linux[@]}" --cmdline "$words pv.test=check" && content || return 1
    while read -r name; do grep -aq "WHOLE $name" "$log" || { echo "lost: $name"; return 1; }; done <"$work/flushed"
    ! grep -a 'TORN [0-9]' "$log" || return 1
    PATH=$PATH:/usr/sbin:/sbin e2fsck -fn "$images/kill.img?offset=1048576" >>"$work/err" 2>&1 || return 1
  done
}
check "what was flushed survives kill -9, ${HVM_KILLS:-1} times" killed

summary
