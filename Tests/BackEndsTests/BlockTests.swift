import Foundation
import Storage
import Testing
import Xenstore

@testable import BackEnds

/// A disk's front end over a fake guest.
final class FrontDisk {
  let guest: FakeGuest
  let store = Store()
  let hub: BackEndHub
  let disk: BlockBackEnd
  let device: MemoryBlockDevice
  var rings: [FrontRing] = []
  let front = "/local/domain/1/device/vbd/51712"
  let back = "/local/domain/0/backend/vbd/1/51712"
  var layout = BlockRingLayout.x8664

  init(
    guest: FakeGuest = FakeGuest(), size: Int = 64 * 1024, sectorSize: Int = 512, isReadOnly: Bool = false,
    _ adjust: (inout BlockConfiguration) -> Void = { _ in }
  ) {
    self.guest = guest
    device = MemoryBlockDevice(
      bytes: (0..<size).map { UInt8(truncatingIfNeeded: $0 / 512 &+ $0) }, sectorSize: sectorSize, isReadOnly: isReadOnly)
    hub = BackEndHub(guest: guest, store: store)
    hub.toolstack.describe(Toolstack.DomainDescription(name: "test", uuid: "u", memoryKiB: 1024))
    var configuration = BlockConfiguration(name: "xvda", virtualDevice: 51712)
    configuration.persistentGrants = true
    adjust(&configuration)
    disk = hub.addDisk(configuration, device: device)
  }

  func write(_ key: String, _ value: String) { try! store.write(front + "/" + key, Array(value.utf8), as: Store.Caller(1)) }
  var backState: String? { store.read(back + "/state") }

  /// What a front end writes before it says Initialised.
  func connect(queues: Int = 1, order: Int? = nil, persistent: Bool = false, abi: String = "x86_64-abi") {
    layout = abi == "x86_32-abi" ? .x8632 : .x8664
    rings = []
    for queue in 0..<queues {
      let prefix = queues == 1 ? "" : "queue-\(queue)/"
      let pages = (0..<(1 << (order ?? 0))).map { _ in guest.grantPage() }
      for (index, page) in pages.enumerated() {
        write(prefix + (order == nil ? "ring-ref" : "ring-ref\(index)"), String(page.reference))
      }
      let port = UInt32(10 + queue)
      guest.offeredPorts.insert(port)
      write(prefix + "event-channel", String(port))
      rings.append(FrontRing(guest, pages: pages.map(\.page), slotSize: layout.requestSize))
    }
    if queues > 1 { write("multi-queue-num-queues", String(queues)) }
    if let order { write("ring-page-order", String(order)) }
    write("protocol", abi)
    write("feature-persistent", persistent ? "1" : "0")
    write("state", "3")
  }

  func request(
    _ operation: UInt8, id: UInt64, sector: UInt64, segments: [BlockSegment], count: UInt8? = nil
  ) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: layout.requestSize)
    bytes[0] = operation
    bytes[1] = count ?? UInt8(segments.count)
    put(&bytes, id, layout.id)
    put(&bytes, sector, layout.sector)
    for (index, segment) in segments.prefix(11).enumerated() { put(&bytes, descriptor(segment), layout.segments + 8 * index) }
    return bytes
  }

  func descriptor(_ segment: BlockSegment) -> UInt64 {
    UInt64(segment.reference) | UInt64(segment.first) << 32 | UInt64(segment.last) << 40
  }

  func put<T: FixedWidthInteger>(_ bytes: inout [UInt8], _ value: T, _ at: Int) {
    var little: [UInt8] = []
    little.append(little: value)
    bytes.replaceSubrange(at..<at + little.count, with: little)
  }

  struct Answer: Equatable {
    var id: UInt64
    var operation: UInt8
    var status: Int16
  }

  /// Sends requests at once and returns the answers once all work is done.
  func ask(_ requests: [[UInt8]], queue: Int = 0) -> [Answer] {
    for request in requests { rings[queue].put(request) }
    rings[queue].push()
    guest.send(UInt32(10 + queue))
    guest.runEvents(hub)
    return rings[queue].take(layout.responseSize).map {
      Answer(
        id: $0.u64(0), operation: $0.u8(layout.responseOperation),
        status: Int16(bitPattern: $0.u16(layout.responseOperation + 2)))
    }
  }
}

struct BlockTests {
  @Test func theTwoHalvesMeetInTheStore() {
    let front = FrontDisk()
    #expect(front.backState == "2")
    #expect(front.store.read(front.front + "/backend") == front.back)
    front.connect()
    #expect(front.backState == "4")
    #expect(front.store.read(front.back + "/sectors") == "128")
    #expect(front.store.read(front.back + "/info") == "0")
    #expect(front.store.read(front.back + "/sector-size") == "512")
    #expect(front.guest.openMappings == 1)
    front.write("state", "5")
    #expect(front.backState == "5")
    #expect(front.guest.openMappings == 0)
    #expect(front.guest.handlers.isEmpty)
    front.write("state", "6")
    #expect(front.backState == "6")
    // A driver that comes back.
    front.write("state", "1")
    #expect(front.backState == "2")
    front.connect()
    #expect(front.backState == "4")
  }

  @Test(arguments: ["x86_64-abi", "x86_32-abi"]) func readsAndWrites(_ abi: String) {
    let front = FrontDisk()
    front.connect(abi: abi)
    let before = front.device.contents
    let a = front.guest.grantPage()
    let b = front.guest.grantPage()
    var answers = front.ask([
      front.request(
        0, id: 0xFEED_0000_1111_2222, sector: 3,
        segments: [BlockSegment(reference: a.reference, first: 2, last: 7), BlockSegment(reference: b.reference, first: 0, last: 0)])
    ])
    #expect(answers == [FrontDisk.Answer(id: 0xFEED_0000_1111_2222, operation: 0, status: 0)])
    #expect(front.guest.bytes(a.page, 1024..<4096) == Array(before[1536..<4608]))
    #expect(front.guest.bytes(a.page, 0..<1024) == [UInt8](repeating: 0, count: 1024))
    #expect(front.guest.bytes(b.page, 0..<512) == Array(before[4608..<5120]))
    #expect(front.guest.bytes(b.page, 512..<4096) == [UInt8](repeating: 0, count: 3584))

    let c = front.guest.grantPage(writable: false)
    front.guest.store([UInt8](repeating: 0xAB, count: 4096), at: c.page * 4096)
    answers = front.ask([
      front.request(1, id: 7, sector: 10, segments: [BlockSegment(reference: c.reference, first: 1, last: 2)]),
      front.request(3, id: 8, sector: 0, segments: []),
    ])
    #expect(answers == [FrontDisk.Answer(id: 7, operation: 1, status: 0), FrontDisk.Answer(id: 8, operation: 3, status: 0)])
    #expect(Array(front.device.contents[5120..<6144]) == [UInt8](repeating: 0xAB, count: 1024))
    #expect(Array(front.device.contents[6144...]) == Array(before[6144...]))
    // Only the ring stays mapped.
    #expect(front.guest.openMappings == 1)
    let statistics = front.disk.statistics
    #expect(statistics.readBytes == 3584 && statistics.writeBytes == 1024 && statistics.flushes == 1)
    #expect(statistics.readRequests == 1 && statistics.writeRequests == 1)
  }

  /// A read's data is in the page no earlier and no later than the response, at the cycle that was fixed at submission.
  @Test func aRequestCompletesAtItsCycle() {
    let front = FrontDisk()
    front.connect()
    let page = front.guest.grantPage()
    front.rings[0].put(front.request(0, id: 1, sector: 1, segments: [BlockSegment(reference: page.reference, first: 0, last: 7)]))
    front.rings[0].push()
    front.guest.send(10)
    #expect(front.guest.scheduled.count == 1)
    // 20 microseconds and one nanosecond a byte, at one cycle a nanosecond.
    #expect(front.guest.scheduled[0].cycle == 1000 + 20_000 + 4096)
    #expect(front.rings[0].take(16).isEmpty)
    #expect(front.guest.bytes(page.page) == [UInt8](repeating: 0, count: 4096))
    front.guest.notified = []
    front.guest.runEvents(front.hub)
    #expect(front.rings[0].take(16).count == 1)
    #expect(front.guest.bytes(page.page) == Array(front.device.contents[512..<4608]))
    #expect(front.guest.notified == [10])
  }

  @Test func onTheHostsClockTheHostSaysWhen() {
    let front = FrontDisk()
    let done = TokenBox()
    front.guest.hostIsDone = { done.append($0) }
    front.connect()
    let page = front.guest.grantPage()
    front.rings[0].put(front.request(0, id: 1, sector: 1, segments: [BlockSegment(reference: page.reference, first: 0, last: 7)]))
    front.rings[0].push()
    front.guest.send(10)
    #expect(front.guest.scheduled.isEmpty)
    #expect(done.tokens.count == 1)
    for token in done.tokens { front.hub.complete(token) }
    #expect(front.rings[0].take(16).count == 1)
  }

  @Test func badRequestsAreAnsweredWithErrors() {
    let front = FrontDisk()
    front.connect()
    let page = front.guest.grantPage()
    let readOnly = front.guest.grantPage(writable: false)
    let good = BlockSegment(reference: page.reference, first: 0, last: 7)
    func segment(_ reference: UInt32, _ first: UInt8, _ last: UInt8) -> [BlockSegment] {
      [BlockSegment(reference: reference, first: first, last: last)]
    }
    let bad: [([UInt8], Int16)] = [
      (front.request(0, id: 1, sector: 128, segments: [good]), -1),
      (front.request(0, id: 1, sector: 121, segments: [good]), -1),
      (front.request(0, id: 1, sector: .max, segments: [good]), -1),
      (front.request(1, id: 1, sector: 1 << 55, segments: [good]), -1),
      (front.request(0, id: 1, sector: 0, segments: segment(page.reference, 5, 4)), -1),
      (front.request(0, id: 1, sector: 0, segments: segment(page.reference, 0, 8)), -1),
      (front.request(1, id: 1, sector: 0, segments: segment(page.reference, 255, 255)), -1),
      (front.request(0, id: 1, sector: 0, segments: segment(99999, 0, 0)), -1),
      (front.request(1, id: 1, sector: 0, segments: segment(99999, 0, 0)), -1),
      (front.request(0, id: 1, sector: 0, segments: segment(readOnly.reference, 0, 0)), -1),
      (front.request(0, id: 1, sector: 0, segments: []), -1),
      (front.request(0, id: 1, sector: 0, segments: [good], count: 12), -1),
      (front.request(1, id: 1, sector: 0, segments: [good], count: 255), -1),
      (front.request(4, id: 1, sector: 0, segments: [good]), -2),
      (front.request(7, id: 1, sector: 0, segments: [good]), -2),
      (front.request(255, id: 1, sector: 0, segments: [good]), -2),
    ]
    let before = front.device.contents
    for (index, entry) in bad.enumerated() {
      let answers = front.ask([entry.0])
      #expect(answers == [FrontDisk.Answer(id: 1, operation: entry.0[0], status: entry.1)], "\(index)")
    }
    #expect(front.device.contents == before)
    #expect(front.guest.openMappings == 1)
    #expect(front.backState == "4")
    // It still works.
    #expect(front.ask([front.request(0, id: 2, sector: 0, segments: [good])]).first?.status == 0)
  }

  @Test func readOnlyDisksAndCDs() {
    let front = FrontDisk { $0.isCDROM = true }
    front.connect()
    #expect(front.store.read(front.back + "/info") == "5")
    #expect(front.store.read(front.front + "/device-type") == "cdrom")
    #expect(front.store.read(front.back + "/feature-discard") == nil)
    let page = front.guest.grantPage()
    let segment = [BlockSegment(reference: page.reference, first: 0, last: 0)]
    #expect(front.ask([front.request(1, id: 1, sector: 0, segments: segment)]).first?.status == -1)
    #expect(front.ask([front.request(0, id: 1, sector: 0, segments: segment)]).first?.status == 0)
  }

  @Test func largeSectorsAreWhole() {
    let front = FrontDisk(sectorSize: 4096)
    front.connect()
    #expect(front.store.read(front.back + "/sector-size") == "4096")
    #expect(front.store.read(front.back + "/sectors") == "128")
    let page = front.guest.grantPage()
    let one = [BlockSegment(reference: page.reference, first: 0, last: 0)]
    let all = [BlockSegment(reference: page.reference, first: 0, last: 7)]
    #expect(front.ask([front.request(0, id: 1, sector: 0, segments: one)]).first?.status == -1)
    #expect(front.ask([front.request(0, id: 1, sector: 1, segments: all)]).first?.status == -1)
    #expect(front.ask([front.request(0, id: 1, sector: 8, segments: all)]).first?.status == 0)
  }

  @Test func discardsAndBarriers() {
    let front = FrontDisk()
    front.connect()
    #expect(front.store.read(front.back + "/feature-discard") == "1")
    func discard(_ sector: UInt64, _ count: UInt64, flag: UInt8 = 0) -> [UInt8] {
      var bytes = front.request(5, id: 9, sector: sector, segments: [], count: flag)
      front.put(&bytes, count, front.layout.segments)
      return bytes
    }
    #expect(front.ask([discard(8, 8)]) == [FrontDisk.Answer(id: 9, operation: 5, status: 0)])
    #expect(Array(front.device.contents[4096..<8192]) == [UInt8](repeating: 0, count: 4096))
    #expect(front.ask([discard(8, 8, flag: 1)]).first?.status == -2)
    #expect(front.ask([discard(8, 1 << 60)]).first?.status == -1)
    #expect(front.ask([discard(120, 9)]).first?.status == -1)
    let page = front.guest.grantPage()
    front.guest.store([9, 9, 9, 9], at: page.page * 4096)
    let segment = [BlockSegment(reference: page.reference, first: 0, last: 0)]
    #expect(front.ask([front.request(2, id: 3, sector: 0, segments: segment)]) == [FrontDisk.Answer(id: 3, operation: 2, status: 0)])
    #expect(front.device.contents[0..<4] == [9, 9, 9, 9])
    #expect(front.disk.statistics.flushes == 1)
  }

  @Test func indirectRequests() {
    let front = FrontDisk(size: 512 * 1024)
    front.connect()
    let table = front.guest.grantPage()
    let pages = (0..<40).map { _ in front.guest.grantPage() }
    for (index, page) in pages.enumerated() {
      var bytes: [UInt8] = []
      bytes.append(little: front.descriptor(BlockSegment(reference: page.reference, first: 0, last: 7)))
      front.guest.store(bytes, at: table.page * 4096 + index * 8)
    }
    func indirect(_ operation: UInt8, count: UInt16, table: UInt32) -> [UInt8] {
      var bytes = [UInt8](repeating: 0, count: front.layout.requestSize)
      bytes[0] = 6
      bytes[1] = operation
      front.put(&bytes, count, 2)
      front.put(&bytes, UInt64(77), front.layout.id)
      front.put(&bytes, UInt64(16), front.layout.sector)
      front.put(&bytes, table, front.layout.indirectGrants)
      return bytes
    }
    #expect(front.ask([indirect(0, count: 40, table: table.reference)]) == [FrontDisk.Answer(id: 77, operation: 0, status: 0)])
    for (index, page) in pages.enumerated() {
      #expect(front.guest.bytes(page.page) == Array(front.device.contents[8192 + index * 4096..<8192 + (index + 1) * 4096]))
    }
    for page in pages { front.guest.store([1, 2, 3], at: page.page * 4096) }
    #expect(front.ask([indirect(1, count: 40, table: table.reference)]).first?.status == 0)
    #expect(front.device.contents[8192 + 39 * 4096..<8192 + 39 * 4096 + 3] == [1, 2, 3])
    for (operation, count, table, status): (UInt8, UInt16, UInt32, Int16) in [
      (0, 0, table.reference, -1), (0, 257, table.reference, -1), (0, 41, table.reference, -1), (0, 40, 4, -1),
      (3, 40, table.reference, -1), (5, 40, table.reference, -2), (6, 1, table.reference, -2), (9, 1, table.reference, -2),
    ] {
      #expect(front.ask([indirect(operation, count: count, table: table)]).first?.status == status, "\(operation) \(count)")
    }
    #expect(front.guest.openMappings == 1)
  }

  @Test func severalQueuesOfSeveralPages() {
    let front = FrontDisk { $0.maximumQueues = 2 }
    #expect(front.store.read(front.back + "/multi-queue-max-queues") == "2")
    front.connect(queues: 2, order: 2)
    #expect(front.backState == "4")
    #expect(front.guest.openMappings == 8)
    let page = front.guest.grantPage()
    let segment = [BlockSegment(reference: page.reference, first: 0, last: 0)]
    for queue in 0..<2 {
      // More requests than two rings hold: slots that lie across pages, and indices that go round.
      for round in 0..<5 {
        let requests = (0..<128).map { front.request(0, id: UInt64(round * 1000 + $0), sector: UInt64($0), segments: segment) }
        let answers = front.ask(requests, queue: queue)
        #expect(answers.map(\.id) == requests.indices.map { UInt64(round * 1000 + $0) })
        #expect(answers.allSatisfy { $0.status == 0 })
      }
    }
  }

  @Test func persistentGrantsStayMappedUntilTheEnd() {
    let front = FrontDisk()
    front.connect(persistent: true)
    let page = front.guest.grantPage()
    let segment = [BlockSegment(reference: page.reference, first: 0, last: 0)]
    for id in 0..<10 { #expect(front.ask([front.request(0, id: UInt64(id), sector: 0, segments: segment)]).first?.status == 0) }
    #expect(front.guest.openMappings == 2)
    front.write("state", "5")
    #expect(front.guest.openMappings == 0)
  }

  @Test func frontEndsThatMakeNoSenseAreRefused() {
    for (key, value) in [
      ("protocol", "sparc-abi"), ("event-channel", "77"), ("ring-ref", "5"), ("ring-ref", "x"), ("ring-page-order", "9"),
      ("multi-queue-num-queues", "0"), ("multi-queue-num-queues", "4000000000"),
    ] {
      let front = FrontDisk()
      let page = front.guest.grantPage()
      front.guest.offeredPorts.insert(10)
      front.write("ring-ref", String(page.reference))
      front.write("event-channel", "10")
      front.write(key, value)
      front.write("state", "3")
      #expect(front.backState == "5", "\(key) \(value)")
      #expect(front.guest.openMappings == 0)
      #expect(front.guest.handlers.isEmpty)
      #expect(front.store.read("/local/domain/0/error/backend/vbd/1/51712/error") != nil)
    }
  }

  @Test func aMadIndexEndsTheDeviceAndADisconnectEndsRequestsUnderWay() {
    let front = FrontDisk()
    front.connect()
    let page = front.guest.grantPage()
    front.rings[0].put(front.request(0, id: 1, sector: 0, segments: [BlockSegment(reference: page.reference, first: 0, last: 0)]))
    front.rings[0].push()
    front.guest.send(10)
    front.guest.store32(5000, at: front.rings[0].pages[0] * 4096)
    front.guest.send(10)
    #expect(front.backState == "5")
    #expect(front.guest.openMappings == 0)
    front.guest.runEvents(front.hub)
    #expect(front.guest.bytes(page.page) == [UInt8](repeating: 0, count: 4096))
  }

  /// Nothing but the response is in a response's slot: whatever the guest left there, or this process had, is gone.
  @Test func aResponseSlotHoldsNothingElse() {
    let front = FrontDisk()
    front.connect()
    var request = [UInt8](repeating: 0xEE, count: 112)
    request[0] = 0x44
    _ = front.ask([request])
    let slot = front.guest.bytes(front.rings[0].pages[0], 64..<176)
    #expect(Array(slot[0..<8]) == [UInt8](repeating: 0xEE, count: 8))
    #expect(Array(slot[8...]) == [0x44, 0, 0xFE, 0xFF] + [UInt8](repeating: 0, count: 100))
  }

  @Test(arguments: 1...6 as ClosedRange<UInt64>) func aGuestThatLiesIsSurvived(_ seed: UInt64) {
    let guest = HostileGuest(seed: seed)
    for _ in 0..<40 {
      let front = FrontDisk(guest: guest) { $0.maximumQueues = 2 }
      front.connect(queues: 2, order: 1, persistent: seed % 2 == 0)
      guest.lies = true
      for step in 0..<20 {
        guest.send(UInt32(10 + step % 2))
        guest.runEvents(front.hub)
      }
      guest.lies = false
      front.write("state", "6")
      #expect(guest.openMappings == 0)
      #expect(guest.handlers.isEmpty)
      guest.memory = [UInt8](repeating: 0, count: guest.memory.count)
    }
  }

  @Test func namesOfDisks() {
    let names: [(String, UInt32?)] = [
      ("xvda", 51712), ("xvda1", 51713), ("xvdb", 51728), ("xvdp15", 51967), ("xvdq", 1 << 28 | 16 << 8),
      ("xvda16", 1 << 28 | 16), ("hda", 768), ("hdb", 832), ("hdc", 5632), ("sda", 2048), ("sdb3", 2067), ("51712", 51712),
      ("xvd", nil), ("sdq", nil), ("vda", nil), ("xvdA", nil), ("hde", nil),
    ]
    for (name, number) in names { #expect(BlockConfiguration.virtualDevice(named: name) == number, "\(name)") }
  }
}

/// Tokens that I/O threads leave.
final class TokenBox: @unchecked Sendable {
  private let lock = NSLock()
  private var list: [UInt64] = []
  func append(_ token: UInt64) { lock.withLock { list.append(token) } }
  var tokens: [UInt64] { lock.withLock { list } }
}
