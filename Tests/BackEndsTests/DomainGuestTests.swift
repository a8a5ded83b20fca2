import Devices
import GuestMemory
import Processor
import Storage
import Testing
import Xenstore

@testable import BackEnds
@testable import Hypervisor

/// A domain of the hypervisor without a kernel: memory, grants and ports are real.
final class BareDomain: DomainServices {
  var now: Cycles = 0
  let cyclesPerSecond: UInt64 = 1_000_000_000
  let wallClockAtStart: UInt64 = 0
  let memory: MachineMemory
  let frames: FrameTable
  private(set) var domain: Domain!
  private(set) var guest: DomainGuest!
  var scheduled: [(cycle: Cycles, token: UInt64)] = []

  init(order: FrameOrder = .identity, hostIsDone: (@Sendable (UInt64) -> Void)? = nil) throws {
    let pages = 256
    memory = try MachineMemory(frameCount: FrameTable.machineFramesNeeded(guestPages: pages, order: order))
    frames = try FrameTable(memory: memory, guestPages: pages, order: order)
    domain = Domain(id: DomainID(1), memory: memory, frames: frames, initialPages: pages, services: self)
    domain.sharedInfoFrame = try #require(frames.allocateXenFrame())
    domain.vcpus = [PVCPU(id: 0, vcpu: VCPU(memory: memory))]
    domain.vcpus[0].vcpuInfo = domain.sharedInfoFrame << 12
    guest = DomainGuest(domain, schedule: { [weak self] in self?.scheduled.append(($0, $1)) }, hostIsDone: hostIsDone)
  }

  func setTimer(vcpu: Int, kind: TimerKind, at cycle: Cycles?) {}
  func consoleWrite(_ bytes: [UInt8]) {}
  func eventSent(port: UInt32) { guest.eventSent(port: port) }
  func domainEnded(_ reason: DomainEnd) {}
  func log(_ message: @autoclosure () -> String) {}

  func address(_ pfn: Int) -> UInt64 { (frames.machineFrame(of: pfn) ?? 0) << 12 }
  func grant(_ reference: UInt32, pfn: Int, flags: UInt16 = 1, to remote: DomainID = .control) {
    domain.grants.setEntry(ref: reference, flags: flags, domid: remote, frame: address(pfn) >> 12)
  }
  func flags(_ reference: UInt32) -> UInt16 {
    domain.grants.address(of: reference).flatMap { memory.load($0, as: UInt16.self) } ?? 0
  }
}

struct DomainGuestTests {
  @Test func grantsAreMarkedWhileInUseAndChecked() throws {
    let bare = try BareDomain()
    bare.grant(8, pfn: 20)
    bare.grant(9, pfn: 21, flags: 1 | GrantTable.Flags.readOnly)
    bare.grant(10, pfn: 22, to: DomainID(5))
    let page = try #require(bare.guest.mapGrant(8, write: true))
    #expect(page.address == bare.address(20))
    #expect(bare.flags(8) == 1 | GrantTable.Flags.reading | GrantTable.Flags.writing)
    bare.guest.unmapGrant(page)
    #expect(bare.flags(8) == 1)
    #expect(bare.guest.mapGrant(9, write: true) == nil)
    let readOnly = try #require(bare.guest.mapGrant(9, write: false))
    #expect(bare.flags(9) == 1 | GrantTable.Flags.readOnly | GrantTable.Flags.reading)
    bare.guest.unmapGrant(readOnly)
    for reference: UInt32 in [10, 11, 600, .max] { #expect(bare.guest.mapGrant(reference, write: false) == nil) }
  }

  /// A frame that becomes a page table while a back end has it mapped is not written any more; one that is no longer the
  /// guest's is not read either.
  @Test func aFrameIsTouchedOnlyWhileItsUseAllows() throws {
    let bare = try BareDomain()
    bare.grant(8, pfn: 20)
    let page = try #require(bare.guest.mapGrant(8, write: true))
    let data: [UInt8] = [1, 2, 3]
    #expect(data.withUnsafeBytes { bare.guest.copyIn($0, at: page.address) })
    let frame = Int(page.address >> 12)
    bare.frames.info[frame].set(.l1)
    bare.frames.info[frame].typeCount = 1
    #expect(!data.withUnsafeBytes { bare.guest.copyIn($0, at: page.address + 1) })
    let part = GrantedBytes(reference: 8, bytes: 0..<512)
    #expect(bare.guest.grantedMemory([part], forWriting: true) == nil && bare.guest.grantedMemory([part], forWriting: false) != nil)
    // Nor by way of the page before it.
    #expect(!data.withUnsafeBytes { bare.guest.copyIn($0, at: page.address - 1) })
    var back: [UInt8] = [0, 0, 0]
    #expect(back.withUnsafeMutableBytes { bare.guest.copyOut(page.address, into: $0) })
    #expect(back == data)
    let xen = bare.domain.sharedInfoFrame << 12
    #expect(!back.withUnsafeMutableBytes { bare.guest.copyOut(xen, into: $0) })
    #expect(!back.withUnsafeMutableBytes { bare.guest.copyOut(.max - 1, into: $0) })
  }

  @Test func portsRingBothWaysAndAReusedPortIsNotTheOldOne() throws {
    let bare = try BareDomain()
    let events = bare.domain.events
    let port = events.allocateUnbound(remote: .control)
    var rung: [String] = []
    let first = try #require(bare.guest.bindPort(port) { rung.append("first") })
    #expect(bare.guest.bindPort(port) {} == nil)
    try events.send(port)
    #expect(rung == ["first"])
    bare.guest.notify(first)
    #expect(events.isPending(port))
    // The guest closes it and allocates it for another device.
    try events.close(port)
    #expect(events.allocateUnbound(remote: .control) == port)
    let second = try #require(bare.guest.bindPort(port) { rung.append("second") })
    bare.guest.notify(first)
    #expect(!events.isPending(port))
    bare.guest.unbindPort(first)
    try events.send(port)
    #expect(rung == ["first", "second"])
    bare.guest.unbindPort(second)
    try events.send(port)
    #expect(rung == ["first", "second"])
    #expect(bare.guest.bindPort(port) {} != nil)
  }

  /// A disk over a real domain, with frames in no order at all: from the store to the data.
  @Test(arguments: [FrameOrder.identity, .scattered(seed: 3)]) func aDiskIsRead(_ order: FrameOrder) throws {
    let bare = try BareDomain(order: order)
    let store = Store()
    let hub = BackEndHub(guest: bare.guest, store: store)
    hub.toolstack.describe(Toolstack.DomainDescription(name: "bare", uuid: "u", memoryKiB: 1024))
    let contents = (0..<65536).map { UInt8(truncatingIfNeeded: $0 / 512 &+ $0) }
    hub.addDisk(BlockConfiguration(name: "xvda", virtualDevice: 51712), device: MemoryBlockDevice(bytes: contents))
    bare.grant(8, pfn: 20)
    bare.grant(9, pfn: 21)
    let port = bare.domain.events.allocateUnbound(remote: .control)
    let front = "/local/domain/1/device/vbd/51712/"
    for (key, value) in [("ring-ref", "8"), ("event-channel", "\(port)"), ("protocol", "x86_64-abi"), ("state", "3")] {
      try store.write(front + key, Array(value.utf8), as: Store.Caller(1))
    }
    #expect(store.read("/local/domain/0/backend/vbd/1/51712/state") == "4")
    let ring = bare.address(20)
    var request: [UInt8] = [0, 1, 0, 0, 0, 0, 0, 0]
    request.append(little: UInt64(42))
    request.append(little: UInt64(5))
    request.append(little: UInt32(9))
    request += [0, 7, 0, 0]
    bare.memory.copyIn(request, at: ring + 64)
    bare.memory.store(UInt32(1), at: ring + 12)
    bare.memory.store(UInt32(1), at: ring)
    try bare.domain.events.send(port)
    #expect(bare.flags(9) == 1 | GrantTable.Flags.reading | GrantTable.Flags.writing)
    #expect(!bare.domain.events.isPending(port))
    for event in bare.scheduled { hub.complete(event.token) }
    #expect(bare.domain.events.isPending(port))
    #expect(bare.flags(9) == 1)
    #expect(bare.memory.load(ring + 8, as: UInt32.self) == 1)
    #expect(bare.memory.load(ring + 64, as: UInt64.self) == 42)
    #expect(bare.memory.copyOut(bare.address(21), count: 4096) == Array(contents[2560..<6656]))
    hub.shutDown()
    #expect(bare.flags(8) == 1)
  }

  /// On the host's clock what the host can do at once is answered before the guest goes on; a page that has become a page table is
  /// not written.
  @Test func aDiskThatAnswersAtOnce() throws {
    let bare = try BareDomain(order: .scattered(seed: 5), hostIsDone: { _ in Issue.record("nothing was to be waited for") })
    let store = Store()
    let hub = BackEndHub(guest: bare.guest, store: store)
    hub.toolstack.describe(Toolstack.DomainDescription(name: "bare", uuid: "u", memoryKiB: 1024))
    let contents = (0..<65536).map { UInt8(truncatingIfNeeded: $0 / 512 &+ $0) }
    let device = MemoryBlockDevice(bytes: contents)
    hub.addDisk(BlockConfiguration(name: "xvda", virtualDevice: 51712), device: device)
    bare.grant(8, pfn: 20)
    bare.grant(9, pfn: 21)
    bare.grant(10, pfn: 22)
    let port = bare.domain.events.allocateUnbound(remote: .control)
    let front = "/local/domain/1/device/vbd/51712/"
    for (key, value) in [("ring-ref", "8"), ("event-channel", "\(port)"), ("protocol", "x86_64-abi"), ("state", "3")] {
      try store.write(front + key, Array(value.utf8), as: Store.Caller(1))
    }
    let ring = bare.address(20)
    func put(_ slot: Int, _ operation: UInt8, sector: UInt64) {
      var request: [UInt8] = [operation, 2, 0, 0, 0, 0, 0, 0]
      request.append(little: UInt64(40 + slot))
      request.append(little: sector)
      request.append(little: UInt32(9))
      request += [2, 7, 0, 0]
      request.append(little: UInt32(10))
      request += [0, 3, 0, 0]
      bare.memory.copyIn(request, at: ring + 64 + UInt64(slot) * 112)
    }
    put(0, 0, sector: 5)
    put(1, 1, sector: 100)
    bare.memory.store(UInt32(1), at: ring + 12)
    bare.memory.store(UInt32(2), at: ring)
    try bare.domain.events.send(port)
    #expect(bare.domain.events.isPending(port))
    #expect(bare.memory.load(ring + 8, as: UInt32.self) == 2)
    #expect(bare.memory.load(ring + 64, as: UInt64.self) == 40 && bare.memory.load(ring + 64 + 112, as: UInt64.self) == 41)
    #expect(bare.memory.load(ring + 64 + 10, as: Int16.self) == 0 && bare.memory.load(ring + 64 + 112 + 10, as: Int16.self) == 0)
    #expect(bare.memory.copyOut(bare.address(21) + 1024, count: 3072) == Array(contents[2560..<5632]))
    #expect(bare.memory.copyOut(bare.address(22), count: 2048) == Array(contents[5632..<7680]))
    #expect(Array(device.contents[51200..<56320]) == Array(contents[2560..<7680]))
    #expect(bare.flags(9) == 1 && bare.flags(10) == 1)
    hub.shutDown()
  }

  /// What a transfer that is done at once is given: the pages' bytes in their order, where a mapping would be given, and no mark after it.
  @Test func memoryOfGrantsForAtOnce() throws {
    let bare = try BareDomain(order: .identity)
    func memory(_ parts: [(UInt32, Range<Int>)], _ forWriting: Bool) -> [[UInt8]]? {
      let parts = parts.map { GrantedBytes(reference: $0.0, bytes: $0.1) }
      return bare.guest.grantedMemory(parts, forWriting: forWriting)?.map { Array($0) }
    }
    for (index, pfn) in [20, 21, 25].enumerated() {
      bare.grant(UInt32(8 + index), pfn: pfn)
      bare.memory.copyIn((0..<4096).map { UInt8(truncatingIfNeeded: $0 / 512 &+ pfn) }, at: bare.address(pfn))
    }
    let two = try #require(memory([(8, 2048..<4096), (9, 0..<512), (10, 512..<1024)], true))
    #expect(two.map(\.count) == [2560, 512])
    #expect(two[0][0] == 24 && two[0][2048] == 21 && two[1][0] == 26)
    #expect(memory([(10, 0..<512), (9, 0..<512)], false)?.map { $0[0] } == [25, 21])
    #expect(bare.flags(8) == 1 && bare.flags(9) == 1)
    #expect(memory([], true)?.isEmpty == true)
    // Not granted, not in the table, for reading only.
    #expect(memory([(8, 0..<512), (11, 0..<512)], false) == nil)
    #expect(memory([(1 << 20, 0..<512)], false) == nil)
    bare.domain.grants.setEntry(ref: 9, flags: 1 | 4, domid: .control, frame: bare.address(21) >> 12)
    #expect(memory([(9, 0..<512)], false) != nil && memory([(9, 0..<512)], true) == nil)
    // For somebody else; of a frame that is not the guest's.
    bare.domain.grants.setEntry(ref: 10, flags: 1, domid: DomainID(rawValue: 5), frame: bare.address(25) >> 12)
    #expect(memory([(10, 0..<512)], false) == nil)
    bare.domain.grants.setEntry(ref: 10, flags: 1, domid: .control, frame: bare.domain.grants.frames[0])
    #expect(memory([(10, 0..<512)], false) == nil && memory([(10, 0..<512)], true) == nil)
    bare.domain.grants.setEntry(ref: 10, flags: 1, domid: .control, frame: 0xFFFF_FFFF)
    #expect(memory([(10, 0..<512)], false) == nil)
  }
}
