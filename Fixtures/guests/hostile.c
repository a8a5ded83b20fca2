// Hostile hypercalls: n= of them with random numbers and arguments (seed=), all of which the hypervisor must survive. Arguments
// are often almost right: small numbers, the guest's own frames and addresses, pointers to structures of random words.
#include "probe.h"

static u64 state;
static u64 random(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

static u64 words[512] __attribute__((aligned(4096)));
static u8 spare[16][4096] __attribute__((aligned(4096)));

static u64 frame(void) {
  switch (random() % 6) {
  case 0: return va_to_mfn(spare[random() % 16]);
  case 1: return va_to_mfn(spare[random() % 16]) + 1;
  case 2: return pfn_to_mfn(0x800 + random() % (start_info->nr_pages - 0x800));
  case 3: return start_info->shared_info >> 12;
  // Rarely the upper tables: a stray 0 there takes all of the guest away.
  case 4: return va_to_mfn((u8 *)start_info->pt_base + (random() % 32 ? 4 : random() % 4) * 4096);
  default: return random() >> (random() & 63);
  }
}

static u64 value(void) {
  switch (random() % 12) {
  case 0: return random();
  case 1: return random() >> (random() & 63);
  case 2: return random() % 16;
  case 3: return random() % 256;
  case 4: return (u64)words + (random() & 0xff8);
  case 5: return (u64)spare[random() % 16];
  case 6: return DOMID_SELF;
  case 7: return frame();
  case 8: return frame() << 12 | (random() & 0x1e7);
  case 9: return 1ul << (random() & 63);
  case 10: return -(random() % 4096);
  default: return 0;
  }
}

// Calls that end the guest, stop it for good, or take away what the next call stands on, are drawn rarely or with care.
static bool allowed(u64 number, const u64 *a) {
  u32 low = (u32)a[0];
  switch (number) {
  case HYPERVISOR_iret: return false;
  case HYPERVISOR_sched_op: return low != 1 && low != 2 && low != 3 && low != 4 && low != 6;
  case 6: return low != 1 && low != 2;
  case HYPERVISOR_vcpu_op: return low != 2 && low != 0 && low != 1 && low != 10 && low != 11;
  case HYPERVISOR_console_io: return false;
  // Its own code, stack and tables stay mapped; the spare pages may go.
  case HYPERVISOR_update_va_mapping:
    return a[0] < VIRT_BASE || (a[0] >= (u64)spare && a[0] < (u64)spare + sizeof spare);
  default: return true;
  }
}

void guest_main(void) {
  u64 count = option("n=", 1000);
  state = option("seed=", 1) * 0x9e3779b97f4a7c15 + 1;
  probe_setup();
  u64 made = 0, refused = 0, accepted = 0;
  while (made < count) {
    for (int n = 0; n < 8; n++) words[(random() & 511) % 512] = value();
    u64 number = random() % 64, a[5];
    for (int n = 0; n < 5; n++) a[n] = value();
    // multicall, mmu_update and the like take a count second: a huge one would only take long.
    if (a[1] > 64 && (number == 1 || number == 13 || number == 26 || number == 20)) a[1] &= 15;
    if (!allowed(number, a)) continue;
    // A multicall's entries are calls like any other.
    if (number == HYPERVISOR_multicall) {
      u64 *entry = words;
      a[0] = (u64)words;
      a[1] = 1 + random() % 4;
      for (u64 n = 0; n < a[1]; n++, entry += 8) {
        do {
          entry[0] = random() % 64;
          for (int m = 2; m < 8; m++) entry[m] = value();
          if (entry[0] == 1 || entry[0] == 26 || entry[0] == 20) entry[3] &= 15;
        } while (!allowed(entry[0], entry + 2));
      }
    }
    // The mask keeps upcalls away.
    shared_info->vcpu_info[0].evtchn_upcall_mask = 1;
    s64 result = hypercall5(number, a[0], a[1], a[2], a[3], a[4]);
    made++;
    if (result < 0)
      refused++;
    else
      accepted++;
  }
  print("%lu hypercalls, %lu refused, %lu accepted\n", made, refused, accepted);
}
