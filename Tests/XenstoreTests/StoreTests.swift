import Testing

@testable import Xenstore

struct StoreTests {
  let guest = Store.Caller(1)

  /// A store with a home for domain 1 that the guest may write.
  func makeStore() -> Store {
    let store = Store()
    store.mkdir("/local/domain/1")
    store.setPermissions("/local/domain/1", [Permission(1, .none)])
    return store
  }

  func error(_ body: () throws(StoreError) -> Void) -> StoreError? {
    do throws(StoreError) { try body() } catch { return error }
    return nil
  }

  @Test func writesMakeMissingParentsAndKeepTheOrderOfChildren() throws {
    let store = Store()
    store.write("/a/b/c", "1")
    store.write("/a/z", "2")
    store.write("/a/d", "3")
    #expect(store.read("/a/b/c") == "1")
    #expect(store.read("/a/b") == "")
    #expect(store.directory("/a") == ["b", "z", "d"])
    store.rm("/a/b")
    #expect(store.read("/a/b/c") == nil)
    #expect(store.directory("/a") == ["z", "d"])
    #expect(error { () throws(StoreError) in try store.remove("/nowhere/at/all", as: .control) } == .noEntry)
    #expect(error { () throws(StoreError) in try store.remove("/nowhere", as: .control) } == nil)
    #expect(error { () throws(StoreError) in try store.remove("/", as: .control) } == .invalid)
  }

  @Test func malformedPathsAreRefused() {
    let store = Store()
    for path in ["", "/a/", "/a//b", "/a b", "/ä", "@releaseDomain", "/" + String(repeating: "x", count: 3072), "a/"] {
      #expect(error { () throws(StoreError) in _ = try store.read(path, as: .control) } == .invalid, "\(path)")
    }
    #expect(error { () throws(StoreError) in _ = try store.read(String(repeating: "x", count: 2049), as: .control) } == .invalid)
  }

  @Test func relativePathsStartAtTheCallersHome() throws {
    let store = makeStore()
    try store.write("device/x", [65], as: guest)
    #expect(store.read("/local/domain/1/device/x") == "A")
  }

  @Test func permissionsHideAndProtect() throws {
    let store = makeStore()
    store.write("/secret/x", "1")
    store.setPermissions("/secret", [Permission(0, .none)])
    store.setPermissions("/secret/x", [Permission(0, .none), Permission(2, .read)])
    #expect(error { () throws(StoreError) in _ = try store.read("/secret/x", as: guest) } == .access)
    #expect(error { () throws(StoreError) in _ = try store.read("/secret/none", as: guest) } == .access)
    #expect(try store.read("/secret/x", as: Store.Caller(2)) == [0x31])
    #expect(error { () throws(StoreError) in try store.write("/secret/x", [], as: Store.Caller(2)) } == .access)
    #expect(error { () throws(StoreError) in try store.write("/top", [], as: guest) } == .access)
    // A guest owns what it makes, and only domain 0 gives a node away.
    try store.write("mine", [], as: guest)
    #expect(store.permissions("/local/domain/1/mine") == [Permission(1, .none)])
    #expect(error { () throws(StoreError) in _ = try store.read("/local/domain/1/mine", as: Store.Caller(2)) } == .access)
    #expect(
      error { () throws(StoreError) in try store.setPermissions("mine", [Permission(2, .none)], as: guest) } == .notPermitted)
    try store.setPermissions("mine", [Permission(1, .none), Permission(2, .read)], as: guest)
    #expect(try store.read("/local/domain/1/mine", as: Store.Caller(2)) == [])
    // Domain 0's new nodes belong to whoever owns the parent.
    store.write("/local/domain/1/data/x", "1")
    #expect(store.permissions("/local/domain/1/data/x") == [Permission(1, .none)])
  }

  @Test func transactionsAreUnseenUntilTheCommit() throws {
    let store = makeStore()
    var seen: [String] = []
    store.watch("/local/domain/1") { seen.append($0.path) }
    seen = []
    let id = try store.startTransaction(1)
    let inside = Store.Caller(1, transaction: id)
    try store.write("a", [1], as: inside)
    try store.write("a", [2], as: inside)
    try store.write("b/c", [3], as: inside)
    try store.remove("a", as: inside)
    try store.write("d", [4], as: inside)
    #expect(try store.read("b/c", as: inside) == [3])
    #expect(store.read("/local/domain/1/b/c") == nil)
    #expect(seen.isEmpty)
    try store.endTransaction(inside, commit: true)
    #expect(store.directory("/local/domain/1") == ["b", "d"])
    #expect(seen == ["a", "b/c", "d"].map { "/local/domain/1/" + $0 })
    #expect(error { () throws(StoreError) in try store.endTransaction(inside, commit: true) } == .noEntry)
    #expect(error { () throws(StoreError) in _ = try store.read("d", as: inside) } == .noEntry)
  }

  @Test func conflictsAreToldAndAbortsLeaveNothing() throws {
    let store = makeStore()
    store.write("/local/domain/1/n", "1")
    // A read node changed by somebody else.
    var caller = Store.Caller(1, transaction: try store.startTransaction(1))
    _ = try store.read("n", as: caller)
    store.write("/local/domain/1/n", "2")
    #expect(error { () throws(StoreError) in try store.endTransaction(caller, commit: true) } == .again)
    // A node that was not there and now is.
    caller.transaction = try store.startTransaction(1)
    #expect(error { () throws(StoreError) in _ = try store.read("later", as: caller) } == .noEntry)
    store.write("/local/domain/1/later", "2")
    #expect(error { () throws(StoreError) in try store.endTransaction(caller, commit: true) } == .again)
    // Changes elsewhere do not matter.
    caller.transaction = try store.startTransaction(1)
    try store.write("n", [7], as: caller)
    store.write("/elsewhere", "x")
    try store.endTransaction(caller, commit: true)
    #expect(store.read("/local/domain/1/n") == "\u{7}")
    // Two transactions on one node: the first wins, and a retry goes through.
    let first = Store.Caller(1, transaction: try store.startTransaction(1))
    let second = Store.Caller(1, transaction: try store.startTransaction(1))
    try store.write("n", [1], as: first)
    try store.write("n", [2], as: second)
    try store.endTransaction(first, commit: true)
    #expect(error { () throws(StoreError) in try store.endTransaction(second, commit: true) } == .again)
    caller.transaction = try store.startTransaction(1)
    try store.write("n", [9], as: caller)
    try store.endTransaction(caller, commit: false)
    #expect(store.read("/local/domain/1/n") == "\u{1}")
  }

  @Test func watchesFireOnceAtOnceAndThenInOrder() throws {
    let store = makeStore()
    var seen: [String] = []
    store.watch("/local/domain/1", token: "up") { seen.append("\($0.token) \($0.path)") }
    store.watch("/local/domain/1/a/b", token: "low") { seen.append("\($0.token) \($0.path)") }
    let handle = store.watch("/", token: "root") { seen.append("\($0.token) \($0.path)") }
    #expect(seen == ["up /local/domain/1", "low /local/domain/1/a/b", "root /"])
    store.unwatch(handle)
    seen = []
    store.write("/local/domain/1/a/b", "x")
    store.write("/local/domain/10", "not below")
    store.rm("/local/domain/1/a")
    #expect(
      seen == [
        "up /local/domain/1/a/b", "low /local/domain/1/a/b", "low /local/domain/1/a/b", "up /local/domain/1/a",
      ])
  }

  @Test func aHandlersOwnChangesComeAfterWhatWaits() {
    let store = Store()
    var seen: [String] = []
    store.watch("/x", token: "1") { event in
      seen.append("1 \(event.path)")
      if event.path == "/x/a" { store.write("/x/b", "") }
    }
    store.watch("/x", token: "2") { seen.append("2 \($0.path)") }
    seen = []
    store.write("/x/a", "")
    #expect(seen == ["1 /x/a", "2 /x/a", "1 /x/b", "2 /x/b"])
  }

  @Test func quotasHoldAGuestAndNotDomainZero() throws {
    let store = makeStore()
    store.quotas.nodes = 20
    store.quotas.transactions = 2
    var last: StoreError?
    for index in 0..<40 where last == nil { last = error { () throws(StoreError) in try store.write("n\(index)", [], as: guest) } }
    #expect(last == .noSpace)
    #expect(store.directory("/local/domain/1").count == 19)
    store.rm("/local/domain/1/n3")
    try store.write("again", [], as: guest)
    // In a transaction as well.
    store.rm("/local/domain/1/n4")
    let caller = Store.Caller(1, transaction: try store.startTransaction(1))
    try store.write("t1", [], as: caller)
    #expect(error { () throws(StoreError) in try store.write("t2", [], as: caller) } == .noSpace)
    try store.endTransaction(caller, commit: true)
    #expect(error { () throws(StoreError) in try store.write("t1", [UInt8](repeating: 0, count: 2100), as: guest) } == .noSpace)
    _ = try store.startTransaction(1)
    _ = try store.startTransaction(1)
    #expect(error { () throws(StoreError) in _ = try store.startTransaction(1) } == .noSpace)
    for index in 0..<100 { store.write("/local/domain/0/n\(index)", "") }
    #expect(store.directory("/local/domain/0").count == 100)
  }

  @Test func aStateSavesAndRestores() throws {
    let store = makeStore()
    let ring = MemoryRing()
    let connection = store.introduce(1, ring: ring)
    _ = ring.ask(connection, 4, "w\0tok\0")
    let id = try store.startTransaction(1)
    try store.write("t", [1], as: Store.Caller(1, transaction: id))
    let state = store.save()
    let other = Store()
    let otherRing = MemoryRing()
    otherRing.page = ring.page
    let otherConnection = other.introduce(1, ring: otherRing)
    other.restore(state)
    #expect(other.listing() == store.listing())
    try other.endTransaction(Store.Caller(1, transaction: id), commit: true)
    _ = otherRing.take()
    other.write("/local/domain/1/w", "x")
    otherConnection.service()
    #expect(otherRing.take().map(\.text) == ["w\0tok\0"])
    #expect(other.read("/local/domain/1/t") == "\u{1}")
  }
}
