/// What an image is.
public struct ImageInfo: Sendable, Codable, Equatable {
  public var path: String
  public var format: String
  /// Bytes of the disk, of the file, and of the host's disk that the file takes up.
  public var virtualSize: UInt64
  public var fileSize: UInt64
  public var allocatedSize: UInt64
  /// The rest is of qcow2 images only.
  public var version: Int?
  public var clusterSize: Int?
  public var refcountBits: Int?
  public var compression: String?
  public var lazyRefcounts: Bool?
  public var dirty: Bool?
  public var corrupt: Bool?
  public var backing: String?
  public var backingFormat: String?
  /// The backing file's path from here.
  public var backingPath: String?
  public var snapshots: [Qcow2Snapshot]?

  /// Looks at an image without locking it: a running guest may be using it.
  /// - Parameter format: nil: what its first bytes say.
  public init(path: String, format: ImageFormat? = nil) throws(StorageError) {
    let file = try ImageFile(path: path, readOnly: true, locking: false)
    let actual: ImageFormat
    if let format { actual = format } else { actual = try ImageFormat.probe(file) }
    self.path = path
    self.format = actual.rawValue
    fileSize = try file.size()
    virtualSize = fileSize
    allocatedSize = try file.allocatedBytes()
    guard actual == .qcow2 else { return }
    let header = try Qcow2Header(reading: file)
    virtualSize = header.size
    version = header.geometry.version
    clusterSize = header.geometry.clusterSize
    refcountBits = 1 << header.geometry.refcountOrder
    compression = header.compression.name
    lazyRefcounts = header.hasLazyRefcounts
    dirty = header.isDirty
    corrupt = header.isCorrupt
    backing = header.backingName
    backingFormat = header.backingFormat
    if let name = header.backingName { backingPath = try? resolveBacking(name, of: path) }
    snapshots = try readSnapshots(file: file, header: header).list
  }
}
