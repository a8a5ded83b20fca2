import CHost
import Foundation

/// A thread that carries out an image's requests one after the other, in the order of submission.
///
/// One thread an image keeps the promise of `BlockDevice` (a read sees every write before it) without a table of what is under
/// way; several images still work side by side, and none holds up the vCPU.
final class SerialWorker: @unchecked Sendable {
  // Invariant: `condition` guards everything mutable. At most one of `isWorking` and `isLent` is set.
  private let condition = NSCondition()
  private var jobs: [@Sendable () -> Void] = []
  private var stopped = false
  /// The thread carries a job out.
  private var isWorking = false
  /// A caller of `runNow` does the thread's work.
  private var isLent = false
  /// Calls of `runNow` so far.
  private var lent: UInt64 = 0
  /// Work was done since `whenIdle` ran last.
  private var restless = false
  private let whenIdle: (@Sendable () -> Void)?

  /// - Parameter whenIdle: done on the thread once it had nothing to do for a second after having had something.
  init(name: String, whenIdle: (@Sendable () -> Void)? = nil) {
    self.whenIdle = whenIdle
    // Foundation says nothing of a thread that it could not start, and who waits for a job would wait for ever.
    if ph_has_memory(8 << 20) == 0 { ph_host_lacks("room for a disk's thread") }
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

  /// Runs a job on the caller's thread if the worker has nothing to do, ahead of whatever is added meanwhile; nil if it has, or after
  /// `stop`. Saves two changes of threads where a job takes less time than they do.
  func runNow<Result>(_ job: () -> Result?) -> Result? {
    condition.lock()
    guard jobs.isEmpty, !isWorking, !isLent, !stopped else {
      condition.unlock()
      return nil
    }
    isLent = true
    condition.unlock()
    let result = job()
    condition.lock()
    isLent = false
    lent &+= 1
    let starts = whenIdle != nil && !restless
    if starts { restless = true }
    if starts || stopped || !jobs.isEmpty { condition.signal() }
    condition.unlock()
    return result
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
    isWorking = false
    while isLent || jobs.isEmpty {
      if stopped && !isLent { return nil }
      guard restless, !isLent, let whenIdle else {
        condition.wait()
        continue
      }
      let seen = lent
      if !condition.wait(until: Date(timeIntervalSinceNow: 1)), jobs.isEmpty, !stopped, !isLent, lent == seen {
        restless = false
        isWorking = true
        return whenIdle
      }
    }
    restless = true
    isWorking = true
    return jobs.removeFirst()
  }
}
