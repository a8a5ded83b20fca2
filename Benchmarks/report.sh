#!/bin/bash
# report.sh DIR [publish]: DIR/results.txt (run.sh) as a table; the same as Markdown and as a picture, DIR/benchmarks.md and .svg; the
# thresholds (thresholds.txt) that were missed, with status 1 if there are any. With "publish", table and picture go into the README
# instead, between its two marks.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=$1
[ -e "$dir/results.txt" ] || { echo "report.sh: no results in $dir: make bench first" >&2; exit 66; }
input=("$here/guest/rows.h" "$dir/results.txt")
awk -v markdown=1 -f "$here/systems.awk" -f "$here/table.awk" "${input[@]}" >"$dir/benchmarks.md"
awk -f "$here/systems.awk" -f "$here/picture.awk" "${input[@]}" >"$dir/benchmarks.svg"
if [ "${2:-}" = publish ]; then
  readme=$here/../README.md
  awk -v table="$dir/benchmarks.md" '
    /^<!-- benchmarks/ {print; if (!inside) while ((getline line <table) > 0) print line; inside = !inside; next}
    !inside {print}' "$readme" >"$dir/README.md" && cp "$dir/README.md" "$readme"
  cp "$dir/benchmarks.svg" "$here/../Documentation/benchmarks.svg"
  exit
fi
echo
awk -f "$here/systems.awk" -f "$here/table.awk" "${input[@]}"
echo "the same as Markdown and as a picture: $dir/benchmarks.md, $dir/benchmarks.svg (make publish: into the README)"
echo
awk -f "$here/missed.awk" "$dir/results.txt" "$here/thresholds.txt"
