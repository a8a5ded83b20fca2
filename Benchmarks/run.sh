#!/bin/bash
# run.sh PARAVANE KERNELS DIR [ROW…]: the workloads (guest/rows.h) on this machine itself, as a PV guest of Paravane on each of
# its engines, and as a guest of QEMU's TCG where that is installed; what debian/kernel.sh made is in KERNELS, DIR is for what
# is built. A row's figure is CPU seconds of the whole process between the lines before and after it (/proc/PID: schedstat of
# every thread, and the time of children that have ended), so other work on the machine blurs it little. Compare the ratios
# only, and those of one sitting. thresholds.txt holds the ratios that are promised; the end of the report names what was missed.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
paravane=$(realpath "$1")
kernels=$(realpath "$2")
mkdir -p "$3"
dir=$(realpath "$3")
shift 3
rows=$(sed -n 's/^{"\([^"]*\)".*/\1/p' "$here/guest/rows.h")
[ $# = 0 ] || rows="$*"
bash "$here/initramfs.sh" "$dir" || exit
work=$(mktemp -d)
process=
trap '[ -z "$process" ] || kill $process 2>/dev/null; rm -rf "$work"' EXIT
mkfifo "$work/lines"
declare -A spent start
missed=()
ticks=$(getconf CLK_TCK)

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

# measure NAME COMMAND…: runs it and fills spent[NAME ROW]; false if it did not come to its end, or a sum was wrong.
measure() {
  local name=$1 line now ok=1 ended=
  shift
  "$@" </dev/null >"$work/lines" 2>"$work/errors" &
  process=$!
  while read -r -t 900 line; do
    line=${line%$'\r'}
    case $line in "BENCH "*) now=$(processor_time $process) ;; *) continue ;; esac
    # shellcheck disable=SC2086
    set -- $line
    case $2 in
      boot) spent[$name boot]=$now ;;
      begin) start[$3]=$now ;;
      end)
        spent[$name $3]=$((now - start[$3]))
        [ "$5" = ok ] || { ok=0; missed+=("$name $3: the sum is wrong ($4)"); }
        ended=$3
        ;;
      done) ended=all ;;
    esac
  done <"$work/lines"
  kill $process 2>/dev/null && sleep 1
  wait $process
  process=
  # shellcheck disable=SC2086
  [ $ok = 1 ] && { [ "$ended" = all ] || [ "$ended" = "$(echo $rows | awk '{print $NF}')" ]; } && return
  missed+=("$name did not come to its end")
  tail -n 5 "$work/errors" | sed "s/^/$name: /" >&2
}

statistic() { sed -n "s/.*\"$1\" : \([0-9.]*\),*/\1/p" "$2"; }

# boot ENGINE ROWS STATISTICS: the command line of a PV guest.
boot=()
guest() {
  boot=("$paravane" run -q --engine "$1" --clock virtual --memory 512 --timeout 1800 --kernel "$kernels/vmlinuz-cloud-amd64" --ramdisk
    "$dir/initramfs.cpio" --cmdline "console=hvc0 quiet rows=$2" --stats "$3")
}

list=$(echo $rows | tr ' ' ,)
systems="native"
echo "native…" >&2
# shellcheck disable=SC2086
measure native "$dir/workloads" $rows
declare -A mips memory
for engine in interpreter translator; do
  guest $engine none "$work/none.json"
  "${boot[@]}" </dev/null >/dev/null 2>"$work/why"
  status=$?
  if [ $status = 64 ] || [ $status = 69 ]; then
    echo "$engine: $(tail -n 1 "$work/why")"
    continue
  fi
  echo "$engine…" >&2
  systems="$systems $engine"
  guest $engine "$list" "$work/all.json"
  measure $engine "${boot[@]}"
  memory[$engine]=$(($(statistic resident_bytes "$work/all.json") - $(statistic guest_touched_bytes "$work/all.json")))
  # Instructions a second of one row: its own CPU time, and the instructions that a run with it has more than a run without
  # (exact: the clock is virtual). The difference of two runs' CPU times would be mostly the noise of two boots.
  [ -n "${spent[$engine core]:-}" ] || continue
  guest $engine core "$work/core.json"
  "${boot[@]}" </dev/null >/dev/null 2>&1
  mips[$engine]=$(awk -v a="$(statistic guest_instructions "$work/core.json")" -v b="$(statistic guest_instructions "$work/none.json")" \
    -v t="${spent[$engine core]}" 'BEGIN {printf "%.0f", (a - b) * 1000 / t}')
done
if command -v qemu-system-x86_64 >/dev/null; then
  echo "qemu…" >&2
  systems="$systems qemu"
  measure qemu qemu-system-x86_64 -accel tcg -cpu max -smp 1 -m 512 -display none -monitor none -serial stdio -no-reboot \
    -kernel "$kernels/vmlinuz-cloud-amd64" -initrd "$dir/initramfs.cpio" -append "console=ttyS0 quiet rows=$list"
else
  echo "qemu-system-x86_64 is not installed: no comparison with it (apt-get install qemu-system-x86)"
fi

# ratio A B: with two digits; "-" where one is missing.
ratio() { awk -v a="${1:-0}" -v b="${2:-0}" 'BEGIN {if (a > 0 && b > 0) printf "%.2f", a / b; else print "-"}'; }
seconds() { awk -v a="${1:-}" 'BEGIN {if (a == "") print "-"; else printf "%.3f", a / 1e9}'; }

echo
printf '%-10s' row
for system in $systems; do
  printf '%14s' "$system"
  [ $system = native ] || printf '%10s' "x native"
done
echo "   (CPU seconds)"
for row in boot $rows; do
  printf '%-10s' "$row"
  for system in $systems; do
    printf '%14s' "$(seconds "${spent[$system $row]:-}")"
    [ $system = native ] || printf '%10s' "$(ratio "${spent[$system $row]:-}" "${spent[native $row]:-}")"
  done
  echo
done
for engine in interpreter translator; do
  [ -z "${mips[$engine]:-}" ] || echo "$engine: ${mips[$engine]} million instructions a second on core"
  [ -z "${memory[$engine]:-}" ] || echo "$engine: $((memory[$engine] / 1000000)) MB resident beyond what the guest touched"
done

# The same as a picture.
for row in $rows; do
  for system in $systems; do
    [ $system = native ] || echo "$row $system $(ratio "${spent[$system $row]:-}" "${spent[native $row]:-}")"
  done
done | awk -f "$here/picture.awk" >"$dir/benchmarks.svg"
echo "as a picture: $dir/benchmarks.svg"

# thresholds.txt: WHAT ROW KIND LIMIT, where KIND is x-native or x-qemu (at most), mips (at least), megabytes (at most).
while read -r system row kind limit; do
  case $system in '' | '#'*) continue ;; esac
  case $kind in
    x-native) value=$(ratio "${spent[$system $row]:-}" "${spent[native $row]:-}") sign='<=' ;;
    x-qemu) value=$(ratio "${spent[$system $row]:-}" "${spent[qemu $row]:-}") sign='<=' ;;
    mips) value=${mips[$system]:--} sign='>=' ;;
    megabytes) value=$(ratio "${memory[$system]:-}" 1000000) sign='<=' ;;
  esac
  [ "$value" != - ] || continue
  awk -v v="$value" -v l="$limit" -v s="$sign" 'BEGIN {exit !(s == "<=" ? v <= l : v >= l)}' ||
    missed+=("$system $row: $kind $value, promised $sign $limit")
done <"$here/thresholds.txt"
echo
if [ ${#missed[@]} = 0 ]; then
  echo "every threshold is met"
else
  printf 'missed: %s\n' "${missed[@]}"
  exit 1
fi
