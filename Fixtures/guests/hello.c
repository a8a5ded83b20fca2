// The smallest guest: says hello and powers off.
#include "guest.h"

void guest_main(void) {
  print("hello\n");
  shut_down(0);
}
