/// The ones' complement sum of RFC 1071.
public enum InternetChecksum {
  /// Adds bytes, as big-endian 16-bit words, to a running sum that is not folded yet. An odd last byte counts as a high one.
  public static func sum(_ bytes: ArraySlice<UInt8>, _ initial: UInt64 = 0) -> UInt64 {
    bytes.withUnsafeBytes { sum($0, initial) }
  }

  public static func sum(_ buffer: UnsafeRawBufferPointer, _ initial: UInt64 = 0) -> UInt64 {
    // The sum does not mind in which order of bytes it is made (RFC 1071, 2 (B)): the host's own, turned at the end.
    var sum: UInt64 = 0
    let count = buffer.count
    let whole = count & ~3
    var index = 0
    while index < whole {
      sum &+= UInt64(buffer.loadUnaligned(fromByteOffset: index, as: UInt32.self).littleEndian)
      index &+= 4
    }
    if index + 2 <= count {
      sum &+= UInt64(buffer.loadUnaligned(fromByteOffset: index, as: UInt16.self).littleEndian)
      index += 2
    }
    if index < count { sum &+= UInt64(buffer[index]) }
    return initial &+ UInt64(fold(sum).byteSwapped)
  }

  public static func fold(_ sum: UInt64) -> UInt16 {
    var sum = sum
    while sum >> 16 != 0 { sum = (sum & 0xFFFF) &+ (sum >> 16) }
    return UInt16(truncatingIfNeeded: sum)
  }
}
