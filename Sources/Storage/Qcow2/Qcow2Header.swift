/// The header of a qcow2 image with its extensions, checked so that the rest of the code can compute with it.
struct Qcow2Header: Sendable {
  var geometry: Qcow2Geometry
  /// Bytes of the virtual disk.
  var size: UInt64
  var l1Size: Int
  var l1Offset: UInt64
  var tableOffset: UInt64
  var tableClusters: Int
  var snapshotCount: Int
  var snapshotsOffset: UInt64
  var incompatible: UInt64 = 0
  var compatible: UInt64 = 0
  var autoclear: UInt64 = 0
  var compression: Qcow2Compression = .zlib
  var backingName: String?
  var backingFormat: String?
  /// The bitmaps extension: directory's offset and size, and the number of bitmaps.
  var bitmaps: (offset: UInt64, bytes: UInt64, count: UInt32)?
  /// The first bytes of the file that a commit writes: 72 of version 2, 104 of version 3. One write, so that the switch
  /// from one set of tables to the next is all or nothing.
  var fixedPart: [UInt8] = []

  var isDirty: Bool { incompatible & Qcow2.incompatibleDirty != 0 }
  var isCorrupt: Bool { incompatible & Qcow2.incompatibleCorrupt != 0 }
  var hasLazyRefcounts: Bool { compatible & Qcow2.compatibleLazyRefcounts != 0 }
  var hasBitmaps: Bool { bitmaps != nil && autoclear & Qcow2.autoclearBitmaps != 0 }

  /// Whether the bytes begin as a qcow2 image does.
  static func isQcow2(_ prefix: [UInt8]) -> Bool { prefix.count >= 8 && prefix.be32(0) == Qcow2.magic && prefix.be32(4) >= 2 }

  init(reading file: ImageFile) throws(StorageError) {
    let path = file.path
    let fileSize = try file.size()
    let head = try file.read(at: 0, count: 112)
    guard fileSize >= 72, head.be32(0) == Qcow2.magic else {
      throw .malformed(path: path, reason: "is no qcow2 image: if it is a raw one, name that format")
    }
    let version = head.be32(4)
    guard version == 2 || version == 3 else { throw .unsupported(path: path, feature: "version \(version) of qcow2") }
    let clusterBits = head.be32(20)
    guard (9...21).contains(clusterBits) else {
      throw .malformed(path: path, reason: "its header asks for clusters of 2^\(clusterBits) bytes; 2^9 to 2^21 are possible")
    }
    guard head.be32(32) == 0 else { throw .unsupported(path: path, feature: "encryption") }
    let order = version == 3 ? head.be32(96) : 4
    guard order <= 6 else {
      throw .malformed(path: path, reason: "its header asks for reference counts of 2^\(order) bits; 1 to 64 are possible")
    }
    geometry = Qcow2Geometry(clusterBits: Int(clusterBits), refcountOrder: Int(order), version: Int(version))
    size = head.be64(24)
    l1Size = Int(head.be32(36))
    l1Offset = head.be64(40)
    tableOffset = head.be64(48)
    tableClusters = Int(head.be32(56))
    snapshotCount = Int(head.be32(60))
    snapshotsOffset = head.be64(64)
    fixedPart = Array(head[0..<(version == 3 ? 104 : 72)])
    var length = 72
    if version == 3 {
      incompatible = head.be64(72)
      compatible = head.be64(80)
      autoclear = head.be64(88)
      length = Int(head.be32(100))
      guard length >= 104, length <= geometry.clusterSize else {
        throw .malformed(path: path, reason: "its header is \(length) bytes long; 104 to a cluster are possible")
      }
    }
    try checkTables(path: path, fileSize: fileSize)
    let cluster = try file.read(at: 0, count: Int(min(UInt64(geometry.clusterSize), fileSize)))
    let nameOffset = head.be64(8)
    let nameEnd = try readBackingName(cluster, offset: nameOffset, count: Int(head.be32(16)), path: path)
    let names = try readExtensions(cluster, from: length, to: nameEnd ?? cluster.count, path: path)
    try checkFeatures(names, compressionType: length > 104 && head.count > 104 ? head[104] : 0, path: path)
  }

  /// The tables lie where tables can lie, and are no larger than the limits.
  private func checkTables(path: String, fileSize: UInt64) throws(StorageError) {
    func bad(_ what: String) -> StorageError { .malformed(path: path, reason: "is malformed: \(what)") }
    guard size <= UInt64(Int64.max) else { throw bad("its disk is larger than 2^63 bytes") }
    guard l1Size * 8 <= Qcow2.maximumL1Bytes else { throw bad("its L1 table of \(l1Size) entries is larger than 32 MiB") }
    guard UInt64(l1Size) >= geometry.l1Entries(forSize: size) else {
      throw bad("its L1 table of \(l1Size) entries is too small for its disk")
    }
    guard l1Size == 0 || (geometry.isAligned(l1Offset) && l1Offset != 0 && l1Offset < fileSize) else {
      throw bad("its L1 table at \(l1Offset) is not aligned to a cluster or lies outside the file")
    }
    guard tableClusters <= max(Qcow2.maximumTableBytes >> geometry.clusterBits, 1) else {
      throw bad("its refcount table is larger than 8 MiB")
    }
    guard tableClusters > 0, geometry.isAligned(tableOffset), tableOffset != 0, tableOffset < fileSize else {
      throw bad("its refcount table at \(tableOffset) is empty, not aligned to a cluster or outside the file")
    }
    guard snapshotCount <= Qcow2.maximumSnapshots else { throw bad("it has \(snapshotCount) snapshots; 65536 are possible") }
    guard snapshotCount == 0 || (snapshotsOffset & 7 == 0 && snapshotsOffset != 0 && snapshotsOffset < fileSize) else {
      throw bad("its snapshot table at \(snapshotsOffset) is not aligned or outside the file")
    }
  }

  /// Gives the offset where extensions must end.
  private mutating func readBackingName(_ cluster: [UInt8], offset: UInt64, count: Int, path: String) throws(StorageError) -> Int? {
    guard offset != 0, count != 0 else { return offset == 0 ? nil : Int(exactly: offset).map { min($0, cluster.count) } }
    guard count <= Qcow2.maximumBackingName, offset <= UInt64(cluster.count), Int(offset) + count <= cluster.count else {
      throw .malformed(path: path, reason: "is malformed: the name of its backing file is outside the first cluster or too long")
    }
    let bytes = cluster[Int(offset)..<Int(offset) + count]
    guard let name = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
      throw .malformed(path: path, reason: "is malformed: the name of its backing file is no text")
    }
    backingName = name
    return Int(offset)
  }

  /// Reads the extensions and gives the names of the incompatible features.
  private mutating func readExtensions(_ cluster: [UInt8], from start: Int, to end: Int, path: String) throws(StorageError) -> [Int: String]
  {
    var names: [Int: String] = [:]
    var at = (start + 7) & ~7
    while at + 8 <= end {
      let kind = cluster.be32(at)
      let count = Int(cluster.be32(at + 4))
      if kind == 0 { break }
      guard count <= end - at - 8 else {
        throw .malformed(path: path, reason: "is malformed: a header extension is longer than the header")
      }
      let data = Array(cluster[(at + 8)..<(at + 8 + count)])
      switch kind {
      case Qcow2.extensionBackingFormat: backingFormat = String(decoding: data.prefix(while: { $0 != 0 }), as: UTF8.self)
      case Qcow2.extensionFeatureNames:
        for entry in stride(from: 0, to: count - 47, by: 48) where data[entry] == 0 {
          names[Int(data[entry + 1])] = String(decoding: data[(entry + 2)..<(entry + 48)].prefix(while: { $0 != 0 }), as: UTF8.self)
        }
      case Qcow2.extensionBitmaps: bitmaps = (data.be64(16), data.be64(8), data.be32(0))
      default: break
      }
      at += 8 + (count + 7) & ~7
    }
    return names
  }

  private mutating func checkFeatures(_ names: [Int: String], compressionType: UInt8, path: String) throws(StorageError) {
    if incompatible & Qcow2.incompatibleDataFile != 0 {
      throw .unsupported(path: path, feature: "an external data file (convert the image with qemu-img convert first: it)")
    }
    if incompatible & Qcow2.incompatibleExtendedL2 != 0 {
      throw .unsupported(path: path, feature: "the extended L2 format (convert the image with -o extended_l2=off first: it)")
    }
    let known = Qcow2.incompatibleDirty | Qcow2.incompatibleCorrupt | Qcow2.incompatibleCompression
    if incompatible & ~known != 0 {
      let bit = (incompatible & ~known).trailingZeroBitCount
      throw .unsupported(path: path, feature: "incompatible feature \(bit) of its header\(names[bit].map { " ('\($0)')" } ?? "")")
    }
    if incompatible & Qcow2.incompatibleCompression != 0 {
      guard let type = Qcow2Compression(rawValue: compressionType), type != .zlib else {
        throw .unsupported(path: path, feature: "compression type \(compressionType)")
      }
      compression = type
    } else if compressionType != 0 {
      throw .malformed(path: path, reason: "is malformed: its compression type \(compressionType) lacks the feature bit")
    }
  }

  /// The fixed part with the present locations and features put in: what a commit writes at offset 0.
  func encodedFixedPart() -> [UInt8] {
    var bytes = fixedPart
    bytes.putBigEndian(UInt32(truncatingIfNeeded: l1Size), at: 36)
    bytes.putBigEndian(l1Offset, at: 40)
    bytes.putBigEndian(tableOffset, at: 48)
    bytes.putBigEndian(UInt32(truncatingIfNeeded: tableClusters), at: 56)
    if geometry.version >= 3 {
      bytes.putBigEndian(incompatible, at: 72)
      bytes.putBigEndian(compatible, at: 80)
      bytes.putBigEndian(autoclear, at: 88)
    }
    return bytes
  }
}
