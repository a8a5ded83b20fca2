/// Names a domain in the store.
public typealias DomainNumber = UInt16

/// One entry of a node's permission list. The first entry names the owner, who may do everything, and what domains that the
/// list does not name may do; each further entry is for one domain (docs/misc/xenstore.txt, "Permissions").
public struct Permission: Equatable, Hashable, Codable, Sendable {
  public struct Access: OptionSet, Hashable, Codable, Sendable {
    public var rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let read = Access(rawValue: 1)
    public static let write = Access(rawValue: 2)
    public static let both: Access = [.read, .write]
    public static let none: Access = []
  }

  public var domain: DomainNumber
  public var access: Access

  public init(_ domain: DomainNumber, _ access: Access) {
    self.domain = domain
    self.access = access
  }

  /// `n0`, `r1`, `w2`, `b3`; nil if it is none of these.
  public init?(text: some Collection<UInt8>) {
    guard let letter = text.first else { return nil }
    switch letter {
    case UInt8(ascii: "n"): access = .none
    case UInt8(ascii: "r"): access = .read
    case UInt8(ascii: "w"): access = .write
    case UInt8(ascii: "b"): access = .both
    default: return nil
    }
    guard let number = decimal(text.dropFirst()), number < 0x7FF0 else { return nil }
    domain = DomainNumber(truncatingIfNeeded: number)
  }

  /// The form that goes over the wire.
  public var text: String {
    let letter = access == .both ? "b" : access == .read ? "r" : access == .write ? "w" : "n"
    return "\(letter)\(domain)"
  }
}

/// An unsigned decimal number of at most 20 digits and nothing else, or nil.
func decimal(_ text: some Collection<UInt8>) -> UInt64? {
  guard !text.isEmpty else { return nil }
  var value: UInt64 = 0
  for byte in text {
    guard byte >= 0x30, byte <= 0x39 else { return nil }
    let (tenfold, overflow) = value.multipliedReportingOverflow(by: 10)
    let (sum, carry) = tenfold.addingReportingOverflow(UInt64(byte &- 0x30))
    if overflow || carry { return nil }
    value = sum
  }
  return value
}
