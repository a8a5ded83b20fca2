# rows.h and results.txt as a table: for people at a terminal, or with -v markdown=1 for the README. (systems.awk is read first.)
function exact(which, row) { return seconds[which, row] > 0 ? sprintf("%.3f", seconds[which, row]) : "-" }

END {
  choose()
  cell = markdown ? " %s |" : "%20s"
  title["translator"] = "translator"; title["interpreter"] = "interpreter"; title["hvm"] = "translator, PC"
  title["qemu"] = "QEMU TCG"; title["xen"] = "Xen on TCG"
  if (!markdown) {
    printf "%s: CPU seconds, and as a multiple of native\n%-10s", sitting, "row"
    printf "%10s", "native"
    for (n = 1; n <= systems; n++) printf "%20s", title[system_name[n]]
    print ""
  } else {
    printf "| |"
    for (n = 1; n <= systems; n++) printf " %s |", title[system_name[n]]
    printf "\n|---|"
    for (n = 1; n <= systems; n++) printf "---|"
    print ""
  }
  row[rows + 1] = "boot"
  for (r = 1; r <= rows + 1; r++) {
    name = row[r]
    if (markdown) printf "| %s |", name == "boot" ? "boot to the first process, CPU seconds" : meaning[name] " (" name ")"
    else printf "%-10s%10s", name, exact("native", name)
    for (n = 1; n <= systems; n++) {
      s = system_name[n]
      times = two(ratio(s, name))
      if (markdown) printf " %s |", name == "boot" ? two(seconds[s, name]) : times
      else printf "%13s%7s", exact(s, name), times
    }
    print ""
    if (r == rows && rows > 1) {
      if (markdown) printf "| geometric mean |"; else printf "%-20s", "mean"
      for (n = 1; n <= systems; n++) printf cell, two(mean(system_name[n]))
      print ""
    }
  }
  if (markdown) { print ""; print sitting "."; exit }
  for (n = 1; n <= systems; n++) {
    s = system_name[n]
    if (extra[s, "mips"] > 0) print s ": " extra[s, "mips"] " million instructions a second on core"
    if (extra[s, "megabytes"] > 0) print s ": " extra[s, "megabytes"] " MB resident beyond what the guest touched"
  }
}
