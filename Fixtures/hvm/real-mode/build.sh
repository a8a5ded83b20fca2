#!/bin/bash
# build.sh OUT.img: assembles program.S (clang, ld.lld) to a disk image of 8 MiB.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"${CLANG:-clang}" --target=i386-unknown-none-elf -c "$here/program.S" -o "$1.o"
"${LLD:-ld.lld}" -m elf_i386 -T "$here/disk.ld" --entry=0x7c00 --oformat=binary -o "$1" "$1.o"
rm "$1.o"
truncate -s 8M "$1"
