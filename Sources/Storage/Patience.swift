#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Whether an image's work is done at once, on the thread that asks for it: as long as the host answers quickly. Where it makes us
/// wait (a disk that cannot follow, a table that has to be read), the next requests go to the image's own thread.
struct Patience {
  /// Nanoseconds after which the host counts as slow, and how many requests are spared afterwards.
  static let limit: UInt64 = 2_000_000
  static let pause = 32

  private(set) var spared = 0

  /// Does the work, or declines.
  mutating func use<Result>(_ work: () -> Result?) -> Result? {
    guard spared == 0 else {
      spared -= 1
      return nil
    }
    let start = Self.now
    let result = work()
    if Self.now &- start > Self.limit { spared = Self.pause }
    return result
  }

  private static var now: UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
  }
}

extension BlockError {
  init(_ error: StorageError) {
    if case .host(_, let number) = error { self = .host(number) } else { self = .corrupt("\(error)") }
  }
}
