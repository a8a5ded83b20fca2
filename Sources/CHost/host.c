#define _GNU_SOURCE
#include "CHost.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

int ph_open_pty(char *name, size_t size) {
  int descriptor = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (descriptor < 0) return -1;
  if (grantpt(descriptor) != 0 || unlockpt(descriptor) != 0 || ptsname_r(descriptor, name, size) != 0) {
    close(descriptor);
    return -1;
  }
  return descriptor;
}

#include <execinfo.h>
#include <signal.h>
#include <termios.h>

static struct termios saved_terminal;
static int have_terminal;

static void crash(int number) {
  static const char text[] = "paravane: a bug in Paravane (exit status 70); please report it with what follows\n";
  void *frames[64];
  ssize_t ignored = write(2, text, sizeof text - 1);
  (void)ignored;
  backtrace_symbols_fd(frames, backtrace(frames, 64), 2);
  if (have_terminal) tcsetattr(0, TCSANOW, &saved_terminal);
  (void)number;
  _exit(70);
}

void ph_host_lacks(const char *what) {
  if (have_terminal) tcsetattr(0, TCSANOW, &saved_terminal);
  dprintf(2, "paravane: the host has no %s\n", what);
  _exit(69);
}

void ph_install_crash_handler(void) {
  static char stack[1 << 16];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  struct sigaction action;
  int numbers[] = {SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
  have_terminal = tcgetattr(0, &saved_terminal) == 0;
  sigaltstack(&alternate, NULL);
  memset(&action, 0, sizeof action);
  action.sa_handler = crash;
  action.sa_flags = SA_ONSTACK | SA_RESETHAND;
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) sigaction(numbers[i], &action, NULL);
  signal(SIGPIPE, SIG_IGN);
}

void ph_block_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int ph_wait_for_signal(void) {
  sigset_t set;
  int number = 0;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return sigwait(&set, &number) == 0 ? number : -1;
}

#ifdef __linux__
#include <errno.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

long ph_read_present(int descriptor, const struct iovec *pieces, int count, uint64_t offset) {
  return preadv2(descriptor, pieces, count, (off_t)offset, RWF_NOWAIT);
}

int ph_open_tap(const char *name) {
  struct ifreq request;
  int descriptor = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return -1;
  memset(&request, 0, sizeof request);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
  if (ioctl(descriptor, TUNSETIFF, &request) < 0) {
    int error = errno;
    close(descriptor);
    errno = error;
    return -1;
  }
  return descriptor;
}
#else
long ph_read_present(int descriptor, const struct iovec *pieces, int count, uint64_t offset) {
  (void)descriptor, (void)pieces, (void)count, (void)offset;
  errno = EOPNOTSUPP;
  return -1;
}

int ph_open_tap(const char *name) {
  (void)name;
  return -1;
}
#endif

int ph_lock_file(int descriptor, int exclusive) {
  struct flock lock;
  memset(&lock, 0, sizeof lock);
  lock.l_type = exclusive ? F_WRLCK : F_RDLCK;
  lock.l_whence = SEEK_SET;
#ifdef F_OFD_SETLK
  return fcntl(descriptor, F_OFD_SETLK, &lock);
#else
  return fcntl(descriptor, F_SETLK, &lock);
#endif
}

int ph_punch_hole(int descriptor, uint64_t offset, uint64_t count) {
#ifdef FALLOC_FL_PUNCH_HOLE
  return fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)count);
#else
  (void)descriptor, (void)offset, (void)count;
  errno = EOPNOTSUPP;
  return -1;
#endif
}

#include <sys/mman.h>

int ph_has_memory(size_t bytes) {
  // Not malloc and free, which a compiler may leave out together.
  void *room = mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) return 0;
  munmap(room, bytes ? bytes : 1);
  return 1;
}

int ph_map_code(size_t size, void **writable, void **executable) {
#ifdef __linux__
  int descriptor = memfd_create("paravane-code", MFD_CLOEXEC);
  if (descriptor < 0) return -1;
  if (ftruncate(descriptor, (off_t)size) != 0) {
    close(descriptor);
    return -1;
  }
  void *w = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  void *x = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, descriptor, 0);
  close(descriptor);
  if (w == MAP_FAILED || x == MAP_FAILED) {
    if (w != MAP_FAILED) munmap(w, size);
    if (x != MAP_FAILED) munmap(x, size);
    return -1;
  }
  *writable = w;
  *executable = x;
  return 0;
#else
  (void)size, (void)writable, (void)executable;
  return -1;
#endif
}

void ph_unmap_code(size_t size, void *writable, void *executable) {
  munmap(writable, size);
  munmap(executable, size);
}
