import Random
import Silicon
import Xenstore

/// A store page that the guest writes anything to at any time.
final class HostileRing: StoreRing {
  var page = [UInt8](repeating: 0, count: 4096)

  func load(_ offset: Int) -> UInt32 {
    guard offset >= 0, offset + 4 <= page.count else { return 0 }
    return (0..<4).reduce(0) { $0 | UInt32(page[offset + $1]) << UInt32(8 * $1) }
  }
  func store(_ value: UInt32, at offset: Int) {
    guard offset >= 0, offset + 4 <= page.count else { return }
    for index in 0..<4 { page[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(8 * index)) }
  }
  func copyOut(_ offset: Int, count: Int) -> [UInt8] {
    guard offset >= 0, count >= 0, offset + count <= page.count else { return [UInt8](repeating: 0, count: max(count, 0)) }
    return Array(page[offset..<offset + count])
  }
  func copyIn(_ bytes: ArraySlice<UInt8>, at offset: Int) {
    guard offset >= 0, offset + bytes.count <= page.count else { return }
    page.replaceSubrange(offset..<offset + bytes.count, with: bytes)
  }
  func notify() {}
}

/// The store's wire protocol: requests of every type with mutated payloads, whole and in pieces, over a ring whose indices lie.
struct StoreTarget: FuzzTarget {
  private let paths = [
    "/", "", "name", "/local/domain/1/name", "device/vbd/51712/state", "@introduceDomain", "@releaseDomain", "/tool", "a//b", "/a/",
    "data/é", "control/shutdown", "../x", "0123456789", "data/\u{1}", "data/a", "data/a/b",
  ]
  init() {}

  mutating func run(_ random: inout SeededRandom) -> String? {
    let store = Store()
    store.write("/local/domain/1/name", "guest")
    store.mkdir("/local/domain/1/data")
    store.setPermissions("/local/domain/1/data", store.permissions("/local/domain/1/data"))
    let ring = HostileRing()
    let connection = store.introduce(1, ring: ring)
    for _ in 0..<40 {
      var message = request(&random)
      if random.oneIn(4) { Mutator.mutate(&message, &random, rounds: 2) }
      send(message, ring, connection, &random)
      if random.oneIn(20) { ring.page[Int(random.below(4096))] = UInt8(truncatingIfNeeded: random.next()) }
      if random.oneIn(30) { ring.store(UInt32(truncatingIfNeeded: Mutator.word(&random)), at: 0x800 + Int(random.below(8)) * 4) }
      connection.service()
    }
    _ = store.listing()
    store.release(1)
    return nil
  }

  private func request(_ random: inout SeededRandom) -> [UInt8] {
    var payload: [UInt8] = []
    for _ in 0..<1 + random.below(3) {
      payload += Array(paths[Int(random.below(UInt64(paths.count)))].utf8)
      if !random.oneIn(8) { payload.append(0) }
    }
    if random.oneIn(4) { payload += (0..<random.below(600)).map { _ in UInt8(truncatingIfNeeded: random.next()) } }
    if random.oneIn(3) { payload = Array("T\0".utf8) }
    var bytes: [UInt8] = []
    for word in [random.below(26), random.below(4), random.oneIn(3) ? random.below(3) : 0, UInt64(payload.count)] {
      bytes += (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) }
    }
    return bytes + payload
  }

  private func send(_ message: [UInt8], _ ring: HostileRing, _ connection: Connection, _ random: inout SeededRandom) {
    var rest = message[...]
    var tries = 0
    while !rest.isEmpty && tries < 8 {
      tries += 1
      let producer = ring.load(0x804)
      let room = 1024 - Int(min(producer &- ring.load(0x800), 1024))
      let piece = rest.prefix(min(room, 1 + Int(random.below(900))))
      for (index, byte) in piece.enumerated() { ring.page[Int((producer &+ UInt32(index)) & 1023)] = byte }
      ring.store(producer &+ UInt32(piece.count), at: 0x804)
      rest = rest.dropFirst(piece.count)
      connection.service()
      // What was answered is taken.
      if !random.oneIn(6) { ring.store(ring.load(0x80C), at: 0x808) }
    }
  }
}
