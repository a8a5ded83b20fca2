import CHost
import GuestMemory
import Random
import Testing

@testable import Processor

/// What the TLB keeps never outlives its page tables, whichever way it got there.
@Suite struct TranslationSetTests {
  /// add rax, n; ret
  private func adding(_ n: UInt8) -> [UInt8] { [0x48, 0x83, 0xC0, n, 0xC3] }

  private func frame(_ number: UInt64) -> UInt64 { number << 12 }

  /// Two pages of code that share a slot for fetches, called in turn: the first one's translation of jumps must go when it is mapped
  /// elsewhere, although the second has taken its slot.
  @Test func jumpsFollowTheirPage() throws {
    let near: UInt64 = 0x4_0000
    let far = near + UInt64(TranslationSets.fetchSlots) << 12
    for translating in [false, true] {
      // call r12; call r13; syscall
      let machine = try TestMachine([0x41, 0xFF, 0xD4, 0x41, 0xFF, 0xD5, 0x0F, 5])
      if translating && !machine.vcpu.enableTranslator() { return }
      let (memory, cpu) = (machine.memory, machine.cpu)
      // The far page: its own level-1 table at frame 5.
      memory.store(frame(5) | 7, at: 0x3000 + (far >> 21) * 8)
      memory.store(frame(0x50) | 7, at: 0x5000 + (far >> 12 & 511) * 8)
      memory.copyIn(adding(1), at: near)
      memory.copyIn(adding(10), at: frame(0x50))
      memory.copyIn(adding(100), at: frame(0x60))
      cpu.pointee.gpr.12 = near
      cpu.pointee.gpr.13 = far
      func round() -> UInt64 {
        cpu.pointee.gpr.0 = 0
        cpu.pointee.rip = TestMachine.code
        #expect(machine.vcpu.run(until: machine.vcpu.now + 1000) == .syscall)
        return cpu.pointee.gpr.0
      }
      for _ in 0..<10 { #expect(round() == 11) }
      memory.store(frame(0x60) | 7, at: 0x4000 + (near >> 12) * 8)
      machine.vcpu.pageTableEntryChanged(table: 4, index: Int(near >> 12))
      for _ in 0..<5 { #expect(round() == 110) }
      // The far page's table goes.
      memory.store(frame(6) | 7, at: 0x3000 + (far >> 21) * 8)
      memory.store(frame(0x40) | 7, at: 0x6000 + (far >> 12 & 511) * 8)
      machine.vcpu.pageTableLeft(5)
      for _ in 0..<5 { #expect(round() == 101) }
    }
  }

  /// Targets that share their first slot in the jump table, once each has found a place, are called without the run loop.
  @Test func callsThatShareASlotDoNotEvictEachOther() throws {
    let base: UInt64 = 0x4_0100
    let targets = stride(from: base + 0x4000, to: 0x20_0000, by: 1).filter {
      TranslationSets.JumpHash.first.slot($0) == TranslationSets.JumpHash.first.slot(base) && $0 & 4095 < 4080
    }
    try #require(targets.count > 40)
    // call [rbx]; add rbx, 8; dec ecx; jnz; syscall
    let machine = try TestMachine([0xFF, 0x13, 0x48, 0x83, 0xC3, 8, 0xFF, 0xC9, 0x75, 0xF6, 0x0F, 5], frames: 512)
    guard machine.vcpu.enableTranslator() else { return }
    let (memory, cpu) = (machine.memory, machine.cpu)
    for (index, target) in targets.enumerated() {
      memory.copyIn(adding(UInt8(index & 63)), at: target)
      memory.store(target, at: TestMachine.data + UInt64(index) * 8)
    }
    func round() -> UInt64 {
      cpu.pointee.gpr.0 = 0
      cpu.pointee.gpr.1 = UInt64(targets.count)
      cpu.pointee.gpr.3 = TestMachine.data
      cpu.pointee.rip = TestMachine.code
      let before = machine.vcpu.runCounters.lookups
      #expect(machine.vcpu.run(until: machine.vcpu.now + 10_000) == .syscall)
      #expect(cpu.pointee.gpr.0 == targets.indices.reduce(0) { $0 + UInt64($1 & 63) })
      return machine.vcpu.runCounters.lookups - before
    }
    for _ in 0..<20 { _ = round() }
    #expect((0..<5).map { _ in round() }.allSatisfy { $0 <= 1 })
  }

  /// Address spaces with the same upper half share what was looked up in it; a change is seen in both.
  @Test func theUpperHalfIsTakenAlong() throws {
    let upper: UInt64 = 0xFFFF_8000_0000_0000
    for translating in [false, true] {
      // add rax, [rbx]; call r12; syscall
      let machine = try TestMachine([0x48, 3, 3, 0x41, 0xFF, 0xD4, 0x0F, 5])
      if translating && !machine.vcpu.enableTranslator() { return }
      let (memory, cpu) = (machine.memory, machine.cpu)
      // Two top-level tables, at 1 and 8, with the level-3 table of the lower half for the upper one too.
      memory.store(UInt64(0x2000 | 7 | 0x20), at: 0x1000 + 256 * 8)
      memory.store(UInt64(0x2000 | 7 | 0x20), at: 0x8000)
      memory.store(UInt64(0x2000 | 7 | 0x20), at: 0x8000 + 256 * 8)
      memory.copyIn(adding(1), at: 0x4_0000)
      memory.copyIn(adding(2), at: 0x6_0000)
      memory.store(UInt64(1000), at: 0x5_0000)
      memory.store(UInt64(2000), at: 0x7_0000)
      cpu.pointee.gpr.3 = upper + 0x5_0000
      cpu.pointee.gpr.12 = upper + 0x4_0000
      func round(_ cr3: UInt64) -> UInt64 {
        machine.vcpu.setPageTableBase(cr3)
        cpu.pointee.gpr.0 = 0
        cpu.pointee.rip = upper + TestMachine.code
        #expect(machine.vcpu.run(until: machine.vcpu.now + 1000) == .syscall)
        return cpu.pointee.gpr.0
      }
      for _ in 0..<5 { #expect(round(0x1000) == 1001) }
      let walks = machine.vcpu.translationCounters.walks
      #expect(round(0x8000) == 1001)
      #expect(machine.vcpu.translationCounters.inherited == 1)
      // All but the stack, which is in the lower half.
      #expect(machine.vcpu.translationCounters.walks - walks <= 2)
      memory.store(frame(0x70) | 7, at: 0x4000 + 0x50 * 8)
      machine.vcpu.pageTableEntryChanged(table: 4, index: 0x50)
      memory.store(frame(0x60) | 7, at: 0x4000 + 0x40 * 8)
      machine.vcpu.pageTableEntryChanged(table: 4, index: 0x40)
      for cr3: UInt64 in [0x8000, 0x1000, 0x8000] { #expect(round(cr3) == 2002) }
      // A top-level table that is one no more, and is one again with another upper half.
      memory.store(UInt64(0), at: 0x8000 + 256 * 8)
      machine.vcpu.pageTableRootLeft(0x8000)
      #expect(round(0x1000) == 2002)
      machine.vcpu.setPageTableBase(0x8000)
      #expect(machine.vcpu.translate(upper + 0x5_0000, .read) == nil)
      #expect(machine.vcpu.translate(0x5_0000, .read) == 0x7_0000)
    }
  }

  /// A process ends and another begins: the second takes over the kernel half, and nothing else; not if a table of that half has been
  /// something else meanwhile.
  @Test func theUpperHalfOutlivesItsAddressSpace() throws {
    let upper: UInt64 = 0xFFFF_8000_0000_0000
    for intact in [true, false] {
      let machine = try TestMachine([0x90])
      let (memory, vcpu) = (machine.memory, machine.vcpu)
      // Top-level tables at 8, 9 and 10; the lower halves differ, the upper ones go by the level-3 table at 11.
      for (root, lower) in [(UInt64(8), UInt64(2)), (9, 12), (10, 12)] {
        memory.store(frame(lower) | 0x27, at: frame(root))
        memory.store(frame(11) | 0x27, at: frame(root) + 256 * 8)
      }
      memory.store(UInt64(0x3000 | 7), at: frame(11))
      memory.store(frame(13) | 7, at: frame(12))
      memory.store(frame(14) | 7, at: frame(13))
      memory.store(frame(0x70) | 7, at: frame(14) + 0x50 * 8)
      vcpu.setPageTableBase(frame(9))
      vcpu.setPageTableBase(frame(8))
      memory.store(frame(0x71) | 7, at: frame(14) + 0x60 * 8)
      #expect(vcpu.translateData(upper + 0x5_0000, .write, stack: false)?.address == 0x5_0000)
      #expect(vcpu.translateData(0x6_0000, .write, stack: false)?.address == 0x6_0000)
      vcpu.setPageTableBase(0x1000)
      vcpu.pageTableRootLeft(frame(8))
      if !intact {
        // The same frame, with another content.
        vcpu.pageDirectoryLeft(11)
        memory.store(frame(13) | 7, at: frame(11))
      }
      let walks = vcpu.translationCounters.walks
      vcpu.setPageTableBase(frame(10))
      #expect(vcpu.translate(upper + 0x5_0000, .write) == (intact ? 0x5_0000 : 0x7_0000))
      #expect((vcpu.translationCounters.walks == walks) == intact)
      #expect(vcpu.translate(0x6_0000, .write) == 0x7_1000)
      // Code there takes the right to write from what was kept too.
      guard intact else { continue }
      #expect(vcpu.writableNow(upper + 0x5_0000, 8) != nil)
      memory.copyIn([0x0F, 5], at: 0x5_0000)
      machine.cpu.pointee.rip = upper + 0x5_0000
      #expect(vcpu.run(until: vcpu.now + 10) == .syscall)
      #expect(vcpu.writableNow(upper + 0x5_0000, 8) == nil)
    }
  }

  /// Random changes of level-1 entries, tables and address spaces: the sets say what a walk says.
  @Test(arguments: [UInt64(1), 2, 3]) func setsAgreeWithWalks(seed: UInt64) throws {
    let machine = try TestMachine([0x90], frames: 512)
    let (memory, vcpu) = (machine.memory, machine.vcpu)
    var generator = SeededRandom(seed: seed)
    // Four address spaces at frames 16...19, level-2 tables at 24...27, level-1 tables at 32...39: two each.
    for space: UInt64 in 0..<4 {
      memory.store(frame(20 + space) | 0x27, at: frame(16 + space) + 2 * 8)
      memory.store(frame(24 + space) | 0x27, at: frame(20 + space))
      for half: UInt64 in 0..<2 { memory.store(frame(32 + space * 2 + half) | 0x27, at: frame(24 + space) + half * 32 * 8) }
    }
    var cr3 = frame(16)
    vcpu.setPageTableBase(cr3)
    for _ in 0..<4000 {
      let table = 32 + UInt64(generator.next() % 8)
      let index = generator.next() % 8
      switch generator.next() % 8 {
      case 0...2:
        let bits: [UInt64] = [0, 7, 5, 0x67]
        memory.store(frame(100 + generator.next() % 50) | bits[Int(generator.next() % 4)], at: frame(table) + index * 8)
        vcpu.pageTableEntryChanged(table: UInt32(table), index: Int(index))
      case 3:
        let space = generator.next() % 4
        let half = generator.next() % 2
        let place = frame(24 + space) + half * 32 * 8
        let old = (memory.load(place, as: UInt64.self) ?? 0) >> 12
        memory.store(frame(table) | 0x27, at: place)
        vcpu.pageTableLeft(UInt32(old))
      case 4...5:
        cr3 = frame(16 + generator.next() % 4)
        vcpu.setPageTableBase(cr3)
      case 6: if generator.next() % 16 == 0 { vcpu.flushTranslations() }
      default: vcpu.pageTableRootLeft(frame(16 + generator.next() % 4))
      }
      for _ in 0..<4 {
        let linear = 1 << 40 | (generator.next() % 2) << 26 | (generator.next() % 8) << 12
        for access in [Access.read, .write] {
          let walked = vcpu.walk(linear, access, user: true)
          let held = vcpu.translate(linear, access == .read ? .read : .write)
          #expect(held == (walked.errorCode == nil ? walked.address : nil))
          _ = vcpu.translateData(linear, access, stack: false)
        }
      }
    }
  }

  /// The bytes of an instruction that crosses pages may change in either page, and either page may be mapped elsewhere.
  @Test func crossingInstructionsAreLookedAtAgain() throws {
    for translating in [false, true] {
      let machine = try TestMachine([0x90])
      if translating && !machine.vcpu.enableTranslator() { return }
      let (memory, cpu) = (machine.memory, machine.cpu)
      let start: UInt64 = 0x4_0FFD
      // mov eax, imm32 with two bytes of the immediate in the next page; syscall
      memory.copyIn([0xB8, 1, 0, 2, 0, 0x0F, 5], at: start)
      memory.copyIn([3, 0, 0x0F, 5], at: 0x6_0000)
      func round() -> UInt64 {
        cpu.pointee.rip = start
        #expect(machine.vcpu.run(until: machine.vcpu.now + 100) == .syscall)
        return cpu.pointee.gpr.0
      }
      for _ in 0..<5 { #expect(round() == 0x20001) }
      memory.copyIn([9], at: start + 1)
      #expect(round() == 0x20009)
      memory.copyIn([4], at: 0x4_1000)
      for _ in 0..<3 { #expect(round() == 0x40009) }
      memory.store(frame(0x60) | 7, at: 0x4000 + 0x41 * 8)
      machine.vcpu.pageTableEntryChanged(table: 4, index: 0x41)
      for _ in 0..<3 { #expect(round() == 0x30009) }
    }
  }
}
