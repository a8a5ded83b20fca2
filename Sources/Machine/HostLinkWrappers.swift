import HostLinks

/// Guest time as other threads may read it (libslirp's clock): nanoseconds, published at each slice.
final class PublishedClock: @unchecked Sendable {
  // Invariant: one aligned word, written by the machine's thread and read by others.
  private let value = UnsafeMutablePointer<Int64>.allocate(capacity: 1)
  init() { value.initialize(to: 0) }
  deinit { value.deallocate() }
  var nanoseconds: Int64 {
    get { value.pointee }
    set { value.pointee = newValue }
  }
}

/// A card without a cable.
final class DisconnectedLink: NetworkLink {
  var receive: (([UInt8]) -> Void)?
  func send(_ frame: [UInt8]) {}
}

/// A link whose frames are recorded on the way.
final class CapturedLink: NetworkLink {
  private let link: any NetworkLink
  private let capture: PacketCapture
  private let now: () -> UInt64

  init(_ link: any NetworkLink, _ capture: PacketCapture, now: @escaping () -> UInt64) {
    self.link = link
    self.capture = capture
    self.now = now
  }

  var mtu: Int { link.mtu }
  private var inner: (([UInt8]) -> Void)?
  var receive: (([UInt8]) -> Void)? {
    get { inner }
    set {
      guard let newValue else {
        inner = nil
        return
      }
      inner = { [capture, now] frame in
        capture.record(frame, at: now())
        newValue(frame)
      }
    }
  }

  func send(_ frame: [UInt8]) {
    capture.record(frame, at: now())
    link.send(frame)
  }

  func flush() { link.flush() }
  var acceptsLargeSegments: Bool { link.acceptsLargeSegments }
}
