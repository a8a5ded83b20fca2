// Transfers on the thread of the one who asks: what needs no commit and, as far as can be known, no disk.

extension Qcow2Core {
  /// Fills pieces of memory in a row if the host has the data in its memory; false: use `read` (the pieces hold anything).
  func readNow(into pieces: [UnsafeMutableRawBufferPointer], at offset: UInt64) throws(StorageError) -> Bool {
    let count = pieces.reduce(0) { $0 + $1.count }
    guard offset < length, UInt64(count) <= length - offset else { return false }
    var done = 0
    while done < count {
      let position = offset + UInt64(done)
      let run = try hostRun(at: position, limit: count - done)
      let parts = done == 0 && run.count == count ? pieces : cut(pieces, done..<done + run.count)
      switch run.kind {
      case .data(let host): guard file.readPresent(into: parts, at: host) else { return false }
      case .zero: for part in parts { part.initializeMemory(as: UInt8.self, repeating: 0) }
      case .unallocated:
        if let backing, position < backing.length { return false }
        for part in parts { part.initializeMemory(as: UInt8.self, repeating: 0) }
      case .compressed: return false
      }
      done += run.count
    }
    return true
  }

  /// Writes pieces of memory in a row, unless a commit is due; then use `write`.
  func writeNow(_ pieces: [UnsafeMutableRawBufferPointer], at offset: UInt64) throws(StorageError) -> Bool {
    if let broken { throw broken }
    guard !isFull else { return false }
    let count = pieces.reduce(0) { $0 + $1.count }
    if let host = try ownRun(at: offset, count: count) {
      writtenEnd = max(writtenEnd, host + UInt64(count))
      try file.write(pieces, at: host)
      fileEnd = max(fileEnd, writtenEnd)
      return true
    }
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      let whole = UnsafeMutableRawBufferPointer(buffer)
      for piece in pieces {
        UnsafeMutableRawBufferPointer(rebasing: whole[filled..<filled + piece.count]).copyMemory(from: UnsafeRawBufferPointer(piece))
        filled += piece.count
      }
    }
    try bytes.withUnsafeBytesThrowing { buffer throws(StorageError) in try write(buffer, at: offset) }
    return true
  }

  /// What stands at a byte of the disk, and how many bytes from there on are of that kind (data: one after the other on the host,
  /// `host` being the first byte's place).
  private func hostRun(at position: UInt64, limit: Int) throws(StorageError) -> (kind: Qcow2Mapping, count: Int) {
    let inside = Int(position & UInt64(geometry.clusterSize - 1))
    let cluster = position >> UInt64(geometry.clusterBits)
    var count = min(geometry.clusterSize - inside, limit)
    let kind = try mapping(cluster)
    guard case .data(let host) = kind else { return (kind, count) }
    var next = cluster + 1
    while count < limit, try mapping(next) == .data(host: host + geometry.offset(next - cluster)) {
      count = min(count + geometry.clusterSize, limit)
      next += 1
    }
    return (.data(host: host + UInt64(inside)), count)
  }

  /// Where a range lies on the host, if that is one run of data that only the guest's disk uses and no table needs to change.
  private func ownRun(at offset: UInt64, count: Int) throws(StorageError) -> UInt64? {
    let run = try hostRun(at: offset, limit: count)
    guard case .data(let host) = run.kind, run.count == count else { return nil }
    var cluster = offset >> UInt64(geometry.clusterBits)
    let last = (offset + UInt64(count) - 1) >> UInt64(geometry.clusterBits)
    while cluster <= last {
      let entry = try entry(cluster)
      guard entry & Qcow2.copied != 0, try isOwn(entry & Qcow2.offsetMask) else { return nil }
      cluster += 1
    }
    return host
  }

  /// The bytes of a range of all pieces.
  private func cut(_ pieces: [UnsafeMutableRawBufferPointer], _ range: Range<Int>) -> [UnsafeMutableRawBufferPointer] {
    var result: [UnsafeMutableRawBufferPointer] = []
    var start = 0
    for piece in pieces {
      let part = range.clamped(to: start..<start + piece.count)
      if !part.isEmpty { result.append(UnsafeMutableRawBufferPointer(rebasing: piece[part.lowerBound - start..<part.upperBound - start])) }
      start += piece.count
    }
    return result
  }
}
