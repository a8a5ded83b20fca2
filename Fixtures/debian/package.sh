#!/bin/bash
# package.sh METAPACKAGE PATTERN DIR [PACKAGE…]: fetches the Debian package on which METAPACKAGE depends and whose name the extended regular
# expression PATTERN is, and each PACKAGE, by their names, and unpacks them into DIR. Status 69 and a sentence where that cannot be.
set -euo pipefail
metapackage=$1 pattern=$2 dir=$3
shift 3
command -v apt-get >/dev/null || { echo "package.sh: no apt-get here to fetch a package of $metapackage" >&2; exit 69; }
find_package() { apt-cache depends "$metapackage" 2>/dev/null | sed -nE "s/^ *Depends: ($pattern)\$/\1/p" | head -n 1 || :; }
package=$(find_package)
[ -n "$package" ] || { apt-get update -q >/dev/null 2>&1 || :; package=$(find_package); }
[ -n "$package" ] || { echo "package.sh: the package archive has no $metapackage" >&2; exit 69; }
echo "fetching $package" >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && { apt-get download -q "$package" "$@" || { apt-get update -q && apt-get download -q "$package" "$@"; }; } >/dev/null 2>&1) ||
  { echo "package.sh: cannot fetch $package: is the package archive reachable?" >&2; exit 69; }
rm -rf "$dir"
for file in "$work"/*.deb; do dpkg -x "$file" "$dir"; done
