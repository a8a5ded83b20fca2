import HostLinks

/// The console of one of lockstep's machines: what the guest writes is kept until it has been compared, and what is typed comes from
/// whoever runs both.
final class LockstepConsole: ConsoleLink {
  private var written: [UInt8] = []
  let isInteractive: Bool

  init(isInteractive: Bool) { self.isInteractive = isInteractive }

  func start(receive: @escaping @Sendable ([UInt8]) -> Void, leave: @escaping @Sendable () -> Void) throws {}
  func write(_ bytes: [UInt8]) { written += bytes }
  func stop() {}

  /// Takes what was written since the last time.
  func take() -> [UInt8] {
    defer { written.removeAll(keepingCapacity: true) }
    return written
  }
}
