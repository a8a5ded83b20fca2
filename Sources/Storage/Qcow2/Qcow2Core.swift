/// A qcow2 image as one thread at a time sees it: lookup, reading, and the state that writing changes.
///
/// **How nothing is lost.** The tables on disk that the header leads to are never written over. A changed L2 table, the L1 table,
/// a changed refcount block and the refcount table each go to clusters that are free, and one write of the header's first bytes
/// switches to all of them together (`commit`). Data go to free clusters, or over data of a cluster that only the guest's disk
/// uses. So whenever the process is killed or the machine fails, the image on disk is the one of the last switch: consistent,
/// without leaks, and with everything that was flushed before. The price is that tables are written as a whole, once a commit.
final class Qcow2Core: ImageSource, @unchecked Sendable {
  // Invariant: used by one thread at a time.

  final class Table {
    var words: [UInt64]
    var isDirty = false
    var stamp: UInt64 = 0
    init(_ words: [UInt64]) { self.words = words }
  }

  let file: ImageFile
  let geometry: Qcow2Geometry
  var header: Qcow2Header
  var length: UInt64 { header.size }
  let isReadOnly: Bool
  var backing: (any ImageSource)?

  var l1: [UInt64]
  var l1IsDirty = false
  var l1Run: Qcow2Space.Run
  var l1Home = Qcow2Space.Home()
  private var tables: [Int: Table] = [:]
  var dirtyTables: [Int] = []
  private var clock: UInt64 = 0
  private let tableLimit: Int
  private var lastTable: (index: Int, table: Table)?

  /// Writable images only.
  var space: Qcow2Space?
  /// From here on the file was never written: it reads as zeros.
  var writtenEnd: UInt64
  var fileEnd: UInt64
  /// Clusters whose data the guest gave up: punched out of the file after the next commit.
  var discarded: [UInt64] = []
  /// Compressed clusters are packed: where the next one may begin.
  var compressedTail: UInt64 = 0
  /// The cluster that was unpacked last.
  var unpacked: (cluster: UInt64, bytes: [UInt8])?
  /// Stable storage failed: nothing can be promised any more.
  var broken: StorageError?
  var isClosed = false

  /// Opens an image to read.
  convenience init(file: ImageFile, chain: ImageChain) throws(StorageError) {
    try self.init(file: file, header: try Qcow2Header(reading: file), readOnly: true)
    try openBacking(chain)
  }

  /// Opens an image to write; one that was left dirty is repaired first.
  convenience init(writable file: ImageFile, chain: ImageChain, backing: (any ImageSource)? = nil) throws(StorageError) {
    var header = try Qcow2Header(reading: file)
    if header.isDirty && !header.isCorrupt {
      _ = try Qcow2Checker.run(file: file, repair: .all)
      header = try Qcow2Header(reading: file)
    }
    guard !header.isCorrupt, !header.isDirty else {
      throw .malformed(path: file.path, reason: "is marked corrupt: run 'paravane image check -r all' on it, or open it read-only")
    }
    guard !header.hasBitmaps else {
      throw .unsupported(
        path: file.path,
        feature: "writing to an image with dirty bitmaps (remove them with qemu-img bitmap --remove, or open it read-only: it)")
    }
    try self.init(file: file, header: header, readOnly: false)
    try openSpace(checked: true)
    if let backing { self.backing = backing } else { try openBacking(chain) }
  }

  /// The bare image: no backing file, no counts.
  init(file: ImageFile, header: Qcow2Header, readOnly: Bool) throws(StorageError) {
    self.file = file
    self.header = header
    geometry = header.geometry
    isReadOnly = readOnly
    fileEnd = try file.size()
    writtenEnd = fileEnd
    tableLimit = max(readOnly ? 4 : 8, (readOnly ? 2 << 20 : 8 << 20) >> header.geometry.clusterBits)
    l1 = decodeTable(try file.read(at: header.l1Offset, count: header.l1Size * 8))
    let bytes = UInt64(header.l1Size) * 8
    l1Run = Qcow2Space.Run(
      first: header.l1Offset >> UInt64(header.geometry.clusterBits), count: Int(header.geometry.clusters(forBytes: bytes)))
  }

  private func openBacking(_ chain: ImageChain) throws(StorageError) {
    guard let name = header.backingName else { return }
    let path = try resolveBacking(name, of: file.path)
    var format: ImageFormat?
    if let text = header.backingFormat {
      switch text {
      case "raw", "file", "host_device": format = .raw
      case "qcow2": format = .qcow2
      default: throw .unsupported(path: file.path, feature: "the format '\(text)' of its backing file")
      }
    }
    backing = try openSource(path: path, format: format, chain: chain)
  }

  /// Reads the refcount table.
  /// - Parameter checked: the table must be sound, and every cluster of a table is marked as one.
  func openSpace(checked: Bool) throws(StorageError) {
    let space = try Qcow2Space(
      file: file, geometry: geometry, tableOffset: header.tableOffset, tableClusters: header.tableClusters, fileSize: fileEnd)
    self.space = space
    guard checked else { return }
    space.metadata.insert(0)
    space.mark(l1Run)
    for entry in l1 where entry & Qcow2.offsetMask != 0 {
      space.metadata.insert((entry & Qcow2.offsetMask) >> UInt64(geometry.clusterBits))
    }
    let snapshots = try readSnapshots(file: file, header: header)
    if let bytes = snapshots.bytes {
      let first = header.snapshotsOffset >> UInt64(geometry.clusterBits)
      let last = (header.snapshotsOffset + UInt64(max(bytes, 1)) - 1) >> UInt64(geometry.clusterBits)
      space.mark(Qcow2Space.Run(first: first, count: Int(last - first + 1)))
    }
    for snapshot in snapshots.list where geometry.isAligned(snapshot.l1Offset) {
      let clusters = geometry.clusters(forBytes: UInt64(snapshot.l1Size) * 8)
      space.mark(Qcow2Space.Run(first: snapshot.l1Offset >> UInt64(geometry.clusterBits), count: Int(clusters)))
    }
    try space.checkTable()
  }

  func malformed(_ what: String) -> StorageError {
    .malformed(path: file.path, reason: "\(what); run 'paravane image check -r all' on it")
  }

  // MARK: L2 tables

  /// The L2 table at an index of the L1 table, if there is one.
  func table(_ index: Int) throws(StorageError) -> Table? {
    if let lastTable, lastTable.index == index { return lastTable.table }
    guard index < l1.count else { return nil }
    clock &+= 1
    if let table = tables[index] {
      table.stamp = clock
      lastTable = (index, table)
      return table
    }
    let offset = l1[index] & Qcow2.offsetMask
    guard offset != 0 else { return nil }
    guard geometry.isAligned(offset), offset < fileEnd else {
      throw malformed("L2 table \(index) at \(offset) is not aligned to a cluster or outside the file")
    }
    return keep(Table(decodeTable(try file.read(at: offset, count: geometry.clusterSize))), index)
  }

  /// The L2 table at an index, about to change.
  func changingTable(_ index: Int) throws(StorageError) -> Table {
    let table = try table(index) ?? keep(Table([UInt64](repeating: 0, count: geometry.l2Entries)), index)
    if !table.isDirty {
      table.isDirty = true
      dirtyTables.append(index)
    }
    return table
  }

  private func keep(_ table: Table, _ index: Int) -> Table {
    if tables.count >= tableLimit {
      let clean = tables.filter { !$0.value.isDirty }.sorted { $0.value.stamp < $1.value.stamp }
      for (index, _) in clean.prefix(max(clean.count / 4, 1)) { tables[index] = nil }
    }
    table.stamp = clock
    tables[index] = table
    lastTable = (index, table)
    return table
  }

  func markTablesClean() {
    for index in dirtyTables { tables[index]?.isDirty = false }
    dirtyTables = []
  }

  func forgetTables() {
    tables = [:]
    lastTable = nil
    unpacked = nil
  }

  /// So many changes wait in memory that they should be committed.
  var isFull: Bool { dirtyTables.count * 2 > tableLimit || space?.isFull == true }

  // MARK: Lookup

  func entry(_ cluster: UInt64) throws(StorageError) -> UInt64 {
    guard let table = try table(Int(truncatingIfNeeded: cluster >> UInt64(geometry.l2Bits))) else { return 0 }
    return table.words[Int(cluster & UInt64(geometry.l2Entries - 1))]
  }

  func mapping(_ cluster: UInt64) throws(StorageError) -> Qcow2Mapping { try mapping(entry: try entry(cluster), of: cluster) }

  func mapping(entry: UInt64, of cluster: UInt64) throws(StorageError) -> Qcow2Mapping {
    if entry == 0 { return .unallocated }
    if entry & Qcow2.compressed != 0 { return .compressed(entry: entry) }
    let host = entry & Qcow2.offsetMask
    guard geometry.isAligned(host) else { throw malformed("cluster \(cluster) of the disk is at \(host), which is not aligned") }
    if entry & Qcow2.zero != 0 {
      guard geometry.version >= 3 else { throw malformed("cluster \(cluster) of the disk is a zero cluster, which version 2 has not") }
      return .zero(host: host == 0 ? nil : host)
    }
    return host == 0 ? .unallocated : .data(host: host)
  }

  // MARK: Reading

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(StorageError) {
    let present = offset < length ? Int(min(UInt64(buffer.count), length - offset)) : 0
    var done = 0
    let bits = UInt64(geometry.clusterBits)
    while done < present {
      let position = offset + UInt64(done)
      let inside = Int(position & UInt64(geometry.clusterSize - 1))
      var count = min(geometry.clusterSize - inside, present - done)
      let cluster = position >> bits
      let kind = try mapping(cluster)
      // Clusters that follow each other on the host are read at once.
      if case .data(let host) = kind {
        var next = cluster + 1
        while done + count < present, try mapping(next) == .data(host: host + geometry.offset(next - cluster)) {
          count = min(count + geometry.clusterSize, present - done)
          next += 1
        }
      }
      let part = UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + count])
      switch kind {
      case .data(let host): try file.read(into: part, at: host + UInt64(inside))
      case .zero: part.initializeMemory(as: UInt8.self, repeating: 0)
      case .unallocated:
        if let backing, position < backing.length {
          try backing.read(into: part, at: position)
        } else {
          part.initializeMemory(as: UInt8.self, repeating: 0)
        }
      case .compressed(let entry):
        let bytes = try unpack(entry, of: cluster)
        bytes.withUnsafeBytes { part.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[inside..<inside + count])) }
      }
      done += count
    }
    if done < buffer.count { UnsafeMutableRawBufferPointer(rebasing: buffer[done...]).initializeMemory(as: UInt8.self, repeating: 0) }
  }

  func zeroRun(at offset: UInt64, limit: UInt64) throws(StorageError) -> UInt64 {
    var run: UInt64 = 0
    while run < limit {
      let position = offset &+ run
      guard position < length else { return limit }
      let cluster = position >> UInt64(geometry.clusterBits)
      var left = min(geometry.offset(cluster + 1) - position, limit - run)
      let l1Index = Int(truncatingIfNeeded: cluster >> UInt64(geometry.l2Bits))
      if l1Index < l1.count, l1[l1Index] & Qcow2.offsetMask == 0, tables[l1Index] == nil {
        // No L2 table: everything it would map is unallocated.
        let end = geometry.offset(UInt64(l1Index + 1) << UInt64(geometry.l2Bits))
        left = min(end - position, limit - run)
      }
      switch try mapping(cluster) {
      case .zero: run += left
      case .unallocated:
        guard let backing, position < backing.length else {
          run += left
          continue
        }
        let below = try backing.zeroRun(at: position, limit: left)
        run += below
        if below < left { return run }
      case .data, .compressed: return run
      }
    }
    return run
  }
}
