// workloads [ROW…]: runs the rows (all of them by default). Before and after each it writes a line to
// standard output; whoever measures takes the time of the machine when the line appears.
//   BENCH begin ROW
//   BENCH end ROW SUM ok|WRONG
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "workloads.h"

static const struct {
  const char *name;
  u64 (*run)(u32);
  u32 rounds;
  u64 sum;
} rows[] = {
#include "rows.h"
};

int main(int count, char **names) {
  int wrong = 0;
  setvbuf(stdout, 0, _IOLBF, 0);
  for (size_t n = 0; n < sizeof rows / sizeof *rows; n++) {
    int wanted = count < 2;
    for (int i = 1; i < count; i++) wanted |= !strcmp(names[i], rows[n].name);
    if (!wanted) continue;
    printf("BENCH begin %s\n", rows[n].name);
    u64 sum = rows[n].run(rows[n].rounds);
    printf("BENCH end %s %016llx %s\n", rows[n].name, (unsigned long long)sum, sum == rows[n].sum ? "ok" : "WRONG");
    wrong |= sum != rows[n].sum;
  }
  // Whoever measures looks at the process when the last line appears: it must still be there.
  usleep(500000);
  return wrong;
}
