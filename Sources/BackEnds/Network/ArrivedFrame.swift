import HostLinks

/// A frame on its way to the guest, or several in a row of one TCP connection that were joined into one packet, as a card with large
/// receive offload does: same headers but for lengths, sequence numbers and checksums, each but the last with the same number of bytes.
struct ArrivedFrame {
  /// A joined packet's IP total length stays below 64 KiB, and its slots below what a front end takes (18).
  static let maximumSize = 61_440

  private(set) var bytes: [UInt8]
  /// Frames in it, and their bytes on the wire.
  private(set) var frameCount = 1
  private(set) var byteCount: Int
  /// The transport checksum is right.
  let isGood: Bool
  /// TCP over IPv4 that may be joined: its place in the frame and its payload.
  private let segment: Segment?
  private var nextSequence: UInt32 = 0
  /// A shorter segment has come: it is the last.
  private var isClosed = false

  private struct Segment {
    var layout: FrameLayout
    var payload: Range<Int>
  }

  init(_ frame: [UInt8]) {
    bytes = frame
    byteCount = frame.count
    let layout = FrameLayout(frame)
    isGood = layout?.hasGoodChecksum(frame) ?? false
    segment = isGood ? layout.flatMap { Self.segment(frame, $0) } : nil
    if let segment { nextSequence = u32(segment.layout.transportOffset + 4) &+ UInt32(segment.payload.count) }
  }

  var isJoined: Bool { frameCount > 1 }
  /// Bytes of payload of each frame.
  var segmentSize: Int { segment?.payload.count ?? 0 }
  var slotCount: Int { (bytes.count + 4095) / 4096 + (isJoined ? 1 : 0) }

  /// No options of IP, ACK and PSH the only flags, something in it, nothing behind it.
  private static func segment(_ frame: [UInt8], _ layout: FrameLayout) -> Segment? {
    guard layout.network == .ipv4, layout.transport == .tcp, layout.transportOffset == layout.networkOffset + 20,
      layout.end == frame.count
    else { return nil }
    let start = layout.transportOffset + Int(frame[layout.transportOffset + 12] >> 4) * 4
    guard start >= layout.transportOffset + 20, start < layout.end, frame[layout.transportOffset + 13] & ~8 == 0x10 else { return nil }
    return Segment(layout: layout, payload: start..<layout.end)
  }

  private func u32(_ at: Int) -> UInt32 { (0..<4).reduce(0) { $0 << 8 | UInt32(bytes[at + $1]) } }

  /// Takes the frame that came after this one into this one; false if it does not continue it.
  mutating func join(_ next: ArrivedFrame) -> Bool {
    guard !isClosed, let segment, let other = next.segment, !next.isJoined, other.layout.transportOffset == segment.layout.transportOffset,
      other.payload.lowerBound == segment.payload.lowerBound, other.payload.count <= segment.payload.count,
      bytes.count + other.payload.count <= Self.maximumSize, next.u32(segment.layout.transportOffset + 4) == nextSequence
    else { return false }
    let ip = segment.layout.networkOffset
    let tcp = segment.layout.transportOffset
    // Ethernet and IP up to the length, flags and fragment to protocol, addresses and ports, acknowledgement and window, options.
    let same = [
      0..<ip + 2, ip + 6..<ip + 10, ip + 12..<tcp + 4, tcp + 8..<tcp + 13, tcp + 14..<tcp + 16, tcp + 18..<segment.payload.lowerBound,
    ]
    for range in same where bytes[range] != next.bytes[range] { return false }
    if frameCount == 1 { bytes.reserveCapacity(Self.maximumSize) }
    bytes.append(contentsOf: next.bytes[other.payload])
    bytes[tcp + 13] |= next.bytes[tcp + 13] & 8
    nextSequence &+= UInt32(other.payload.count)
    frameCount += 1
    byteCount += next.byteCount
    isClosed = other.payload.count < segment.payload.count
    return true
  }

  /// Makes a joined packet's headers right: length, header checksum, and in place of TCP's checksum the sum over the pseudo-header.
  mutating func finish() {
    guard isJoined, let segment else { return }
    let ip = segment.layout.networkOffset
    let total = bytes.count - ip
    bytes[ip + 2] = UInt8(truncatingIfNeeded: total >> 8)
    bytes[ip + 3] = UInt8(truncatingIfNeeded: total)
    guard let layout = FrameLayout(bytes) else { return }
    layout.fillHeaderChecksum(&bytes)
    let sum = InternetChecksum.fold(layout.pseudoHeaderSum(bytes))
    bytes[layout.checksumOffset] = UInt8(sum >> 8)
    bytes[layout.checksumOffset + 1] = UInt8(sum & 0xFF)
  }
}
