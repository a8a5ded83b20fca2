// Writing: copy on write, zero clusters, discard.

extension Qcow2Core {
  private func writableSpace() throws(StorageError) -> Qcow2Space {
    if let broken { throw broken }
    guard let space else { throw .host(path: file.path, errno: 30) }  // EROFS
    return space
  }

  func setEntry(_ cluster: UInt64, _ entry: UInt64) throws(StorageError) {
    let index = Int(truncatingIfNeeded: cluster >> UInt64(geometry.l2Bits))
    guard index < l1.count else { throw malformed("the L1 table is too small for the disk") }
    let table = try changingTable(index)
    table.words[Int(cluster & UInt64(geometry.l2Entries - 1))] = entry
    if unpacked?.cluster == cluster { unpacked = nil }
  }

  /// Drops the references of an entry that was replaced.
  /// - Parameter givingUp: the guest gave the data up: their space goes back to the host.
  func releaseEntry(_ entry: UInt64, of cluster: UInt64, givingUp: Bool) throws(StorageError) {
    let space = try writableSpace()
    switch try mapping(entry: entry, of: cluster) {
    case .unallocated, .zero(host: nil): break
    case .data(let host), .zero(host: .some(let host)):
      let number = host >> UInt64(geometry.clusterBits)
      try space.release(number)
      if givingUp { discarded.append(number) }
    case .compressed(let entry):
      for host in hostClusters(ofCompressed: entry) {
        try space.release(host)
        // A cluster that is free again may become anything: no more is packed into it.
        if host == compressedTail >> UInt64(geometry.clusterBits), try space.count(of: host) == 0 { compressedTail = 0 }
      }
    }
  }

  /// Whether the host cluster belongs to this cluster of the disk alone, so that it may be written over.
  func isOwn(_ host: UInt64) throws(StorageError) -> Bool {
    let space = try writableSpace()
    let number = host >> UInt64(geometry.clusterBits)
    guard !space.metadata.contains(number) else { throw malformed("a cluster of the disk at \(host) overlaps a table") }
    let references = try space.count(of: number)
    guard references > 0 else { throw malformed("a cluster of the disk at \(host) has the reference count 0") }
    return references == 1
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(StorageError) {
    var done = 0
    while done < bytes.count {
      let position = offset + UInt64(done)
      let inside = Int(position & UInt64(geometry.clusterSize - 1))
      let count = min(geometry.clusterSize - inside, bytes.count - done)
      let part = UnsafeRawBufferPointer(rebasing: bytes[done..<done + count])
      try writeCluster(part, cluster: position >> UInt64(geometry.clusterBits), inside: inside)
      done += count
    }
  }

  private func writeCluster(_ bytes: UnsafeRawBufferPointer, cluster: UInt64, inside: Int) throws(StorageError) {
    let space = try writableSpace()
    if isFull { try commit() }
    let old = try entry(cluster)
    let kind = try mapping(entry: old, of: cluster)
    switch kind {
    case .data(let host) where try isOwn(host):
      try writeData(bytes, at: host + UInt64(inside))
      if old & Qcow2.copied == 0 { try setEntry(cluster, old | Qcow2.copied) }
    case .zero(host: .some(let host)) where try isOwn(host):
      try writeWhole(bytes, inside: inside, at: host, below: nil)
      try setEntry(cluster, host | Qcow2.copied)
    default:
      let number = try space.take()
      let host = geometry.offset(number)
      do throws(StorageError) {
        if bytes.count < geometry.clusterSize, try readsAsZero(kind, cluster), host >= writtenEnd {
          // A cluster that was never written: what is not written now reads as zeros.
          try writeData(bytes, at: host + UInt64(inside))
        } else {
          try writeWhole(bytes, inside: inside, at: host, below: cluster)
        }
        try setEntry(cluster, host | Qcow2.copied)
      } catch {
        try space.release(number)
        throw error
      }
      try releaseEntry(old, of: cluster, givingUp: false)
    }
  }

  private func writeData(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(StorageError) {
    writtenEnd = max(writtenEnd, offset + UInt64(bytes.count))
    try file.write(bytes, at: offset)
    fileEnd = max(fileEnd, writtenEnd)
  }

  /// Fills a whole host cluster: `bytes` at `inside`, around them what cluster `below` of the disk holds, or zeros.
  private func writeWhole(_ bytes: UnsafeRawBufferPointer, inside: Int, at host: UInt64, below: UInt64?) throws(StorageError) {
    if bytes.count == geometry.clusterSize { return try writeData(bytes, at: host) }
    var whole = [UInt8](repeating: 0, count: geometry.clusterSize)
    var failure: StorageError?
    whole.withUnsafeMutableBytes { buffer in
      do throws(StorageError) {
        if let below { try read(into: buffer, at: geometry.offset(below)) }
      } catch { failure = error }
      UnsafeMutableRawBufferPointer(rebasing: buffer[inside..<inside + bytes.count]).copyMemory(from: bytes)
    }
    if let failure { throw failure }
    try whole.withUnsafeBytesThrowing { buffer throws(StorageError) in try writeData(buffer, at: host) }
  }

  /// Whether a cluster of the disk is known to read as zeros.
  private func readsAsZero(_ kind: Qcow2Mapping, _ cluster: UInt64) throws(StorageError) -> Bool {
    switch kind {
    case .zero: return true
    case .unallocated:
      guard let backing else { return true }
      let start = geometry.offset(cluster)
      guard start < backing.length else { return true }
      return try backing.zeroRun(at: start, limit: UInt64(geometry.clusterSize)) == UInt64(geometry.clusterSize)
    case .data, .compressed: return false
    }
  }

  // MARK: Zeros

  /// Makes a range read as zeros, or, of a discard, as anything that is as good.
  /// - Parameters:
  ///   - mayUnmap: its space may be given back.
  ///   - discarding: parts of clusters, and clusters that cannot be unmapped cheaply, may stay as they are.
  func writeZeroes(at offset: UInt64, count: UInt64, mayUnmap: Bool, discarding: Bool) throws(StorageError) {
    _ = try writableSpace()
    let size = UInt64(geometry.clusterSize)
    let end = offset + count
    var position = offset
    while position < end {
      let cluster = position >> UInt64(geometry.clusterBits)
      let next = min(geometry.offset(cluster + 1), end)
      // The last cluster of a disk may be cut short: all of it is asked for.
      let isWhole = position & (size - 1) == 0 && (next - position == size || next == length)
      if let skipped = try skipUnallocated(from: cluster, end: end) {
        position = skipped
        continue
      }
      if isWhole {
        try zeroCluster(cluster, mayUnmap: mayUnmap, discarding: discarding)
      } else if !discarding {
        try zeroPart(cluster, at: position, count: Int(next - position))
      }
      position = next
    }
  }

  /// Where no L2 table is and nothing stands behind, there is nothing to do up to the next table.
  private func skipUnallocated(from cluster: UInt64, end: UInt64) throws(StorageError) -> UInt64? {
    let index = cluster >> UInt64(geometry.l2Bits)
    guard try table(Int(truncatingIfNeeded: index)) == nil else { return nil }
    let next = min(geometry.offset((index + 1) << UInt64(geometry.l2Bits)), end)
    guard let backing, geometry.offset(cluster) < backing.length else { return next }
    return nil
  }

  private func zeroPart(_ cluster: UInt64, at position: UInt64, count: Int) throws(StorageError) {
    guard try !readsAsZero(try mapping(cluster), cluster) else { return }
    try [UInt8](repeating: 0, count: count).withUnsafeBytesThrowing { buffer throws(StorageError) in
      try writeCluster(buffer, cluster: cluster, inside: Int(position & UInt64(geometry.clusterSize - 1)))
    }
  }

  private func zeroCluster(_ cluster: UInt64, mayUnmap: Bool, discarding: Bool) throws(StorageError) {
    if isFull { try commit() }
    let old = try entry(cluster)
    let kind = try mapping(entry: old, of: cluster)
    var hidesBacking = false
    if let backing, geometry.offset(cluster) < backing.length { hidesBacking = true }
    switch kind {
    case .unallocated where !hidesBacking, .zero(host: nil): return
    case .zero(host: .some) where !mayUnmap: return
    default: break
    }
    let replacement: UInt64
    if geometry.version >= 3 {
      if case .data(let host) = kind, !mayUnmap, try isOwn(host) {
        return try setEntry(cluster, host | Qcow2.zero | Qcow2.copied)
      }
      replacement = hidesBacking || !mayUnmap ? Qcow2.zero : 0
    } else {
      guard !hidesBacking && mayUnmap else {
        // Version 2 has no zero clusters: a discard stays undone, zeros are written.
        if discarding { return }
        let size = UInt64(geometry.clusterSize)
        let count = Int(min(size, length - geometry.offset(cluster)))
        return try zeroPart(cluster, at: geometry.offset(cluster), count: count)
      }
      replacement = 0
    }
    try setEntry(cluster, replacement)
    try releaseEntry(old, of: cluster, givingUp: true)
  }
}
