/// Cuts a TCP packet larger than the link's into segments, as a card with segmentation offload does.
enum Segmentation {
  /// - Parameters:
  ///   - size: bytes of TCP payload a segment carries.
  /// - Returns: whole frames with right lengths, sequence numbers, flags and checksums; nil if the frame is not TCP over IP
  ///   or its headers do not fit.
  static func segments(_ frame: [UInt8], size: Int) -> [[UInt8]]? {
    guard size > 0, let layout = FrameLayout(frame), layout.transport == .tcp else { return nil }
    let tcp = layout.transportOffset
    let headerSize = Int(frame[tcp + 12] >> 4) * 4
    guard headerSize >= 20, tcp + headerSize <= layout.end else { return nil }
    let payloadStart = tcp + headerSize
    let header = frame[..<payloadStart]
    var sequence = UInt32(frame[tcp + 4]) << 24 | UInt32(frame[tcp + 5]) << 16
    sequence |= UInt32(frame[tcp + 6]) << 8 | UInt32(frame[tcp + 7])
    let ip = layout.networkOffset
    var identification = UInt16(frame[ip + 4]) << 8 | UInt16(frame[ip + 5])
    var result: [[UInt8]] = []
    var start = payloadStart
    repeat {
      let end = min(start + size, layout.end)
      var segment = Array(header) + frame[start..<end]
      if layout.network == .ipv4 {
        put16(&segment, ip + 2, UInt16(truncatingIfNeeded: segment.count - ip))
        put16(&segment, ip + 4, identification)
        identification &+= 1
      } else {
        put16(&segment, ip + 4, UInt16(truncatingIfNeeded: segment.count - ip - 40))
      }
      put16(&segment, tcp + 4, UInt16(truncatingIfNeeded: sequence >> 16))
      put16(&segment, tcp + 6, UInt16(truncatingIfNeeded: sequence))
      // FIN and PSH belong to the last segment, CWR to the first.
      if end < layout.end { segment[tcp + 13] &= ~0x09 }
      if start > payloadStart { segment[tcp + 13] &= ~0x80 }
      if let cut = FrameLayout(segment) {
        cut.fillHeaderChecksum(&segment)
        cut.fillChecksum(&segment)
      }
      result.append(segment)
      sequence &+= UInt32(truncatingIfNeeded: end - start)
      start = end
    } while start < layout.end
    return result
  }

  private static func put16(_ bytes: inout [UInt8], _ at: Int, _ value: UInt16) {
    bytes[at] = UInt8(value >> 8)
    bytes[at + 1] = UInt8(value & 0xFF)
  }
}
