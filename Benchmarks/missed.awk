# Which thresholds were missed: first results.txt (SYSTEM ROW KIND VALUE), then thresholds.txt (SYSTEM ROW KIND LIMIT), where KIND is
# x-OTHER, CPU seconds as a multiple of OTHER's (at most; the row "mean" is the geometric mean over all rows but boot), mips (at least)
# or megabytes (at most). What was not measured is not missed.
/^#/ || NF < 4 { next }
FILENAME != ARGV[2] {
  value[$1, $2, $3] = $4
  if ($3 == "seconds" && $2 != "boot") row[$2] = 1
  if ($3 == "wrong") missed[++count] = $1 " " $2 ": the sum is wrong"
  if ($3 == "unfinished") missed[++count] = $1 ": did not come to its end"
  next
}

# CPU seconds of one system as a multiple of another's; 0 where one is missing.
function ratio(which, name, other) {
  return value[which, name, "seconds"] > 0 && value[other, name, "seconds"] > 0 ? value[which, name, "seconds"] / value[other, name, "seconds"] : 0
}

function mean(which, other,  name, sum, rows) {
  for (name in row) {
    if (ratio(which, name, other) == 0) return 0
    sum += log(ratio(which, name, other)); rows++
  }
  return rows ? exp(sum / rows) : 0
}

{
  other = substr($3, 3)
  figure = $3 !~ /^x-/ ? value[$1, $2, $3] : $2 == "mean" ? mean($1, other) : ratio($1, $2, other)
  if (!(figure > 0)) next
  looked++
  if ($3 == "mips" ? figure < $4 : figure > $4)
    missed[++count] = sprintf("%s %s: %s %.3g, promised %s %s", $1, $2, $3, figure, $3 == "mips" ? ">=" : "<=", $4)
}

END {
  for (n = 1; n <= count; n++) print "missed: " missed[n]
  if (!count) printf "every threshold is met (%d looked at)\n", looked
  exit count > 0
}
