import Foundation
import Random
import Testing

@testable import Storage

/// A directory of a test's own, gone with the object.
final class Scratch {
  let path: String

  init() {
    path = FileManager.default.temporaryDirectory.appending(path: "paravane-storage-\(UUID().uuidString)").path
    try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { path + "/" + name }
}

extension SeededRandom {
  mutating func below(_ limit: Int) -> Int { Int(below(UInt64(limit))) }

  mutating func bytes(_ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    bytes.withUnsafeMutableBytes { buffer in
      for at in stride(from: 0, to: count - 7, by: 8) { buffer.storeBytes(of: next(), toByteOffset: at, as: UInt64.self) }
    }
    return bytes
  }
}

/// QEMU's tools, where they are installed: they judge what is written here and write what is read here.
enum Qemu {
  static let imageTool = find("qemu-img")
  static let ioTool = find("qemu-io")
  static var isThere: Bool { imageTool != nil && ioTool != nil }

  private static func find(_ name: String) -> String? {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin"
    return path.split(separator: ":").map { "\($0)/\(name)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
  }

  @discardableResult
  static func run(_ tool: String?, _ arguments: [String]) -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: tool ?? "/bin/false")
    process.arguments = arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    do { try process.run() } catch { return (-1, "\(error)") }
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: data, as: UTF8.self))
  }

  /// Runs qemu-img, which must succeed.
  static func image(_ arguments: String...) {
    let result = run(imageTool, arguments)
    #expect(result.status == 0, "qemu-img \(arguments.joined(separator: " ")): \(result.output)")
  }

  static func io(_ path: String, _ commands: String...) {
    let result = run(ioTool, commands.flatMap { ["-c", $0] } + [path])
    #expect(result.status == 0, "qemu-io \(commands): \(result.output)")
  }

  /// The disk in an image, as qemu-img sees it.
  static func contents(_ path: String, in scratch: Scratch, _ options: [String] = []) -> [UInt8] {
    let raw = scratch.file("contents-\(UUID().uuidString)")
    let result = run(imageTool, ["convert", "-O", "raw"] + options + [path, raw])
    #expect(result.status == 0, "\(result.output)")
    defer { try? FileManager.default.removeItem(atPath: raw) }
    return load(raw)
  }

  static func expectClean(_ path: String, _ what: String = "") {
    guard isThere else { return }
    let result = run(imageTool, ["check", "-f", "qcow2", path])
    #expect(result.status == 0, "\(what): \(result.output)")
  }
}

func load(_ path: String) -> [UInt8] { FileManager.default.contents(atPath: path).map { [UInt8]($0) } ?? [] }
func store(_ bytes: [UInt8], _ path: String) { _ = FileManager.default.createFile(atPath: path, contents: Data(bytes)) }

/// Opens an image to write, without the thread of a device.
func openCore(_ path: String) throws(StorageError) -> Qcow2Core {
  var file: ImageFile?
  // Another test's tool, just forked, may share the last descriptor's lock until it has become the tool.
  for _ in 0..<200 where file == nil {
    file = try? ImageFile(path: path, readOnly: false)
    if file == nil { usleep(5000) }
  }
  guard let file else { throw .locked(path: path) }
  var chain = ImageChain()
  try chain.add(file)
  return try Qcow2Core(writable: file, chain: chain)
}

func wholeDisk(_ path: String) throws(StorageError) -> [UInt8] {
  let source = try openSource(path: path, format: .qcow2, chain: ImageChain())
  return try source.read(at: 0, count: Int(source.length))
}

extension Qcow2Core {
  func write(_ bytes: [UInt8], at offset: UInt64) throws(StorageError) {
    try bytes.withUnsafeBytesThrowing { buffer throws(StorageError) in try write(buffer, at: offset) }
  }
}

private final class ResultBox: @unchecked Sendable { var result: BlockResult = .success([]) }

extension BlockDevice {
  /// Submits and waits.
  func perform(_ request: BlockRequest) -> BlockResult {
    let box = ResultBox()
    let done = DispatchSemaphore(value: 0)
    submit(request) {
      box.result = $0
      done.signal()
    }
    done.wait()
    return box.result
  }
}

/// A disk in memory that a random sequence of requests is carried out on, beside an image.
struct DiskModel {
  var bytes: [UInt8]
  var numbers: SeededRandom

  /// One random request. Sizes reach from a sector to several clusters.
  mutating func step(on core: Qcow2Core) throws(StorageError) {
    let size = core.geometry.clusterSize
    let sectors = bytes.count / 512
    let first = numbers.below(sectors)
    var count = min(1 + numbers.below(numbers.below(3) == 0 ? max(3 * size / 512, 4) : 9), sectors - first)
    var offset = first * 512
    if numbers.below(4) == 0 {
      // Whole clusters.
      offset = offset / size * size
      count = min((1 + numbers.below(4)) * size, bytes.count - offset) / 512
    }
    let range = offset..<offset + count * 512
    switch numbers.below(12) {
    case 0:
      let mayUnmap = numbers.below(2) == 0
      try core.writeZeroes(at: UInt64(offset), count: UInt64(range.count), mayUnmap: mayUnmap, discarding: false)
      bytes.replaceSubrange(range, with: [UInt8](repeating: 0, count: range.count))
    case 1:
      try core.writeZeroes(at: UInt64(offset), count: UInt64(range.count), mayUnmap: true, discarding: true)
      let now = try core.read(at: UInt64(offset), count: range.count)
      for sector in stride(from: 0, to: range.count, by: 512) {
        let part = now[sector..<sector + 512]
        let isOld = part == bytes[offset + sector..<offset + sector + 512]
        let isZero = part.withUnsafeBytes { isAllZero($0) }
        if !isOld && !isZero { Issue.record("a discarded sector is neither old nor zero") }
      }
      bytes.replaceSubrange(range, with: now)
    case 2, 3:
      let now = try core.read(at: UInt64(offset), count: range.count)
      if now != Array(bytes[range]) { Issue.record("a read at \(offset) gave other bytes than were written") }
    case 4 where size <= 1 << 16 && core.header.size % UInt64(size) == 0:
      // A compressed cluster, as a conversion writes it: only over nothing.
      let cluster = UInt64(offset / size)
      guard try core.entry(cluster) == 0 else { break }
      var data = numbers.bytes(size)
      for index in 64..<size where index & 7 != 0 { data[index] = data[index & 63] }
      try core.writeCompressed(data, cluster: cluster)
      bytes.replaceSubrange(Int(cluster) * size..<(Int(cluster) + 1) * size, with: data)
    default:
      let data = numbers.bytes(range.count)
      try core.write(data, at: UInt64(offset))
      bytes.replaceSubrange(range, with: data)
    }
  }
}
