/// The ones' complement sum of RFC 1071.
enum InternetChecksum {
  /// Adds bytes, as big-endian 16-bit words, to a running sum that is not folded yet. An odd last byte counts as a high one.
  static func sum(_ bytes: ArraySlice<UInt8>, _ initial: UInt64 = 0) -> UInt64 {
    bytes.withUnsafeBytes { buffer in
      var sum = initial
      var index = 0
      let count = buffer.count
      while index + 4 <= count {
        let word = buffer.loadUnaligned(fromByteOffset: index, as: UInt32.self).bigEndian
        sum &+= UInt64(word >> 16) &+ UInt64(word & 0xFFFF)
        index += 4
      }
      if index + 2 <= count {
        sum &+= UInt64(buffer.loadUnaligned(fromByteOffset: index, as: UInt16.self).bigEndian)
        index += 2
      }
      if index < count { sum &+= UInt64(buffer[index]) << 8 }
      return sum
    }
  }

  static func fold(_ sum: UInt64) -> UInt16 {
    var sum = sum
    while sum >> 16 != 0 { sum = (sum & 0xFFFF) &+ (sum >> 16) }
    return UInt16(truncatingIfNeeded: sum)
  }
}
