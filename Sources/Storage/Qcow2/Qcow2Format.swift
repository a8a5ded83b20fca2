// The qcow2 format: constants and shapes (QEMU's docs/interop/qcow2). Every number in the file is big-endian.

/// How compressed clusters are packed.
public enum Qcow2Compression: UInt8, Sendable, CaseIterable {
  /// Raw deflate, window of 4 KiB.
  case zlib = 0
  case zstd = 1

  public var name: String { self == .zlib ? "zlib" : "zstd" }
}

enum Qcow2 {
  static let magic: UInt32 = 0x5146_49FB
  /// L1 and L2: the cluster that the entry points to has a reference count of exactly one.
  static let copied: UInt64 = 1 << 63
  /// L2: the cluster is compressed.
  static let compressed: UInt64 = 1 << 62
  /// L2, version 3: the cluster reads as zeros, whatever it points to.
  static let zero: UInt64 = 1
  /// The host offset in an L1, L2 or refcount table entry.
  static let offsetMask: UInt64 = 0x00FF_FFFF_FFFF_FE00

  static let incompatibleDirty: UInt64 = 1 << 0
  static let incompatibleCorrupt: UInt64 = 1 << 1
  static let incompatibleDataFile: UInt64 = 1 << 2
  static let incompatibleCompression: UInt64 = 1 << 3
  static let incompatibleExtendedL2: UInt64 = 1 << 4
  static let compatibleLazyRefcounts: UInt64 = 1 << 0
  static let autoclearBitmaps: UInt64 = 1 << 0

  static let extensionBackingFormat: UInt32 = 0xE279_2ACA
  static let extensionFeatureNames: UInt32 = 0x6803_F857
  static let extensionBitmaps: UInt32 = 0x2385_2875
  static let extensionEncryption: UInt32 = 0x0537_BE77
  static let extensionDataFile: UInt32 = 0x4441_5441

  /// The limits that keep a hostile header from asking for unbounded memory; QEMU's are the same.
  static let maximumL1Bytes = 32 << 20
  static let maximumTableBytes = 8 << 20
  static let maximumSnapshots = 65536
  static let maximumBackingName = 1023
}

/// The sizes that follow from a header.
struct Qcow2Geometry: Sendable, Equatable {
  let clusterBits: Int
  let refcountOrder: Int
  let version: Int

  var clusterSize: Int { 1 << clusterBits }
  /// log2 of the entries in an L2 table.
  var l2Bits: Int { clusterBits - 3 }
  var l2Entries: Int { 1 << l2Bits }
  /// log2 of the reference counts in a refcount block.
  var blockBits: Int { clusterBits + 3 - refcountOrder }
  var blockEntries: Int { 1 << blockBits }
  var tableEntriesPerCluster: Int { clusterSize / 8 }
  var refcountMaximum: UInt64 { refcountOrder == 6 ? .max : (1 << (1 << UInt64(refcountOrder))) - 1 }
  /// Clusters that an entry's offset field can name.
  var clusterLimit: UInt64 { 1 << UInt64(55 - clusterBits) }
  /// Bits of the host offset in a compressed cluster's entry.
  var compressedOffsetBits: Int { 62 - (clusterBits - 8) }

  func clusters(forBytes bytes: UInt64) -> UInt64 {
    (bytes >> UInt64(clusterBits)) &+ (bytes & UInt64(clusterSize - 1) == 0 ? 0 : 1)
  }

  func offset(_ cluster: UInt64) -> UInt64 { cluster &<< UInt64(clusterBits) }
  func isAligned(_ offset: UInt64) -> Bool { offset & UInt64(clusterSize - 1) == 0 }

  /// L1 entries that a disk of `size` bytes needs.
  func l1Entries(forSize size: UInt64) -> UInt64 {
    let covered = UInt64(clusterBits + l2Bits)
    return (size >> covered) &+ (size & ((1 << covered) - 1) == 0 ? 0 : 1)
  }

  /// Where a compressed cluster lies: the first byte, and how many bytes its sectors hold.
  func compressedRange(_ entry: UInt64) -> (offset: UInt64, count: Int) {
    let bits = UInt64(compressedOffsetBits)
    let offset = entry & ((1 << bits) - 1)
    let sectors = (entry & (Qcow2.compressed - 1)) >> bits
    return (offset, Int(sectors + 1) * 512 - Int(offset & 511))
  }
}

/// What an L2 entry says of its cluster.
enum Qcow2Mapping: Equatable {
  case unallocated
  /// Zeros; `host` is a cluster kept for it, if any.
  case zero(host: UInt64?)
  case data(host: UInt64)
  case compressed(entry: UInt64)
}

extension [UInt8] {
  /// Big-endian reads; what is out of range reads as zero.
  func be16(_ at: Int) -> UInt16 { UInt16(truncatingIfNeeded: bigEndian(at, 2)) }
  func be32(_ at: Int) -> UInt32 { UInt32(truncatingIfNeeded: bigEndian(at, 4)) }
  func be64(_ at: Int) -> UInt64 { bigEndian(at, 8) }

  private func bigEndian(_ at: Int, _ width: Int) -> UInt64 {
    guard at >= 0, at <= count - width else { return 0 }
    var value: UInt64 = 0
    for index in at..<at + width { value = value << 8 | UInt64(self[index]) }
    return value
  }

  mutating func putBigEndian(_ value: some FixedWidthInteger & UnsignedInteger, at offset: Int) {
    let width = value.bitWidth / 8
    guard offset >= 0, offset <= count - width else { return }
    for index in 0..<width { self[offset + index] = UInt8(truncatingIfNeeded: value >> ((width - 1 - index) * 8)) }
  }
}

/// A table of 64-bit big-endian numbers, from the file's bytes.
func decodeTable(_ bytes: [UInt8]) -> [UInt64] {
  let count = bytes.count / 8
  return [UInt64](unsafeUninitializedCapacity: count) { buffer, filled in
    bytes.withUnsafeBytes { source in
      for index in 0..<count { buffer[index] = UInt64(bigEndian: source.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)) }
    }
    filled = count
  }
}

/// The bytes of a table, padded with zeros to `count` bytes.
func encodeTable(_ words: [UInt64], count: Int) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: Swift.max(count, words.count * 8))
  bytes.withUnsafeMutableBytes { target in
    for (index, word) in words.enumerated() { target.storeBytes(of: word.bigEndian, toByteOffset: index * 8, as: UInt64.self) }
  }
  return bytes
}

/// Whether every byte is zero.
func isAllZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
  var index = 0
  while index + 8 <= bytes.count {
    if bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) != 0 { return false }
    index += 8
  }
  while index < bytes.count {
    if bytes[index] != 0 { return false }
    index += 1
  }
  return true
}
