/// An internal snapshot, as the image's table lists it. Snapshots are kept, never made, here.
public struct Qcow2Snapshot: Sendable, Equatable, Codable {
  public var id: String
  public var name: String
  /// Seconds since 1970.
  public var date: UInt32
  /// Bytes of the saved machine.
  public var stateSize: UInt64
  /// Bytes of the disk when it was made.
  public var diskSize: UInt64
  var l1Offset: UInt64
  var l1Size: Int
}

/// Reads the snapshot table.
/// - Returns: the snapshots and the table's length in bytes, nil where there is none.
func readSnapshots(file: ImageFile, header: Qcow2Header) throws(StorageError) -> (list: [Qcow2Snapshot], bytes: Int?) {
  guard header.snapshotCount > 0 else { return ([], nil) }
  func bad(_ what: String) -> StorageError { .malformed(path: file.path, reason: "is malformed: its snapshot table \(what)") }
  var list: [Qcow2Snapshot] = []
  var at = header.snapshotsOffset
  let fileSize = try file.size()
  // What the snapshots' L1 tables hold together: a hostile image must not make a check endless.
  var l1Entries = 0
  for _ in 0..<header.snapshotCount {
    guard at < fileSize else { throw bad("ends outside the file") }
    let head = try file.read(at: at, count: 40)
    let idSize = Int(head.be16(12))
    let nameSize = Int(head.be16(14))
    let extraSize = Int(head.be32(36))
    guard extraSize <= 1024 else { throw bad("has an entry with \(extraSize) bytes of extra data") }
    let rest = try file.read(at: at + 40, count: extraSize + idSize + nameSize)
    var snapshot = Qcow2Snapshot(
      id: String(decoding: rest[extraSize..<extraSize + idSize], as: UTF8.self),
      name: String(decoding: rest[(extraSize + idSize)...], as: UTF8.self), date: head.be32(16), stateSize: UInt64(head.be32(32)),
      diskSize: header.size, l1Offset: head.be64(0), l1Size: Int(head.be32(8)))
    if extraSize >= 8 { snapshot.stateSize = rest.be64(0) }
    if extraSize >= 16 { snapshot.diskSize = rest.be64(8) }
    l1Entries += snapshot.l1Size
    guard snapshot.l1Size * 8 <= Qcow2.maximumL1Bytes, l1Entries <= 1 << 26 else { throw bad("has an L1 table larger than 32 MiB") }
    list.append(snapshot)
    at += UInt64((40 + rest.count + 7) & ~7)
    guard at - header.snapshotsOffset <= 64 << 20 else { throw bad("is larger than 64 MiB") }
  }
  return (list, Int(at - header.snapshotsOffset))
}
