#!/bin/bash
# run.sh PARAVANE KERNELS DIR [ROW…]: runs the workloads (guest/rows.h) on every system of the list below that this machine has, one
# after the other, ROUNDS times around (3), and writes the medians to DIR/results.txt; then report.sh makes a table and a picture of
# them and says which thresholds were missed. SYSTEMS="native translator" chooses. KERNELS is what debian/kernel.sh made, DIR is for
# what is built.
#
# A row's figure is CPU seconds of the whole process between the lines before and after it (/proc/PID: schedstat of every thread, and
# the time of children that have ended), so other work on the machine blurs it little. Compare the ratios only, and those of one sitting.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
paravane=$(realpath "$1")
kernels=$(realpath "$2")
mkdir -p "$3"
dir=$(realpath "$3")
shift 3
rows=$(sed -n 's/^{"\([^"]*\)".*/\1/p' "$here/guest/rows.h")
# In their own order: the last one is the one after which a run is over.
[ $# = 0 ] || rows=$(for row in $rows; do [[ " $* " != *" $row "* ]] || echo "$row"; done)
[ -n "$rows" ] || { echo "run.sh: no such row; guest/rows.h has them" >&2; exit 64; }
list=$(echo $rows | tr ' ' ,)
rounds=${ROUNDS:-3}
wanted=" ${SYSTEMS:-native translator hvm interpreter qemu xen} "
bash "$here/initramfs.sh" "$dir" || exit
work=$(mktemp -d)
process=
trap '[ -z "$process" ] || kill $process 2>/dev/null; rm -rf "$work"' EXIT
mkfifo "$work/lines"
ticks=$(getconf CLK_TCK)
declare -A start

# CPU time of a process so far, in nanoseconds.
processor_time() {
  local sum=0 part rest file line
  for file in /proc/"$1"/task/*/schedstat; do
    read -r part rest 2>/dev/null <"$file" && sum=$((sum + part))
  done
  read -r line 2>/dev/null </proc/"$1"/stat || { echo 0; return; }
  # shellcheck disable=SC2086
  set -- ${line##*) }
  echo $((sum + (${14} + ${15}) * (1000000000 / ticks)))
}

# measure SYSTEM COMMAND…: runs it and adds lines "SYSTEM ROW seconds NANOSECONDS" to the samples; "SYSTEM ROW wrong 1" for a wrong
# sum, "SYSTEM all unfinished 1" if it did not come to its end.
measure() {
  local name=$1 line now ended=
  shift
  "$@" </dev/null >"$work/lines" 2>"$work/errors" &
  process=$!
  while read -r -t 900 line; do
    line=${line//$'\r'/}
    case $line in "BENCH "*) now=$(processor_time $process) ;; *) continue ;; esac
    # shellcheck disable=SC2086
    set -- $line
    case $2 in
      boot) echo "$name boot seconds $now" ;;
      begin) start[$3]=$now ;;
      end)
        echo "$name $3 seconds $((now - start[$3]))"
        [ "$5" = ok ] || echo "$name $3 wrong 1"
        ended=$3
        ;;
      done) ended=all ;;
    esac >>"$work/samples"
  done <"$work/lines"
  kill $process 2>/dev/null && sleep 1
  wait $process
  process=
  [ "$ended" = all ] || [ "$name $ended" = "native ${list##*,}" ] && return
  echo "$name all unfinished 1" >>"$work/samples"
  tail -n 5 "$work/errors" | sed "s/^/$name: /" >&2
}

# guest TYPE ENGINE CONSOLE ROWS STATISTICS: the command line of a guest of Paravane.
guest() {
  command=("$paravane" run -q --type "$1" --engine "$2" --clock virtual --memory 512 --timeout 1800
    --kernel "$kernels/vmlinuz-cloud-amd64" --ramdisk "$dir/initramfs.cpio" --cmdline "console=$3 quiet rows=$4" --stats "$5")
}

# command_line SYSTEM ROWS: sets command; ROWS may be none.
command_line() {
  local machine=(qemu-system-x86_64 -accel tcg -smp 1 -display none -monitor none -serial stdio -no-reboot)
  case $1 in
    # shellcheck disable=SC2206
    native) command=("$dir/workloads" ${2//,/ }) ;;
    translator | interpreter) guest pv "$1" hvc0 "$2" "$work/$1.$2.json" ;;
    hvm) guest hvm translator ttyS0 "$2" "$work/$1.$2.json" ;;
    qemu)
      command=("${machine[@]}" -cpu max -m 512 -kernel "$kernels/vmlinuz-cloud-amd64" -initrd "$dir/initramfs.cpio"
        -append "console=ttyS0 quiet rows=$2")
      ;;
    # The hypervisor is the multiboot kernel; its modules are the kernel of dom0, with a command line in which a comma is doubled, and
    # the RAM disk. dom0 has as much memory as the others. SMAP, of which QEMU 7.2 has no correct notion under Xen, is left out.
    xen)
      command=("${machine[@]}" -cpu max,-smap -m 896 -nodefaults -kernel "$kernels/xen-amd64"
        -append "console=com1 com1=115200,8n1 loglvl=error guest_loglvl=error dom0=pv dom0_mem=512M,max:512M dom0_max_vcpus=1"
        -initrd "$kernels/vmlinuz-amd64 console=hvc0 quiet rows=${2//,/,,},$dir/initramfs.cpio")
      ;;
  esac
}

# present SYSTEM: whether it can run here; a sentence where it cannot.
present() {
  local status
  case $1 in
    native) return ;;
    qemu)
      command -v qemu-system-x86_64 >/dev/null && return
      echo "qemu: left out: qemu-system-x86_64 is not installed (apt-get install qemu-system-x86)"
      return 1
      ;;
    xen) bash "$here/xen.sh" "$kernels" 2>"$work/why" && return ;;
    *)
      command_line "$1" none
      "${command[@]}" </dev/null >/dev/null 2>"$work/why"
      status=$?
      [ $status != 64 ] && [ $status != 69 ] && return
      ;;
  esac
  echo "$1: left out: $(tail -n 1 "$work/why")"
  return 1
}

statistic() { sed -n "s/.*\"$1\" : \([0-9.]*\),*/\1/p" "$2"; }

systems=
for system in native translator hvm interpreter qemu xen; do
  [[ $wanted == *" $system "* ]] && present $system && systems="$systems $system"
done
for round in $(seq "$rounds"); do
  for system in $systems; do
    echo "round $round of $rounds: $system…" >&2
    command_line $system "$list"
    measure $system "${command[@]}"
  done
done

{
  echo "# $(date -u +%Y-%m-%d), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), medians of $rounds"
  # Medians; what was said of a run is kept once.
  sort -k1,3 -k4,4n "$work/samples" | awk '
    function flush() { if (count) print key, key ~ / seconds$/ ? value[int((count + 1) / 2)] / 1e9 : 1; count = 0 }
    { now = $1 " " $2 " " $3; if (now != key) flush(); key = now; value[++count] = $4 }
    END { flush() }'
  for system in translator hvm interpreter; do
    statistics="$work/$system.$list.json"
    [ -e "$statistics" ] || continue
    awk -v s=$system -v a="$(statistic resident_bytes "$statistics")" -v b="$(statistic guest_touched_bytes "$statistics")" \
      'BEGIN {printf "%s all megabytes %.0f\n", s, (a - b) / 1e6}'
    # Instructions a second of one row: its own CPU time, and the instructions that a run with it has more than a run without
    # (exact: the clock is virtual). The difference of two runs' CPU times would be mostly the noise of two boots.
    [[ ,$list, == *,core,* ]] || continue
    command_line $system core
    "${command[@]}" </dev/null >/dev/null 2>&1
    sort -k4,4n "$work/samples" | awk -v s=$system -v a="$(statistic guest_instructions "$work/$system.core.json")" \
      -v b="$(statistic guest_instructions "$work/$system.none.json")" \
      '$1 == s && $2 == "core" && $3 == "seconds" {value[++n] = $4} END {printf "%s core mips %.0f\n", s, (a - b) * 1000 / value[int((n + 1) / 2)]}'
  done
} >"$dir/results.txt"
bash "$here/report.sh" "$dir"
