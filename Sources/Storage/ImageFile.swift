import CHost

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// What is wrong with an image file: what, where, how to mend it.
public enum StorageError: Error, Equatable, CustomStringConvertible, Sendable {
  case cannotOpen(path: String, reason: String)
  case locked(path: String)
  case malformed(path: String, reason: String)
  case unsupported(path: String, feature: String)
  case host(path: String, errno: Int32)

  public var description: String {
    switch self {
    case .cannotOpen(let path, let reason): return "\(path): cannot be opened: \(reason)"
    case .locked(let path): return "\(path): is in use by another process; stop it, or open the image read-only in both"
    case .malformed(let path, let reason): return "\(path): \(reason)"
    case .unsupported(let path, let feature): return "\(path): \(feature) is not supported"
    case .host(let path, let number): return "\(path): \(String(cString: strerror(number)))"
    }
  }
}

/// Which host file it is, however it is named.
struct FileIdentity: Hashable, Sendable {
  var device: UInt64
  var inode: UInt64
}

/// A change of a host file, as a test that simulates crashes wants to see it.
enum ImageFileEvent: Sendable {
  case write(offset: UInt64, bytes: [UInt8])
  case truncate(size: UInt64)
  case punch(offset: UInt64, count: UInt64)
  case synchronize
}

/// A host file that an image is kept in: positioned reads and writes, locked against other users while open.
///
/// The lock is advisory (OFD locks): shared for readers, exclusive for a writer; it goes with the descriptor.
public final class ImageFile: @unchecked Sendable {
  public let path: String
  public let isReadOnly: Bool
  let identity: FileIdentity
  /// Told of every change after it was made. Set before the file is shared with another thread.
  var observer: ((ImageFileEvent) -> Void)?
  // Invariant: open as long as the object lives; pread and pwrite are safe from any thread.
  let descriptor: Int32

  /// - Parameter locking: false only to look at a file that another may be using.
  public convenience init(path: String, readOnly: Bool, locking: Bool = true) throws(StorageError) {
    try self.init(path: path, flags: readOnly ? O_RDONLY : O_RDWR, locking: locking)
  }

  /// Makes the file, or empties it once the lock says that nobody uses it.
  public convenience init(creating path: String) throws(StorageError) {
    try self.init(path: path, flags: O_RDWR | O_CREAT, locking: true)
    var status = stat()
    if fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG { try truncate(to: 0) }
  }

  private init(path: String, flags: Int32, locking: Bool) throws(StorageError) {
    self.path = path
    isReadOnly = flags & O_RDWR == 0
    descriptor = open(path, flags | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .cannotOpen(path: path, reason: String(cString: strerror(errno))) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT != S_IFDIR else {
      close(descriptor)
      throw .cannotOpen(path: path, reason: "it is a directory")
    }
    identity = FileIdentity(device: UInt64(truncatingIfNeeded: status.st_dev), inode: UInt64(truncatingIfNeeded: status.st_ino))
    guard locking else { return }
    // Who is about to let go of it, or has just forked, gets a quarter of a second.
    var tries = 25
    while ph_lock_file(descriptor, isReadOnly ? 0 : 1) != 0, errno == EAGAIN || errno == EACCES {
      tries -= 1
      guard tries > 0 else {
        close(descriptor)
        throw .locked(path: path)
      }
      usleep(10_000)
    }
  }

  deinit { close(descriptor) }

  /// Bytes in the file (a block device's too).
  public func size() throws(StorageError) -> UInt64 {
    let end = lseek(descriptor, 0, SEEK_END)
    guard end >= 0 else { throw .host(path: path, errno: errno) }
    return UInt64(end)
  }

  /// Bytes of the host's disk that the file takes up.
  func allocatedBytes() throws(StorageError) -> UInt64 {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .host(path: path, errno: errno) }
    return UInt64(clamping: status.st_blocks) &* 512
  }

  /// The bytes from `offset` on that are known to be zero without reading them: a hole, or past the file's end.
  /// 0 where there are data, or where the file system cannot tell.
  func zeroRun(at offset: UInt64) -> UInt64 {
    #if os(Linux)
      let seekData: Int32 = 3
    #else
      let seekData: Int32 = 4
    #endif
    guard let start = off_t(exactly: offset) else { return UInt64.max &- offset }
    let data = lseek(descriptor, start, seekData)
    if data < 0 { return errno == ENXIO ? UInt64.max &- offset : 0 }
    return UInt64(data) > offset ? UInt64(data) - offset : 0
  }

  /// Reads `count` bytes; past the file's end they are zero.
  public func read(at offset: UInt64, count: Int) throws(StorageError) -> [UInt8] {
    try bytes(count) { buffer throws(StorageError) in try read(into: buffer, at: offset) }
  }

  /// Fills `buffer`; past the file's end with zeros.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(StorageError) {
    guard let base = buffer.baseAddress, !buffer.isEmpty else { return }
    let start = try position(offset, buffer.count)
    var done = 0
    while done < buffer.count {
      let part = pread(descriptor, base + done, buffer.count - done, start + off_t(done))
      if part < 0 {
        if errno == EINTR { continue }
        throw .host(path: path, errno: errno)
      }
      if part == 0 { break }
      done += part
    }
    if done < buffer.count { memset(base + done, 0, buffer.count - done) }
  }

  public func write(_ bytes: [UInt8], at offset: UInt64) throws(StorageError) {
    var failure: StorageError?
    bytes.withUnsafeBytes { buffer in
      do throws(StorageError) { try write(buffer, at: offset) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(StorageError) {
    guard let base = bytes.baseAddress, !bytes.isEmpty else { return }
    let start = try position(offset, bytes.count)
    var done = 0
    while done < bytes.count {
      let part = pwrite(descriptor, base + done, bytes.count - done, start + off_t(done))
      if part < 0 {
        if errno == EINTR { continue }
        throw .host(path: path, errno: errno)
      }
      done += part
    }
    observer?(.write(offset: offset, bytes: Array(bytes)))
  }

  /// Fills pieces of memory in a row if the host has all of the range in its memory; false: a disk would have to be waited for (or
  /// the host cannot tell, or the range is not all in the file), and the pieces hold anything.
  func readPresent(into pieces: [UnsafeMutableRawBufferPointer], at offset: UInt64) -> Bool {
    let vector = pieces.map { iovec(iov_base: $0.baseAddress, iov_len: $0.count) }
    guard vector.count <= Self.maximumPieces, off_t(exactly: offset) != nil else { return false }
    let count = pieces.reduce(0) { $0 + $1.count }
    return ph_read_present(descriptor, vector, Int32(vector.count), offset) == count
  }

  static let maximumPieces = 1024

  /// Writes pieces of memory in a row.
  func write(_ pieces: [UnsafeMutableRawBufferPointer], at offset: UInt64) throws(StorageError) {
    let vector = pieces.map { iovec(iov_base: $0.baseAddress, iov_len: $0.count) }
    let count = pieces.reduce(0) { $0 + $1.count }
    let start = try position(offset, count)
    var done = 0
    if vector.count <= Self.maximumPieces {
      repeat { done = pwritev(descriptor, vector, Int32(vector.count), start) } while done < 0 && errno == EINTR
      if done < 0 { throw .host(path: path, errno: errno) }
      if done == count, let observer {
        observer(.write(offset: offset, bytes: pieces.flatMap { Array($0) }))
      }
    }
    guard done < count else { return }
    // Cut short, which a full disk or a signal does: each piece again, so that the reason is found.
    var at = offset
    for piece in pieces {
      try write(UnsafeRawBufferPointer(piece), at: at)
      at += UInt64(piece.count)
    }
  }

  /// Everything written before is on stable storage afterwards.
  public func synchronize() throws(StorageError) {
    guard fdatasync(descriptor) == 0 else { throw .host(path: path, errno: errno) }
    observer?(.synchronize)
  }

  public func truncate(to size: UInt64) throws(StorageError) {
    let size = try position(size, 0)
    guard ftruncate(descriptor, size) == 0 else { throw .host(path: path, errno: errno) }
    observer?(.truncate(size: UInt64(size)))
  }

  /// Gives a range's space back; it reads as zeros. Where the file system cannot, zeros are written if `mustZero`.
  public func punchHole(at offset: UInt64, count: UInt64, mustZero: Bool) throws(StorageError) {
    guard count > 0 else { return }
    if ph_punch_hole(descriptor, offset, count) == 0 {
      observer?(.punch(offset: offset, count: count))
      return
    }
    guard errno == EOPNOTSUPP || errno == ENOSYS else { throw .host(path: path, errno: errno) }
    guard mustZero else { return }
    let zeros = [UInt8](repeating: 0, count: 1 << 16)
    var at = offset
    var left = count
    while left > 0 {
      let part = Int(min(left, UInt64(zeros.count)))
      try write(part == zeros.count ? zeros : Array(zeros[0..<part]), at: at)
      at += UInt64(part)
      left -= UInt64(part)
    }
  }

  /// An offset as the host wants it; EFBIG where the range is past what it can address.
  private func position(_ offset: UInt64, _ count: Int) throws(StorageError) -> off_t {
    guard let start = off_t(exactly: offset), !start.addingReportingOverflow(off_t(count)).overflow else {
      throw .host(path: path, errno: EFBIG)
    }
    return start
  }
}
