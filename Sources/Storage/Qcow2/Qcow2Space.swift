/// The reference counts of an image's clusters, and which clusters may be taken.
///
/// Counts change in memory; `place` gives every changed refcount block, and the table, a new home among the free clusters, and
/// `writePlaced` writes them there. Until the header points to them the old ones on disk stay as they are. For the same reason a
/// cluster that became free is not taken again before `settle` says that the header no longer leads to it.
final class Qcow2Space {
  /// Clusters one after the other.
  struct Run: Equatable {
    var first: UInt64
    var count: Int
  }

  final class Block {
    var bytes: [UInt8]
    var isDirty = false
    var stamp: UInt64 = 0
    init(_ bytes: [UInt8]) { self.bytes = bytes }
  }

  let file: ImageFile
  let geometry: Qcow2Geometry
  /// Host offset of each refcount block; 0: there is none, its counts are zero.
  private(set) var table: [UInt64]
  private(set) var tableRun: Run
  /// Clusters of tables in use: never given out, never written as a guest's data.
  var metadata: Set<UInt64> = []
  /// One past the highest cluster given out.
  private(set) var highWater: UInt64

  private var blocks: [Int: Block] = [:]
  private var dirtyOrder: [Int] = []
  private var clock: UInt64 = 0
  /// Blocks kept in memory while clean.
  private let blockLimit: Int

  /// Free for the working state, not yet to be overwritten: freed since the last commit, or a spare run.
  private var reserved: Set<UInt64> = []
  private var freed: [UInt64] = []
  private var reusable: [UInt64] = []
  /// Every free cluster below is in `reusable` or `reserved`.
  private var scan: UInt64 = 0
  private var tableHome = Home()

  init(file: ImageFile, geometry: Qcow2Geometry, tableOffset: UInt64, tableClusters: Int, fileSize: UInt64) throws(StorageError) {
    self.file = file
    self.geometry = geometry
    let bytes = try file.read(at: tableOffset, count: tableClusters << geometry.clusterBits)
    table = decodeTable(bytes)
    tableRun = Run(first: tableOffset >> UInt64(geometry.clusterBits), count: tableClusters)
    highWater = geometry.clusters(forBytes: fileSize)
    blockLimit = max(8, (4 << 20) >> geometry.clusterBits)
  }

  func malformed(_ what: String) -> StorageError {
    .malformed(path: file.path, reason: "\(what); run 'paravane image check -r all' on it")
  }

  /// What a writer must be sure of: every block lies in the file, none twice. Marks the clusters of table and blocks.
  func checkTable() throws(StorageError) {
    mark(tableRun)
    for (index, offset) in table.enumerated() where offset != 0 {
      guard offset & ~Qcow2.offsetMask == 0, geometry.isAligned(offset), offset >> UInt64(geometry.clusterBits) < highWater else {
        throw malformed("refcount block \(index) at \(offset) is not aligned or outside the file")
      }
      guard metadata.insert(offset >> UInt64(geometry.clusterBits)).inserted else {
        throw malformed("refcount block \(index) at \(offset) overlaps another table")
      }
    }
    while table.last == 0 { table.removeLast() }
  }

  func mark(_ run: Run) {
    for cluster in run.first..<run.first &+ UInt64(run.count) { metadata.insert(cluster) }
  }

  // MARK: Counts

  private func load(_ index: Int) throws(StorageError) -> Block? {
    clock &+= 1
    if let block = blocks[index] {
      block.stamp = clock
      return block
    }
    guard index < table.count, table[index] != 0 else { return nil }
    if blocks.count >= blockLimit { evict() }
    let block = Block(try file.read(at: table[index], count: geometry.clusterSize))
    block.stamp = clock
    blocks[index] = block
    return block
  }

  private func evict() {
    let clean = blocks.filter { !$0.value.isDirty }.sorted { $0.value.stamp < $1.value.stamp }
    for (index, _) in clean.prefix(max(clean.count / 4, 1)) { blocks[index] = nil }
  }

  func count(of cluster: UInt64) throws(StorageError) -> UInt64 {
    let index = cluster >> UInt64(geometry.blockBits)
    guard index < UInt64(Int32.max), let block = try load(Int(index)) else { return 0 }
    return refcount(in: block.bytes, at: Int(cluster & UInt64(geometry.blockEntries - 1)), order: geometry.refcountOrder)
  }

  func setCount(of cluster: UInt64, to value: UInt64) throws(StorageError) {
    let index = cluster >> UInt64(geometry.blockBits)
    guard index < UInt64(Qcow2.maximumTableBytes / 8) else { throw .host(path: file.path, errno: 27) }  // EFBIG
    let number = Int(index)
    let block: Block
    if let known = try load(number) {
      block = known
    } else {
      while table.count <= number { table.append(0) }
      block = Block([UInt8](repeating: 0, count: geometry.clusterSize))
      block.stamp = clock
      blocks[number] = block
    }
    if !block.isDirty {
      block.isDirty = true
      dirtyOrder.append(number)
    }
    setRefcount(in: &block.bytes, at: Int(cluster & UInt64(geometry.blockEntries - 1)), order: geometry.refcountOrder, to: value)
  }

  var dirtyBlocks: Int { dirtyOrder.count }
  /// So many changed blocks are in memory that they should be committed.
  var isFull: Bool { dirtyOrder.count * 2 > blockLimit }

  func increment(_ cluster: UInt64) throws(StorageError) {
    let old = try count(of: cluster)
    guard old < geometry.refcountMaximum else { throw .unsupported(path: file.path, feature: "a reference count above \(old)") }
    try setCount(of: cluster, to: old + 1)
  }

  /// Drops one reference; the last one frees the cluster, from the next commit on.
  func release(_ cluster: UInt64) throws(StorageError) {
    let old = try count(of: cluster)
    guard old > 0 else { throw malformed("cluster \(cluster) is in use and has the reference count 0") }
    try setCount(of: cluster, to: old - 1)
    if old == 1 {
      freed.append(cluster)
      reserved.insert(cluster)
      metadata.remove(cluster)
    }
  }

  func release(_ run: Run) throws(StorageError) {
    for cluster in run.first..<run.first &+ UInt64(run.count) { try release(cluster) }
  }

  // MARK: Taking clusters

  private func isFree(_ cluster: UInt64) throws(StorageError) -> Bool {
    if reserved.contains(cluster) || metadata.contains(cluster) { return false }
    return try count(of: cluster) == 0
  }

  /// Takes one free cluster; its reference count is 1.
  func take() throws(StorageError) -> UInt64 {
    while let cluster = reusable.popLast() {
      if try isFree(cluster) { return try give(Run(first: cluster, count: 1)).first }
    }
    return try takeRun(1).first
  }

  /// Takes one cluster if it is free.
  func take(at cluster: UInt64) throws(StorageError) -> Bool {
    guard cluster < geometry.clusterLimit, try isFree(cluster) else { return false }
    _ = try give(Run(first: cluster, count: 1))
    return true
  }

  func takeRun(_ count: Int) throws(StorageError) -> Run {
    var at = scan
    var length = 0
    while length < count {
      guard at < geometry.clusterLimit else { throw .host(path: file.path, errno: 28) }  // ENOSPC
      length = try isFree(at) ? length + 1 : 0
      at += 1
    }
    let run = Run(first: at - UInt64(count), count: count)
    // What was stepped over stays below `scan` only if it is in use: a single cluster is always the first free one.
    if count == 1 || run.first == scan { scan = at }
    return try give(run)
  }

  private func give(_ run: Run) throws(StorageError) -> Run {
    for cluster in run.first..<run.first + UInt64(run.count) { try setCount(of: cluster, to: 1) }
    highWater = max(highWater, run.first + UInt64(run.count))
    return run
  }

  // MARK: Commit

  /// A table of several clusters that moves at each commit, to and fro between two runs.
  struct Home {
    /// The run it lay in before the last move that was committed: free, kept for the next move.
    var spare: Run?
    /// The run it has just left; the spare one after the commit.
    var left: Run?
  }

  /// Moves a table of `count` clusters from `old` to a free run.
  func move(_ old: Run, to count: Int, _ home: inout Home) throws(StorageError) -> Run {
    let new: Run
    if let spare = home.spare, spare.count == count {
      home.spare = nil
      for cluster in spare.first..<spare.first + UInt64(count) { reserved.remove(cluster) }
      new = try give(spare)
    } else {
      new = count == 1 ? Run(first: try take(), count: 1) : try takeRun(count)
    }
    mark(new)
    try release(old)
    home.left = old
    return new
  }

  /// Gives every changed block and the table their new clusters.
  func place() throws(StorageError) {
    var next = 0
    var moved = false
    var placed: [(Int, UInt64)] = []
    while true {
      let needed = max((table.count + geometry.tableEntriesPerCluster - 1) / geometry.tableEntriesPerCluster, 1)
      if !moved || needed > tableRun.count {
        tableRun = try move(tableRun, to: max(needed, tableRun.count), &tableHome)
        moved = true
      }
      guard next < dirtyOrder.count else {
        if needed <= tableRun.count { break }
        continue
      }
      let index = dirtyOrder[next]
      next += 1
      let cluster = try take()
      let old = table[index]
      table[index] = geometry.offset(cluster)
      metadata.insert(cluster)
      placed.append((index, old))
      if old != 0 { try release(old >> UInt64(geometry.clusterBits)) }
    }
  }

  /// Writes what `place` placed.
  func writePlaced() throws(StorageError) {
    for index in dirtyOrder {
      guard let block = blocks[index] else { continue }
      try file.write(block.bytes, at: table[index])
    }
    try file.write(encodeTable(table, count: tableRun.count << geometry.clusterBits), at: geometry.offset(tableRun.first))
  }

  /// The counts on disk are those in memory.
  func markClean() {
    for index in dirtyOrder { blocks[index]?.isDirty = false }
    dirtyOrder = []
    if blocks.count > blockLimit { evict() }
  }

  /// The header leads to the new tables: what was freed before may be taken again.
  func settle(_ homes: inout Home) {
    settleHome(&homes)
    settleHome(&tableHome)
    var lowest = scan
    // A few are remembered one by one; many are found again by looking through the counts.
    let remember = freed.count <= 4096 && reusable.count <= 65536
    for cluster in freed.reversed() where !isSpare(cluster, homes) {
      reserved.remove(cluster)
      if remember { reusable.append(cluster) } else { lowest = min(lowest, cluster) }
    }
    scan = lowest
    freed = []
  }

  private func settleHome(_ home: inout Home) {
    guard let left = home.left else { return }
    if let old = home.spare { freed.append(contentsOf: old.first..<old.first + UInt64(old.count)) }
    home.spare = left
    home.left = nil
  }

  private func isSpare(_ cluster: UInt64, _ other: Home) -> Bool {
    for spare in [tableHome.spare, other.spare] {
      if let spare, cluster >= spare.first, cluster < spare.first + UInt64(spare.count) { return true }
    }
    return false
  }

  // MARK: Repair

  /// Forgets all counts: they are set anew. The clusters of the old table and blocks stay untouched until the next commit.
  func forgetCounts(oldStructure: [UInt64]) {
    table = []
    blocks = [:]
    dirtyOrder = []
    reusable = []
    scan = 0
    reserved = Set(oldStructure)
    freed = oldStructure
    tableHome = Home()
  }

  /// Gives the table a place once all counts are set after `forgetCounts`: there is no old one to release.
  func adoptTable() throws(StorageError) {
    tableRun = try takeRun(1)
    mark(tableRun)
  }
}

/// The count at `index` of a refcount block; counts narrower than a byte begin at its low bits.
func refcount(in block: [UInt8], at index: Int, order: Int) -> UInt64 {
  switch order {
  case 0, 1, 2:
    let width = 1 << order
    let bit = index << order
    guard bit >> 3 < block.count else { return 0 }
    return UInt64(block[bit >> 3] >> UInt8(bit & 7)) & ((1 << UInt64(width)) - 1)
  case 3: return index < block.count ? UInt64(block[index]) : 0
  case 4: return UInt64(block.be16(index * 2))
  case 5: return UInt64(block.be32(index * 4))
  default: return block.be64(index * 8)
  }
}

func setRefcount(in block: inout [UInt8], at index: Int, order: Int, to value: UInt64) {
  switch order {
  case 0, 1, 2:
    let width = 1 << order
    let bit = index << order
    guard bit >> 3 < block.count else { return }
    let mask = UInt8((1 << width) - 1) << UInt8(bit & 7)
    block[bit >> 3] = block[bit >> 3] & ~mask | (UInt8(truncatingIfNeeded: value) << UInt8(bit & 7)) & mask
  case 3: if index < block.count { block[index] = UInt8(truncatingIfNeeded: value) }
  case 4: block.putBigEndian(UInt16(truncatingIfNeeded: value), at: index * 2)
  case 5: block.putBigEndian(UInt32(truncatingIfNeeded: value), at: index * 4)
  default: block.putBigEndian(value, at: index * 8)
  }
}
