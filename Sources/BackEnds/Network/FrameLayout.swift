import HostLinks

/// Where the headers of an Ethernet frame with an IP packet lie. Everything is checked against the frame's length.
struct FrameLayout: Equatable {
  enum Network: Equatable { case ipv4, ipv6 }
  enum Transport: UInt8 { case tcp = 6, udp = 17 }

  var network: Network
  var transport: Transport
  /// First byte of the IP header, of the transport header, and past the packet's last byte.
  var networkOffset: Int
  var transportOffset: Int
  var end: Int

  /// nil for frames that are not TCP or UDP over IP, for fragments and for headers that do not fit.
  init?(_ frame: [UInt8]) {
    func u16(_ at: Int) -> Int { at + 1 < frame.count ? Int(frame[at]) << 8 | Int(frame[at + 1]) : 0 }
    var offset = 12
    var type = u16(offset)
    for _ in 0..<2 where type == 0x8100 || type == 0x88A8 {
      offset += 4
      type = u16(offset)
    }
    offset += 2
    networkOffset = offset
    var proto: UInt8
    switch type {
    case 0x0800:
      guard frame.count >= offset + 20, frame[offset] >> 4 == 4 else { return nil }
      let headerSize = Int(frame[offset] & 15) * 4
      let total = u16(offset + 2)
      guard headerSize >= 20, total >= headerSize, frame.count >= offset + total else { return nil }
      // A fragment has no whole transport segment.
      guard u16(offset + 6) & 0x3FFF == 0 else { return nil }
      network = .ipv4
      proto = frame[offset + 9]
      transportOffset = offset + headerSize
      end = offset + total
    case 0x86DD:
      guard frame.count >= offset + 40, frame[offset] >> 4 == 6 else { return nil }
      let total = 40 + u16(offset + 4)
      guard frame.count >= offset + total else { return nil }
      network = .ipv6
      end = offset + total
      proto = frame[offset + 6]
      var next = offset + 40
      // Hop-by-hop, routing, destination options.
      while proto == 0 || proto == 43 || proto == 60 {
        guard next + 8 <= end else { return nil }
        proto = frame[next]
        next += (Int(frame[next + 1]) + 1) * 8
      }
      transportOffset = next
    default: return nil
    }
    guard let transport = Transport(rawValue: proto) else { return nil }
    self.transport = transport
    guard end >= transportOffset + (transport == .tcp ? 20 : 8) else { return nil }
  }

  var checksumOffset: Int { transportOffset + (transport == .tcp ? 16 : 6) }

  /// Sum over the pseudo-header, for a transport segment up to `end`.
  func pseudoHeaderSum(_ frame: [UInt8]) -> UInt64 {
    let addresses = network == .ipv4 ? networkOffset + 12..<networkOffset + 20 : networkOffset + 8..<networkOffset + 40
    return InternetChecksum.sum(frame[addresses], UInt64(transport.rawValue) &+ UInt64(end - transportOffset))
  }

  /// Computes the transport checksum anew.
  func fillChecksum(_ frame: inout [UInt8]) {
    frame[checksumOffset] = 0
    frame[checksumOffset + 1] = 0
    var value = ~InternetChecksum.fold(InternetChecksum.sum(frame[transportOffset..<end], pseudoHeaderSum(frame)))
    // For UDP 0 means that there is none.
    if value == 0 && transport == .udp { value = 0xFFFF }
    frame[checksumOffset] = UInt8(value >> 8)
    frame[checksumOffset + 1] = UInt8(value & 0xFF)
  }

  /// Whether the transport checksum is right (or, with UDP over IPv4, left out).
  func hasGoodChecksum(_ frame: [UInt8]) -> Bool {
    if transport == .udp && frame[checksumOffset] == 0 && frame[checksumOffset + 1] == 0 { return network == .ipv4 }
    return InternetChecksum.fold(InternetChecksum.sum(frame[transportOffset..<end], pseudoHeaderSum(frame))) == 0xFFFF
  }

  /// Computes an IPv4 header's checksum anew.
  func fillHeaderChecksum(_ frame: inout [UInt8]) {
    guard network == .ipv4 else { return }
    frame[networkOffset + 10] = 0
    frame[networkOffset + 11] = 0
    let value = ~InternetChecksum.fold(InternetChecksum.sum(frame[networkOffset..<transportOffset]))
    frame[networkOffset + 10] = UInt8(value >> 8)
    frame[networkOffset + 11] = UInt8(value & 0xFF)
  }
}
