import Foundation
import Testing

#if canImport(Glibc)
  import Glibc
#endif

/// What other threads hand over, for a test to wait for.
final class Inbox<Item: Sendable>: @unchecked Sendable {
  // Invariant: `condition` guards `items`.
  private let condition = NSCondition()
  private var items: [Item] = []

  func put(_ item: Item) {
    condition.lock()
    items.append(item)
    condition.broadcast()
    condition.unlock()
  }

  var all: [Item] {
    condition.lock()
    defer { condition.unlock() }
    return items
  }

  /// The first item that fits; nil if none comes in half a minute, which is a failure and not a measurement.
  func first(where fits: (Item) -> Bool) -> Item? {
    let deadline = Date(timeIntervalSinceNow: 30)
    condition.lock()
    defer { condition.unlock() }
    while true {
      if let item = items.first(where: fits) { return item }
      if !condition.wait(until: deadline) { return nil }
    }
  }
}

/// A folder that goes with the test.
final class Folder {
  let path: String
  init() throws {
    path = NSTemporaryDirectory() + "pv-" + UUID().uuidString.prefix(8)
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }
  deinit { try? FileManager.default.removeItem(atPath: path) }
  func file(_ name: String) -> String { path + "/" + name }
  func bytes(_ name: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: file(name)))) }
}

func unixAddress(_ path: String) -> sockaddr_un {
  var address = sockaddr_un()
  address.sun_family = sa_family_t(AF_UNIX)
  withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
  return address
}

func connectUnix(_ path: String) -> Int32 {
  let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
  var address = unixAddress(path)
  let result = withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
  }
  return result == 0 ? descriptor : -1
}

func listenUnix(_ path: String) -> Int32 {
  let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
  var address = unixAddress(path)
  let result = withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
  }
  return result == 0 && listen(descriptor, 1) == 0 ? descriptor : -1
}

/// Reads exactly so many bytes; fewer if the other side ends or says nothing for half a minute.
func readBytes(_ descriptor: Int32, _ count: Int) -> [UInt8] {
  var bytes: [UInt8] = []
  while bytes.count < count {
    var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard poll(&ready, 1, 30_000) > 0 else { return bytes }
    var part = [UInt8](repeating: 0, count: count - bytes.count)
    let got = read(descriptor, &part, part.count)
    guard got > 0 else { return bytes }
    bytes += part[0..<got]
  }
  return bytes
}

func writeBytes(_ descriptor: Int32, _ bytes: [UInt8]) {
  #expect(bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) } == bytes.count)
}
