import Foundation

/// A thread that carries out an image's requests one after the other, in the order of submission.
///
/// One thread an image keeps the promise of `BlockDevice` (a read sees every write before it) without a table of what is under
/// way; several images still work side by side, and none holds up the vCPU.
final class SerialWorker: @unchecked Sendable {
  // Invariant: `condition` guards `jobs`, `stopped` and `restless`.
  private let condition = NSCondition()
  private var jobs: [@Sendable () -> Void] = []
  private var stopped = false
  /// Work was done since `whenIdle` ran last.
  private var restless = false
  private let whenIdle: (@Sendable () -> Void)?

  /// - Parameter whenIdle: done on the thread once it had nothing to do for a second after having had something.
  init(name: String, whenIdle: (@Sendable () -> Void)? = nil) {
    self.whenIdle = whenIdle
    let thread = Thread { [weak self] in
      while let worker = self, let job = worker.take() { job() }
    }
    thread.name = name
    thread.start()
  }

  /// Adds a job; after `stop` it runs at once, on the caller's thread.
  func add(_ job: @escaping @Sendable () -> Void) {
    condition.lock()
    let late = stopped
    if !late {
      jobs.append(job)
      condition.signal()
    }
    condition.unlock()
    if late { job() }
  }

  private final class Outcome: @unchecked Sendable {
    // Invariant: `error` is written before `done` is signalled, read after.
    var error: StorageError?
    let done = DispatchSemaphore(value: 0)
  }

  /// Adds a job and waits until it is done.
  func finish(_ job: @escaping @Sendable () throws(StorageError) -> Void) throws(StorageError) {
    let outcome = Outcome()
    add {
      do throws(StorageError) { try job() } catch { outcome.error = error }
      outcome.done.signal()
    }
    outcome.done.wait()
    if let error = outcome.error { throw error }
  }

  /// Ends the thread once everything added before is done.
  func stop() {
    condition.lock()
    stopped = true
    condition.signal()
    condition.unlock()
  }

  private func take() -> (@Sendable () -> Void)? {
    condition.lock()
    defer { condition.unlock() }
    while jobs.isEmpty {
      if stopped { return nil }
      guard restless, let whenIdle else {
        condition.wait()
        continue
      }
      if !condition.wait(until: Date(timeIntervalSinceNow: 1)), jobs.isEmpty, !stopped {
        restless = false
        return whenIdle
      }
    }
    restless = true
    return jobs.removeFirst()
  }
}
