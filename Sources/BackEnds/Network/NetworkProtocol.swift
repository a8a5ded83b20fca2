/// Slots of io/netif.h, copied out.
struct TransmitRequest: Equatable {
  struct Flags: OptionSet {
    var rawValue: UInt16
    static let checksumBlank = Flags(rawValue: 1)
    static let dataValidated = Flags(rawValue: 2)
    static let moreData = Flags(rawValue: 4)
    static let extraInfo = Flags(rawValue: 8)
  }
  static let slotSize = 12

  var reference: UInt32
  var offset: UInt16
  var flags: Flags
  var id: UInt16
  /// Of the whole packet in its first request, of the fragment in the others.
  var size: UInt16

  init(_ bytes: [UInt8]) {
    let fields = Fields(bytes: bytes)
    reference = fields.u32(0)
    offset = fields.u16(4)
    flags = Flags(rawValue: fields.u16(6))
    id = fields.u16(8)
    size = fields.u16(10)
  }
}

/// An extra-info slot; it looks the same in both rings.
struct ExtraInfo: Equatable {
  static let gso: UInt8 = 1
  static let maximumType: UInt8 = 5

  var type: UInt8
  var hasMore: Bool
  var gsoSize: UInt16
  var gsoType: UInt8

  init(_ bytes: [UInt8]) {
    let fields = Fields(bytes: bytes)
    type = fields.u8(0)
    hasMore = fields.u8(1) & 1 != 0
    gsoSize = fields.u16(2)
    gsoType = fields.u8(4)
  }

  /// GSO for the receive ring: segment size, and 1 for TCP over IPv4, 2 for IPv6.
  static func gso(size: UInt16, type: UInt8) -> [UInt8] {
    var bytes: [UInt8] = [gso, 0]
    bytes.append(little: size)
    bytes += [type, 0, 0, 0]
    return bytes
  }
}

enum TransmitStatus: Int16 {
  case okay = 0, error = -1, dropped = -2, null = 1
}

struct ReceiveFlags: OptionSet {
  var rawValue: UInt16
  static let dataValidated = ReceiveFlags(rawValue: 1)
  static let checksumBlank = ReceiveFlags(rawValue: 2)
  static let moreData = ReceiveFlags(rawValue: 4)
  static let extraInfo = ReceiveFlags(rawValue: 8)
}
