// Text output, and the few functions that a compiler expects to find.
#include "guest.h"

void *memset(void *to, int byte, size_t n) {
  void *result = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(byte) : "memory");
  return result;
}

void *memcpy(void *to, const void *from, size_t n) {
  void *result = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
  return result;
}

int memcmp(const void *a, const void *b, size_t n) {
  const u8 *x = a, *y = b;
  for (; n; n--, x++, y++)
    if (*x != *y) return *x - *y;
  return 0;
}

// io/console.h
struct console_ring {
  u8 in[1024], out[2048];
  volatile u32 in_cons, in_prod, out_cons, out_prod;
};

// A domain 0 has no ring: its text goes to the emergency console, which a domU is refused.
static bool has_ring(void) { return !(start_info->flags & SIF_INITDOMAIN) && start_info->console_mfn; }

static void ring_write(const char *text, u32 n) {
  struct console_ring *ring = mfn_to_va(start_info->console_mfn);
  u32 port = start_info->console_evtchn;
  u32 tries = 0;
  while (n) {
    u32 used = ring->out_prod - ring->out_cons;
    if (used >= sizeof ring->out) {
      // Nobody may be listening: rather lose text than wait for ever.
      if (++tries > 1000) return;
      hypercall(event_channel_op, 4, &port);
      hypercall(sched_op, 0, 0);
      continue;
    }
    ring->out[ring->out_prod & (sizeof ring->out - 1)] = *text++;
    __asm__ volatile("" : : : "memory");
    ring->out_prod++;
    n--;
  }
  hypercall(event_channel_op, 4, &port);
}

static char line[512];
static u32 line_length;

static void flush(void) {
  if (has_ring())
    ring_write(line, line_length);
  else
    hypercall(console_io, 0, line_length, line);
  line_length = 0;
}

static void put(char c) {
  line[line_length++] = c;
  if (c == '\n' || line_length == sizeof line) flush();
}

static void put_number(u64 value, u32 base, u32 width, char pad) {
  char digits[24];
  u32 n = 0;
  do digits[n++] = "0123456789abcdef"[value % base];
  while (value /= base);
  while (width > n) put(pad), width--;
  while (n) put(digits[--n]);
}

void print(const char *format, ...) {
  va_list list;
  va_start(list, format);
  for (; *format; format++) {
    if (*format != '%') {
      put(*format);
      continue;
    }
    char pad = ' ';
    u32 width = 0;
    bool wide = false;
    if (*++format == '0') pad = '0', format++;
    while (*format >= '0' && *format <= '9') width = width * 10 + (u32)(*format++ - '0');
    while (*format == 'l') wide = true, format++;
    switch (*format) {
    case 's':
      for (const char *s = va_arg(list, const char *); *s; s++) put(*s);
      break;
    case 'c': put((char)va_arg(list, int)); break;
    case 'x': put_number(wide ? va_arg(list, u64) : va_arg(list, u32), 16, width, pad); break;
    case 'u': put_number(wide ? va_arg(list, u64) : va_arg(list, u32), 10, width, pad); break;
    case 'd': {
      s64 value = wide ? va_arg(list, s64) : va_arg(list, s32);
      if (value < 0) put('-');
      put_number(value < 0 ? -(u64)value : (u64)value, 10, width, pad);
      break;
    }
    case 0: format--; break;
    default: put(*format);
    }
  }
  va_end(list);
}

_Noreturn void shut_down(u32 reason) {
  if (line_length) flush();
  for (;;) hypercall(sched_op, 2, &reason);
}

u64 option(const char *name, u64 otherwise) {
  u64 length = 0;
  while (name[length]) length++;
  for (const char *s = start_info->cmd_line; *s; s++) {
    if ((s != start_info->cmd_line && s[-1] != ' ') || memcmp(s, name, length)) continue;
    u64 value = 0;
    for (s += length; *s >= '0' && *s <= '9'; s++) value = value * 10 + (u64)(*s - '0');
    return value;
  }
  return otherwise;
}
