import Foundation

/// What a disk's front (a split driver's back half, an IDE controller) asks of an image.
public enum BlockRequest: Sendable, Equatable {
  /// `count` bytes from `offset`; both are multiples of the device's sector size.
  case read(offset: UInt64, count: Int)
  case write(offset: UInt64, data: [UInt8])
  /// Everything submitted before is on stable storage when it completes.
  case flush
  /// The range's contents are no longer needed: it may read as anything that was there or as zeros.
  case discard(offset: UInt64, count: UInt64)
  /// The range reads as zeros afterwards; `mayUnmap`: its space may be given back.
  case writeZeroes(offset: UInt64, count: UInt64, mayUnmap: Bool)
}

public enum BlockError: Error, Sendable, Equatable {
  /// Past the end of the device, or not a multiple of the sector size.
  case outOfRange
  case readOnly
  case notSupported
  /// The host refused (errno).
  case host(Int32)
  /// The image contradicts itself.
  case corrupt(String)
}

/// Which way a transfer goes.
public enum BlockTransfer: Sendable, Equatable { case read, write }

/// A read's bytes (exactly `count`), or nothing for the other requests.
public typealias BlockResult = Result<[UInt8], BlockError>

/// A disk image as a block device.
///
/// `submit` may be called from any thread and returns at once; `completion` is called exactly once, on any thread, possibly
/// before `submit` returns. Requests take effect as if they were carried out in the order of submission, however many are under
/// way: a read sees every write submitted before it. That keeps a run on the virtual clock the same however the host
/// schedules its threads.
public protocol BlockDevice: AnyObject, Sendable {
  var sizeInBytes: UInt64 { get }
  /// 512 or 4096.
  var sectorSize: Int { get }
  var isReadOnly: Bool { get }
  /// Whether `discard` does anything.
  var supportsDiscard: Bool { get }
  func submit(_ request: BlockRequest, completion: @escaping @Sendable (BlockResult) -> Void)
  /// Carries a transfer out on the caller's thread, between the image from `offset` on and pieces of memory in a row, if there is
  /// nothing to wait for: all that was submitted is done, and the host has what is to be read in its memory. nil: `submit` it (pieces
  /// to be filled may hold anything).
  func transferNow(_ way: BlockTransfer, offset: UInt64, pieces: [UnsafeMutableRawBufferPointer]) -> BlockResult?
  /// Puts everything submitted before on stable storage and lets go of the host's files; returns when it is done. Later requests fail.
  func close() throws(StorageError)
}

extension BlockDevice {
  public var supportsDiscard: Bool { false }
  public func transferNow(_ way: BlockTransfer, offset: UInt64, pieces: [UnsafeMutableRawBufferPointer]) -> BlockResult? { nil }
  public func close() throws(StorageError) {}

  /// Whether bytes are whole sectors of the disk.
  func fits(_ offset: UInt64, _ count: UInt64) -> Bool {
    let (end, overflow) = offset.addingReportingOverflow(count)
    return !overflow && end <= sizeInBytes && offset % UInt64(sectorSize) == 0 && count % UInt64(sectorSize) == 0
  }
}

/// A block device in memory: for tests and for disks that need not outlive the run.
public final class MemoryBlockDevice: BlockDevice, @unchecked Sendable {
  public let sectorSize: Int
  public let isReadOnly: Bool
  public let supportsDiscard = true
  /// Guarded by `lock`.
  private var bytes: [UInt8]
  private let lock = NSLock()

  public init(bytes: [UInt8], sectorSize: Int = 512, isReadOnly: Bool = false) {
    self.bytes = bytes
    self.sectorSize = sectorSize
    self.isReadOnly = isReadOnly
    sizeInBytes = UInt64(bytes.count)
  }

  public let sizeInBytes: UInt64

  /// A copy of the contents.
  public var contents: [UInt8] { lock.withLock { bytes } }

  public func submit(_ request: BlockRequest, completion: @escaping @Sendable (BlockResult) -> Void) {
    completion(lock.withLock { carryOut(request) })
  }

  private func carryOut(_ request: BlockRequest) -> BlockResult {
    switch request {
    case .read(let offset, let count):
      guard let range = range(offset, UInt64(clamping: count)) else { return .failure(.outOfRange) }
      return .success(Array(bytes[range]))
    case .write(let offset, let data):
      guard !isReadOnly else { return .failure(.readOnly) }
      guard let range = range(offset, UInt64(data.count)) else { return .failure(.outOfRange) }
      bytes.replaceSubrange(range, with: data)
    case .flush: break
    case .discard(let offset, let count), .writeZeroes(let offset, let count, _):
      guard !isReadOnly else { return .failure(.readOnly) }
      guard let range = range(offset, count) else { return .failure(.outOfRange) }
      for index in range { bytes[index] = 0 }
    }
    return .success([])
  }

  public func transferNow(_ way: BlockTransfer, offset: UInt64, pieces: [UnsafeMutableRawBufferPointer]) -> BlockResult? {
    lock.withLock {
      guard let range = range(offset, pieces.reduce(0) { $0 + UInt64($1.count) }), way == .read || !isReadOnly else { return nil }
      var start = range.lowerBound
      for piece in pieces {
        let part = start..<start + piece.count
        if way == .read { piece.copyBytes(from: bytes[part]) } else { bytes.replaceSubrange(part, with: piece) }
        start += piece.count
      }
      return .success([])
    }
  }

  private func range(_ offset: UInt64, _ count: UInt64) -> Range<Int>? {
    let (end, overflow) = offset.addingReportingOverflow(count)
    guard !overflow, end <= sizeInBytes else { return nil }
    return Int(offset)..<Int(end)
  }
}
