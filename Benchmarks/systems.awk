# What table.awk and picture.awk share: reads rows.h (names and what they are) and results.txt, and knows the systems.
FILENAME ~ /rows\.h$/ {
  split($0, part, "\"")
  row[++rows] = part[2]
  sub(/.*\/\/ /, "")
  meaning[row[rows]] = $0
  next
}
/^#/ { sitting = substr($0, 3); next }
$3 == "seconds" { seconds[$1, $2] = $4; measured[$1] = 1; known[$2] = 1 }
$3 == "mips" || $3 == "megabytes" { extra[$1, $3] = $4 }

# Sets system[1…systems]: those that were measured, in the order in which they are shown; drops rows that were not.
function choose(  all, count, n, kept) {
  count = split("translator hvm interpreter qemu xen", all, " ")
  for (n = 1; n <= count; n++) if (all[n] in measured) system_name[++systems] = all[n]
  for (n = 1; n <= rows; n++) if (row[n] in known) row[++kept] = row[n]
  rows = kept
}

# A system's CPU time as a multiple of the machine's own; 0 where one is missing.
function ratio(which, row) {
  return seconds["native", row] > 0 && seconds[which, row] > 0 ? seconds[which, row] / seconds["native", row] : 0
}

# The geometric mean of the ratios, over rows that every system has.
function mean(which,  n, m, sum, count, whole) {
  for (n = 1; n <= rows; n++) {
    whole = 1
    for (m = 1; m <= systems; m++) whole = whole && ratio(system_name[m], row[n]) > 0
    if (whole) { sum += log(ratio(which, row[n])); count++ }
  }
  return count ? exp(sum / count) : 0
}

# Two digits that mean something; "-" for nothing.
function two(value) {
  if (value <= 0) return "-"
  return value < 9.95 ? sprintf("%.1f", value) : sprintf("%.0f", value)
}
