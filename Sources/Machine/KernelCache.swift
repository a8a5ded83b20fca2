import CCrypto
import CHost
import Compression
import Foundation
import Hypervisor

/// Kernels that took long to unpack, kept unpacked between runs: a quarter of a boot's time is XZ.
///
/// A file is named by the SHA-256 of the packed bytes and holds the unpacked ones and their SHA-256. One that is not the user's own, that
/// others may write to or whose sum does not hold is not used, so what comes back is what unpacking gives. Nothing here is an error:
/// what cannot be kept is unpacked next time.
struct KernelCache: UnpackedKernels {
  /// Files kept; a kernel is some 60 MB.
  static let limit = 4
  private static let suffix = ".kernel"
  let directory: String

  /// Where kernels are kept: the directory that `PARAVANE_CACHE` names, or `paravane` in the user's cache directory. Nil where that
  /// variable is empty or there is no home.
  static func directory(_ environment: [String: String]) -> String? {
    if let named = environment["PARAVANE_CACHE"] { return named.isEmpty ? nil : named }
    // The XDG Base Directory Specification: a relative path is to be ignored.
    if let base = environment["XDG_CACHE_HOME"], base.hasPrefix("/") { return base + "/paravane" }
    guard let home = environment["HOME"], home.hasPrefix("/") else { return nil }
    return home + "/.cache/paravane"
  }

  func unpacked(
    _ packed: UnsafeRawBufferPointer, _ format: CompressionFormat, _ unpack: () throws(CompressionError) -> [UInt8]
  ) throws(CompressionError) -> [UInt8] {
    // The others unpack about as fast as they are read.
    guard format == .xz || format == .lzma || format == .bzip2 else { return try unpack() }
    let path = directory + "/" + hexadecimal(Self.sum(packed)) + Self.suffix
    if let kept = read(path) { return kept }
    let bytes = try unpack()
    write(bytes, to: path)
    return bytes
  }

  private static func sum(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
    var sum = [UInt8](repeating: 0, count: 32)
    guard EVP_Digest(bytes.baseAddress, bytes.count, &sum, nil, EVP_sha256(), nil) == 1 else { return [] }
    return sum
  }

  private func hexadecimal(_ bytes: [UInt8]) -> String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }

  private func read(_ path: String) -> [UInt8]? {
    // Not blocking: a pipe in its place would have no writer.
    let file = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid(), status.st_mode & 0o022 == 0,
      status.st_size > 32, status.st_size <= KernelImage.largestKernel
    else { return nil }
    let count = Int(status.st_size) - 32
    guard ph_has_memory(count) != 0 else { return nil }
    func fill(_ buffer: UnsafeMutableRawBufferPointer, at start: Int) -> Bool {
      var done = 0
      while done < buffer.count {
        let got = pread(file, buffer.baseAddress.map { $0 + done }, buffer.count - done, start + done)
        if got <= 0 { return false }
        done += got
      }
      return true
    }
    var isWhole = false
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, written in
      adviseHugePages(UnsafeMutableRawBufferPointer(buffer))
      isWhole = fill(UnsafeMutableRawBufferPointer(buffer), at: 0)
      written = isWhole ? count : 0
    }
    var sum = [UInt8](repeating: 0, count: 32)
    guard isWhole, sum.withUnsafeMutableBytes({ fill($0, at: count) }), bytes.withUnsafeBytes({ Self.sum($0) }) == sum else { return nil }
    return bytes
  }

  private func write(_ bytes: [UInt8], to path: String) {
    let files = FileManager.default
    try? files.createDirectory(atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    removeAbandoned()
    // Renamed when it is whole: another run may be reading, or writing the same.
    let partial = path + ".\(getpid())"
    let file = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard file >= 0 else { return }
    func put(_ part: UnsafeRawBufferPointer) -> Bool {
      var done = 0
      while done < part.count {
        let put = Foundation.write(file, part.baseAddress.map { $0 + done }, part.count - done)
        if put <= 0 { return false }
        done += put
      }
      return true
    }
    let isWhole = bytes.withUnsafeBytes { put($0) } && bytes.withUnsafeBytes { Self.sum($0) }.withUnsafeBytes { put($0) }
    close(file)
    guard isWhole, rename(partial, path) == 0 else {
      unlink(partial)
      return
    }
    prune()
  }

  private var names: [String] { (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? [] }

  /// Removes what runs that were killed left half written: partial files whose process is gone, or has this one's number.
  ///
  /// Another container's process may look gone while it writes: then its kernel is not kept, or what it and this one wrote under one name
  /// has a sum that does not hold.
  private func removeAbandoned() {
    for name in names {
      let parts = name.split(separator: ".", omittingEmptySubsequences: false)
      guard parts.count == 3, "." + parts[1] == Self.suffix, let writer = pid_t(parts[2]), writer > 0 else { continue }
      if writer == getpid() || (kill(writer, 0) != 0 && errno == ESRCH) { unlink(directory + "/" + name) }
    }
  }

  /// Removes the oldest kernels beyond the limit.
  private func prune() {
    var aged: [(time: Int, path: String)] = []
    for name in names where name.hasSuffix(Self.suffix) {
      var status = stat()
      let path = directory + "/" + name
      if lstat(path, &status) == 0 { aged.append((status.st_mtim.tv_sec, path)) }
    }
    aged.sort { ($0.time, $0.path) > ($1.time, $1.path) }
    for old in aged.dropFirst(Self.limit) { unlink(old.path) }
  }
}
