import Devices
import HostLinks
import Random
import Storage
import Xenstore

@testable import BackEnds

/// A guest in plain memory: pages, grants, ports and a clock that the test moves.
class FakeGuest: GuestInterface {
  let domain: DomainNumber = 1
  var now: Cycles = 1000
  let cyclesPerSecond: UInt64 = 1_000_000_000
  var hostIsDone: (@Sendable (UInt64) -> Void)?

  var memory = [UInt8](repeating: 0, count: 256 * 4096)
  struct Grant {
    var page: Int
    var writable: Bool
  }
  var grants: [UInt32: Grant] = [:]
  /// Mappings not given back, by address.
  var mapped: [UInt64: Int] = [:]
  var offeredPorts: Set<UInt32> = []
  var handlers: [UInt32: () -> Void] = [:]
  var notified: [UInt32] = []
  var scheduled: [(cycle: Cycles, token: UInt64)] = []
  var logged: [String] = []
  private var nextPage = 1

  func mapGrant(_ reference: UInt32, write: Bool) -> GrantedPage? {
    guard let grant = grants[reference], grant.writable || !write else { return nil }
    let address = UInt64(grant.page) * 4096
    mapped[address, default: 0] += 1
    return GrantedPage(address: address, handle: UInt64(reference))
  }
  func unmapGrant(_ page: GrantedPage) { mapped[page.address, default: 0] -= 1 }

  func copyOut(_ address: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Bool {
    guard address + UInt64(buffer.count) <= UInt64(memory.count) else { return false }
    buffer.copyBytes(from: memory[Int(address)..<Int(address) + buffer.count])
    return true
  }
  func copyIn(_ bytes: UnsafeRawBufferPointer, at address: UInt64) -> Bool {
    guard address + UInt64(bytes.count) <= UInt64(memory.count) else { return false }
    memory.replaceSubrange(Int(address)..<Int(address) + bytes.count, with: bytes)
    return true
  }
  func bindPort(_ port: UInt32, handler: @escaping () -> Void) -> PortBinding? {
    guard offeredPorts.contains(port), handlers[port] == nil else { return nil }
    handlers[port] = handler
    return PortBinding(port: port, tag: 1)
  }
  func unbindPort(_ binding: PortBinding) { handlers[binding.port] = nil }
  func notify(_ binding: PortBinding) { notified.append(binding.port) }
  func schedule(at cycle: Cycles, token: UInt64) { scheduled.append((cycle, token)) }
  func log(_ message: @autoclosure () -> String) { logged.append(message()) }

  // MARK: - The guest's own side

  var openMappings: Int { mapped.values.reduce(0, +) }

  /// A fresh page and a grant of it.
  func grantPage(writable: Bool = true) -> (reference: UInt32, page: Int) {
    let page = nextPage
    nextPage += 1
    let reference = UInt32(100 + page)
    grants[reference] = Grant(page: page, writable: writable)
    return (reference, page)
  }

  func send(_ port: UInt32) { handlers[port]?() }

  /// Lets time pass until all scheduled work is done.
  func runEvents(_ hub: BackEndHub) {
    while !scheduled.isEmpty {
      let index = scheduled.indices.min { scheduled[$0].cycle < scheduled[$1].cycle }!
      let event = scheduled.remove(at: index)
      now = max(now, event.cycle)
      hub.complete(event.token)
    }
  }

  func load32(_ at: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(memory[at + $1]) << UInt32(8 * $1) } }
  func store(_ bytes: [UInt8], at: Int) { memory.replaceSubrange(at..<at + bytes.count, with: bytes) }
  func store32(_ value: UInt32, at: Int) {
    var bytes: [UInt8] = []
    bytes.append(little: value)
    store(bytes, at: at)
  }
  func bytes(_ page: Int, _ range: Range<Int> = 0..<4096) -> [UInt8] {
    Array(memory[page * 4096 + range.lowerBound..<page * 4096 + range.upperBound])
  }
}

/// A guest whose shared memory reads as something else each time.
final class HostileGuest: FakeGuest {
  var random: SeededRandom
  /// Reads of at most this many bytes are made up (rings, descriptors).
  var lies = false
  init(seed: UInt64) { random = SeededRandom(seed: seed) }

  override func copyOut(_ address: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Bool {
    guard lies else { return super.copyOut(address, into: buffer) }
    guard random.next() % 64 != 0 else { return false }
    // Indices are lies as well, but near enough to be believed sometimes.
    if buffer.count == 4 {
      _ = super.copyOut(address, into: buffer)
      if random.next() % 2 == 0 { buffer[0] = buffer[0] &+ UInt8(truncatingIfNeeded: random.next() % 40) }
      if random.next() % 100 == 0 { buffer[3] = 0xFF }
      return true
    }
    let small = random.next() % 2 == 0
    for index in buffer.indices { buffer[index] = UInt8(truncatingIfNeeded: random.next() % (small ? 13 : 256)) }
    return true
  }

  override func mapGrant(_ reference: UInt32, write: Bool) -> GrantedPage? {
    guard lies else { return super.mapGrant(reference, write: write) }
    switch random.next() % 8 {
    case 0: return nil
    case 1:
      mapped[UInt64.max - 4095, default: 0] += 1
      return GrantedPage(address: .max - 4095, handle: UInt64(reference))
    default:
      let page = UInt64(200 + random.next() % 50) * 4096
      mapped[page, default: 0] += 1
      return GrantedPage(address: page, handle: UInt64(reference))
    }
  }

  override func copyIn(_ bytes: UnsafeRawBufferPointer, at address: UInt64) -> Bool {
    guard address < UInt64(memory.count) else { return false }
    return super.copyIn(bytes, at: address)
  }
}

/// The front half of a ring in a fake guest's memory.
struct FrontRing {
  let guest: FakeGuest
  let pages: [Int]
  let slotSize: Int
  let slots: UInt32
  var producer: UInt32 = 0
  var consumer: UInt32 = 0

  init(_ guest: FakeGuest, pages: [Int], slotSize: Int) {
    self.guest = guest
    self.pages = pages
    self.slotSize = slotSize
    var count: UInt32 = 1
    while Int(count) * 2 * slotSize <= pages.count * 4096 - 64 { count *= 2 }
    slots = count
    guest.store32(1, at: pages[0] * 4096 + 4)
    guest.store32(1, at: pages[0] * 4096 + 12)
  }

  private func address(_ offset: Int) -> Int { pages[offset / 4096] * 4096 + offset % 4096 }

  mutating func put(_ request: [UInt8]) {
    let start = 64 + Int(producer & (slots - 1)) * slotSize
    for (index, byte) in request.enumerated() { guest.memory[address(start + index)] = byte }
    producer &+= 1
  }

  mutating func push() { guest.store32(producer, at: pages[0] * 4096) }

  /// Takes the responses that are there.
  mutating func take(_ size: Int) -> [Fields] {
    var result: [Fields] = []
    let end = guest.load32(pages[0] * 4096 + 8)
    while consumer != end {
      let start = 64 + Int(consumer & (slots - 1)) * slotSize
      result.append(Fields(bytes: (0..<size).map { guest.memory[address(start + $0)] }))
      consumer &+= 1
    }
    guest.store32(consumer &+ 1, at: pages[0] * 4096 + 12)
    return result
  }
}
