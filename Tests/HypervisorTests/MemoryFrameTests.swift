import GuestMemory
import Testing

@testable import Hypervisor

@Suite struct MemoryFrameTests {
  @Test(arguments: [FrameOrder.identity, .scattered(seed: 7), .scattered(seed: 8)])
  func initialFramesAreAnInjectionAndTheM2PInvertsIt(order: FrameOrder) throws {
    let pages = 3000
    let memory = try MachineMemory(frameCount: FrameTable.machineFramesNeeded(guestPages: pages, order: order))
    let frames = try FrameTable(memory: memory, guestPages: pages, order: order)
    var seen = Set<UInt64>()
    for (pfn, mfn) in frames.initialFrames.enumerated() {
      #expect(seen.insert(mfn).inserted)
      #expect(mfn < frames.xenBase)
      #expect(frames.machineFrame(of: pfn) == mfn)
      #expect(frames.m2p(mfn) == UInt64(pfn))
      if order == .identity { #expect(mfn == UInt64(pfn)) }
    }
    for mfn in 0..<frames.frameCount where !seen.contains(mfn) {
      #expect(frames.m2p(mfn) == ~0)
      #expect(frames.owner(of: mfn) == (mfn < frames.xenBase ? .free : .xen))
      #expect(!frames.isGuestFrame(mfn))
    }
    #expect(seen.allSatisfy { frames.owner(of: $0) == .guest })
    #expect(frames.machineFrame(of: pages) == nil)
    #expect(frames.owner(of: frames.frameCount) == nil)
  }

  @Test func scatteredFramesDifferFromTheirNumbers() throws {
    let memory = try MachineMemory(
      frameCount: FrameTable.machineFramesNeeded(guestPages: 4096, order: .scattered(seed: 1)))
    let frames = try FrameTable(memory: memory, guestPages: 4096, order: .scattered(seed: 1))
    let same = frames.initialFrames.enumerated().filter { UInt64($0.offset) == $0.element }.count
    #expect(same < 100)
    #expect(frames.xenBase >= 4096 * 5 / 4)
  }

  /// 16 GiB: the M2P needs large pages then, and the frame table must not be touched per page.
  @Test func largeMachinesMapTheM2PWithLargePages() throws {
    let pages = 1 << 22
    let needed = FrameTable.machineFramesNeeded(guestPages: pages)
    let memory = try MachineMemory(frameCount: needed)
    let frames = try FrameTable(memory: memory, guestPages: pages)
    #expect(frames.m2pFrames >= 8192 && frames.m2pBase & 511 == 0)
    #expect(frames.m2p(UInt64(pages) - 1) == UInt64(pages) - 1)
    #expect(frames.m2p(UInt64(pages)) == ~0)
    let l2: UInt64 = memory.load(frames.m2pTable << 12)! & 0xF_FFFF_FFFF_F000
    let first: UInt64 = memory.load(l2)!
    #expect(first == 1 << 63 | frames.m2pBase << 12 | 0xE5)
  }

  @Test func theMachineMustBeLargeEnough() throws {
    let memory = try MachineMemory(frameCount: 64)
    #expect(throws: FrameTable.Failure.self) { _ = try FrameTable(memory: memory, guestPages: 64) }
  }

  @Test func framesComeAndGo() throws {
    let f = try MemoryFixture(order: .scattered(seed: 3))
    let before = f.frames.currentPages
    f.memory.store(0x1234 as UInt64, at: f.mfn(5) << 12)
    #expect(f.map(f.linear(5), 0) == 0)
    #expect(f.frames.release(f.mfn(5)))
    #expect(f.frames.owner(of: f.mfn(5)) == .free)
    #expect(f.frames.currentPages == before - 1)
    #expect(f.frames.m2p(f.mfn(5)) == ~0)
    #expect(f.frames.allocateGuestFrame() == f.mfn(5))
    #expect(f.memory.load(f.mfn(5) << 12, as: UInt64.self) == 0)
    var taken = Set([f.mfn(5)])
    while let mfn = f.frames.allocateGuestFrame() {
      #expect(taken.insert(mfn).inserted)
      #expect(f.frames.owner(of: mfn) == .guest)
    }
    #expect(f.frames.currentPages == f.frames.maximumPages)
    #expect(f.tables.checkInvariants() == [])
  }

  @Test func aMappedFrameIsFreedWithItsLastMapping() throws {
    let f = try MemoryFixture()
    #expect(f.frames.release(7))
    #expect(f.frames.owner(of: 7) == .guest)
    #expect(f.frames.release(7))
    #expect(f.map(f.linear(7), 0) == 0)
    #expect(f.frames.owner(of: 7) == .free)
    #expect(f.map(f.linear(7), 7 << 12 | 0x23) == XenError.busy.result)
    #expect(f.tables.checkInvariants() == [])
  }

  @Test func xenFramesLieAboveTheGuestAndRunOut() throws {
    let f = try MemoryFixture()
    var last = f.domain.sharedInfoFrame
    while let mfn = f.frames.allocateXenFrame() {
      #expect(mfn > last && f.frames.owner(of: mfn) == .xen && f.frames.m2p(mfn) == ~0)
      last = mfn
    }
    #expect(last == f.frames.frameCount - 1)
  }

  // MARK: memory_op

  @Test func reservationsAnswerWithWhatWasDone() throws {
    let f = try MemoryFixture()
    let list = f.put([9, 10, 9999], at: 256)
    let r = f.put([list, 3, 0, 0x7FF0], at: 64)
    for pfn in 9...10 { #expect(f.map(f.linear(pfn), 0) == 0) }
    #expect(f.memoryOp(1, r) == 2)
    #expect(f.frames.currentPages == 62)
    f.put([200, 201, 202], at: 256)
    #expect(f.memoryOp(6, r) == 3)
    let got = [f.word(256), f.word(264), f.word(272)]
    #expect(Set(got).count == 3)
    for (n, mfn) in got.enumerated() { #expect(f.frames.m2p(mfn) == UInt64(200 + n)) }
    f.put([list, 3, 0, 77], at: 64)
    #expect(f.memoryOp(6, r) == 0)
    f.put([list, 3, 10, 0x7FF0], at: 64)
    #expect(f.memoryOp(6, r) == 0)
    #expect(f.memoryOp(6, 0x1000) == 0)
    #expect(f.memoryOp(6 | 2 << 6, 0x1000) == 2)
    f.put([list, 1, 4, 0x7FF0], at: 64)
    #expect(f.memoryOp(0, r) == 1)
    #expect(f.word(256) & 15 == 0)
    #expect(f.memoryOp(3, f.put([0x7FF0], at: 32)) == 62 + 3 + 16)
    #expect(f.tables.checkInvariants() == [])
  }

  @Test func memoryQuestions() throws {
    let f = try MemoryFixture()
    let own = f.put([0x7FF0], at: 32)
    let bad: UInt64 = 0x1000
    #expect(f.memoryOp(2, 0) == Int64(f.frames.frameCount))
    #expect(f.memoryOp(3, own) == 64)
    #expect(f.memoryOp(4, own) == 64 + 256)
    #expect(f.memoryOp(4, bad) == XenError.fault.result)
    #expect(f.memoryOp(14, own) == 0)
    #expect(f.memoryOp(4, f.put([0], at: 40)) == XenError.perm.result)
    #expect(f.memoryOp(4, f.put([55], at: 40)) == XenError.search.result)
    #expect(f.memoryOp(10, own) == XenError.perm.result)
    for sub: UInt64 in [8, 15, 20, 22, 23, 26, 28, 29, 63] { #expect(f.memoryOp(sub, own) == XenError.noSys.result) }
    #expect(f.memoryOp(12, f.linear(1)) == 0)
    let start: UInt64? = f.v.vcpu.readGuest(f.linear(1))
    let end: UInt64? = f.v.vcpu.readGuest(f.linear(1, 8))
    let last: UInt64? = f.v.vcpu.readGuest(f.linear(1, 16))
    #expect(start == 0xFFFF_8000_0000_0000 && end == 0xFFFF_8040_0000_0000 && last == 0x7_FFFF_FFFF)
    let map = f.put([5, f.linear(1)], at: 64)
    #expect(f.memoryOp(9, map) == 0)
    #expect(f.word(64) == 1)
    let size: UInt64? = f.v.vcpu.readGuest(f.linear(1, 8))
    let kind: UInt32? = f.v.vcpu.readGuest(f.linear(1, 16))
    #expect(size == 64 * 4096 && kind == 1)
    f.put([0, 0], at: 64)
    #expect(f.memoryOp(9, map) == 0)
    #expect(f.memoryOp(9 | 1 << 6, map) == XenError.noSys.result)
  }

  @Test func exchangeMakesExtentsContiguous() throws {
    let f = try MemoryFixture(order: .scattered(seed: 5))
    let pages = [3, 8, 21, 40]
    for pfn in pages { #expect(f.map(f.linear(pfn), 0) == 0) }
    let input = f.put(pages.map { f.mfn($0) }, at: 512)
    let output = f.put([1000], at: 600)
    let x = f.put([input, 4, 0, 0x7FF0, output, 1, 2, 0x7FF0, 0], at: 64)
    #expect(f.memoryOp(11, x) == 0)
    #expect(f.word(128) == 4)
    let first = f.word(600)
    #expect(first & 3 == 0)
    for n: UInt64 in 0..<4 { #expect(f.frames.m2p(first + n) == 1000 + n && f.frames.isGuestFrame(first + n)) }
    #expect(f.frames.currentPages == 64)
    // A mapped page cannot go.
    f.put([f.mfn(11)], at: 512)
    f.put([input, 1, 0, 0x7FF0, output, 1, 0, 0x7FF0, 0], at: 64)
    #expect(f.memoryOp(11, x) == XenError.invalid.result)
    #expect(f.word(128) == 0)
    f.put([input, 1, 0, 0x7FF0, output, 2, 0, 0x7FF0, 0], at: 64)
    #expect(f.memoryOp(11, x) == XenError.invalid.result)
    #expect(f.tables.checkInvariants() == [])
  }
}
