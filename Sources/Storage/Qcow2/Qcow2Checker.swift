/// How much a check mends.
public enum Qcow2Repair: String, Sendable, CaseIterable {
  case none
  /// Clusters that nothing uses are freed.
  case leaks
  /// All reference counts are set anew; entries that lead nowhere are dropped.
  case all
}

/// What a check found, in the image as it is after any repair.
public struct Qcow2CheckReport: Sendable, Codable, Equatable {
  /// What can lose or mix up data: wrong references, overlaps, counts that are too low, wrong flags.
  public var corruptions = 0
  /// Of the corruptions, clusters used for two things of which one is a table.
  public var overlaps = 0
  /// Clusters whose count is higher than their uses: space lost, nothing else.
  public var leaks = 0
  public var corruptionsFixed = 0
  public var leaksFixed = 0
  /// Clusters of the disk that hold data, and of those the compressed ones.
  public var allocatedClusters: UInt64 = 0
  public var compressedClusters: UInt64 = 0
  public var totalClusters: UInt64 = 0
  /// Bytes of the file up to the last cluster in use.
  public var imageEnd: UInt64 = 0
  /// The first hundred findings, as sentences.
  public var findings: [String] = []

  public var isClean: Bool { corruptions == 0 && leaks == 0 }
}

/// Counts how often each cluster of an image is used and compares that with the reference counts.
///
/// Its work and memory are bounded by the bytes of the image's tables, however they point at each other: a table that several
/// others lead to is walked once, with its number of uses as weight.
final class Qcow2Checker {
  let file: ImageFile
  let header: Qcow2Header
  let geometry: Qcow2Geometry
  var report = Qcow2CheckReport()
  private(set) var l1: [UInt64] = []
  private(set) var table: [UInt64] = []
  /// Uses of each cluster, in pages of 64.
  private(set) var uses: [UInt64: [UInt64]] = [:]
  /// Clusters of tables.
  private(set) var metadata: Set<UInt64> = []
  /// Clusters of the refcount table and its blocks, each use of them.
  private(set) var structure: [UInt64] = []
  /// The refcount table or a block is not where it can be.
  private(set) var structureIsDamaged = false
  /// Clusters in the file.
  private let clusters: UInt64
  private var blockCache: [Int: [UInt8]] = [:]

  init(file: ImageFile) throws(StorageError) {
    self.file = file
    header = try Qcow2Header(reading: file)
    geometry = header.geometry
    clusters = header.geometry.clusters(forBytes: try file.size())
  }

  // MARK: Findings

  private func corrupt(_ text: @autoclosure () -> String) {
    report.corruptions += 1
    note("corrupt: ", text)
  }

  private func note(_ kind: String, _ text: () -> String) {
    if report.findings.count < 100 { report.findings.append(kind + text()) }
  }

  // MARK: Uses

  func uses(of cluster: UInt64) -> UInt64 { uses[cluster >> 6]?[Int(cluster & 63)] ?? 0 }

  private func use(_ cluster: UInt64, weight: UInt64 = 1) {
    let (sum, overflow) = uses(of: cluster).addingReportingOverflow(weight)
    uses[cluster >> 6, default: [UInt64](repeating: 0, count: 64)][Int(cluster & 63)] = overflow ? .max : sum
  }

  /// A table of so many bytes. Says whether it lies in the file; reports where it does not, and where it overlaps another.
  @discardableResult
  private func useTable(_ offset: UInt64, bytes: UInt64, aligned: Bool = true, weight: UInt64 = 1, _ name: () -> String) -> Bool {
    guard bytes > 0 else { return true }
    let (end, overflow) = offset.addingReportingOverflow(bytes)
    guard !overflow, !aligned || geometry.isAligned(offset), offset > 0, geometry.clusters(forBytes: end) <= clusters else {
      corrupt("\(name()) at \(offset) is not aligned or outside the file")
      return false
    }
    for cluster in offset >> UInt64(geometry.clusterBits)...(end - 1) >> UInt64(geometry.clusterBits) {
      use(cluster, weight: weight)
      if !metadata.insert(cluster).inserted {
        report.overlaps += 1
        corrupt("\(name()) overlaps another table in cluster \(cluster)")
      }
    }
    return true
  }

  // MARK: The walk

  func run() throws(StorageError) {
    use(0)
    metadata.insert(0)
    report.totalClusters = geometry.clusters(forBytes: header.size)
    try countStructure()
    var l2Tables: [UInt64: (weight: UInt64, active: Bool)] = [:]
    let l1Bytes = UInt64(header.l1Size) * 8
    if useTable(header.l1Offset, bytes: l1Bytes, { "the L1 table" }) {
      l1 = decodeTable(try file.read(at: header.l1Offset, count: header.l1Size * 8))
    }
    for (index, entry) in l1.enumerated() where entry & Qcow2.offsetMask != 0 {
      guard isPossible(entry & Qcow2.offsetMask) else {
        corrupt("entry \(index) of the L1 table leads to \(entry & Qcow2.offsetMask), not aligned or outside the file")
        continue
      }
      if let known = l2Tables.updateValue((1, true), forKey: entry & Qcow2.offsetMask), known.active {
        corrupt("entry \(index) of the L1 table leads to an L2 table that another entry leads to")
        l2Tables[entry & Qcow2.offsetMask]?.weight = known.weight + 1
      }
    }
    try countSnapshots(&l2Tables)
    for (offset, uses) in l2Tables.sorted(by: { $0.key < $1.key }) {
      useTable(offset, bytes: UInt64(geometry.clusterSize), weight: uses.weight) { "an L2 table" }
    }
    try countBitmaps()
    for (index, entry) in l1.enumerated() where entry & Qcow2.offsetMask != 0 && isPossible(entry & Qcow2.offsetMask) {
      try checkCopied(entry, cluster: (entry & Qcow2.offsetMask) >> UInt64(geometry.clusterBits)) { "entry \(index) of the L1 table" }
    }
    for (offset, uses) in l2Tables.sorted(by: { $0.key < $1.key }) {
      try countData(of: offset, weight: uses.weight, active: uses.active)
    }
    try compare()
  }

  func isPossible(_ offset: UInt64) -> Bool { geometry.isAligned(offset) && offset >> UInt64(geometry.clusterBits) < clusters }

  private func countStructure() throws(StorageError) {
    let bytes = UInt64(header.tableClusters) << UInt64(geometry.clusterBits)
    guard useTable(header.tableOffset, bytes: bytes, { "the refcount table" }) else {
      structureIsDamaged = true
      return
    }
    let first = header.tableOffset >> UInt64(geometry.clusterBits)
    structure += first..<first + UInt64(header.tableClusters)
    table = decodeTable(try file.read(at: header.tableOffset, count: Int(bytes)))
    for index in table.indices where table[index] != 0 {
      let offset = table[index]
      let cluster = offset >> UInt64(geometry.clusterBits)
      guard offset & ~Qcow2.offsetMask == 0, isPossible(offset), !metadata.contains(cluster) else {
        corrupt("refcount block \(index) at \(offset) is not aligned, outside the file or another table")
        structureIsDamaged = true
        table[index] = 0
        continue
      }
      use(cluster)
      metadata.insert(cluster)
      structure.append(cluster)
    }
  }

  private func countSnapshots(_ l2Tables: inout [UInt64: (weight: UInt64, active: Bool)]) throws(StorageError) {
    let snapshots = try readSnapshots(file: file, header: header)
    if let bytes = snapshots.bytes {
      useTable(header.snapshotsOffset, bytes: UInt64(bytes), aligned: false) { "the snapshot table" }
    }
    for snapshot in snapshots.list {
      let name = { "the L1 table of snapshot '\(snapshot.name)'" }
      guard useTable(snapshot.l1Offset, bytes: UInt64(snapshot.l1Size) * 8, name), snapshot.l1Size > 0 else { continue }
      let entries = decodeTable(try file.read(at: snapshot.l1Offset, count: snapshot.l1Size * 8))
      for (index, entry) in entries.enumerated() where entry & Qcow2.offsetMask != 0 {
        guard isPossible(entry & Qcow2.offsetMask) else {
          corrupt("entry \(index) of \(name()) leads to \(entry & Qcow2.offsetMask), not aligned or outside the file")
          continue
        }
        l2Tables[entry & Qcow2.offsetMask, default: (0, false)].weight += 1
      }
    }
  }

  /// Dirty bitmaps: a directory, a table for each, clusters of bits.
  private func countBitmaps() throws(StorageError) {
    guard header.hasBitmaps, let bitmaps = header.bitmaps, bitmaps.bytes <= 65535 * 1024 else { return }
    guard useTable(bitmaps.offset, bytes: bitmaps.bytes, { "the bitmap directory" }) else { return }
    let directory = try file.read(at: bitmaps.offset, count: Int(bitmaps.bytes))
    var at = 0
    var tableBytes: UInt64 = 0
    for _ in 0..<bitmaps.count where at + 24 <= directory.count {
      let offset = directory.be64(at)
      let entries = UInt64(directory.be32(at + 8))
      tableBytes += entries * 8
      guard tableBytes <= 256 << 20 else { return corrupt("the bitmap tables are larger than 256 MiB") }
      if entries > 0, useTable(offset, bytes: entries * 8, { "a bitmap table" }) {
        for entry in decodeTable(try file.read(at: offset, count: Int(entries * 8))) where entry & Qcow2.offsetMask != 0 {
          useTable(entry & Qcow2.offsetMask, bytes: UInt64(geometry.clusterSize)) { "a cluster of a bitmap" }
        }
      }
      at += (24 + Int(directory.be16(at + 18)) + Int(directory.be32(at + 20)) + 7) & ~7
    }
  }

  // MARK: Data

  private func countData(of offset: UInt64, weight: UInt64, active: Bool) throws(StorageError) {
    let words = decodeTable(try file.read(at: offset, count: geometry.clusterSize))
    for (index, entry) in words.enumerated() where entry != 0 {
      if let problem = problem(of: entry) {
        if problem.overlaps { report.overlaps += 1 }
        corrupt("entry \(index) of the L2 table at \(offset) \(problem.text)")
        continue
      }
      if entry & Qcow2.compressed != 0 {
        if active {
          report.allocatedClusters += 1
          report.compressedClusters += 1
        }
        for cluster in hostClusters(of: entry) { use(cluster, weight: weight) }
        if active, entry & Qcow2.copied != 0 {
          corrupt("entry \(index) of the L2 table at \(offset): a compressed cluster marked as copied")
        }
        continue
      }
      let host = entry & Qcow2.offsetMask
      guard host != 0 else { continue }
      if active { report.allocatedClusters += 1 }
      use(host >> UInt64(geometry.clusterBits), weight: weight)
      if active { try checkCopied(entry, cluster: host >> UInt64(geometry.clusterBits)) { "entry \(index) of the L2 table at \(offset)" } }
    }
  }

  func hostClusters(of entry: UInt64) -> ClosedRange<UInt64> {
    let range = geometry.compressedRange(entry)
    return (range.offset >> UInt64(geometry.clusterBits))...((range.offset + UInt64(range.count) - 1) >> UInt64(geometry.clusterBits))
  }

  /// What is wrong with an L2 entry by itself.
  func problem(of entry: UInt64) -> (text: String, overlaps: Bool)? {
    if entry & Qcow2.compressed != 0 {
      let range = hostClusters(of: entry)
      guard range.lowerBound > 0, range.upperBound < clusters, range.upperBound - range.lowerBound <= 2 else {
        return ("leads outside the file with a compressed cluster", false)
      }
      for cluster in range where metadata.contains(cluster) { return ("leads into a table with a compressed cluster", true) }
      return nil
    }
    let host = entry & Qcow2.offsetMask
    if entry & Qcow2.zero != 0 && geometry.version < 3 { return ("is a zero cluster, which version 2 has not", false) }
    guard host != 0 else { return nil }
    guard isPossible(host) else { return ("leads to \(host), not aligned or outside the file", false) }
    guard !metadata.contains(host >> UInt64(geometry.clusterBits)) else { return ("leads to \(host), a table", true) }
    return nil
  }

  private func checkCopied(_ entry: UInt64, cluster: UInt64, _ name: () -> String) throws(StorageError) {
    let isSingle = try storedCount(of: cluster) == 1
    if (entry & Qcow2.copied != 0) != isSingle {
      corrupt("\(name()): the copied flag is \(isSingle ? "clear, the count is" : "set, the count is not") 1")
    }
  }

  // MARK: The counts on disk

  private func block(_ index: Int) throws(StorageError) -> [UInt8]? {
    guard index < table.count, table[index] != 0 else { return nil }
    if let block = blockCache[index] { return block }
    // 8 MiB, or 4 blocks.
    if blockCache.count >= max(4, (8 << 20) >> geometry.clusterBits) { blockCache = [:] }
    let block = try file.read(at: table[index], count: geometry.clusterSize)
    blockCache[index] = block
    return block
  }

  func storedCount(of cluster: UInt64) throws(StorageError) -> UInt64 {
    let index = cluster >> UInt64(geometry.blockBits)
    guard index < UInt64(table.count), let block = try block(Int(index)) else { return 0 }
    return refcount(in: block, at: Int(cluster & UInt64(geometry.blockEntries - 1)), order: geometry.refcountOrder)
  }

  private func compare() throws(StorageError) {
    var last: UInt64 = 0
    for index in table.indices where table[index] != 0 {
      guard let block = try block(index) else { continue }
      if block.withUnsafeBytes({ isAllZero($0) }) { continue }
      let first = UInt64(index) << UInt64(geometry.blockBits)
      for entry in 0..<geometry.blockEntries {
        let cluster = first + UInt64(entry)
        let stored = refcount(in: block, at: entry, order: geometry.refcountOrder)
        guard stored > 0 else { continue }
        last = max(last, cluster + 1)
        let used = uses(of: cluster)
        if stored > used {
          report.leaks += 1
          note("leak: ") { "cluster \(cluster) has the reference count \(stored) and \(used) uses" }
        }
      }
    }
    for (page, counts) in uses.sorted(by: { $0.key < $1.key }) {
      for (index, used) in counts.enumerated() where used > 0 {
        let cluster = page << 6 | UInt64(index)
        last = max(last, cluster + 1)
        let stored = try storedCount(of: cluster)
        if stored < used { corrupt("cluster \(cluster) has the reference count \(stored) and \(used) uses") }
      }
    }
    report.imageEnd = geometry.offset(last)
  }
}
