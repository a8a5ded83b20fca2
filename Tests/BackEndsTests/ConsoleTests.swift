import Testing
import Xenstore

@testable import BackEnds

struct ConsoleTests {
  func makeConsole() -> (FakeGuest, BackEndHub, Output) {
    let guest = FakeGuest()
    guest.offeredPorts = [3, 4]
    let hub = BackEndHub(guest: guest, store: Store())
    let output = Output()
    #expect(hub.connectConsole(address: 4096, port: 3) { output.bytes += $0 })
    return (guest, hub, output)
  }

  final class Output { var bytes: [UInt8] = [] }

  /// Writes as the guest does: as much as there is room for; returns what is left.
  func write(_ guest: FakeGuest, _ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    var producer = guest.load32(4096 + 0xC0C)
    var rest = bytes
    while let byte = rest.first, producer &- guest.load32(4096 + 0xC08) < 2048 {
      guest.memory[4096 + 0x400 + Int(producer & 2047)] = byte
      producer &+= 1
      rest = rest.dropFirst()
    }
    guest.store32(producer, at: 4096 + 0xC0C)
    return rest
  }

  @Test func outputIsTakenAtOnceWhenTheGuestSendsAndWhenItYields() {
    let (guest, hub, output) = makeConsole()
    for start: UInt32 in [0, 0xFFFF_FF00] {
      output.bytes = []
      for field in [0xC08, 0xC0C] { guest.store32(start, at: 4096 + field) }
      let text = (0..<10_000).map { UInt8(truncatingIfNeeded: $0) }
      var rest = text[...]
      var round = 0
      while !rest.isEmpty {
        rest = write(guest, rest)
        if round % 2 == 0 { guest.send(3) } else { hub.drainConsole() }
        round += 1
      }
      #expect(output.bytes == text)
    }
    #expect(guest.notified.allSatisfy { $0 == 3 })
    let before = guest.notified.count
    hub.drainConsole()
    #expect(guest.notified.count == before)
  }

  @Test func inputWaitsForRoom() {
    let (guest, hub, _) = makeConsole()
    let text = (0..<3000).map { UInt8(truncatingIfNeeded: $0 / 3) }
    hub.console?.feed(text)
    #expect(guest.notified == [3])
    var got: [UInt8] = []
    while got.count < text.count {
      let consumer = guest.load32(4096 + 0xC00)
      let producer = guest.load32(4096 + 0xC04)
      #expect(producer != consumer)
      guard producer != consumer else { return }
      for index in 0..<(producer &- consumer) { got.append(guest.memory[4096 + Int((consumer &+ index) & 1023)]) }
      guest.store32(producer, at: 4096 + 0xC00)
      guest.send(3)
    }
    #expect(got == text)
    #expect(hub.console?.state == [])
  }

  @Test func madIndicesAreLeftAlone() {
    let (guest, hub, output) = makeConsole()
    guest.store32(5000, at: 4096 + 0xC0C)
    guest.store32(77, at: 4096 + 0xC00)
    guest.send(3)
    hub.console?.feed([1])
    #expect(output.bytes.isEmpty)
    #expect(guest.load32(4096 + 0xC04) == 0)
  }

  @Test func theStoresPageIsServedOverItsPort() {
    let (guest, hub, _) = makeConsole()
    hub.toolstack.describe(Toolstack.DomainDescription(name: "guest", uuid: "u", memoryKiB: 4096))
    #expect(hub.connectStore(address: 8192, port: 4))
    #expect(!hub.connectStore(address: 8192, port: 5))
    var message: [UInt8] = []
    for word: UInt32 in [2, 9, 0, 5] { message.append(little: word) }
    message += Array("name\0".utf8)
    guest.store(message, at: 8192)
    guest.store32(UInt32(message.count), at: 8192 + 0x804)
    guest.send(4)
    #expect(guest.load32(8192 + 0x80C) == 16 + 5)
    #expect(guest.bytes(2, 0x410..<0x415) == Array("guest".utf8))
    #expect(guest.notified == [4])
    #expect(guest.load32(8192 + 0x814) == 0)
  }

  @Test func theTreeIsAsLibxlLeavesIt() {
    let store = Store()
    let toolstack = Toolstack(store: store, domain: 1)
    var description = Toolstack.DomainDescription(name: "g", uuid: "00000000-0000-0000-0000-000000000001", memoryKiB: 524_288)
    description.vcpus = 2
    description.storePort = 1
    description.consolePort = 2
    toolstack.describe(description)
    toolstack.describe(vif: NetworkConfiguration(name: "eth0", handle: 0, mac: [0, 0x16, 0x3E, 0xA, 0xB, 0xC]))
    toolstack.describe(disk: BlockConfiguration(name: "xvda", virtualDevice: 51712), isReadOnly: false)
    let home = "/local/domain/1"
    #expect(store.read(home + "/domid") == "1")
    #expect(store.read(home + "/memory/target") == "524288")
    #expect(store.read(home + "/cpu/1/availability") == "online")
    #expect(store.read(home + "/device/vif/0/mac") == "00:16:3e:0a:0b:0c")
    #expect(store.directory(home + "/device") == ["suspend", "vif", "vbd"])
    // The guest sees its home but cannot add to it; its front ends are its own; the back ends are to be read.
    let guest = Store.Caller(1)
    func works(_ body: () throws -> Void) -> Bool { (try? body()) != nil }
    #expect(works { _ = try store.read("name", as: guest) })
    #expect(works { try store.write("control/feature-poweroff", [49], as: guest) })
    #expect(works { try store.write("control/shutdown", [], as: guest) })
    #expect(works { try store.write("data/anything", [], as: guest) })
    #expect(works { try store.write("device/vbd/51712/ring-ref", [56], as: guest) })
    #expect(works { try store.write("device/vif/0/state", [52], as: guest) })
    #expect(works { _ = try store.read("/local/domain/0/backend/vbd/1/51712/state", as: guest) })
    #expect(!works { try store.write("/local/domain/0/backend/vbd/1/51712/state", [52], as: guest) })
    #expect(!works { try store.write("name", [], as: guest) })
    #expect(!works { try store.write("memory/target", [], as: guest) })
    #expect(!works { _ = try store.directory("/libxl/1", as: guest) })
    toolstack.requestShutdown(.poweroff)
    #expect(store.read(home + "/control/shutdown") == "poweroff")
    toolstack.forget()
    #expect(store.read(home) == nil)
    #expect(store.directory("/local/domain/0/backend/vbd").isEmpty)
  }
}
