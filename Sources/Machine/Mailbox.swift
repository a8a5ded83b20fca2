import HostLinks

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// What the outside decides. It enters a machine through its mailbox and nowhere else.
public enum OutsideInput: Sendable, Equatable {
  /// Typed at the console.
  case console([UInt8])
  /// A packet from a network link, for the vif with this index.
  case packet(vif: Int, frame: [UInt8])
  /// A signal (SIGINT, SIGTERM) reached the process.
  case signal(Int32)
  /// The host finished a disk request (only under `--clock host`).
  case diskCompletion(token: UInt64)
  /// Asked at the monitor's socket.
  case monitor(MonitorRequest)
  /// `--timeout` ran out.
  case timeout
  /// The user left the console.
  case leave
}

/// The only door from other threads to a machine's. Any thread posts; the vCPU's thread takes.
public final class Mailbox: @unchecked Sendable {
  // Invariant: `mutex` guards `items`; both live in one allocation that lasts as long as the object.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  private var items: [OutsideInput] = []

  public init() {
    mutex = .allocate(capacity: 1)
    condition = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    #if !canImport(Darwin)
      pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    #endif
    pthread_cond_init(condition, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  /// Adds an input and wakes the machine.
  public func post(_ input: OutsideInput) {
    pthread_mutex_lock(mutex)
    items.append(input)
    pthread_cond_signal(condition)
    pthread_mutex_unlock(mutex)
  }

  /// Takes all inputs, oldest first.
  public func takeAll() -> [OutsideInput] {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    guard !items.isEmpty else { return [] }
    let taken = items
    items.removeAll(keepingCapacity: true)
    return taken
  }

  /// Waits until there is an input or until a time of the monotonic clock (nanoseconds; nil: for as long as it takes).
  public func wait(until nanoseconds: UInt64?) {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while items.isEmpty {
      guard let nanoseconds else {
        pthread_cond_wait(condition, mutex)
        continue
      }
      var deadline = timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
      if pthread_cond_timedwait(condition, mutex, &deadline) == ETIMEDOUT { return }
    }
  }
}

/// The host's monotonic clock in nanoseconds: for pacing and for statistics, never for a device model.
func monotonicNanoseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// CPU time of the process in nanoseconds.
func processorNanoseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
