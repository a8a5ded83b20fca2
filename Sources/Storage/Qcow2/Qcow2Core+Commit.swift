// The switch from the tables on disk to those in memory.

extension Qcow2Core {
  /// Everything written before is on stable storage afterwards.
  func flush() throws(StorageError) {
    if let broken { throw broken }
    guard !isReadOnly else { return }
    if let backing { try backing.synchronize() }
    if hasChanges { try commit() } else { try stabilize() }
  }

  var hasChanges: Bool { !dirtyTables.isEmpty || l1IsDirty || (space?.dirtyBlocks ?? 0) > 0 && !header.isDirty }

  /// Commits what is left and, of an image with lazy refcounts, the counts.
  func close() throws(StorageError) {
    guard !isClosed, !isReadOnly else { return }
    isClosed = true
    if let broken { throw broken }
    if let backing { try backing.synchronize() }
    if hasChanges || header.isDirty { try commit(everything: true) } else { try stabilize() }
  }

  /// Writes changed tables to free clusters, then the header that leads to them.
  ///
  /// With lazy refcounts the counts stay in memory and the header says that those on disk are out of date, until `everything` is
  /// asked for or too many have changed.
  func commit(everything: Bool = false) throws(StorageError) {
    if let broken { throw broken }
    guard let space else { throw .host(path: file.path, errno: 30) }  // EROFS
    let lazy = header.hasLazyRefcounts && !everything && !space.isFull
    // Until all of it is written the tables stay dirty: after an error (a full disk) the next commit places them anew.
    if !dirtyTables.isEmpty || l1IsDirty {
      try placeTables(space)
      l1Run = try space.move(l1Run, to: l1Run.count, &l1Home)
    }
    if !lazy { try space.place() }
    let end = geometry.offset(space.highWater)
    writtenEnd = max(writtenEnd, end)
    for index in dirtyTables {
      guard let table = try table(index) else { continue }
      try file.write(encodeTable(table.words, count: geometry.clusterSize), at: l1[index] & Qcow2.offsetMask)
    }
    if !dirtyTables.isEmpty || l1IsDirty {
      try file.write(encodeTable(l1, count: l1Run.count << geometry.clusterBits), at: geometry.offset(l1Run.first))
    }
    if !lazy { try space.writePlaced() }
    // No cluster in use lies past the file's end, even in part: sparse ones are zeros.
    if try file.size() < end { try file.truncate(to: end) }
    fileEnd = max(fileEnd, end)
    try stabilize()
    try switchHeader(space, lazy: lazy)
    finishCommit(space, lazy: lazy)
  }

  private func placeTables(_ space: Qcow2Space) throws(StorageError) {
    for index in dirtyTables {
      let cluster = try space.take()
      let old = l1[index] & Qcow2.offsetMask
      l1[index] = geometry.offset(cluster) | Qcow2.copied
      l1IsDirty = true
      space.metadata.insert(cluster)
      if old != 0 { try space.release(old >> UInt64(geometry.clusterBits)) }
    }
  }

  private func switchHeader(_ space: Qcow2Space, lazy: Bool) throws(StorageError) {
    header.l1Offset = geometry.offset(l1Run.first)
    if lazy {
      header.incompatible |= Qcow2.incompatibleDirty
    } else {
      header.tableOffset = geometry.offset(space.tableRun.first)
      header.tableClusters = space.tableRun.count
      header.incompatible &= ~(Qcow2.incompatibleDirty | Qcow2.incompatibleCorrupt)
    }
    // Features that say "this is up to date" and that are not kept up here.
    header.autoclear = 0
    do throws(StorageError) {
      try file.write(header.encodedFixedPart(), at: 0)
      try stabilize()
    } catch {
      // Which of the two headers is on disk is unknown: nothing may be overwritten any more.
      broken = error
      throw error
    }
  }

  private func finishCommit(_ space: Qcow2Space, lazy: Bool) {
    markTablesClean()
    l1IsDirty = false
    if !lazy { space.markClean() }
    space.settle(&l1Home)
    let given = discarded.sorted()
    discarded = []
    var index = 0
    while index < given.count {
      var end = index + 1
      while end < given.count, given[end] <= given[end - 1] + 1 { end += 1 }
      // Another reference may be left, of a snapshot: such a cluster splits the run.
      for run in freeRuns(given[index..<end], space) {
        try? file.punchHole(at: geometry.offset(run.first), count: UInt64(run.count) << UInt64(geometry.clusterBits), mustZero: false)
      }
      index = end
    }
  }

  private func freeRuns(_ clusters: ArraySlice<UInt64>, _ space: Qcow2Space) -> [Qcow2Space.Run] {
    var runs: [Qcow2Space.Run] = []
    for cluster in clusters {
      guard (try? space.count(of: cluster)) == 0, !space.metadata.contains(cluster) else { continue }
      if let last = runs.last, last.first + UInt64(last.count) == cluster {
        runs[runs.count - 1].count += 1
      } else if runs.last.map({ $0.first + UInt64($0.count) > cluster }) != true {
        runs.append(Qcow2Space.Run(first: cluster, count: 1))
      }
    }
    return runs
  }

  private func stabilize() throws(StorageError) {
    do throws(StorageError) {
      try file.synchronize()
    } catch {
      // What failed to reach the disk may be gone from the host's memory, too: a later success would prove nothing.
      broken = error
      throw error
    }
  }
}
