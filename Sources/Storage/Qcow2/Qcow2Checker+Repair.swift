extension Qcow2Checker {
  /// Checks an image and, if asked, mends it.
  static func run(file: ImageFile, repair: Qcow2Repair) throws(StorageError) -> Qcow2CheckReport {
    let before = try Qcow2Checker(file: file)
    try before.run()
    let flagged = before.header.isCorrupt || before.header.isDirty
    guard repair != .none, !before.report.isClean || flagged, !file.isReadOnly else { return before.report }
    // Leaks alone are mended only where the counts can be trusted otherwise.
    if repair == .leaks && (before.structureIsDamaged || flagged || before.report.leaks == 0) { return before.report }
    guard before.l1.count == before.header.l1Size else {
      throw .malformed(path: file.path, reason: "has lost its L1 table: it cannot be repaired; take a copy of it from a backup")
    }
    var after = before
    // Dropping a wrong table shows which of its uses were none: twice is enough for all but nests of them.
    for _ in 0..<3 {
      try after.mend(repair)
      after = try Qcow2Checker(file: file)
      try after.run()
      if after.report.isClean || repair == .leaks { break }
    }
    after.report.corruptionsFixed = max(before.report.corruptions - after.report.corruptions, 0)
    after.report.leaksFixed = max(before.report.leaks - after.report.leaks, 0)
    return after.report
  }

  /// Sets the reference counts to the uses that were found, all in new blocks that one write of the header switches to; then drops
  /// entries that lead nowhere and corrects the flags.
  private func mend(_ repair: Qcow2Repair) throws(StorageError) {
    let core = try Qcow2Core(file: file, header: header, readOnly: false)
    try core.openSpace(checked: false)
    guard let space = core.space else { return }
    space.metadata = metadata
    var counts: [(cluster: UInt64, count: UInt64)] = []
    for (page, values) in uses.sorted(by: { $0.key < $1.key }) {
      for (index, used) in values.enumerated() where used > 0 { counts.append((page << 6 | UInt64(index), used)) }
    }
    if repair == .leaks {
      for index in counts.indices { counts[index].count = min(counts[index].count, try storedCount(of: counts[index].cluster)) }
    }
    // The old table and blocks go: they do not count, and are not touched before the switch.
    let going = Set(structure)
    space.forgetCounts(oldStructure: structure)
    for (cluster, count) in counts where !going.contains(cluster) {
      try space.setCount(of: cluster, to: min(count, geometry.refcountMaximum))
    }
    try space.adoptTable()
    if repair == .all { dropBadTables(core, going) }
    try core.commit(everything: true)
    if repair == .all { try mendEntries(core) }
    if core.hasChanges { try core.commit(everything: true) }
  }

  private func dropBadTables(_ core: Qcow2Core, _ going: Set<UInt64>) {
    for index in core.l1.indices {
      let offset = core.l1[index] & Qcow2.offsetMask
      guard offset != 0 else { continue }
      let isTable = isPossible(offset) && !going.contains(offset >> UInt64(geometry.clusterBits)) && offset != header.l1Offset
      if !isTable { core.l1[index] = 0 }
      core.l1IsDirty = true
    }
  }

  /// Entries of the active tables: those that lead nowhere become zeros, the others get the flag that fits their count.
  private func mendEntries(_ core: Qcow2Core) throws(StorageError) {
    guard let space = core.space else { return }
    for index in core.l1.indices where core.l1[index] & Qcow2.offsetMask != 0 {
      guard let table = try core.table(index) else { continue }
      let words = table.words
      for (number, entry) in words.enumerated() where entry != 0 {
        let cluster = UInt64(index) << UInt64(geometry.l2Bits) | UInt64(number)
        if problem(of: entry) != nil {
          try core.setEntry(cluster, geometry.version >= 3 ? Qcow2.zero : 0)
        } else if entry & Qcow2.compressed != 0 {
          if entry & Qcow2.copied != 0 { try core.setEntry(cluster, entry & ~Qcow2.copied) }
        } else if entry & Qcow2.offsetMask != 0 {
          let isSingle = try space.count(of: (entry & Qcow2.offsetMask) >> UInt64(geometry.clusterBits)) == 1
          if (entry & Qcow2.copied != 0) != isSingle { try core.setEntry(cluster, entry ^ Qcow2.copied) }
        }
      }
      let isSingle = try space.count(of: (core.l1[index] & Qcow2.offsetMask) >> UInt64(geometry.clusterBits)) == 1
      if (core.l1[index] & Qcow2.copied != 0) != isSingle {
        core.l1[index] ^= Qcow2.copied
        core.l1IsDirty = true
      }
      if core.isFull { try core.commit(everything: true) }
    }
  }
}

extension Qcow2Image {
  /// Checks an image that nobody else uses.
  public static func check(path: String, repair: Qcow2Repair = .none) throws(StorageError) -> Qcow2CheckReport {
    try Qcow2Checker.run(file: try ImageFile(path: path, readOnly: repair == .none), repair: repair)
  }
}
