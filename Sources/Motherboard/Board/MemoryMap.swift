/// Where a PC's RAM is: from 0 up to the hole for devices below 4 GiB, the rest above 4 GiB.
public struct MemoryMap: Sendable, Equatable {
  /// Where RAM below 4 GiB ends at the latest.
  public static let holeStart: UInt64 = 0xC000_0000
  public static let fourGiB: UInt64 = 1 << 32

  /// Bytes of RAM from address 0.
  public let low: UInt64
  /// Bytes of RAM from 4 GiB.
  public let high: UInt64

  /// - Parameter bytes: RAM in all; whole pages of it count.
  public init(bytes: UInt64) {
    let whole = bytes & ~0xFFF
    low = min(whole, Self.holeStart)
    high = whole - low
  }

  /// RAM's ranges, in order.
  public var ram: [Range<UInt64>] {
    [0..<low] + (high > 0 ? [Self.fourGiB..<Self.fourGiB + high] : [])
  }

  /// The first address after the last byte of RAM.
  public var end: UInt64 { high > 0 ? Self.fourGiB + high : low }

  /// Where firmware may place PCI devices' memory: up to the I/O APIC. SeaBIOS begins at 2 GiB or where RAM ends.
  public var pciWindow: ClosedRange<UInt64> { max(low, 0x8000_0000)...0xFEBF_FFFF }

  /// The RAM as SeaBIOS reads it in `etc/e820`: base, length (8 bytes each), type (4 bytes; 1: RAM), little-endian.
  public var e820: [UInt8] {
    var bytes: [UInt8] = []
    for range in ram {
      bytes.append(littleEndian: range.lowerBound)
      bytes.append(littleEndian: range.upperBound - range.lowerBound)
      bytes.append(littleEndian: UInt32(1))
    }
    return bytes
  }
}

extension [UInt8] {
  /// Appends a number's bytes, the lowest first.
  mutating func append<T: FixedWidthInteger>(littleEndian value: T) {
    for index in 0..<T.bitWidth / 8 { append(UInt8(truncatingIfNeeded: value >> T(index * 8))) }
  }

  /// Appends a number's bytes, the highest first.
  mutating func append<T: FixedWidthInteger>(bigEndian value: T) {
    for index in (0..<T.bitWidth / 8).reversed() { append(UInt8(truncatingIfNeeded: value >> T(index * 8))) }
  }

  /// Appends a text of a fixed size, cut or padded.
  mutating func append(_ text: String, padded count: Int, with pad: UInt8 = 0) {
    let bytes = Array(text.utf8.prefix(count))
    append(contentsOf: bytes)
    append(contentsOf: [UInt8](repeating: pad, count: count - bytes.count))
  }
}
