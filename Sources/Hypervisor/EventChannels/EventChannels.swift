import GuestMemory

/// A domain's event channels: its ports, and the two-level bitmaps in shared_info through which they are signalled.
///
/// Only the two-level form exists (EVTCHNOP_init_control is refused): 64 words of 64 ports. Port 0 is never valid. The
/// other end of an interdomain port is either a port of the same domain or a back end of domain 0 in this process.
/// Facts: Xen's public event_channel.h and xen.h.
public final class EventChannels {
  /// Ports that the two-level form can name.
  public static let limit: UInt32 = 4096
  /// The table grows by this many ports; those beyond it are refused as out of range.
  static let bucket = 64

  /// EVTCHNSTAT_*.
  public enum State: UInt8, Codable, Sendable {
    case closed = 0
    case unbound = 1
    case interdomain = 2
    case pirq = 3
    case virq = 4
    case ipi = 5
    /// Port 0, and nothing else.
    case reserved = 255
  }

  /// One port.
  public struct Port: Codable, Sendable, Equatable {
    public var state = State.closed
    /// vCPU that is notified.
    public var vcpu: UInt32 = 0
    /// Who may bind (unbound), or has bound (interdomain), the other end.
    public var remoteDomain: UInt16 = 0
    public var remotePort: UInt32 = 0
    public var virq: UInt32 = 0
    /// The other end is a back end in this process, known to its owner by this number.
    public var isBackEnd = false
    public var tag: UInt64 = 0
    public init() {}
  }

  public internal(set) var ports: [Port]
  /// Port number that the next back end is given on its own side.
  var nextRemotePort: UInt32 = 16
  unowned(unsafe) var domain: Domain?

  public init() {
    ports = [Port](repeating: Port(), count: Self.bucket)
    ports[0].state = .reserved
  }

  /// Whether a port is inside the allocated range.
  @inline(__always) func isValid(_ port: UInt32) -> Bool { Int(port) < ports.count }

  /// The port, or nil outside the allocated range.
  public func port(_ number: UInt32) -> Port? { isValid(number) ? ports[Int(number)] : nil }

  /// Takes the lowest free port.
  func allocate() throws(XenError) -> UInt32 {
    if let free = ports.firstIndex(where: { $0.state == .closed }) { return UInt32(free) }
    guard ports.count < Int(Self.limit) else { throw .noSpace }
    let first = ports.count
    ports.append(contentsOf: repeatElement(Port(), count: Self.bucket))
    return UInt32(first)
  }

  // MARK: - For back ends (domain 0)

  /// Start of day: a port of the guest that `remote` may bind. 0 if the table is full.
  public func allocateUnbound(remote: DomainID) -> UInt32 {
    guard let port = try? allocate() else { return 0 }
    ports[Int(port)].state = .unbound
    ports[Int(port)].vcpu = 0
    ports[Int(port)].remoteDomain = remote.rawValue
    return port
  }

  /// Connects domain 0 to a port that the guest left unbound for it; false if it is not such a port. Signals sent before
  /// the binding are lost, so look at the ring once afterwards.
  public func bindBackEnd(port: UInt32, tag: UInt64) -> Bool {
    guard isValid(port), ports[Int(port)].state == .unbound, ports[Int(port)].remoteDomain == DomainID.control.rawValue else {
      return false
    }
    ports[Int(port)].state = .interdomain
    ports[Int(port)].isBackEnd = true
    ports[Int(port)].tag = tag
    ports[Int(port)].remotePort = nextRemotePort
    nextRemotePort &+= 1
    return true
  }

  /// Domain 0 closes its end: the guest's port is unbound again.
  public func closeBackEnd(port: UInt32) {
    guard isValid(port), ports[Int(port)].isBackEnd else { return }
    ports[Int(port)].state = .unbound
    ports[Int(port)].isBackEnd = false
    ports[Int(port)].tag = 0
    ports[Int(port)].remotePort = 0
  }

  /// The number given to `bindBackEnd`; nil if no back end is connected.
  public func backEndTag(port: UInt32) -> UInt64? {
    guard isValid(port), ports[Int(port)].isBackEnd else { return nil }
    return ports[Int(port)].tag
  }

  /// Raises the event on the guest's port, if a back end is connected to it.
  public func notifyGuest(port: UInt32) {
    guard isValid(port), ports[Int(port)].isBackEnd else { return }
    setPending(port)
  }
}
