import Foundation

/// The contents of a disk, read synchronously by one thread: what stands behind an overlay or is converted.
protocol ImageSource: AnyObject {
  /// Bytes of the disk; reads past it give zeros.
  var length: UInt64 { get }
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(StorageError)
  /// Bytes from `offset` on that are known to be zero without reading them, up to `limit`; 0 where there may be data.
  func zeroRun(at offset: UInt64, limit: UInt64) throws(StorageError) -> UInt64
  /// What was written through this source before is on stable storage afterwards.
  func synchronize() throws(StorageError)
}

extension ImageSource {
  func synchronize() throws(StorageError) {}

  func read(at offset: UInt64, count: Int) throws(StorageError) -> [UInt8] {
    try bytes(count) { buffer throws(StorageError) in try read(into: buffer, at: offset) }
  }
}

/// An array of so many bytes as `fill` leaves them; none for a negative count.
func bytes(_ count: Int, _ fill: (UnsafeMutableRawBufferPointer) throws(StorageError) -> Void) throws(StorageError) -> [UInt8] {
  var failure: StorageError?
  let bytes = [UInt8](unsafeUninitializedCapacity: max(count, 0)) { buffer, filled in
    do throws(StorageError) {
      try fill(UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<max(count, 0)]))
    } catch {
      failure = error
      buffer.initialize(repeating: 0)
    }
    filled = max(count, 0)
  }
  if let failure { throw failure }
  return bytes
}

/// A raw file as a source.
final class RawSource: ImageSource {
  let file: ImageFile
  let length: UInt64

  init(_ file: ImageFile) throws(StorageError) {
    self.file = file
    length = try file.size()
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(StorageError) {
    try file.read(into: buffer, at: offset)
  }

  func zeroRun(at offset: UInt64, limit: UInt64) -> UInt64 { min(file.zeroRun(at: offset), limit) }
}

/// A running device as a source: what an overlay stands on that was put over it while a guest uses it.
///
/// Every read goes through the device's own queue, so it sees whatever was submitted before the overlay took over.
final class DeviceSource: ImageSource {
  /// Where the result of a request is awaited.
  private final class Answer: @unchecked Sendable {
    // Invariant: written before `arrived` is signalled, read after.
    private var result: BlockResult = .success([])
    private let arrived = DispatchSemaphore(value: 0)

    func put(_ result: BlockResult) {
      self.result = result
      arrived.signal()
    }

    func wait() -> BlockResult {
      arrived.wait()
      return result
    }
  }

  let device: any BlockDevice
  let path: String
  var length: UInt64 { device.sizeInBytes }

  init(_ device: any BlockDevice, path: String) {
    self.device = device
    self.path = path
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(StorageError) {
    let sector = UInt64(device.sectorSize)
    let present = offset < length ? Int(min(UInt64(buffer.count), length - offset)) : 0
    if present > 0 {
      let start = offset - offset % sector
      let end = min((offset + UInt64(present) + sector - 1) / sector * sector, length)
      let bytes = try ask(.read(offset: start, count: Int(end - start)))
      guard bytes.count == Int(end - start) else { throw .malformed(path: path, reason: "gave fewer bytes than were asked for") }
      bytes.withUnsafeBytes {
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[Int(offset - start)..<Int(offset - start) + present]))
      }
    }
    if present < buffer.count { UnsafeMutableRawBufferPointer(rebasing: buffer[present...]).initializeMemory(as: UInt8.self, repeating: 0) }
  }

  func zeroRun(at offset: UInt64, limit: UInt64) -> UInt64 { offset >= length ? limit : 0 }
  func synchronize() throws(StorageError) { _ = try ask(.flush) }

  private func ask(_ request: BlockRequest) throws(StorageError) -> [UInt8] {
    let answer = Answer()
    device.submit(request) { answer.put($0) }
    switch answer.wait() {
    case .success(let bytes): return bytes
    case .failure(.host(let number)): throw .host(path: path, errno: number)
    case .failure(let error): throw .malformed(path: path, reason: "the disk below an overlay refuses: \(error)")
    }
  }
}

/// The formats of disk images.
public enum ImageFormat: String, Sendable, CaseIterable {
  case raw, qcow2

  /// What the file's first bytes say. A raw disk whose guest wrote a qcow2 header looks like a qcow2 image: where the format is
  /// known, it should be said.
  static func probe(_ file: ImageFile) throws(StorageError) -> ImageFormat {
    Qcow2Header.isQcow2(try file.read(at: 0, count: 8)) ? .qcow2 : .raw
  }
}

/// What was opened on the way to an image: an image that stands on itself is found out by it.
struct ImageChain {
  /// Longer chains are a mistake or an attack.
  static let limit = 100
  var files: [FileIdentity] = []
  var locking = true

  mutating func add(_ file: ImageFile) throws(StorageError) {
    guard !files.contains(file.identity) else {
      throw .malformed(path: file.path, reason: "is its own backing file, directly or through others; mend it with qemu-img rebase -u")
    }
    guard files.count < Self.limit else { throw .unsupported(path: file.path, feature: "a chain of more than \(Self.limit) backing files") }
    files.append(file.identity)
  }
}

/// Opens an image to be read as a source.
/// - Parameter format: nil: what its first bytes say.
func openSource(path: String, format: ImageFormat?, chain: ImageChain) throws(StorageError) -> any ImageSource {
  let file = try ImageFile(path: path, readOnly: true, locking: chain.locking)
  var chain = chain
  try chain.add(file)
  let actual: ImageFormat
  if let format { actual = format } else { actual = try ImageFormat.probe(file) }
  switch actual {
  case .raw: return try RawSource(file)
  case .qcow2: return try Qcow2Core(file: file, chain: chain)
  }
}

/// The path of a backing file as it stands in an overlay's header: relative to the overlay's directory.
func resolveBacking(_ name: String, of path: String) throws(StorageError) -> String {
  var name = name
  if name.hasPrefix("file:") { name = String(name.dropFirst(5)) }
  if let colon = name.firstIndex(of: ":"), !name[..<colon].contains("/") {
    throw .unsupported(path: path, feature: "its backing file '\(name)': the protocol '\(name[..<colon])'")
  }
  if name.hasPrefix("/") { return name }
  guard let slash = path.lastIndex(of: "/") else { return name }
  return path[...slash] + name
}

/// A disk image as a block device.
/// - Parameters:
///   - format: `raw` or `qcow2`.
///   - sectorSize: 512, 4096, or 2048 for a CD-ROM.
public func openImage(path: String, format: String, readOnly: Bool, sectorSize: Int = 512) throws(StorageError) -> any BlockDevice {
  switch ImageFormat(rawValue: format) {
  case .raw: return try RawImage(path: path, readOnly: readOnly, sectorSize: sectorSize)
  case .qcow2: return try Qcow2Image(path: path, readOnly: readOnly, sectorSize: sectorSize)
  case nil: throw .unsupported(path: path, feature: "the image format '\(format)'")
  }
}
