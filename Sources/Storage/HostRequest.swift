import Foundation

/// One or more requests to a disk image that together serve one request of a guest. I/O threads deliver, the vCPU's thread waits.
///
/// Invariant: everything mutable is guarded by `condition`.
public final class HostRequest: @unchecked Sendable {
  private let condition = NSCondition()
  private var outstanding: Int
  private var firstError: BlockError?
  private var data: [UInt8] = []

  /// - Parameter whenDone: called once, on the thread that delivers the last result.
  public init(_ requests: [BlockRequest], on device: any BlockDevice, whenDone: (@Sendable () -> Void)?) {
    outstanding = requests.count
    for request in requests {
      device.submit(request) { result in
        if self.deliver(result) { whenDone?() }
      }
    }
  }

  /// A result from an earlier run of the process.
  public init(finished result: BlockResult) {
    outstanding = 0
    switch result {
    case .success(let bytes): data = bytes
    case .failure(let error): firstError = error
    }
  }

  private func deliver(_ result: BlockResult) -> Bool {
    condition.withLock {
      switch result {
      case .success(let bytes): if !bytes.isEmpty { data = bytes }
      case .failure(let error): firstError = firstError ?? error
      }
      outstanding -= 1
      if outstanding == 0 { condition.broadcast() }
      return outstanding == 0
    }
  }

  /// Waits for the host and returns what it read.
  public func wait() -> BlockResult {
    condition.withLock {
      while outstanding > 0 { condition.wait() }
      if let firstError { return .failure(firstError) }
      return .success(data)
    }
  }
}
