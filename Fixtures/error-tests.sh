#!/bin/bash
# error-tests.sh PARAVANE KERNELS FIXTURES: what a user gets wrong. Each mistake must give its exit status (see
# Documentation/CommandLine.md), exactly one line on standard error, nothing on standard output, and leave no file behind.
# KERNELS is what debian/kernel.sh made, FIXTURES what the Makefile here made.
set -uo pipefail
paravane=$(realpath "$1")
kernels=$(realpath "$2")
fixtures=$(realpath "$3")
work=$(mktemp -d)
helper=
trap '[ -z "$helper" ] || kill $helper 2>/dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 70
passed=0 failed=0
kernel=$kernels/vmlinuz-cloud-amd64
hello=$fixtures/hello

listing() { find . -type f -printf '%p %s\n' | grep -v '^\./\(out\|err\) ' | sort; }

# refuse STATUS NAME WORD ARGUMENTS…: runs paravane; WORD must be on its one line.
refuse() {
  local wanted=$1 name=$2 word=$3 status before why=""
  shift 3
  before=$(listing)
  timeout 120 "$paravane" "$@" </dev/null >out 2>err
  status=$?
  [ $status = "$wanted" ] || why="$why status $status, not $wanted;"
  [ "$(wc -l <err)" = 1 ] || why="$why $(wc -l <err) lines on standard error;"
  grep -qF -- "$word" err || why="$why no '$word';"
  [ ! -s out ] || why="$why standard output;"
  [ "$before" = "$(listing)" ] || why="$why files were written;"
  if [ -z "$why" ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: $name:$why"
    head -n 5 err | sed 's/^/    /'
  fi
}

# Kernels that are none.
: >empty
echo "not a kernel, a note" >text
head -c 3000000 "$kernel" >truncated
head -c 100 "$hello" >cut
cp "$hello" narrow && printf '\001' | dd of=narrow bs=1 seek=4 conv=notrunc status=none
cp "$hello" foreign && printf '\267\000' | dd of=foreign bs=1 seek=18 conv=notrunc status=none
gzip -c text >text.gz
refuse 66 "no such kernel" "no-such-file" run --kernel no-such-file
refuse 66 "a folder as kernel" "directory" run --kernel .
refuse 65 "an empty kernel" "empty" run --kernel empty
refuse 65 "a text as kernel" "text" run --kernel text
refuse 65 "a truncated kernel" "truncated" run --kernel truncated
refuse 65 "a kernel of 100 bytes" "cut" run --kernel cut
refuse 65 "a 32-bit kernel" "32-bit" run --kernel narrow
refuse 65 "a kernel for another processor" "foreign" run --kernel foreign
refuse 65 "a compressed text" "text.gz" run --kernel text.gz
refuse 65 "a program without Xen notes" "Xen notes" run --kernel /bin/busybox
refuse 66 "no such ramdisk" "no-such-ramdisk" run --kernel "$hello" --ramdisk no-such-ramdisk
refuse 64 "no kernel named" "--kernel" run
refuse 64 "memory too small" "memory" run --kernel "$kernel" --memory 8
refuse 64 "no memory" "memory" run --kernel "$hello" --memory 0
refuse 64 "a command line too long" "command line" run --kernel "$hello" --cmdline "$(head -c 5000 /dev/zero | tr '\0' x)"
refuse 66 "nothing to inspect" "no-such-file" inspect no-such-file
refuse 65 "a text to inspect" "text" inspect text

# Options.
refuse 64 "an unknown engine" "engine" run --kernel "$hello" --engine warp
refuse 64 "lockstep on the host's clock" "virtual" run --kernel "$hello" --engine lockstep --clock host
refuse 64 "lockstep with a network" "link=none" run --kernel "$hello" --engine lockstep --vif link=user
refuse 64 "an unknown clock" "clock" run --kernel "$hello" --clock sundial
refuse 64 "an unknown type" "type" run --kernel "$hello" --type vax
refuse 64 "an unknown console" "console" run --kernel "$hello" --console printer
refuse 66 "a console that cannot be written" "no/where" run --kernel "$hello" --console file:no/where
refuse 64 "unknown frames" "frames" run --kernel "$hello" --frames random
refuse 64 "an unknown processor" "v9" run --kernel "$hello" --cpu v9
refuse 64 "a start time" "start-time" run --kernel "$hello" --start-time yesterday
refuse 64 "a start time that no clock has" "start-time" run --kernel "$hello" --start-time 2600-01-01T00:00:00Z
refuse 64 "cycles a second" "tsc-hz" run --kernel "$hello" --tsc-hz 1
refuse 64 "a UUID" "uuid" run --kernel "$hello" --uuid 1234
refuse 64 "no vCPU" "vcpus" run --kernel "$hello" --vcpus 0
refuse 69 "two vCPUs" "vcpus" run --kernel "$hello" --vcpus 2
refuse 64 "a trace of nothing" "trace" run --kernel "$hello" --trace colours=t.json
refuse 66 "a trace that cannot be written" "no/where" run --kernel "$hello" --trace hypercalls=no/where
refuse 64 "a capture without an interface" "capture" run --kernel "$hello" --capture c.pcap

# What is not built yet is refused by name.
for later in "--type pvh" "--timing detailed" "--display vnc:127.0.0.1:1" \
  "--gdb 127.0.0.1:1" "--wait" "--record r" "--restore r" "--guest-status" "--sandbox on"; do
  # shellcheck disable=SC2086
  refuse 64 "$later" "not available yet" run --kernel "$hello" $later
done

# What only a PC has, and what a PC has not.
refuse 64 "a boot order of a PV guest" "no BIOS" run --kernel "$hello" --boot c
refuse 64 "firmware of a PV guest" "no BIOS" run --kernel "$hello" --firmware f
refuse 64 "a PV guest's screen" "no screen" run --kernel "$hello" --display terminal
refuse 64 "a display of another kind" "terminal" run --type hvm --display sdl
refuse 64 "an unknown boot device" "boot" run --type hvm --boot x
refuse 66 "firmware that is not there" "no/where" run --type hvm --firmware no/where
refuse 65 "firmware of no such size" "64 KiB" run --type hvm --firmware "$hello"
refuse 65 "a kernel that no BIOS could boot" "bzImage" run --type hvm --kernel "$hello"
refuse 64 "a fifth IDE disk" "hda to hdd" run --type hvm --disk "x.img,raw,xvde,w"
refuse 64 "a monitor that is no socket" "unix:PATH" run --kernel "$hello" --monitor tcp:1
refuse 66 "a monitor that cannot be made" "no/where" run --kernel "$hello" --monitor unix:no/where/m

# Configuration files.
config() { printf "$1" >guest.cfg; }
config 'kernel = "k"\nmemory = lots\n'
refuse 64 "a word for a number" "line 2" run guest.cfg
config '# comment\n\nkernel "k"\n'
refuse 64 "no equals sign" "line 3" run guest.cfg
config 'kernel = "k\n'
refuse 64 "an open string" "line 1" run guest.cfg
config 'disk = [ "a,raw,xvda,rw"\n'
refuse 64 "an open list" "line 1" run guest.cfg
config 'kernel = [ "a" ]\n'
refuse 64 "a list for a string" "line 1" run guest.cfg
config "kernel = '$hello'\nvif = [ 'bridge=xenbr0' ]\n"
refuse 64 "a bridge" "link=" run guest.cfg
config 'memory = 64\n'
refuse 64 "a configuration without a kernel" "kernel" run guest.cfg
config 'memory = 64\nfirmware = "ovmf"\n'
refuse 64 "firmware that no PV guest has" "line 2" run guest.cfg
config 'firmware = "pvgrub64"\nkernel = "k"\n'
refuse 64 "firmware and a kernel" "line 1" run guest.cfg
refuse 64 "a RAM disk without a kernel" "--kernel" run --ramdisk empty --disk "empty,raw,xvda,ro"
refuse 66 "no such configuration" "no-such.cfg" run no-such.cfg

# Disks.
truncate -s 1M disk.raw
for spec in "disk.raw" "disk.raw,raw,vda,rw" "disk.raw,vmdk,xvda,rw" "disk.raw,raw,xvda,maybe" ",raw,xvda,rw" "disk.raw,raw,xvda,rw,too,many"; do
  refuse 64 "disk $spec" "disk" run --kernel "$hello" --disk "$spec"
done
refuse 64 "two disks of one name" "xvda" run --kernel "$hello" --disk disk.raw,raw,xvda,ro --disk disk.raw,raw,xvda,ro
refuse 66 "no such disk" "no-disk" run --kernel "$hello" --disk no-disk,raw,xvda,rw
printf 'QFI\373\0\0\0\011' >newer.qcow2
for image in empty text newer.qcow2; do
  refuse 65 "$image as a qcow2 disk" "$image" run --kernel "$hello" --disk $image,qcow2,xvda,rw
done
# A guest that never ends holds the disk.
"$paravane" run --kernel "$fixtures/endless" --cmdline case=1 --disk disk.raw,raw,xvda,rw --console file:/dev/null </dev/null >/dev/null 2>held &
helper=$!
for _ in $(seq 300); do
  [ -s held ] && break
  sleep 0.1
done
refuse 66 "a disk in use" "disk.raw" run --kernel "$hello" --disk disk.raw,raw,xvda,rw
refuse 66 "a disk in use, to be read" "disk.raw" run --kernel "$hello" --disk disk.raw,raw,xvda,ro
kill $helper && sleep 0.1 && kill $helper 2>/dev/null
wait $helper
[ $? = 143 ] && passed=$((passed + 1)) || { failed=$((failed + 1)); echo "FAILED: two SIGTERMs do not give 143"; }
helper=

# Networks.
for spec in "word" "link=bridge" "link=tap" "link=socket" "mac=1" "mac=01:00:00:00:00:00" "mtu=1" "hostfwd=tcp:1" "link=none,hostfwd=tcp::1-:1"; do
  refuse 64 "vif $spec" "vif" run --kernel "$hello" --vif "$spec"
done
port=$((20000 + RANDOM % 20000))
busybox httpd -f -p 127.0.0.1:$port -h "$work" &
helper=$!
for _ in $(seq 100); do
  (: </dev/tcp/127.0.0.1/$port) 2>/dev/null && break
  sleep 0.1
done
refuse 69 "a port in use" ":$port" run --kernel "$hello" --vif "link=user,hostfwd=tcp:127.0.0.1:$port-:22"
kill $helper
wait $helper 2>/dev/null
helper=
refuse 69 "no such socket" "no-socket" run --kernel "$hello" --vif link=socket,path=no-socket
refuse 66 "a capture that cannot be written" "no/where" run --kernel "$hello" --vif link=none --capture no/where

# What doctor looks for is what packages.sh installs.
if "$paravane" doctor | grep -E '^missing .*\((make run|--type hvm|PV guests)'; then
  failed=$((failed + 1))
else
  passed=$((passed + 1))
fi

# A host that has less and less: always a sentence, never "a bug". Its own libraries take some 80 MB.
why=
for limit in $(seq 120 12 300) $(seq 4188 12 4296); do
  type=$([ "$limit" -lt 4000 ] && echo pv || echo hvm)
  (ulimit -v $((limit * 1024)) && exec timeout -k 5 60 "$paravane" run -q --type $type --memory 512 --kernel "$kernel" --ramdisk "$kernel" --timeout 1 </dev/null >out 2>err)
  status=$?
  [ $status = 69 ] && [ "$(wc -l <err)" = 1 ] || [ $status = 124 ] || [ $status = 0 ] || why="$why $type with $limit MiB: status $status;"
done
[ -z "$why" ] && passed=$((passed + 1)) || { failed=$((failed + 1)); echo "FAILED: little memory:$why"; }

echo "$passed mistakes answered as promised, $failed not"
[ $failed = 0 ]
