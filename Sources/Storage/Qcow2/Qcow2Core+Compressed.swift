import Compression

// Compressed clusters: a stream each, packed one after the other without regard for cluster boundaries.

extension Qcow2Core {
  /// The bytes of a compressed cluster. The last one is remembered: guests read a cluster in several parts.
  func unpack(_ entry: UInt64, of cluster: UInt64) throws(StorageError) -> [UInt8] {
    if let unpacked, unpacked.cluster == cluster { return unpacked.bytes }
    let range = geometry.compressedRange(entry)
    guard range.offset < fileEnd, range.count <= geometry.clusterSize * 2 + 1024 else {
      throw malformed("compressed cluster \(cluster) of the disk is outside the file or too long")
    }
    let packed = try file.read(at: range.offset, count: range.count)
    do throws(CompressionError) {
      let bytes: [UInt8]
      switch header.compression {
      case .zlib: bytes = try inflateRaw(packed, count: geometry.clusterSize)
      case .zstd: bytes = try zstdDecompress(packed, count: geometry.clusterSize)
      }
      unpacked = (cluster, bytes)
      return bytes
    } catch {
      throw malformed("compressed cluster \(cluster) of the disk cannot be unpacked: \(error)")
    }
  }

  /// The host clusters that a compressed cluster lies in.
  func hostClusters(ofCompressed entry: UInt64) -> ClosedRange<UInt64> {
    let range = geometry.compressedRange(entry)
    let bits = UInt64(geometry.clusterBits)
    return (range.offset >> bits)...((range.offset + UInt64(range.count) - 1) >> bits)
  }

  /// Writes a whole cluster compressed; where that saves nothing, as it is.
  func writeCompressed(_ bytes: [UInt8], cluster: UInt64) throws(StorageError) {
    let packed: [UInt8]
    do throws(CompressionError) {
      switch header.compression {
      case .zlib: packed = try deflateRaw(bytes)
      case .zstd: packed = try zstdCompress(bytes)
      }
    } catch {
      throw .malformed(path: file.path, reason: "cannot be compressed: \(error)")
    }
    guard packed.count < geometry.clusterSize, let offset = try takeBytes(packed.count) else {
      try bytes.withUnsafeBytesThrowing { buffer throws(StorageError) in try write(buffer, at: geometry.offset(cluster)) }
      return
    }
    writtenEnd = max(writtenEnd, offset + UInt64(packed.count))
    try file.write(packed, at: offset)
    fileEnd = max(fileEnd, writtenEnd)
    let bits = UInt64(geometry.compressedOffsetBits)
    let sectors = ((offset + UInt64(packed.count) - 1) >> 9) - (offset >> 9)
    let old = try entry(cluster)
    try setEntry(cluster, Qcow2.compressed | sectors << bits | offset)
    try releaseEntry(old, of: cluster, givingUp: false)
  }

  /// Room for so many bytes, less than a cluster: behind the last compressed cluster if there is room, else in a new one.
  /// nil: the entry's offset field cannot name the place.
  private func takeBytes(_ count: Int) throws(StorageError) -> UInt64? {
    guard let space else { throw .host(path: file.path, errno: 30) }  // EROFS
    let bits = UInt64(geometry.clusterBits)
    let size = UInt64(geometry.clusterSize)
    if compressedTail & (size - 1) != 0 {
      let host = compressedTail >> bits
      let references = try space.count(of: host)
      let room = size - (compressedTail & (size - 1))
      if references > 0, references < space.geometry.refcountMaximum {
        if UInt64(count) <= room {
          try space.increment(host)
          return advanceTail(count)
        }
        if try space.take(at: host + 1) {
          try space.increment(host)
          return advanceTail(count)
        }
      }
    }
    let cluster = try space.take()
    guard geometry.offset(cluster + 1) < 1 << UInt64(geometry.compressedOffsetBits) else {
      try space.release(cluster)
      return nil
    }
    compressedTail = geometry.offset(cluster)
    return advanceTail(count)
  }

  private func advanceTail(_ count: Int) -> UInt64 {
    let offset = compressedTail
    compressedTail += UInt64(count)
    return offset
  }
}

extension Array where Element == UInt8 {
  /// `withUnsafeBytes` for bodies that throw a `StorageError`.
  func withUnsafeBytesThrowing(_ body: (UnsafeRawBufferPointer) throws(StorageError) -> Void) throws(StorageError) {
    var failure: StorageError?
    withUnsafeBytes { buffer in
      do throws(StorageError) { try body(buffer) } catch { failure = error }
    }
    if let failure { throw failure }
  }
}
