/// A network interface, in the syntax of xl-network-configuration(5), and how it is linked to the host.
public struct NetworkSpecification: Sendable, Equatable {
  public enum Link: Sendable, Equatable {
    /// NAT in this process.
    case user
    /// A tap device by name.
    case tap(String)
    /// A unix socket, each frame behind its length as 32 bits, big-endian.
    case socket(String)
    /// Not connected.
    case none
  }

  public struct Forward: Sendable, Equatable {
    public var isUDP = false
    public var hostAddress = "127.0.0.1"
    public var hostPort: UInt16
    public var guestAddress = ""
    public var guestPort: UInt16
  }

  public var link = Link.user
  /// Six bytes; nil: made from the seed.
  public var mac: [UInt8]?
  public var model: String?
  public var name: String?
  public var forwards: [Forward] = []
  public var mtu: Int?

  public init() {}

  public init(parsing text: String) throws(ConfigurationError) {
    var interface: String?
    var path: String?
    for field in text.split(separator: ",").map({ $0.trimmed }) where !field.isEmpty {
      let parts = field.split(separator: "=", maxSplits: 1).map { $0.trimmed }
      guard parts.count == 2 else { throw ConfigurationError(message: "vif: '\(field)' is not key=value") }
      switch parts[0] {
      case "mac": mac = try Self.macAddress(parts[1])
      case "model": model = parts[1]
      case "vifname": name = parts[1]
      case "mtu":
        guard let value = Int(parts[1]), (68...65535).contains(value) else {
          throw ConfigurationError(message: "vif: mtu '\(parts[1])' is no MTU")
        }
        mtu = value
      case "type":
        guard parts[1] == "vif" || parts[1] == "ioemu" else {
          throw ConfigurationError(message: "vif: type '\(parts[1])' is none of vif, ioemu")
        }
      case "bridge", "script", "gatewaydev", "backend":
        throw ConfigurationError(message: "vif: \(parts[0])= needs a host's bridge; say link=user, link=tap,ifname=… or link=socket,path=…")
      case "ip", "rate", "accel", "trusted": continue
      case "link":
        switch parts[1] {
        case "user": link = .user
        case "tap": link = .tap("")
        case "socket": link = .socket("")
        case "none": link = .none
        default: throw ConfigurationError(message: "vif: link '\(parts[1])' is none of user, tap, socket, none")
        }
      case "ifname": interface = parts[1]
      case "path": path = parts[1]
      case "hostfwd": forwards.append(try Self.forward(parts[1]))
      default: throw ConfigurationError(message: "vif: unknown key '\(parts[0])'")
      }
    }
    if case .tap = link {
      guard let interface else { throw ConfigurationError(message: "vif: link=tap wants ifname=") }
      link = .tap(interface)
    }
    if case .socket = link {
      guard let path else { throw ConfigurationError(message: "vif: link=socket wants path=") }
      link = .socket(path)
    }
    if !forwards.isEmpty && link != .user { throw ConfigurationError(message: "vif: hostfwd= goes with link=user") }
  }

  static func macAddress(_ text: String) throws(ConfigurationError) -> [UInt8] {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    let bytes = parts.compactMap { $0.count == 2 && $0.allSatisfy(\.isHexDigit) ? UInt8($0, radix: 16) : nil }
    guard parts.count == 6, bytes.count == 6 else { throw ConfigurationError(message: "vif: '\(text)' is no MAC address") }
    guard bytes[0] & 1 == 0 else { throw ConfigurationError(message: "vif: '\(text)' is a multicast address") }
    return bytes
  }

  /// `tcp:127.0.0.1:2222-:22`, `udp::5353-10.0.2.15:53`.
  static func forward(_ text: String) throws(ConfigurationError) -> Forward {
    let bad = ConfigurationError(message: "vif: hostfwd '\(text)' is not like tcp:127.0.0.1:2222-:22")
    let sides = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
    guard sides.count == 2 else { throw bad }
    let host = sides[0].split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    let guest = sides[1].split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard host.count == 3, host[0] == "tcp" || host[0] == "udp", host[2].isDigits, let hostPort = UInt16(host[2]) else { throw bad }
    guard guest.count == 2, guest[1].isDigits, let guestPort = UInt16(guest[1]) else { throw bad }
    return Forward(
      isUDP: host[0] == "udp", hostAddress: host[1].isEmpty ? "127.0.0.1" : host[1], hostPort: hostPort, guestAddress: guest[0],
      guestPort: guestPort)
  }
}
