import Foundation

/// A raw image: the file's bytes are the disk's. Discarded ranges become holes.
public final class RawImage: BlockDevice, @unchecked Sendable {
  public let sectorSize: Int
  public let sizeInBytes: UInt64
  public let isReadOnly: Bool
  public let supportsDiscard = true
  private let worker: SerialWorker
  // Invariant: used on the worker's thread only, once it runs. Gone when closed.
  private var file: ImageFile?
  private var patience = Patience()

  /// - Parameter sectorSize: 512, or 2048 for a CD-ROM. A last part of a sector is left off.
  public init(path: String, readOnly: Bool, sectorSize: Int = 512) throws(StorageError) {
    let file = try ImageFile(path: path, readOnly: readOnly)
    self.file = file
    isReadOnly = readOnly
    let bytes = try file.size()
    self.sectorSize = sectorSize
    sizeInBytes = bytes / UInt64(sectorSize) * UInt64(sectorSize)
    guard sizeInBytes > 0 else { throw .malformed(path: path, reason: "is empty: make it larger, for example with truncate -s 1G") }
    worker = SerialWorker(name: "disk")
  }

  deinit { worker.stop() }

  public func submit(_ request: BlockRequest, completion: @escaping @Sendable (BlockResult) -> Void) {
    worker.add { [self] in completion(carryOut(request)) }
  }

  public func transferNow(_ way: BlockTransfer, offset: UInt64, pieces: [UnsafeMutableRawBufferPointer]) -> BlockResult? {
    guard fits(offset, pieces.reduce(0) { $0 + UInt64($1.count) }), way == .read || !isReadOnly else { return nil }
    return worker.runNow { [self] in
      guard let file else { return nil }
      guard way == .write else { return file.readPresent(into: pieces, at: offset) ? .success([]) : nil }
      return patience.use { result { () throws(StorageError) in try file.write(pieces, at: offset) } }
    }
  }

  public func close() throws(StorageError) {
    try worker.finish { [self] () throws(StorageError) in
      guard let file else { return }
      self.file = nil
      if !isReadOnly { try file.synchronize() }
    }
  }

  private func carryOut(_ request: BlockRequest) -> BlockResult {
    guard let file else { return .failure(.host(EBADF)) }
    do throws(StorageError) {
      switch request {
      case .read(let offset, let count):
        guard count >= 0, fits(offset, UInt64(count)) else { return .failure(.outOfRange) }
        return .success(try file.read(at: offset, count: count))
      case .write(let offset, let data):
        guard !isReadOnly else { return .failure(.readOnly) }
        guard fits(offset, UInt64(data.count)) else { return .failure(.outOfRange) }
        try file.write(data, at: offset)
      case .flush:
        if !isReadOnly { try file.synchronize() }
      case .discard(let offset, let count):
        guard !isReadOnly else { return .failure(.readOnly) }
        guard fits(offset, count) else { return .failure(.outOfRange) }
        try file.punchHole(at: offset, count: count, mustZero: false)
      case .writeZeroes(let offset, let count, _):
        guard !isReadOnly else { return .failure(.readOnly) }
        guard fits(offset, count) else { return .failure(.outOfRange) }
        try file.punchHole(at: offset, count: count, mustZero: true)
      }
      return .success([])
    } catch {
      return .failure(BlockError(error))
    }
  }

  private func result(_ work: () throws(StorageError) -> Void) -> BlockResult {
    do throws(StorageError) {
      try work()
      return .success([])
    } catch {
      return .failure(BlockError(error))
    }
  }
}
