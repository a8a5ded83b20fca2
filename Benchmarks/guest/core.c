// What embedded code does all day: walks and sorts of a linked list, products of small matrices, a state machine over text,
// and a CRC over the results.
#include "workloads.h"

struct node {
  struct node *next;
  int key;
  u16 data;
};

static u16 crc16(u16 crc, u16 value) {
  for (int bit = 0; bit < 16; bit++) {
    u16 low = (crc ^ value) & 1;
    crc = (u16)(crc >> 1 ^ (low ? 0xa001 : 0));
    value >>= 1;
  }
  return crc;
}

static struct node *merge(struct node *a, struct node *b) {
  struct node head = {0}, *tail = &head;
  while (a && b) {
    struct node **least = b->key < a->key ? &b : &a;
    tail->next = *least;
    tail = *least;
    *least = (*least)->next;
  }
  tail->next = a ? a : b;
  return head.next;
}

static struct node *sort(struct node *list) {
  if (!list || !list->next) return list;
  struct node *slow = list, *fast = list->next;
  while (fast && fast->next) slow = slow->next, fast = fast->next->next;
  struct node *second = slow->next;
  slow->next = 0;
  return merge(sort(list), sort(second));
}

#define NODES 180
static u16 lists(u64 *random, u16 crc) {
  static struct node nodes[NODES];
  for (int n = 0; n < NODES; n++)
    nodes[n] = (struct node){n + 1 < NODES ? &nodes[n + 1] : 0, (int)(next_random(random) % 1000), (u16)n};
  struct node *list = sort(nodes);
  for (int search = 0; search < 24; search++) {
    int wanted = (int)(next_random(random) % 1000);
    struct node *at = list;
    while (at->next && at->key < wanted) at = at->next;
    crc = crc16(crc, at->data);
  }
  struct node *turned = 0;
  while (list) {
    struct node *rest = list->next;
    list->next = turned;
    turned = list;
    list = rest;
  }
  for (; turned; turned = turned->next) crc = crc16(crc, (u16)(turned->key ^ turned->data));
  return crc;
}

#define SIDE 12
static u16 matrices(u64 *random, u16 crc) {
  static short a[SIDE][SIDE], b[SIDE][SIDE];
  static int c[SIDE][SIDE];
  for (int i = 0; i < SIDE; i++)
    for (int j = 0; j < SIDE; j++) a[i][j] = (short)next_random(random), b[i][j] = (short)(next_random(random) & 255);
  for (int i = 0; i < SIDE; i++)
    for (int j = 0; j < SIDE; j++) {
      int sum = 0;
      for (int k = 0; k < SIDE; k++) sum += (a[i][k] * b[k][j]) >> 3;
      c[i][j] = sum;
    }
  for (int i = 0; i < SIDE; i++) crc = crc16(crc, (u16)(c[i][i] ^ c[i][SIDE - 1 - i] >> 7));
  return crc;
}

enum state { START, SIGN, INTEGER, POINT, FRACTION, EXPONENT, EXPONENT_SIGN, SCIENTIFIC, INVALID, STATES };

static enum state step(enum state state, char c) {
  int digit = c >= '0' && c <= '9', sign = c == '+' || c == '-';
  switch (state) {
  case START: return digit ? INTEGER : sign ? SIGN : c == '.' ? POINT : INVALID;
  case SIGN: return digit ? INTEGER : c == '.' ? POINT : INVALID;
  case INTEGER: return digit ? INTEGER : c == '.' ? FRACTION : c == 'e' ? EXPONENT : INVALID;
  case POINT: return digit ? FRACTION : INVALID;
  case FRACTION: return digit ? FRACTION : c == 'e' ? EXPONENT : INVALID;
  case EXPONENT: return digit ? SCIENTIFIC : sign ? EXPONENT_SIGN : INVALID;
  case EXPONENT_SIGN:
  case SCIENTIFIC: return digit ? SCIENTIFIC : INVALID;
  default: return INVALID;
  }
}

static u16 machines(u64 *random, u16 crc) {
  static const char letters[] = "0123456789+-.e,x";
  u16 ends[STATES] = {0};
  enum state state = START;
  for (int n = 0; n < 600; n++) {
    u32 r = next_random(random);
    char c = letters[r % 97 < 80 ? r % 10 : r >> 8 & 15];
    if (c == ',' || r % 11 == 0) {
      ends[state]++;
      state = START;
    } else {
      state = step(state, c);
    }
  }
  for (int n = 0; n < STATES; n++) crc = crc16(crc, ends[n]);
  return crc;
}

u64 core_mix(u32 rounds) {
  u64 random = 1;
  u16 crc = 0;
  for (u32 n = 0; n < rounds; n++) {
    crc = lists(&random, crc);
    crc = matrices(&random, crc);
    crc = machines(&random, crc);
  }
  return mix(random, crc);
}
