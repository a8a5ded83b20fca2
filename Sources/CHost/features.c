#include "CHost.h"

#if defined(__x86_64__)
#include <cpuid.h>

uint32_t ph_integer_features(void) {
  unsigned eax, ebx, ecx = 0, edx;
  uint32_t found = 0;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return 0;
  if (ecx & 1u << 13) found |= PH_INTEGER_CMPXCHG16B;
  if (ecx & 1u << 20) found |= PH_INTEGER_CRC32;
  if (ecx & 1u << 22) found |= PH_INTEGER_MOVBE;
  if (ecx & 1u << 23) found |= PH_INTEGER_POPCNT;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
    if (ebx & 1u << 3) found |= PH_INTEGER_BMI1;
    if (ebx & 1u << 8) found |= PH_INTEGER_BMI2;
    if (ebx & 1u << 19) found |= PH_INTEGER_ADX;
  }
  if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && ecx & 1u << 5) found |= PH_INTEGER_LZCNT;
  return found;
}
#else
uint32_t ph_integer_features(void) { return 0; }
#endif
