#!/bin/bash
# Checks that every relative link of the documentation leads to a file, and that files it names in backquotes by their path exist.
set -uo pipefail
cd "$(dirname "$0")/.."
broken=0 count=0
while IFS= read -r page; do
  while IFS= read -r link; do
    case $link in http:* | https:* | mailto:* | '#'*) continue ;; esac
    count=$((count + 1))
    [ -e "$(dirname "$page")/${link%%#*}" ] || { echo "$page: no such file: $link"; broken=1; }
  done < <(grep -o '](\([^)]*\))' "$page" | sed 's/^](//; s/)$//')
  while IFS= read -r path; do
    count=$((count + 1))
    [ -e "$path" ] || { echo "$page: no such file: $path"; broken=1; }
  done < <(grep -oE '`?(Sources|Tests|Fixtures|Documentation|Benchmarks)/[A-Za-z0-9_+./-]*[A-Za-z0-9]' "$page" | tr -d '`' | sort -u)
done < <(git ls-files '*.md')
echo "$count links and paths looked at"
exit $broken
