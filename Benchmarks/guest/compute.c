// Arithmetic: a hash, a sort, floating point, SSE on integers.
#include <emmintrin.h>
#include <math.h>
#include <string.h>

#include "workloads.h"

// SHA-256 (FIPS 180-4). The constants are the fractions of the cube and square roots of the first primes.
static u32 k[64], start[8];

static void constants(void) {
  for (int found = 0, n = 2; found < 64; n++) {
    int prime = 1;
    for (int d = 2; d * d <= n; d++) prime &= n % d != 0;
    if (!prime) continue;
    long double root = cbrtl(n), square = sqrtl(n);
    k[found] = (u32)((root - floorl(root)) * 4294967296.0L);
    if (found < 8) start[found] = (u32)((square - floorl(square)) * 4294967296.0L);
    found++;
  }
}

static inline u32 turn(u32 x, int n) { return x >> n | x << (32 - n); }

static void compress(u32 h[8], const u8 *block) {
  u32 w[64], v[8];
  for (int i = 0; i < 16; i++) w[i] = (u32)block[4 * i] << 24 | block[4 * i + 1] << 16 | block[4 * i + 2] << 8 | block[4 * i + 3];
  for (int i = 16; i < 64; i++) {
    u32 a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + w[i - 7] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) + (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
  }
  memcpy(v, h, sizeof v);
  for (int i = 0; i < 64; i++) {
    u32 e = v[4], a = v[0];
    u32 one = v[7] + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + k[i] + w[i];
    u32 two = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
    memmove(v + 1, v, 7 * sizeof *v);
    v[4] += one;
    v[0] = one + two;
  }
  for (int i = 0; i < 8; i++) h[i] += v[i];
}

u64 sha256_work(u32 rounds) {
  static u8 data[65536];
  u32 h[8];
  u64 random = 2;
  constants();
  memcpy(h, start, sizeof h);
  for (size_t n = 0; n < sizeof data; n++) data[n] = (u8)next_random(&random);
  for (u32 n = 0; n < rounds; n++)
    for (size_t at = 0; at < sizeof data; at += 64) compress(h, data + at);
  return (u64)h[0] << 32 | h[1];
}

// Quicksort, the shorter side first, and insertion for the rest.
static void quick(u32 *a, long n) {
  while (n > 16) {
    u32 pivot = a[n / 2];
    long i = 0, j = n - 1;
    while (i <= j) {
      while (a[i] < pivot) i++;
      while (a[j] > pivot) j--;
      if (i <= j) {
        u32 t = a[i];
        a[i++] = a[j];
        a[j--] = t;
      }
    }
    if (j + 1 < n - i) {
      quick(a, j + 1);
      a += i, n -= i;
    } else {
      quick(a + i, n - i);
      n = j + 1;
    }
  }
  for (long i = 1; i < n; i++) {
    u32 value = a[i];
    long j = i;
    for (; j > 0 && a[j - 1] > value; j--) a[j] = a[j - 1];
    a[j] = value;
  }
}

u64 sort_work(u32 rounds) {
  static u32 a[200000];
  u64 random = 3, sum = 0;
  long count = sizeof a / sizeof *a;
  for (u32 n = 0; n < rounds; n++) {
    for (long i = 0; i < count; i++) a[i] = next_random(&random);
    quick(a, count);
    for (long i = 1; i < count; i++) sum += a[i - 1] > a[i];
    for (long i = 0; i < count; i += 997) sum = mix(sum, a[i]);
  }
  return sum;
}

// Five bodies under gravity; every operation is a double's, none is fused, so the result is the same on every machine.
u64 nbody_work(u32 rounds) {
  double p[5][3], v[5][3], m[5];
  u64 random = 4, sum = 0;
  for (int i = 0; i < 5; i++) {
    m[i] = i ? 1e-3 * i : 1;
    for (int d = 0; d < 3; d++) {
      p[i][d] = i ? (double)(next_random(&random) >> 8) / 16777216 * 10 * i + i : 0;
      v[i][d] = i ? (double)(next_random(&random) >> 8) / 16777216 - 0.5 : 0;
    }
  }
  for (u32 n = 0; n < rounds; n++) {
    for (int i = 0; i < 5; i++)
      for (int j = i + 1; j < 5; j++) {
        double x = p[i][0] - p[j][0], y = p[i][1] - p[j][1], z = p[i][2] - p[j][2];
        double square = x * x + y * y + z * z, pull = 0.001 / (square * sqrt(square));
        v[i][0] -= x * m[j] * pull, v[i][1] -= y * m[j] * pull, v[i][2] -= z * m[j] * pull;
        v[j][0] += x * m[i] * pull, v[j][1] += y * m[i] * pull, v[j][2] += z * m[i] * pull;
      }
    for (int i = 0; i < 5; i++)
      for (int d = 0; d < 3; d++) p[i][d] += 0.001 * v[i][d];
  }
  for (int i = 0; i < 5; i++)
    for (int d = 0; d < 3; d++) {
      u64 bits;
      memcpy(&bits, &p[i][d], 8);
      sum = mix(sum, bits);
    }
  return sum;
}

// Blends, differences and sums of bytes, as video code makes them.
u64 sse_work(u32 rounds) {
  static u8 a[16384] __attribute__((aligned(16))), b[16384] __attribute__((aligned(16)));
  u64 random = 5, lanes[2];
  for (size_t n = 0; n < sizeof a; n++) a[n] = (u8)next_random(&random), b[n] = (u8)next_random(&random);
  __m128i sum = _mm_setzero_si128();
  for (u32 n = 0; n < rounds; n++)
    for (size_t at = 0; at < sizeof a; at += 16) {
      __m128i x = _mm_load_si128((__m128i *)(a + at)), y = _mm_load_si128((__m128i *)(b + at));
      __m128i blend = _mm_avg_epu8(x, y), most = _mm_max_epu8(x, y);
      __m128i wide = _mm_madd_epi16(_mm_unpacklo_epi8(blend, _mm_setzero_si128()), _mm_unpackhi_epi8(most, _mm_setzero_si128()));
      sum = _mm_add_epi64(sum, _mm_sad_epu8(x, y));
      sum = _mm_add_epi64(sum, _mm_srli_epi64(_mm_shuffle_epi32(wide, 0xb1), 7));
      _mm_store_si128((__m128i *)(b + at), _mm_subs_epu8(most, _mm_srli_epi16(_mm_and_si128(blend, _mm_set1_epi8(0x30)), 4)));
    }
  memcpy(lanes, &sum, sizeof lanes);
  return mix(lanes[0], lanes[1]);
}
