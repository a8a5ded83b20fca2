# Makes a picture (SVG) of benchmark results: lines "ROW SYSTEM RATIO", the CPU time as a multiple of the machine's own. Bars on a
# logarithmic scale, one for each system, rows in the order in which they come.
BEGIN {
  colour["translator"] = "#1f6f8b"; colour["interpreter"] = "#c9d6df"; colour["qemu"] = "#e07a5f"
  label["translator"] = "Paravane, translator"; label["interpreter"] = "Paravane, interpreter"; label["qemu"] = "QEMU TCG"
  bar = 9; gap = 10; left = 90; width = 560; most = 200
}
$3 + 0 > 0 {
  if (!($1 in seen)) { seen[$1] = ++rows; name[rows] = $1 }
  if (!($2 in known)) { known[$2] = ++systems; system_name[systems] = $2 }
  value[$1, $2] = $3
}
function x(ratio) { return left + width * log(ratio < 0.8 ? 0.8 : ratio > most ? most : ratio) / log(most) }
END {
  height = 50 + rows * (systems * bar + gap) + 30
  printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"11\">\n", left + width + 70, height
  print "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
  for (s = 1; s <= systems; s++)
    printf "<rect x=\"%d\" y=\"10\" width=\"12\" height=\"12\" fill=\"%s\"/><text x=\"%d\" y=\"20\">%s</text>\n", left + (s - 1) * 170, colour[system_name[s]], left + (s - 1) * 170 + 18, label[system_name[s]]
  split("1 2 5 10 20 50 100 200", ticks, " ")
  for (t = 1; t <= 8; t++)
    printf "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"35\" y2=\"%d\" stroke=\"#ddd\"/><text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s×</text>\n", x(ticks[t]), x(ticks[t]), height - 25, x(ticks[t]), height - 10, ticks[t]
  for (r = 1; r <= rows; r++) {
    y = 40 + (r - 1) * (systems * bar + gap)
    printf "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", left - 8, y + systems * bar / 2 + 4, name[r]
    for (s = 1; s <= systems; s++) {
      v = value[name[r], system_name[s]]
      if (v == "") continue
      printf "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/><text x=\"%.1f\" y=\"%d\" font-size=\"8\">%s</text>\n", left, y + (s - 1) * bar, x(v) - left < 1 ? 1 : x(v) - left, bar - 1, colour[system_name[s]], (x(v) > left ? x(v) : left) + 3, y + s * bar - 2, v
    }
  }
  print "</svg>"
}
