import BackEnds
import Devices
import HostLinks
import Random
import Silicon
import Storage
import Xenstore

/// A guest whose shared memory reads as something else each time, and whose grants are pages of it or nowhere.
final class HostileGuest: GuestInterface {
  let domain: UInt16 = 1
  var now: Cycles = 1000
  let cyclesPerSecond: UInt64 = 1_000_000_000
  let hostIsDone: (@Sendable (UInt64) -> Void)? = nil
  var random: SeededRandom
  var memory = [UInt8](repeating: 0, count: 64 * 4096)
  var mapped = 0
  var handlers: [UInt32: () -> Void] = [:]
  var scheduled: [(cycle: Cycles, token: UInt64)] = []
  var lies = true

  init(_ random: SeededRandom) { self.random = random }

  func mapGrant(_ reference: UInt32, write: Bool) -> GrantedPage? {
    if random.oneIn(16) { return nil }
    mapped += 1
    if random.oneIn(32) { return GrantedPage(address: .max - 4095, handle: UInt64(reference)) }
    return GrantedPage(address: random.below(64) * 4096, handle: UInt64(reference))
  }
  func unmapGrant(_ page: GrantedPage) { mapped -= 1 }

  func copyOut(_ address: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Bool {
    let size = UInt64(memory.count)
    guard address < size, UInt64(buffer.count) <= size - address, !random.oneIn(200) else { return false }
    for index in buffer.indices { buffer[index] = memory[Int(address) + index] }
    guard lies else { return true }
    if buffer.count == 4 {
      // Ring indices: near enough to be believed sometimes.
      if random.oneIn(2) { buffer[0] = buffer[0] &+ UInt8(random.below(40)) }
      if random.oneIn(100) { buffer[3] = 0xFF }
    } else if buffer.count < 256 {
      let small = random.oneIn(2)
      for index in buffer.indices { buffer[index] = UInt8(random.below(small ? 13 : 256)) }
    }
    return true
  }
  func copyIn(_ bytes: UnsafeRawBufferPointer, at address: UInt64) -> Bool {
    let size = UInt64(memory.count)
    guard address < size, UInt64(bytes.count) <= size - address else { return false }
    for index in bytes.indices { memory[Int(address) + index] = bytes[index] }
    return true
  }
  func bindPort(_ port: UInt32, handler: @escaping () -> Void) -> PortBinding? {
    guard handlers[port] == nil else { return nil }
    handlers[port] = handler
    return PortBinding(port: port, tag: 1)
  }
  func unbindPort(_ binding: PortBinding) { handlers[binding.port] = nil }
  func notify(_ binding: PortBinding) {}
  func schedule(at cycle: Cycles, token: UInt64) { scheduled.append((cycle, token)) }
  func log(_ message: @autoclosure () -> String) {}

  /// Lets the work that is due be done.
  func settle(_ hub: BackEndHub) {
    var rounds = 0
    while let first = scheduled.indices.min(by: { scheduled[$0].cycle < scheduled[$1].cycle }), rounds < 2000 {
      let event = scheduled.remove(at: first)
      now = max(now, event.cycle)
      hub.complete(event.token)
      rounds += 1
    }
  }
}

private final class QuietLink: NetworkLink {
  var receive: (([UInt8]) -> Void)?
  func send(_ frame: [UInt8]) {}
}

/// Disks, network cards and the console against front ends that lie in the store, in the rings and in their grants.
struct RingTarget: FuzzTarget {
  init() {}

  mutating func run(_ random: inout SeededRandom) -> String? {
    let guest = HostileGuest(SeededRandom(seed: random.next()))
    let store = Store()
    let hub = BackEndHub(guest: guest, store: store)
    hub.toolstack.describe(Toolstack.DomainDescription(name: "fuzz", uuid: "u", memoryKiB: 1024))
    var disk = BlockConfiguration(name: "xvda", virtualDevice: 51712)
    disk.maximumQueues = 2
    disk.persistentGrants = random.oneIn(2)
    let sector = random.oneIn(2) ? 512 : 4096
    hub.addDisk(
      disk, device: MemoryBlockDevice(bytes: [UInt8](repeating: 7, count: 64 << 10), sectorSize: sector, isReadOnly: random.oneIn(4)))
    var card = NetworkConfiguration(name: "eth0", handle: 0, mac: [0, 0x16, 0x3E, 1, 2, 3])
    card.maximumQueues = 2
    let link = QuietLink()
    hub.addCard(card, link: link)
    _ = hub.connectConsole(address: random.below(70) * 4096, port: 3) { _ in }
    _ = hub.connectStore(address: random.below(70) * 4096, port: 4)
    describeFronts(store, &random)
    for _ in 0..<40 {
      for port in guest.handlers.keys.sorted() where random.oneIn(2) { guest.handlers[port]?() }
      if random.oneIn(3) {
        link.receive?((0..<random.below(random.oneIn(8) ? 70_000 : 1600)).map { _ in UInt8(truncatingIfNeeded: random.next()) })
      }
      if random.oneIn(4) { hub.console?.feed((0..<random.below(3000)).map { UInt8(truncatingIfNeeded: $0) }) }
      if random.oneIn(4) { hub.drainConsole() }
      if random.oneIn(2) { guest.settle(hub) }
      if random.oneIn(16) { describeFronts(store, &random) }
      for _ in 0..<random.below(20) {
        guest.memory[Int(random.below(UInt64(guest.memory.count)))] = UInt8(truncatingIfNeeded: random.next())
      }
    }
    guest.lies = false
    for kind in ["vbd/51712", "vif/0"] { store.write("/local/domain/1/device/\(kind)/state", "6") }
    guest.settle(hub)
    hub.shutDown()
    guest.settle(hub)
    return guest.mapped == 0 ? nil : "\(guest.mapped) grants stay mapped"
  }

  private func describeFronts(_ store: Store, _ random: inout SeededRandom) {
    func number(_ random: inout SeededRandom) -> String {
      random.oneIn(12) ? String(Mutator.word(&random)) : random.oneIn(20) ? "x" : String(random.below(20))
    }
    let disk = "/local/domain/1/device/vbd/51712/"
    let card = "/local/domain/1/device/vif/0/"
    var keys = ["ring-ref", "ring-ref0", "ring-ref1", "event-channel", "feature-persistent"].map { disk + $0 }
    keys += ["queue-0/ring-ref", "queue-0/event-channel", "queue-1/ring-ref", "queue-1/event-channel", "queue-0/ring-ref0"].map {
      disk + $0
    }
    keys += ["tx-ring-ref", "rx-ring-ref", "event-channel", "event-channel-tx", "event-channel-rx", "request-rx-copy"].map { card + $0 }
    keys += ["feature-rx-notify", "feature-sg", "feature-gso-tcpv4", "feature-gso-tcpv6", "feature-no-csum-offload"].map { card + $0 }
    keys += ["queue-0/tx-ring-ref", "queue-0/rx-ring-ref", "queue-0/event-channel", "queue-1/tx-ring-ref", "queue-1/rx-ring-ref"].map {
      card + $0
    }
    for key in keys where !random.oneIn(6) { store.write(key, number(&random)) }
    if random.oneIn(2) { store.write(disk + "ring-page-order", number(&random)) }
    if random.oneIn(2) { store.write(disk + "multi-queue-num-queues", random.oneIn(2) ? "2" : number(&random)) }
    if random.oneIn(2) { store.write(card + "multi-queue-num-queues", random.oneIn(2) ? "2" : number(&random)) }
    store.write(disk + "protocol", ["x86_64-abi", "x86_32-abi", "arm-abi"][Int(random.below(3))])
    store.write(disk + "state", random.oneIn(4) ? String(random.below(8)) : "3")
    store.write(card + "state", random.oneIn(4) ? String(random.below(8)) : "4")
  }
}
