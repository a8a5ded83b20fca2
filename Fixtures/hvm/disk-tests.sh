#!/bin/bash
# disk-tests.sh PARAVANE KERNELS [CACHE]: Debian with systemd on a PC's disk is killed while it writes. HVM_KILLS is how often (1).
source "$(dirname "$0")/testing.sh"

mkdir "$images"
"$here/disk-image.sh" "$images/debian.img" ${3:+"$3"} || exit

# A machine is killed at a random moment while its guest writes; what the guest said to be on the disk is there afterwards, whole.
# The journal is replayed by the next boot; the file system is whole after it.
killed() {
  local round name words="root=LABEL=paravane ro console=ttyS0 quiet"
  local linux=(--kernel "$images/debian.vmlinuz" --ramdisk "$images/debian.initrd" --disk "$images/kill.img,raw,hda,rw")
  cp --sparse=always --reflink=auto "$images/debian.img" "$images/kill.img"
  for round in $(seq "${HVM_KILLS:-1}"); do
    begin "${linux[@]}" --cmdline "$words pv.test=write"
    said '^FLUSHED' || return 1
    sleep $((RANDOM % 3)).$((RANDOM % 10))
    stop
    # A last line that the kill cut off says nothing.
    sed -n 's/^FLUSHED \([0-9]*-[0-9a-f]*\)\r*$/\1/p' "$log" | grep -E -- '-[0-9a-f]{64}$' >"$work/flushed"
    run "${linux[@]}" --cmdline "$words pv.test=check" && content || return 1
    while read -r name; do grep -aq "^WHOLE $name" "$log" || { echo "lost: $name"; return 1; }; done <"$work/flushed"
    ! grep -a '^TORN' "$log" || return 1
    PATH=$PATH:/usr/sbin:/sbin e2fsck -fn "$images/kill.img?offset=1048576" >>"$work/err" 2>&1 || return 1
  done
}
check "what was flushed survives kill -9, ${HVM_KILLS:-1} times" killed

echo "$passed passed, $failed failed"
[ $failed = 0 ]
