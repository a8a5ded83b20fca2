{"core", core_mix, 9000, 0x01a9df7675d1bcd8},  // lists, matrices, a state machine, CRC
{"sha256", sha256_work, 120, 0x0b4e0eb4e9975186},  // SHA-256
{"sort", sort_work, 16, 0x7d8aa9e933907cf1},  // sorting
{"memcpy", copy_work, 1500, 0xf8002b04e87e5284},  // memory copies
{"rep-movs", rep_movs_work, 800, 0xa47eee672002184b},  // copies by REP MOVS
{"chase", chase_work, 16, 0xccc8863f0723141b},  // loads that depend on each other
{"nbody", nbody_work, 2500000, 0xd04aa7119c4a09ad},  // floating point (SSE2, double)
{"sse", sse_work, 20000, 0xcde0a30401538bee},  // integers in vectors
{"syscall", syscall_work, 150000, 0x00000000000493e0},  // system calls
{"fork", fork_work, 400, 0x16906c4a9fd6968b},  // processes made and ended
{"fault", fault_work, 60, 0x796c381a94357771},  // page faults
