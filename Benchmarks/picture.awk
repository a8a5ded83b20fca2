# rows.h and results.txt as a picture (SVG): bars on a logarithmic scale, CPU time as a multiple of the machine's own, one bar for each
# system. (systems.awk is read first.)
function x(times) { return left + width * log(times < 0.8 ? 0.8 : times > most ? most : times) / log(most) }

function bars(name, y,  n, times) {
  printf "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", left - 8, y + systems * bar / 2 + 4, name
  for (n = 1; n <= systems; n++) {
    times = name == "mean" ? mean(system_name[n]) : ratio(system_name[n], name)
    if (times <= 0) continue
    printf "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>", \
      left, y + (n - 1) * bar, x(times) - left < 1 ? 1 : x(times) - left, bar - 1, colour[system_name[n]]
    printf "<text x=\"%.1f\" y=\"%d\" font-size=\"8\">%s</text>\n", (x(times) > left ? x(times) : left) + 3, y + n * bar - 2, two(times)
  }
}

END {
  choose()
  colour["translator"] = "#1f6f8b"; label["translator"] = "Paravane, translator"
  colour["hvm"] = "#6fb1c7"; label["hvm"] = "the same, a PC"
  colour["interpreter"] = "#c9d6df"; label["interpreter"] = "interpreter"
  colour["qemu"] = "#e07a5f"; label["qemu"] = "QEMU TCG"
  colour["xen"] = "#b5485d"; label["xen"] = "Xen on QEMU TCG"
  bar = 9; gap = 10; left = 70; width = 580; most = 300
  row[++rows] = "mean"
  height = 75 + rows * (systems * bar + gap)
  printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"11\">\n", left + width + 50, height
  print "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
  place = 10
  for (n = 1; n <= systems; n++) {
    printf "<rect x=\"%d\" y=\"10\" width=\"12\" height=\"12\" fill=\"%s\"/><text x=\"%d\" y=\"20\">%s</text>\n", \
      place, colour[system_name[n]], place + 17, label[system_name[n]]
    place += 40 + 6 * length(label[system_name[n]])
  }
  ticks = split("1 2 5 10 20 50 100 200", tick, " ")
  for (t = 1; t <= ticks; t++)
    printf "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"35\" y2=\"%d\" stroke=\"#ddd\"/><text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s×</text>\n", \
      x(tick[t]), x(tick[t]), height - 35, x(tick[t]), height - 20, tick[t]
  printf "<text x=\"%d\" y=\"%d\" font-size=\"9\" fill=\"#777\">CPU time, times native; %s</text>\n", left, height - 6, sitting
  for (r = 1; r <= rows; r++) bars(row[r], 40 + (r - 1) * (systems * bar + gap))
  print "</svg>"
}
