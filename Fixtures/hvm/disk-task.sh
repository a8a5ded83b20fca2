#!/bin/bash
# disk-task.sh IMAGE "WORDS": what the guest of an image made by disk-image.sh does when it has started (see disk/task.sh).
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
words=$(mktemp)
trap 'rm -f "$words"' EXIT
echo "$2" >"$words"
debugfs -w -f - "$1?offset=1048576" >/dev/null 2>&1 <<COMMANDS
rm /etc/paravane/task
write $words /etc/paravane/task
COMMANDS
[ "$(debugfs -R 'cat /etc/paravane/task' "$1?offset=1048576" 2>/dev/null)" = "$2" ]
