/// Ethernet frames, made by hand from the RFCs.
enum Frames {
  static let mac: [UInt8] = [0x00, 0x16, 0x3E, 0x01, 0x02, 0x03]
  static let broadcast = [UInt8](repeating: 0xFF, count: 6)

  /// An ARP request (RFC 826) from 10.0.2.15.
  static func arp(asking address: [UInt8]) -> [UInt8] {
    broadcast + mac + [8, 6, 0, 1, 8, 0, 6, 4, 0, 1] + mac + [10, 0, 2, 15] + [UInt8](repeating: 0, count: 6) + address
  }

  /// The Internet checksum (RFC 1071).
  static func checksum(_ bytes: [UInt8]) -> UInt16 {
    var sum = 0
    for at in stride(from: 0, to: bytes.count, by: 2) { sum += Int(bytes[at]) << 8 + (at + 1 < bytes.count ? Int(bytes[at + 1]) : 0) }
    while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
    return ~UInt16(sum)
  }

  static func big(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }

  /// A UDP datagram without a checksum in an IPv4 packet (RFC 768, 791).
  static func udp(from: [UInt8], _ fromPort: Int, to: [UInt8], _ toPort: Int, _ payload: [UInt8]) -> [UInt8] {
    let datagram = big(fromPort) + big(toPort) + big(payload.count + 8) + [0, 0] + payload
    var header: [UInt8] = [0x45, 0] + big(20 + datagram.count) + [0, 1, 0, 0, 64, 17, 0, 0] + from + to
    header.replaceSubrange(10..<12, with: big(Int(checksum(header))))
    return broadcast + mac + [8, 0] + header + datagram
  }

  /// DHCPDISCOVER (RFC 2131), asking for nothing in particular.
  static func discover(transaction: [UInt8]) -> [UInt8] {
    var message: [UInt8] = [1, 1, 6, 0] + transaction + [UInt8](repeating: 0, count: 20) + mac + [UInt8](repeating: 0, count: 10)
    message += [UInt8](repeating: 0, count: 192) + [0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255]
    message += [UInt8](repeating: 0, count: 300 - message.count)
    return udp(from: [0, 0, 0, 0], 68, to: [255, 255, 255, 255], 67, message)
  }
}
