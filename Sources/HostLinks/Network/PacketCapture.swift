#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Writes frames to a pcap file (the classic format of libpcap: magic, version 2.4, Ethernet), stamped with guest time.
public final class PacketCapture {
  private let descriptor: Int32
  private static let snapLength = 262_144

  /// - Parameter path: created, or emptied.
  public init(path: String) throws {
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw NetworkLinkError.unavailable("\(path): cannot be written: \(systemError())") }
    var header: [UInt8] = []
    Self.append(&header, 0xA1B2_C3D4)
    Self.append(&header, 2 | 4 << 16)
    Self.append(&header, 0)
    Self.append(&header, 0)
    Self.append(&header, UInt32(Self.snapLength))
    Self.append(&header, 1)
    writeFully(descriptor, header)
  }

  deinit { close(descriptor) }

  /// - Parameter nanoseconds: guest wall-clock time since 1970.
  public func record(_ frame: [UInt8], at nanoseconds: UInt64) {
    var packet: [UInt8] = []
    packet.reserveCapacity(frame.count + 16)
    let kept = min(frame.count, Self.snapLength)
    Self.append(&packet, UInt32(truncatingIfNeeded: nanoseconds / 1_000_000_000))
    Self.append(&packet, UInt32(nanoseconds % 1_000_000_000 / 1000))
    Self.append(&packet, UInt32(kept))
    Self.append(&packet, UInt32(truncatingIfNeeded: frame.count))
    packet += frame[0..<kept]
    writeFully(descriptor, packet)
  }

  private static func append(_ bytes: inout [UInt8], _ value: UInt32) {
    for shift in [0, 8, 16, 24] as [UInt32] { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
  }
}
