/// What a new image is to be like.
struct Qcow2Parameters: Sendable {
  var clusterBits = 16
  /// log2 of the bits of a reference count; 4 is the only one of version 2.
  var refcountOrder = 4
  var version = 3
  var compression = Qcow2Compression.zlib
  var lazyRefcounts = false
  var backing: String?
  var backingFormat: ImageFormat?
}

extension Qcow2Core {
  /// Makes an empty image: header, refcount table, refcount blocks and L1 table, in this order.
  static func create(path: String, size: UInt64, _ parameters: Qcow2Parameters) throws(StorageError) {
    try checkParameters(path: path, parameters)
    let geometry = Qcow2Geometry(clusterBits: parameters.clusterBits, refcountOrder: parameters.refcountOrder, version: parameters.version)
    let l1Size = geometry.l1Entries(forSize: size)
    guard size <= UInt64(Int64.max), l1Size <= UInt64(Qcow2.maximumL1Bytes / 8) else {
      throw .unsupported(
        path: path, feature: "a disk of \(size) bytes in clusters of \(geometry.clusterSize) bytes (take larger clusters: it)")
    }
    let l1Clusters = max(Int(geometry.clusters(forBytes: l1Size * 8)), 1)
    // Blocks count themselves and the table that lists them: take more until it is enough.
    var blocks = 1
    var tableClusters = 1
    while true {
      let total = 1 + tableClusters + blocks + l1Clusters
      let wantedBlocks = (total + geometry.blockEntries - 1) / geometry.blockEntries
      let wantedTable = (wantedBlocks + geometry.tableEntriesPerCluster - 1) / geometry.tableEntriesPerCluster
      if wantedBlocks <= blocks && wantedTable <= tableClusters { break }
      blocks = max(blocks, wantedBlocks)
      tableClusters = max(tableClusters, wantedTable)
    }
    let firstBlock = 1 + tableClusters
    let l1First = firstBlock + blocks
    let total = l1First + l1Clusters
    let cluster = try headerCluster(
      path: path, size: size, geometry: geometry, l1: (Int(l1Size), l1First), tableClusters: tableClusters, parameters)

    let file = try ImageFile(creating: path)
    let table = (0..<blocks).map { geometry.offset(UInt64(firstBlock + $0)) }
    try file.write(encodeTable(table, count: tableClusters << geometry.clusterBits), at: UInt64(geometry.clusterSize))
    for block in 0..<blocks {
      var bytes = [UInt8](repeating: 0, count: geometry.clusterSize)
      let first = block * geometry.blockEntries
      for number in first..<max(first, min(total, first + geometry.blockEntries)) {
        setRefcount(in: &bytes, at: number - first, order: geometry.refcountOrder, to: 1)
      }
      try file.write(bytes, at: geometry.offset(UInt64(firstBlock + block)))
    }
    // The L1 table is empty: a hole.
    try file.truncate(to: geometry.offset(UInt64(total)))
    try file.write(cluster, at: 0)
    try file.synchronize()
  }

  private static func checkParameters(path: String, _ parameters: Qcow2Parameters) throws(StorageError) {
    func refuse(_ what: String) -> StorageError { .unsupported(path: path, feature: what) }
    guard (9...21).contains(parameters.clusterBits) else { throw refuse("a cluster size other than 512 bytes to 2 MiB, a power of two,") }
    guard parameters.version == 2 || parameters.version == 3 else { throw refuse("a version other than 2 and 3") }
    guard (0...6).contains(parameters.refcountOrder) else { throw refuse("a reference count of other than 1 to 64 bits") }
    guard parameters.version == 3 || parameters.refcountOrder == 4 else {
      throw refuse("version 2 with reference counts of other than 16 bits")
    }
    guard parameters.version == 3 || !parameters.lazyRefcounts else { throw refuse("version 2 with lazy refcounts") }
    guard parameters.version == 3 || parameters.compression == .zlib else { throw refuse("version 2 with zstd compression") }
    guard (parameters.backing?.utf8.count ?? 0) <= Qcow2.maximumBackingName else {
      throw refuse("a backing file's name of more than 1023 bytes")
    }
  }

  private static func headerCluster(
    path: String, size: UInt64, geometry: Qcow2Geometry, l1: (size: Int, first: Int), tableClusters: Int, _ parameters: Qcow2Parameters
  ) throws(StorageError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: geometry.version == 3 ? 112 : 72)
    bytes.putBigEndian(Qcow2.magic, at: 0)
    bytes.putBigEndian(UInt32(geometry.version), at: 4)
    bytes.putBigEndian(UInt32(geometry.clusterBits), at: 20)
    bytes.putBigEndian(size, at: 24)
    bytes.putBigEndian(UInt32(l1.size), at: 36)
    bytes.putBigEndian(geometry.offset(UInt64(l1.first)), at: 40)
    bytes.putBigEndian(UInt64(geometry.clusterSize), at: 48)
    bytes.putBigEndian(UInt32(tableClusters), at: 56)
    if geometry.version == 3 {
      bytes.putBigEndian(parameters.compression == .zlib ? 0 : Qcow2.incompatibleCompression, at: 72)
      bytes.putBigEndian(parameters.lazyRefcounts ? Qcow2.compatibleLazyRefcounts : 0, at: 80)
      bytes.putBigEndian(UInt32(geometry.refcountOrder), at: 96)
      bytes.putBigEndian(UInt32(112), at: 100)
      bytes[104] = parameters.compression.rawValue
    }
    let name = Array((parameters.backing ?? "").utf8)
    if let format = parameters.backingFormat, !name.isEmpty {
      append(Qcow2.extensionBackingFormat, Array(format.rawValue.utf8), to: &bytes)
    }
    let names = featureNames()
    // The names are for people's eyes: small clusters go without.
    if geometry.version == 3, bytes.count + 8 + names.count + 8 + name.count <= geometry.clusterSize {
      append(Qcow2.extensionFeatureNames, names, to: &bytes)
    }
    bytes += [UInt8](repeating: 0, count: 8)
    if !name.isEmpty {
      bytes.putBigEndian(UInt64(bytes.count), at: 8)
      bytes.putBigEndian(UInt32(name.count), at: 16)
      bytes += name
    }
    guard bytes.count <= geometry.clusterSize else {
      throw .unsupported(path: path, feature: "so long a name of a backing file with so small clusters (take larger clusters: it)")
    }
    return bytes + [UInt8](repeating: 0, count: geometry.clusterSize - bytes.count)
  }

  private static func append(_ kind: UInt32, _ data: [UInt8], to bytes: inout [UInt8]) {
    var head = [UInt8](repeating: 0, count: 8)
    head.putBigEndian(kind, at: 0)
    head.putBigEndian(UInt32(data.count), at: 4)
    bytes += head + data + [UInt8](repeating: 0, count: -data.count & 7)
  }

  /// The feature name table: kind (0 incompatible, 1 compatible, 2 autoclear), bit, name.
  private static func featureNames() -> [UInt8] {
    let lines = """
      0 0 dirty bit
      0 1 corrupt bit
      0 2 external data file
      0 3 compression type
      0 4 extended L2 entries
      1 0 lazy refcounts
      2 0 bitmaps
      2 1 raw external data
      """
    var bytes: [UInt8] = []
    for line in lines.split(separator: "\n") {
      let fields = line.split(separator: " ", maxSplits: 2)
      let name = Array(fields[2].utf8)
      bytes += [UInt8(fields[0]) ?? 0, UInt8(fields[1]) ?? 0] + name + [UInt8](repeating: 0, count: 46 - name.count)
    }
    return bytes
  }
}
