#!/bin/bash
# disk-image.sh OUT.img [CACHE]: a disk image for `--type hvm`: Debian 12 with systemd, GRUB in the master boot record, an ext4 root
# (label paravane) in partition 1. GRUB and Linux talk on the screen and on the serial port; root's password is "paravane".
# Beside it OUT.vmlinuz and OUT.initrd: the same kernel and RAM disk, for `--type pv` with root=LABEL=paravane.
#
# What the guest does is told by words of the kernel command line or of /etc/paravane/task in the image (disk-task.sh writes
# them): see disk/task.sh. Without any it waits for somebody to log in.
#
# Nothing is mounted here: mmdebstrap makes the tree (as root, or in a user namespace), mke2fs the file system, grub-mkimage a core
# image that finds its blocks behind the master boot record by itself. Images are kept in CACHE (.cache at the top of the package),
# named by what they are made of.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$(dirname "$1")"
out=$(realpath "$1")
cache=${2:-$(cd "$here/../.." && pwd)/.cache}
packages="linux-image-amd64 systemd-sysv udev dbus libpam-systemd kmod zstd e2fsprogs iproute2 wget"
suite=bookworm
megabytes=1100 # of the file system; the image is sparse

# The package sources of this machine, whatever proxy or mirror they name.
sources() {
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v suite="$suite" 'index($2, suite) == 1 && $3 == "main" && !seen[$0]++ { print "deb", $0 }'
}
for tool in mmdebstrap mke2fs grub-mkimage sfdisk; do
  command -v $tool >/dev/null || PATH=$PATH:/usr/sbin:/sbin command -v $tool >/dev/null ||
    { echo "disk-image.sh: $tool is missing; make packages brings it" >&2; exit 69; }
done
PATH=$PATH:/usr/sbin:/sbin
versions=$(apt-cache policy $packages grub-pc-bin 2>/dev/null | grep Candidate: || true)
[ -n "$versions" ] || { apt-get update -q >/dev/null; versions=$(apt-cache policy $packages grub-pc-bin | grep Candidate:); }
key=$( (echo "$versions"; cat "$here/disk-image.sh" "$here"/disk/*) | sha256sum | cut -c1-16)
kept=$cache/hvm-disk-$key

if [ ! -e "$kept.img" ]; then
  echo "making a Debian disk image" >&2
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/work.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  chmod 755 "$work"
  cp -r "$here/disk" "$work/files"

  # Drivers and texts that no test wants are left out of the packages: less to write, less to read.
  exclude=()
  for path in '/usr/share/doc/*' '/usr/share/man/*' '/usr/share/locale/*' '/usr/share/info/*' '/usr/share/zoneinfo/*' \
    '/lib/modules/*/kernel/drivers/gpu/drm/'{amd,radeon,nouveau,i915,gma500,vmwgfx,mgag200,ast,qxl}'/*' \
    '/lib/modules/*/kernel/drivers/'{media,infiniband,staging,iio,isdn,mtd,usb/serial,usb/gadget,video,comedi,target,bluetooth}'/*' \
    '/lib/modules/*/kernel/drivers/net/'{wireless,can,wwan,dsa,ppp,hamradio,fddi,arcnet,usb,phy,ieee802154}'/*' \
    '/lib/modules/*/kernel/drivers/net/ethernet/'{mellanox,broadcom,chelsio,qlogic,cavium,cisco,sfc,emulex,netronome,marvell}'/*' \
    '/lib/modules/*/kernel/drivers/scsi/'{qla2xxx,lpfc,aic7xxx,aic94xx,mpt3sas,megaraid,bfa,bnx2fc,bnx2i,cxgbi,csiostor,be2iscsi}'/*' \
    '/lib/modules/*/kernel/'{sound,net/wireless,net/mac80211,net/bluetooth,net/can,net/netfilter}'/*' \
    '/lib/modules/*/kernel/fs/'{ocfs2,gfs2,ceph,cifs,nfs,nfsd,xfs,btrfs,jfs,reiserfs,afs,orangefs,f2fs,ubifs,smb}'/*'; do
    exclude+=(--dpkgopt="path-exclude=$path")
  done
  sources >"$work/sources.list"
  [ -s "$work/sources.list" ] || { echo "disk-image.sh: no package source here has $suite" >&2; exit 69; }
  mmdebstrap --quiet --variant=minbase --architectures=amd64 --include="${packages// /,}" "${exclude[@]}" \
    --aptopt='APT::Install-Recommends "false"' --aptopt='APT::Sandbox::User "root"' \
    --essential-hook="sh '$work/files/before.sh' \"\$1\" '$work/files'" --customize-hook="sh '$work/files/after.sh' \"\$1\" '$work/files'" \
    --format=tar "$suite" "$work/tree.tar" - <"$work/sources.list" >"$work/log" 2>&1 || { tail -n 30 "$work/log" >&2; exit 69; }

  # The tree keeps its owners through fakeroot where this is not root.
  cat >"$work/filesystem.sh" <<-SCRIPT
	set -e
	mkdir "$work/tree"
	tar -x --numeric-owner -f "$work/tree.tar" -C "$work/tree"
	cp "$work"/tree/boot/vmlinuz-* "$work/vmlinuz"
	cp "$work"/tree/boot/initrd.img-* "$work/initrd"
	mke2fs -q -F -t ext4 -L paravane -E root_owner=0:0 -d "$work/tree" "$work/root.ext4" ${megabytes}M
	SCRIPT
  if [ "$(id -u)" = 0 ]; then sh "$work/filesystem.sh"; else fakeroot sh "$work/filesystem.sh"; fi

  grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -o "$work/core.img" biosdisk part_msdos ext2 normal linux serial terminal echo \
    search search_label test sleep configfile reboot halt
  [ "$(stat -c %s "$work/core.img")" -lt $((2047 * 512)) ] || { echo "disk-image.sh: GRUB's core image is too large" >&2; exit 70; }
  truncate -s $((megabytes + 1))M "$work/disk.img"
  echo '2048,,83,*' | sfdisk -q "$work/disk.img"
  dd if="$work/root.ext4" of="$work/disk.img" bs=1M seek=1 conv=notrunc,sparse status=none
  # boot.img loads sector 1 of the disk it was booted from; the core image's first sector loads the rest behind itself.
  dd if=/usr/lib/grub/i386-pc/boot.img of="$work/disk.img" bs=440 count=1 conv=notrunc status=none
  dd if="$work/core.img" of="$work/disk.img" bs=512 seek=1 conv=notrunc status=none
  chmod 644 "$work/vmlinuz" "$work/initrd"
  mv "$work/vmlinuz" "$kept.vmlinuz"
  mv "$work/initrd" "$kept.initrd"
  mv "$work/disk.img" "$kept.img"
fi
base=${out%.img}
for part in vmlinuz initrd img; do cp --sparse=always --reflink=auto "$kept.$part" "$base.$part"; done
