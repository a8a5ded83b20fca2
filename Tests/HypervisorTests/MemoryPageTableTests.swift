import CHost
import GuestMemory
import Processor
import Testing

@testable import Hypervisor

@Suite struct MemoryPageTableTests {
  static let kernel: UInt64 = 1 << 52

  @Test(arguments: [FrameOrder.identity, .scattered(seed: 11)])
  func theBootstrapTablesAreAdjustedAndWork(order: FrameOrder) throws {
    let f = try MemoryFixture(order: order)
    #expect(f.entry(63, 5) == f.mfn(5) << 12 | 0x27 | Self.kernel)
    #expect(f.entry(63, 60) == f.mfn(60) << 12 | 0x25 | Self.kernel)
    #expect(f.v.vcpu.translate(f.linear(9, 8), .write) == f.mfn(9) << 12 + 8)
    #expect(f.v.vcpu.translate(f.linear(61), .write) == nil)
    #expect(f.tables.checkInvariants() == [])
  }

  @Test(arguments: [FrameOrder.identity, .scattered(seed: 11)])
  func theM2PIsReadableThroughSlot256(order: FrameOrder) throws {
    let f = try MemoryFixture(order: order)
    let m2p = FrameTable.m2pLinearAddress
    #expect(f.entry(60, 256) == 1 << 63 | f.frames.m2pTable << 12 | 0x25)
    for pfn in 0..<64 {
      let value: UInt64? = f.v.vcpu.readGuest(m2p + f.mfn(pfn) * 8)
      #expect(value == UInt64(pfn))
    }
    let shared: UInt64? = f.v.vcpu.readGuest(m2p + f.domain.sharedInfoFrame * 8)
    #expect(shared == ~0)
    #expect(f.v.vcpu.translate(m2p, .write) == nil)
    #expect(f.v.vcpu.translate(m2p + UInt64(f.frames.m2pFrames) * 4096, .read) == nil)
  }

  /// What is written to a level-1 entry and what is read back, or the refusal.
  @Test func level1Entries() throws {
    let f = try MemoryFixture()
    let page = f.mfn(20) << 12
    func write(_ entry: UInt64) -> (Int64, UInt64) { (f.mmu(f.address(63, 100), entry), f.entry(63, 100)) }
    #expect(write(page | 0x67) == (0, page | 0x167))
    #expect(write(page | 0x63) == (0, page | 0x67 | Self.kernel))
    #expect(write(page | 0x01) == (0, page | 0x05 | Self.kernel))
    #expect(write(page | 0x163) == (0, page | 0x167 | Self.kernel))
    #expect(write(page | 0x67 | Self.kernel) == (0, page | 0x67 | Self.kernel))
    let kept: UInt64 = 0xFFE0_0000_0000_0E00
    #expect(write(page | kept | 0x67) == (0, page | kept | 0x167))
    let before = f.entry(63, 100)
    let refused: [(UInt64, XenError)] = [
      (page | 0x6F, .invalid), (page | 0x77, .invalid), (page | 0xE7, .invalid), (1 << 45 | page | 0x67, .perm),
      (1 << 51 | 0x67, .perm), (0xF_FFFF_FFFF_F067, .invalid), (f.frames.frameCount << 12 | 0x67, .perm),
      (f.frames.m2pBase << 12 | 0x65, .busy), (100 << 12 | 0x65, .busy), (f.mfn(62) << 12 | 0x67, .busy),
    ]
    for (entry, error) in refused { #expect(write(entry) == (error.result, before), "\(String(entry, radix: 16))") }
    #expect(write(f.mfn(62) << 12 | 0x65).0 == 0)
    #expect(write(0xDEAD_BEEF_0000_00FE) == (0, 0xDEAD_BEEF_0000_00FE))
    #expect(write(f.domain.sharedInfoFrame << 12 | 0x67).0 == 0)
    #expect(f.tables.checkInvariants() == [])
  }

  @Test func upperEntries() throws {
    let f = try MemoryFixture()
    for pfn in 30...33 { f.protect(pfn) }
    let l1 = f.mfn(30) << 12
    func write(_ pfn: Int, _ slot: Int, _ entry: UInt64) -> (Int64, UInt64) {
      (f.mmu(f.address(pfn, slot), entry), f.entry(pfn, slot))
    }
    let kept: UInt64 = 0xFFF0_0000_0000_0E00
    #expect(write(62, 5, l1 | kept | 0x67) == (0, l1 | kept | 0x67))
    #expect(write(62, 5, l1 | 0x03) == (0, l1 | 0x07))
    for bit: UInt64 in [0x80, 0x100, 0x10, 0x08] { #expect(write(62, 6, l1 | 0x67 | bit).0 == XenError.invalid.result) }
    #expect(write(62, 6, f.mfn(40) << 12 | 0x67).0 == XenError.invalid.result)
    #expect(write(62, 6, f.mfn(60) << 12 | 0x67).0 == XenError.invalid.result)
    #expect(write(62, 6, f.frames.frameCount << 12 | 0x67).0 == XenError.invalid.result)
    #expect(write(62, 6, f.frames.m2pTable << 12 | 0x67).0 == XenError.invalid.result)
    #expect(write(62, 7, f.mfn(62) << 12 | 0x65) == (0, f.mfn(62) << 12 | 0x65))
    #expect(write(62, 8, f.mfn(62) << 12 | 0x67).0 == XenError.invalid.result)
    #expect(write(60, 1, f.mfn(31) << 12 | 0x07) == (0, f.mfn(31) << 12 | 0x27))
    #expect(write(60, 2, f.mfn(60) << 12 | 0x05).0 == 0)
    #expect(write(60, 3, f.mfn(60) << 12 | 0x07).0 == XenError.invalid.result)
    #expect(write(60, 4, f.mfn(32) << 12 | 0x87).0 == XenError.invalid.result)
    for slot in [256, 260, 271] { #expect(write(60, slot, 0).0 == XenError.invalid.result) }
    for slot in [255, 272] { #expect(write(60, slot, 0).0 == 0) }
    #expect(write(62, 9, 0x80).1 == 0x80)
    #expect(f.frames.info[Int(f.mfn(31))].type == .l3)
    #expect(f.tables.checkInvariants() == [])
    #expect(write(60, 1, 0).0 == 0)
    #expect(f.frames.info[Int(f.mfn(31))].type == .none)
    #expect(f.tables.checkInvariants() == [])
  }

  @Test func preservedBitsAreThoseOfTheEntry() throws {
    let f = try MemoryFixture()
    let page = f.mfn(20) << 12
    #expect(f.mmu(f.address(63, 100), page | 0x67) == 0)
    #expect(f.mmu(f.address(63, 100) | 2, page | 0x05) == 0)
    #expect(f.entry(63, 100) == page | 0x165)
    #expect(f.mmu(f.address(63, 100) | 2, 0x10) == 0)
    #expect(f.entry(63, 100) == 0x70)
    #expect(f.tables.checkInvariants() == [])
  }

  @Test func mmuUpdateRefusals() throws {
    let f = try MemoryFixture()
    let page = f.address(20, 0)
    for command: UInt64 in 4...7 { #expect(f.mmu(page | command, 0) == XenError.noSys.result) }
    #expect(f.mmu(page, 0x77) == 0)
    #expect(f.entry(20, 0) == 0x77)
    #expect(f.mmu(f.frames.frameCount << 12, 0) == XenError.invalid.result)
    #expect(f.mmu(f.frames.m2pBase << 12, 0) == XenError.invalid.result)
    #expect(f.mmu(~7, 0) == XenError.invalid.result)
    #expect(f.mmu(page, 0, domain: 1234) == XenError.search.result)
    #expect(f.mmu(page, 0, domain: 1) == XenError.search.result)
    #expect(f.mmu(page, 0, domain: 0) == XenError.perm.result)
    #expect(f.mmu(page, 0, domain: 0x7FF0 | 2 << 16) == 0)
    #expect(f.mmu(page, 0, domain: 0x7FF0 | 9 << 16) == XenError.search.result)
    #expect(f.mmu(page | 1, 0x55) == 0)
    #expect(f.frames.m2p(f.mfn(20)) == 0x55)
    #expect(f.mmu(f.frames.m2pBase << 12 | 1, 0) == XenError.invalid.result)
    // The third of four fails; two are reported.
    let list = f.put([page, 1, page | 1, 2, page | 5, 3, page, 4], at: 64)
    let a = HypercallArguments(list, 4, f.linear(0, 0), 0x7FF0)
    #expect(MemoryHypercalls.mmuUpdate(f.domain, f.v, a) == XenError.noSys.result)
    #expect(f.word(0) & 0xFFFF_FFFF == 2)
    let bad = HypercallArguments(0x1000, 1, 0x1000, 0x7FF0)
    #expect(MemoryHypercalls.mmuUpdate(f.domain, f.v, bad) == XenError.fault.result)
    #expect(f.tables.checkInvariants() == [])
  }

  @Test func updateVAMapping() throws {
    let f = try MemoryFixture()
    let page = f.mfn(20) << 12
    #expect(f.map(f.linear(100, 123), page | 0x63, flags: 3) == 0)
    #expect(f.v.vcpu.translate(f.linear(100, 5), .write) == page + 5)
    #expect(f.map(0x1000, 0) == XenError.invalid.result)
    #expect(f.map(0x8000_0000_0000, page | 0x63) == XenError.invalid.result)
    #expect(f.map(FrameTable.m2pLinearAddress, 0) == XenError.invalid.result)
    #expect(f.map(f.linear(100), 0, flags: 1 | 0x1000) == XenError.fault.result)
    #expect(f.map(f.linear(100), 0, flags: 2 | 4) == 0)
    #expect(f.v.vcpu.translate(f.linear(100), .read) == nil)
    let other = HypercallArguments(f.linear(100), page | 0x63, 0, 77)
    #expect(MemoryHypercalls.updateVAMappingOtherDomain(f.domain, f.v, other) == XenError.search.result)
    let io = HypercallArguments(f.linear(100), f.frames.frameCount << 12 | 0x63, 0, 0x7FF1)
    #expect(MemoryHypercalls.updateVAMappingOtherDomain(f.domain, f.v, io) == XenError.perm.result)
    #expect(f.tables.checkInvariants() == [])
  }

  // MARK: Pins and bases

  @Test func pins() throws {
    let f = try MemoryFixture()
    let mfn = f.mfn(30)
    #expect(f.ext(0, mfn) == XenError.invalid.result)
    f.protect(30)
    f.raw(30, 1, f.mfn(4) << 12 | 0x63)
    #expect(f.ext(0, mfn) == 0)
    #expect(f.entry(30, 1) == f.mfn(4) << 12 | 0x67 | Self.kernel)
    #expect(f.ext(0, mfn) == XenError.invalid.result)
    #expect(f.ext(1, mfn) == XenError.invalid.result)
    #expect(f.unprotect(30) == XenError.busy.result)
    #expect(f.ext(4, mfn) == 0)
    #expect(f.ext(4, mfn) == XenError.invalid.result)
    f.raw(30, 2, mfn << 12 | 0x63)
    #expect(f.ext(0, mfn) == XenError.busy.result)
    f.raw(30, 2, 1 << 45 | 0x63)
    #expect(f.ext(0, mfn) == XenError.perm.result)
    #expect(f.unprotect(30) == 0)
    #expect(f.ext(0, f.frames.frameCount) == XenError.invalid.result)
    #expect(f.ext(3, f.domain.sharedInfoFrame) == XenError.invalid.result)
    #expect(f.tables.checkInvariants() == [])
  }

  @Test func whatTheHypervisorWritesNeverBecomesATable() throws {
    let f = try MemoryFixture()
    #expect(!f.tables.holdWritable(f.mfn(62)))
    #expect(!f.tables.holdWritable(f.domain.sharedInfoFrame))
    f.protect(30)
    #expect(f.tables.holdWritable(f.mfn(30)))
    #expect(f.ext(0, f.mfn(30)) == XenError.invalid.result)
    #expect(f.tables.checkInvariants() == [])
  }

  @Test func extendedRefusals() throws {
    let f = try MemoryFixture()
    for command: UInt64 in [14, 21, 99] { #expect(f.ext(command) == XenError.noSys.result) }
    for command: UInt64 in [19, 20] { #expect(f.ext(command) == XenError.notSupported.result) }
    for command: UInt64 in [6, 7, 10, 11] { #expect(f.ext(command, 0x1234_5678_9ABC) == 0) }
    for command: UInt64 in [8, 9] {
      #expect(f.ext(command, 0, 0x1000) == XenError.invalid.result)
      #expect(f.ext(command, 0, f.linear(0)) == 0)
    }
    #expect(f.ext(12) == XenError.access.result)
    #expect(f.ext(18) == XenError.invalid.result)
    #expect(f.ext(6, domain: 1234) == XenError.search.result)
    f.raw(20, 3, 99)
    #expect(f.ext(17, f.mfn(21), f.mfn(20)) == 0)
    #expect(f.entry(21, 3) == 99)
    #expect(f.ext(16, f.mfn(20)) == 0)
    #expect(f.entry(20, 3) == 0)
    #expect(f.ext(16, f.mfn(62)) == XenError.invalid.result)
    #expect(f.ext(17, f.mfn(62), f.mfn(20)) == XenError.invalid.result)
    let list = f.put([6, 0, 0, 14, 0, 0], at: 64)
    let a = HypercallArguments(list, 2, f.linear(0), 0x7FF0)
    #expect(MemoryHypercalls.mmuextOp(f.domain, f.v, a) == XenError.noSys.result)
    #expect(f.word(0) & 0xFFFF_FFFF == 1)
    #expect(f.tables.checkInvariants() == [])
  }

  @Test func bases() throws {
    let f = try MemoryFixture()
    for pfn in 30...31 {
      f.protect(pfn)
      f.raw(pfn, 273, f.mfn(61) << 12 | 0x67)
    }
    #expect(f.ext(15, f.mfn(30)) == 0)
    #expect(f.v.userTable == f.mfn(30))
    #expect(f.entry(30, 256) == 0)
    #expect(f.v.vcpu.cpu.pointee.cr3 == f.mfn(60) << 12)
    #expect(f.unprotect(30) == XenError.busy.result)
    // Not pinned: checked for the time that it is loaded.
    #expect(f.ext(5, f.mfn(31)) == 0)
    #expect(f.v.vcpu.cpu.pointee.cr3 == f.mfn(31) << 12)
    #expect(f.entry(31, 256) == f.frames.m2pRootEntry)
    #expect(f.ext(5, f.mfn(20)) == XenError.invalid.result)
    #expect(f.ext(5, 0) == XenError.invalid.result)
    #expect(f.ext(4, f.mfn(60)) == 0)
    #expect(f.frames.info[Int(f.mfn(60))].type == .none)
    #expect(f.tables.checkInvariants() == [])
    #expect(f.ext(15, 0) == 0)
    #expect(f.unprotect(30) == 0)
    #expect(f.v.vcpu.readGuest(f.linear(5), as: UInt64.self) == 0)
    #expect(f.tables.checkInvariants() == [])
  }

  @Test func strictM2PIsHiddenFromUserTables() throws {
    let f = try MemoryFixture()
    #expect(MemoryHypercalls.vmAssist(f.domain, f.v, HypercallArguments(0, 32)) == 0)
    f.protect(30)
    #expect(f.ext(3, f.mfn(30)) == 0)
    #expect(f.entry(30, 256) == f.frames.m2pRootEntry)
    #expect(f.ext(15, f.mfn(30)) == 0)
    #expect(f.entry(30, 256) == 0)
  }

  @Test func linearTables() throws {
    let f = try MemoryFixture()
    for pfn in 30...32 { f.protect(pfn) }
    for pfn in 30...32 { #expect(f.ext(3, f.mfn(pfn)) == 0) }
    #expect(f.mmu(f.address(30, 0), f.mfn(31) << 12 | 5) == 0)
    // A table that others point at takes no such entry itself: no chains.
    #expect(f.mmu(f.address(31, 0), f.mfn(32) << 12 | 5) == XenError.invalid.result)
    #expect(f.mmu(f.address(32, 0), f.mfn(30) << 12 | 5) == XenError.invalid.result)
    #expect(f.mmu(f.address(31, 1), f.mfn(31) << 12 | 5) == 0)
    #expect(f.tables.checkInvariants() == [])
    #expect(f.ext(4, f.mfn(31)) == 0)
    #expect(f.frames.info[Int(f.mfn(31))].type == .l4)
    #expect(f.tables.checkInvariants() == [])
    #expect(f.ext(4, f.mfn(30)) == 0)
    #expect(f.frames.info[Int(f.mfn(31))].type == .none)
    #expect(f.tables.checkInvariants() == [])
  }

  // MARK: Writable page tables

  @Test func storesToLevel1TablesAreUpdates() throws {
    let f = try MemoryFixture()
    let cpu = f.v.vcpu.cpu
    func store(_ value: UInt64, _ size: UInt32, _ address: UInt64, probe: Bool = false) -> Int32 {
      cpu.pointee.page_table_write!(cpu.pointee.page_table_context, cpu, 0, address, size, value, probe ? 1 : 0)
    }
    let page = f.mfn(20) << 12
    #expect(store(page | 0x63, 8, f.address(63, 100)) == 0)
    #expect(MemoryHypercalls.vmAssist(f.domain, f.v, HypercallArguments(0, 2)) == 0)
    #expect(store(0, 8, f.address(63, 100), probe: true) == 1)
    #expect(store(page | 0x63, 8, f.address(63, 100)) == 1)
    #expect(f.entry(63, 100) == page | 0x67 | Self.kernel)
    #expect(f.v.vcpu.translate(f.linear(100), .write) == page)
    f.v.vcpu.touch(f.linear(100))
    // One byte: RW goes, and with it the translation.
    #expect(store(0x65, 1, f.address(63, 100)) == 1)
    #expect(f.v.vcpu.translate(f.linear(100), .write) == nil)
    #expect(store(0x8000_0000, 4, f.address(63, 100) + 4) == 1)
    #expect(f.entry(63, 100) == 1 << 63 | page & 0xFFFF_FFFF | 0x165)
    #expect(store(0, 8, f.address(63, 100) + 4) == 0)
    #expect(store(0, 8, f.address(63, 100) + 4, probe: true) == 0)
    #expect(store(f.mfn(62) << 12 | 0x63, 8, f.address(63, 101)) == 0)
    #expect(store(0, 8, f.address(62, 5)) == 0)
    #expect(store(0, 8, f.address(5, 5)) == 0)
    #expect(store(0, 8, ~7) == 0)
    f.v.kernelMode = false
    #expect(store(0, 8, f.address(63, 100)) == 0)
    #expect(f.tables.checkInvariants() == [])
  }

  // MARK: Translations

  @Test func changesAreSeenByEveryVCPU() throws {
    let f = try MemoryFixture(vcpus: 2)
    let other = f.domain.vcpus[1].vcpu
    other.touch(f.linear(20))
    #expect(other.translate(f.linear(20), .write) == f.mfn(20) << 12)
    f.protect(20)
    #expect(other.translate(f.linear(20), .write) == nil)
    #expect(f.map(f.linear(20), f.mfn(21) << 12 | 0x63) == 0)
    #expect(other.translate(f.linear(20), .write) == f.mfn(21) << 12)
    other.touch(f.linear(22))
    #expect(other.translate(f.linear(21), .read) == f.mfn(21) << 12)
    // A table above changes: what went through it goes.
    #expect(other.translate(f.linear(22), .write) == f.mfn(22) << 12)
    #expect(f.mmu(f.address(62, 0), f.mfn(63) << 12 | 0x65) == 0)
    #expect(other.translate(f.linear(22), .write) == nil)
  }

  @Test func assists() throws {
    let f = try MemoryFixture()
    func assist(_ command: UInt64, _ type: UInt64) -> Int64 {
      MemoryHypercalls.vmAssist(f.domain, f.v, HypercallArguments(command, type))
    }
    for type: UInt64 in [0, 1, 2, 3, 4, 5, 32] {
      #expect(assist(0, type) == 0 && f.domain.assists >> type & 1 == 1)
      #expect(assist(1, type) == 0 && f.domain.assists >> type & 1 == 0)
      #expect(assist(2, type) == XenError.noSys.result)
    }
    for type: UInt64 in [6, 31, 33, 63, 64, 1 << 31] { #expect(assist(0, type) == XenError.invalid.result) }
  }
}
