/// Where a guest's network card leads: frames out, frames in. Ethernet frames without preamble and checksum (FCS), 14 bytes at least.
///
/// Both directions run on the vCPU's thread: what comes from the host enters through the machine's mailbox.
public protocol NetworkLink: AnyObject {
  /// Takes a frame from the guest. It never waits: what the host cannot take is lost, as on a wire.
  func send(_ frame: [UInt8])
  /// No more frames follow for now: what was sent goes on its way.
  func flush()
  /// Set by the card; called for each frame that arrives.
  var receive: (([UInt8]) -> Void)? { get set }
  /// Largest IP packet that fits a frame.
  var mtu: Int { get }
  /// Whether frames may be sent whose transport checksum holds the pseudo-header's sum only.
  var acceptsUnfinishedChecksums: Bool { get }
  /// Whether TCP packets larger than the MTU may be sent (with the segment size the guest asked for lost, and the checksum filled in
  /// unless it may be unfinished).
  var acceptsLargeSegments: Bool { get }
}

extension NetworkLink {
  public func flush() {}
  public var mtu: Int { 1500 }
  public var acceptsUnfinishedChecksums: Bool { false }
  public var acceptsLargeSegments: Bool { false }
}
