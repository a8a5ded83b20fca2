import Random
import Testing

@testable import Xenstore

struct ConnectionTests {
  func makeGuest() -> (Store, MemoryRing, Connection) {
    let store = Store()
    store.mkdir("/local/domain/1")
    store.setPermissions("/local/domain/1", [Permission(1, .none)])
    let ring = MemoryRing()
    return (store, ring, store.introduce(1, ring: ring))
  }

  func text(_ messages: [MemoryRing.Message]) -> [String] { messages.map { "\($0.type) \($0.text)" } }

  @Test func everyOperationOfTheHeader() throws {
    let (store, ring, connection) = makeGuest()
    func ask(_ type: UInt32, _ payload: String, tx: UInt32 = 0) -> [String] { text(ring.ask(connection, type, payload, tx: tx)) }
    #expect(ask(11, "a/b\0hello") == ["11 OK\0"])
    #expect(ask(2, "a/b\0") == ["2 hello"])
    #expect(ask(2, "/local/domain/1/a/b\0") == ["2 hello"])
    #expect(ask(2, "a/none\0") == ["16 ENOENT\0"])
    #expect(ask(12, "a/c\0") == ["12 OK\0"])
    #expect(ask(12, "a/c\0") == ["12 OK\0"])
    #expect(ask(1, "a\0") == ["1 b\0c\0"])
    #expect(ask(1, "a/c\0") == ["1 "])
    #expect(ask(3, "a\0") == ["3 n1\0"])
    #expect(ask(14, "a\0n1\0r0\0") == ["14 OK\0"])
    #expect(ask(3, "a\0") == ["3 n1\0r0\0"])
    #expect(ask(14, "a\0x1\0") == ["16 EINVAL\0"])
    #expect(ask(14, "a\0") == ["16 EINVAL\0"])
    #expect(ask(13, "a/c\0") == ["13 OK\0"])
    #expect(ask(13, "a/c\0") == ["13 OK\0"])
    #expect(ask(13, "q/w/e\0") == ["16 ENOENT\0"])
    #expect(ask(4, "a\0tok\0") == ["4 OK\0", "15 a\0tok\0"])
    #expect(ask(4, "a\0tok\0") == ["16 EEXIST\0"])
    #expect(ask(11, "a/b\0x") == ["11 OK\0", "15 a/b\0tok\0"])
    #expect(ask(5, "a\0tok\0") == ["5 OK\0"])
    #expect(ask(5, "a\0tok\0") == ["16 ENOENT\0"])
    #expect(ask(4, "@releaseDomain\0r\0") == ["4 OK\0", "15 @releaseDomain\0r\0"])
    #expect(ask(4, "@other\0r\0") == ["16 EINVAL\0"])
    #expect(ask(6, "\0") == ["6 1\0"])
    #expect(ask(6, "\0", tx: 1) == ["16 EBUSY\0"])
    #expect(ask(11, "t\0x", tx: 1) == ["11 OK\0"])
    #expect(ask(7, "T\0", tx: 1) == ["7 OK\0"])
    #expect(ask(7, "T\0", tx: 1) == ["16 ENOENT\0"])
    #expect(ask(2, "t\0", tx: 9) == ["16 ENOENT\0"])
    #expect(ask(6, "\0") == ["6 2\0"])
    #expect(ask(11, "t\0y", tx: 2) == ["11 OK\0"])
    #expect(ask(11, "t\0z") == ["11 OK\0"])
    #expect(ask(7, "T\0", tx: 2) == ["16 EAGAIN\0"])
    #expect(ask(10, "7\0") == ["10 /local/domain/7\0"])
    #expect(ask(17, "1\0") == ["17 T\0"])
    #expect(ask(17, "9\0") == ["17 F\0"])
    for privileged: UInt32 in [0, 8, 9, 18, 19] { #expect(ask(privileged, "1\0") == ["16 EACCES\0"]) }
    for unknown: UInt32 in [15, 16, 20, 23, 0xFFFF_FFFF] { #expect(ask(unknown, "1\0") == ["16 ENOSYS\0"]) }
    #expect(ask(21, "\0") == ["21 OK\0"])
    #expect(ask(2, "a") == ["16 EINVAL\0"])
    #expect(ask(2, "") == ["16 EINVAL\0"])
    #expect(ask(22, "a\0" + "0\0").first?.hasSuffix("\0b\0\0") == true)
    _ = store
  }

  @Test func longDirectoriesComeInParts() throws {
    let (store, ring, connection) = makeGuest()
    let names = (0..<400).map { "a-rather-long-name-\($0)" }
    for name in names { store.write("/local/domain/1/dir/\(name)", "") }
    #expect(text(ring.ask(connection, 1, "dir\0")) == ["16 E2BIG\0"])
    var all: [UInt8] = []
    var done = false
    while !done {
      let reply = ring.ask(connection, 22, "dir\0\(all.count)\0")
      #expect(reply.count == 1 && reply[0].type == 22)
      let afterGeneration = reply[0].payload.firstIndex(of: 0)! + 1
      var part = reply[0].payload[afterGeneration...]
      if part.suffix(2) == [0, 0] || part == [0] {
        done = true
        part = part.dropLast()
      }
      all += part
    }
    #expect(String(decoding: all, as: UTF8.self) == names.map { $0 + "\0" }.joined())
  }

  @Test func aRequestMayArriveByteByByteAndWrap() throws {
    let (_, ring, connection) = makeGuest()
    for start: UInt32 in [0, 1000, 0xFFFF_FFF0] {
      for field in [0x800, 0x804, 0x808, 0x80C] { ring.store(start, at: field) }
      for byte in MemoryRing.request(11, "split\0value\(start)", id: 77) {
        #expect(ring.put([byte]))
        connection.service()
      }
      #expect(ring.take() == [MemoryRing.Message(type: 11, request: 77, transaction: 0, payload: Array("OK\0".utf8))])
      #expect(text(ring.ask(connection, 2, "split\0")) == ["2 value\(start)"])
    }
  }

  /// A reply longer than the ring waits for room; events that arise meanwhile come after it, whole.
  @Test func anEventNeverStandsInsideAReply() throws {
    let (store, ring, connection) = makeGuest()
    store.write("/local/domain/1/big", String(repeating: "v", count: 4096))
    _ = ring.ask(connection, 4, "w\0t\0")
    #expect(ring.put(MemoryRing.request(2, "big\0", id: 5)))
    connection.service()
    store.write("/local/domain/1/w", "x")
    store.write("/local/domain/1/w", "y")
    var messages: [MemoryRing.Message] = []
    for _ in 0..<10 {
      messages += ring.take()
      connection.service()
    }
    #expect(messages.map(\.type) == [2, 15, 15])
    #expect(messages[0].payload.count == 4096)
    #expect(messages[1].request == 0 && messages[1].transaction == 0)
  }

  @Test func domainZeroHearsOfDomainsComingAndGoing() {
    let store = Store()
    var seen: [String] = []
    store.watch("@introduceDomain") { seen.append($0.path) }
    store.watch("@releaseDomain") { seen.append($0.path) }
    seen = []
    let ring = MemoryRing()
    let connection = store.introduce(3, ring: ring)
    #expect(text(ring.ask(connection, 4, "@releaseDomain\0t\0")) == ["4 OK\0", "15 @releaseDomain\0t\0"])
    store.domainShutDown()
    connection.service()
    #expect(ring.take().isEmpty)
    store.release(3)
    #expect(seen == ["@introduceDomain", "@releaseDomain", "@releaseDomain"])
    #expect(!store.isIntroduced(3))
  }

  @Test func hostileIndicesAndLengthsEndTheConnectionAndReconnectingMendsIt() {
    let (_, ring, connection) = makeGuest()
    ring.store(5000, at: 0x804)
    connection.service()
    #expect(connection.failure == .ringIndex)
    #expect(ring.load(0x818) == 2)
    ring.store(1, at: 0x814)
    connection.service()
    #expect(connection.failure == .none)
    #expect(ring.load(0x814) == 0 && ring.load(0x804) == 0 && ring.load(0x818) == 0)
    #expect(text(ring.ask(connection, 11, "x\0y")) == ["11 OK\0"])
    _ = ring.put(MessageHeader(type: 2, request: 0, transaction: 0, length: 4097).bytes)
    connection.service()
    #expect(connection.failure == .protocolViolation)
    ring.store(1, at: 0x814)
    connection.service()
    ring.store(0x1234, at: 0x808)
    _ = ring.put(MemoryRing.request(2, "x\0"))
    connection.service()
    #expect(connection.failure == .ringIndex)
  }

  /// A guest that reads nothing back is left waiting with its requests: what this process keeps for it is bounded.
  @Test func aGuestThatReadsNothingIsLeftWaiting() {
    let (store, ring, connection) = makeGuest()
    store.write("/local/domain/1/big", String(repeating: "v", count: 4000))
    let request = MemoryRing.request(2, "big\0")
    for _ in 0..<1000 {
      _ = ring.put(request)
      connection.service()
    }
    #expect(connection.state.output.count < store.quotas.pendingOutput + 8192)
  }

  /// Random requests, random bytes and random indices: the store answers or ends the connection, and stays whole.
  @Test(arguments: [1, 2, 3] as [UInt64]) func fuzz(_ seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let (store, ring, connection) = makeGuest()
    let words = ["a", "a/b", "/local/domain/1/c", "/", "@releaseDomain", "", "x//y", "1", "T", "n1", "r2", "\u{7f}", "d/e/f/g"]
    for step in 0..<3000 {
      switch UInt32.random(in: 0..<20, using: &random) {
      case 0:
        for _ in 0..<8 { ring.page[Int.random(in: 0..<4096, using: &random)] = UInt8.random(in: 0...255, using: &random) }
      case 1:
        ring.store(UInt32.random(in: 0...UInt32.max, using: &random), at: [0x800, 0x804, 0x808, 0x80C].randomElement(using: &random)!)
      case 2:
        _ = ring.put((0..<Int.random(in: 1..<40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) })
      default:
        let count = Int.random(in: 0..<4, using: &random)
        let payload = (0..<count).map { _ in words.randomElement(using: &random)! + "\0" }.joined()
        let tx = Bool.random(using: &random) ? 0 : UInt32.random(in: 0..<4, using: &random)
        _ = ring.put(MemoryRing.request(UInt32.random(in: 0..<24, using: &random), payload, tx: tx))
      }
      connection.service()
      if step % 3 == 0 { ring.store(ring.load(0x80C), at: 0x808) }
      if connection.failure != .none { ring.store(1, at: 0x814) }
    }
    store.write("/local/domain/1/still", "here")
    #expect(store.read("/local/domain/1/still") == "here")
    #expect(store.tree.nodes.count < 1100)
    let recount = store.tree.nodes.values.reduce(into: [DomainNumber: Int]()) { $0[$1.owner, default: 0] += 1 }
    #expect(recount[1] ?? 0 == store.tree.owned[1] ?? 0)
  }
}
