// What Swift cannot express; as small as it can be.
#ifndef PARAVANE_CHOST_H
#define PARAVANE_CHOST_H
#include "vcpu.h"
#include <sys/uio.h>

/// The host's general-purpose instruction-set extensions.
enum {
  PH_INTEGER_BMI1 = 1,
  PH_INTEGER_BMI2 = 2,
  PH_INTEGER_POPCNT = 4,
  PH_INTEGER_LZCNT = 8,
  PH_INTEGER_MOVBE = 16,
  PH_INTEGER_ADX = 32,
  PH_INTEGER_CRC32 = 64,
  PH_INTEGER_CMPXCHG16B = 128,
};
uint32_t ph_integer_features(void);

/// Groups of instructions whose results that the manuals leave undefined are the host's too as Documentation/UndefinedResults.md has
/// them: tried out.
enum {
  PH_KNOWN_SHIFTS = 1,
  PH_KNOWN_DOUBLE_SHIFTS = 2,
  PH_KNOWN_ROTATES = 4,
  PH_KNOWN_PRODUCTS = 8,
  PH_KNOWN_SCANS = 16,
  PH_KNOWN_BIT_TESTS = 32,
  PH_KNOWN_EXCHANGES = 64,
  PH_KNOWN_COUNTS = 128,
  PH_KNOWN_FIELDS = 256,
  PH_KNOWN_X87 = 512,
};
uint32_t ph_known_results(void);

/// Opens a new pty's master side and writes the slave's path into `name`; -1 with errno. (Swift's C library module hides
/// these behind a feature macro.)
int ph_open_pty(char *name, size_t size);

/// From now on a trap of our own (SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT) writes a line and a backtrace to
/// standard error, puts a raw terminal back, and ends the process with status 70.
void ph_install_crash_handler(void);

/// The host has not got what a machine cannot do without: says so on standard error, puts a raw terminal back, and ends the process with
/// status 69. Not for anything that a guest can bring about.
void ph_host_lacks(const char *what) __attribute__((noreturn));

/// Whether the host gives so many bytes at this moment. Swift's arrays end the process where it does not, as if that were a bug: who is
/// about to make one as large as a file asks first.
int ph_has_memory(size_t bytes);

/// Blocks SIGINT and SIGTERM for this thread and those it starts; `ph_wait_for_signal` then returns each as it comes.
void ph_block_signals(void);
int ph_wait_for_signal(void);

/// Opens an existing tap device by name, without packet information; -1 with errno.
int ph_open_tap(const char *name);

/// Takes an advisory lock on a whole file that goes with the descriptor; 0, or -1 with errno (EAGAIN: somebody has it).
int ph_lock_file(int descriptor, int exclusive);

/// Gives a range of a file back to the file system; 0, or -1 with errno.
int ph_punch_hole(int descriptor, uint64_t offset, uint64_t count);

/// Reads into `count` pieces of memory as long as no disk has to be waited for: bytes read, or -1 with errno (EAGAIN: a disk would
/// have to be waited for; EOPNOTSUPP: the file system cannot tell). May read less than there is.
long ph_read_present(int descriptor, const struct iovec *_Nonnull pieces, int count, uint64_t offset);

/// Maps one piece of memory twice: for writing and for executing, at different addresses. 0, or -1 with errno.
int ph_map_code(size_t size, void *_Nullable *_Nonnull writable, void *_Nullable *_Nonnull executable);
void ph_unmap_code(size_t size, void *_Nonnull writable, void *_Nonnull executable);

/// What vector instructions the host has beyond SSE2, and its operating system keeps the registers of.
enum {
  PH_VECTOR_SSE3 = 1,
  PH_VECTOR_SSSE3 = 2,
  PH_VECTOR_SSE41 = 4,
  PH_VECTOR_SSE42 = 8,
  PH_VECTOR_AES = 16,
  PH_VECTOR_PCLMULQDQ = 32,
  PH_VECTOR_SHA = 64,
  PH_VECTOR_AVX2 = 128, // and AVX
  PH_VECTOR_FMA = 256,
  PH_VECTOR_F16C = 512,
};
uint32_t ph_vector_features(void);

/// What else translated code can be made of.
enum {
  PH_CODE_PEXT = 1,     // BMI2, and PEXT is fast
  PH_CODE_FSGSBASE = 2, // user code may load the GS base
};
uint32_t ph_code_features(void);

#endif
