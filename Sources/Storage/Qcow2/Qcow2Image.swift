import Foundation

/// A qcow2 image (version 2 or 3) as a block device, with its chain of backing files.
///
/// Changes of the tables wait in memory until a flush, a second without requests, `close` or until too many have gathered, and
/// then replace the old ones in one step: an image whose process was killed needs no repair (see `Qcow2Core`).
public final class Qcow2Image: BlockDevice, @unchecked Sendable {
  public let sectorSize: Int
  public let sizeInBytes: UInt64
  public let isReadOnly: Bool
  public let supportsDiscard = true
  public let path: String
  private let open: OpenCore
  private let worker: SerialWorker

  /// Opens an image; the backing files are opened to be read.
  /// - Parameter sectorSize: 512, 4096, or 2048 for a CD-ROM. A last part of a sector is left off.
  public convenience init(path: String, readOnly: Bool, sectorSize: Int = 512) throws(StorageError) {
    let file = try ImageFile(path: path, readOnly: readOnly)
    var chain = ImageChain()
    try chain.add(file)
    let core = readOnly ? try Qcow2Core(file: file, chain: chain) : try Qcow2Core(writable: file, chain: chain)
    try self.init(core: core, sectorSize: sectorSize)
  }

  /// Opens an overlay whose backing file is in use: what it does not hold is read from the running device.
  ///
  /// After this nothing may write to `base` any more; flushes of the overlay reach it, too.
  public convenience init(path: String, over base: any BlockDevice) throws(StorageError) {
    let file = try ImageFile(path: path, readOnly: false)
    let core = try Qcow2Core(writable: file, chain: ImageChain(), backing: DeviceSource(base, path: path))
    try self.init(core: core, sectorSize: base.sectorSize)
  }

  /// The image behind the device, until it is closed.
  private final class OpenCore: @unchecked Sendable {
    // Invariant: used on the worker's thread only, once it runs.
    private(set) var core: Qcow2Core?
    var patience = Patience()
    init(_ core: Qcow2Core) { self.core = core }

    /// Commits, and lets go of the files and their locks.
    func close() throws(StorageError) {
      guard let core else { return }
      self.core = nil
      try core.close()
    }
  }

  init(core: Qcow2Core, sectorSize: Int) throws(StorageError) {
    open = OpenCore(core)
    self.sectorSize = sectorSize
    path = core.file.path
    isReadOnly = core.isReadOnly
    sizeInBytes = core.length / UInt64(sectorSize) * UInt64(sectorSize)
    guard sizeInBytes > 0 else {
      throw .malformed(path: path, reason: "holds a disk of 0 bytes: make it larger, for example with qemu-img resize")
    }
    worker = SerialWorker(name: "disk") { [open] in try? open.core?.flush() }
  }

  deinit {
    worker.add { [open] in try? open.close() }
    worker.stop()
  }

  /// Puts a new overlay on top of a device while a guest uses it; give it to the back end in the device's place.
  /// - Parameters:
  ///   - base: the running device; nothing may write to it afterwards.
  ///   - basePath: the base's file as the overlay's header is to name it: absolute, or relative to the overlay's directory.
  public static func stack(path: String, over base: any BlockDevice, basePath: String, baseFormat: ImageFormat) throws(StorageError)
    -> Qcow2Image
  {
    var parameters = Qcow2Parameters()
    parameters.backing = basePath
    parameters.backingFormat = baseFormat
    try Qcow2Core.create(path: path, size: base.sizeInBytes, parameters)
    return try Qcow2Image(path: path, over: base)
  }

  /// Makes an empty image, in place of any file of that name.
  /// - Parameters:
  ///   - size: bytes of the disk; nil: as the backing file's.
  ///   - clusterBits: 9 to 21.
  ///   - backing: what the image starts as: absolute, or relative to the image's directory.
  ///   - version: 2 or 3.
  public static func create(
    path: String, size: UInt64?, clusterBits: Int = 16, backing: String? = nil, backingFormat: ImageFormat? = nil,
    compression: Qcow2Compression = .zlib, lazyRefcounts: Bool = false, version: Int = 3, refcountOrder: Int = 4
  ) throws(StorageError) {
    let parameters = Qcow2Parameters(
      clusterBits: clusterBits, refcountOrder: refcountOrder, version: version, compression: compression, lazyRefcounts: lazyRefcounts,
      backing: backing, backingFormat: backingFormat)
    var actual = size
    if let backing {
      // The base may be running: it is only looked at.
      var chain = ImageChain()
      chain.locking = false
      let source = try openSource(path: try resolveBacking(backing, of: path), format: backingFormat, chain: chain)
      if size == nil { actual = source.length }
    }
    guard let actual else { throw .unsupported(path: path, feature: "an image without a size") }
    try Qcow2Core.create(path: path, size: actual, parameters)
  }

  public func submit(_ request: BlockRequest, completion: @escaping @Sendable (BlockResult) -> Void) {
    worker.add { [self] in completion(carryOut(request)) }
  }

  public func transferNow(_ way: BlockTransfer, offset: UInt64, pieces: [UnsafeMutableRawBufferPointer]) -> BlockResult? {
    guard fits(offset, pieces.reduce(0) { $0 + UInt64($1.count) }), way == .read || !isReadOnly else { return nil }
    return worker.runNow { [open] in
      guard let core = open.core else { return nil }
      return open.patience.use {
        do throws(StorageError) {
          let isDone = way == .read ? try core.readNow(into: pieces, at: offset) : try core.writeNow(pieces, at: offset)
          return isDone ? .success([]) : nil
        } catch {
          return .failure(BlockError(error))
        }
      }
    }
  }

  public func close() throws(StorageError) {
    try worker.finish { [open] () throws(StorageError) in try open.close() }
  }

  private func carryOut(_ request: BlockRequest) -> BlockResult {
    guard let core = open.core else { return .failure(.host(EBADF)) }
    do throws(StorageError) {
      switch request {
      case .read(let offset, let count):
        guard count >= 0, fits(offset, UInt64(count)) else { return .failure(.outOfRange) }
        return .success(try core.read(at: offset, count: count))
      case .write(let offset, let data):
        guard !isReadOnly else { return .failure(.readOnly) }
        guard fits(offset, UInt64(data.count)) else { return .failure(.outOfRange) }
        try data.withUnsafeBytesThrowing { bytes throws(StorageError) in try core.write(bytes, at: offset) }
      case .flush: try core.flush()
      case .discard(let offset, let count):
        guard !isReadOnly else { return .failure(.readOnly) }
        guard fits(offset, count) else { return .failure(.outOfRange) }
        try core.writeZeroes(at: offset, count: count, mayUnmap: true, discarding: true)
      case .writeZeroes(let offset, let count, let mayUnmap):
        guard !isReadOnly else { return .failure(.readOnly) }
        guard fits(offset, count) else { return .failure(.outOfRange) }
        try core.writeZeroes(at: offset, count: count, mayUnmap: mayUnmap, discarding: false)
      }
      return .success([])
    } catch {
      return .failure(BlockError(error))
    }
  }
}
