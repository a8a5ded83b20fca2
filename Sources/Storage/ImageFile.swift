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

/// A host file that an image is kept in: positioned reads and writes, locked against other users while open.
///
/// The lock is advisory (OFD locks): shared for readers, exclusive for a writer; it goes with the descriptor.
public final class ImageFile: @unchecked Sendable {
  public let path: String
  public let isReadOnly: Bool
  // Invariant: open as long as the object lives; pread and pwrite are safe from any thread.
  let descriptor: Int32

  public init(path: String, readOnly: Bool) throws(StorageError) {
    self.path = path
    isReadOnly = readOnly
    descriptor = open(path, (readOnly ? O_RDONLY : O_RDWR) | O_CLOEXEC)
    guard descriptor >= 0 else { throw .cannotOpen(path: path, reason: String(cString: strerror(errno))) }
    var status = stat()
    if fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
      close(descriptor)
      throw .cannotOpen(path: path, reason: "it is a directory")
    }
    if ph_lock_file(descriptor, readOnly ? 0 : 1) != 0 && (errno == EAGAIN || errno == EACCES) {
      close(descriptor)
      throw .locked(path: path)
    }
  }

  deinit { close(descriptor) }

  /// Bytes in the file (a block device's too).
  public func size() throws(StorageError) -> UInt64 {
    let end = lseek(descriptor, 0, SEEK_END)
    guard end >= 0 else { throw .host(path: path, errno: errno) }
    return UInt64(end)
  }

  /// Reads `count` bytes; past the file's end they are zero.
  public func read(at offset: UInt64, count: Int) throws(StorageError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let part = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress! + done, count - done, off_t(offset) + off_t(done)) }
      if part < 0 {
        if errno == EINTR { continue }
        throw .host(path: path, errno: errno)
      }
      if part == 0 { break }
      done += part
    }
    return bytes
  }

  public func write(_ bytes: [UInt8], at offset: UInt64) throws(StorageError) {
    var done = 0
    while done < bytes.count {
      let part = bytes.withUnsafeBytes { pwrite(descriptor, $0.baseAddress! + done, bytes.count - done, off_t(offset) + off_t(done)) }
      if part < 0 {
        if errno == EINTR { continue }
        throw .host(path: path, errno: errno)
      }
      done += part
    }
  }

  /// Everything written before is on stable storage afterwards.
  public func synchronize() throws(StorageError) {
    guard fdatasync(descriptor) == 0 else { throw .host(path: path, errno: errno) }
  }

  public func truncate(to size: UInt64) throws(StorageError) {
    guard ftruncate(descriptor, off_t(size)) == 0 else { throw .host(path: path, errno: errno) }
  }

  /// Gives a range's space back; it reads as zeros. Where the file system cannot, zeros are written if `mustZero`.
  public func punchHole(at offset: UInt64, count: UInt64, mustZero: Bool) throws(StorageError) {
    guard count > 0 else { return }
    if ph_punch_hole(descriptor, offset, count) == 0 { return }
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
}
