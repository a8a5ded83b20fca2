import CHost
import Testing

@testable import Processor

/// SMAP: a supervisor reaches users' pages between STAC and CLAC only.
@Suite struct AccessPreventionTests {
  private static let user: UInt64 = 0x20_0600

  /// 64-bit code at level 0 with a supervisor's page of 2 MiB at 0 and the same memory as a user's at 2 MiB; #PF and #UD halt.
  private func machine(_ code: [UInt8], translator: Bool = false, offered: Bool = true) throws -> ModeMachine {
    let m = try ModeMachine(.long, translator: translator)
    m.vcpu.ownPageTables(physicalBits: 40)
    m.vcpu.hasAccessPrevention = offered
    m.memory.copyIn(code + [0xF4], at: ModeProgram.start)
    m.startLong()
    m.memory.store(UInt64(0x83), at: 0xA000)
    m.memory.store(UInt64(0x87), at: 0xA008)
    m.vcpu.flushTranslations()
    m.memory.store(UInt32(0x1234), at: 0x600)
    for vector in [6, 13, 14, 17] { m.setLongGate(vector, 0x7000 + UInt64(vector)) }
    m.memory.copyIn([UInt8](repeating: 0xF4, count: 32), at: 0x7000)
    m.cpu.pointee.gpr.4 = 0x6000
    m.cpu.pointee.gpr.3 = Self.user
    return m
  }

  /// mov rax, cr4; bts eax, 21; mov cr4, rax
  private static let turnedOn: [UInt8] = [0x0F, 0x20, 0xE0, 0x0F, 0xBA, 0xE8, 0x15, 0x0F, 0x22, 0xE0]

  @Test(arguments: [false, true]) func accessIsGrantedAndWithdrawn(translator: Bool) throws {
    // A loop of 500 turns (stac; add ecx, [rbx]; inc dword [rbx]; clac), then add ecx, [rbx] without.
    let loop: [UInt8] = [0x0F, 0x01, 0xCB, 0x03, 0x0B, 0xFF, 0x03, 0x0F, 0x01, 0xCA, 0xFF, 0xCE, 0x75, 0xF2, 0x03, 0x0B]
    let m = try machine(Self.turnedOn + [0xBE, 0xF4, 1, 0, 0] + loop, translator: translator)
    #expect(m.run() == .halt)
    #expect(m.cpu.pointee.rip == 0x700F)
    #expect(m.cpu.pointee.gpr.6 == 0)
    #expect(m.cpu.pointee.gpr.1 == 500 * 0x1234 + 499 * 250)
    #expect(m.cpu.pointee.cr2 == Self.user)
    // A protection fault of a supervisor's read.
    #expect(m.load(0x6000 - 48, UInt64.self) == 1)
    #expect(m.cpu.pointee.rflags & Flag.ac == 0)
  }

  @Test(arguments: [false, true]) func otherWaysToAC(translator: Bool) throws {
    // push 40002h; popfq; mov ecx, [rbx]; push 2; popfq; mov edx, [rbx]
    let code: [UInt8] = [0x68, 2, 0, 4, 0, 0x9D, 0x8B, 0x0B, 0x6A, 2, 0x9D, 0x8B, 0x13]
    let m = try machine(Self.turnedOn + code, translator: translator)
    #expect(m.run() == .halt)
    #expect(m.cpu.pointee.rip == 0x700F)
    #expect(m.cpu.pointee.gpr.1 == 0x1234)
    #expect(m.cpu.pointee.cr2 == Self.user)
    // IRETQ to the same level: push 10h; push 6000h; push 40002h; push 18h; lea rax, [rip+2]; push rax; iretq … mov ecx, [rbx]; hlt
    let back: [UInt8] = [
      0x6A, 0x10, 0x68, 0, 0x60, 0, 0, 0x68, 2, 0, 4, 0, 0x6A, 0x18, 0x48, 0x8D, 5, 3, 0, 0, 0, 0x50, 0x48, 0xCF, 0x8B, 0x0B,
    ]
    let n = try machine(Self.turnedOn + back, translator: translator)
    #expect(n.run() == .halt)
    #expect(n.cpu.pointee.gpr.1 == 0x1234)
    #expect(n.cpu.pointee.rip < 0x8000)
    #expect(n.cpu.pointee.rip > ModeProgram.start)
  }

  @Test(arguments: [false, true]) func tablesAreNotExcused(translator: Bool) throws {
    for prevents in [true, false] {
      // stac; mov ecx, [rbx]; mov eax, 14h; mov ds, eax, whose descriptor is in the users' page.
      let load: [UInt8] = [0x0F, 0x01, 0xCB, 0x8B, 0x0B, 0xB8, 0x14, 0, 0, 0, 0x8E, 0xD8]
      var m = try machine((prevents ? Self.turnedOn : []) + load, translator: translator)
      m.cpu.pointee.ldt = pv_segment(base: 0x20_0800, limit: 0xFF, selector: 0x48, attributes: 0x82)
      #expect(m.run() == .halt)
      #expect(m.cpu.pointee.gpr.1 == 0x1234)
      #expect(m.cpu.pointee.seg.3.selector == (prevents ? 0x10 : 0x14))
      if prevents {
        #expect(m.cpu.pointee.rip == 0x700F)
        #expect(m.cpu.pointee.cr2 == 0x20_0810)
        #expect(m.load(0x6000 - 48, UInt64.self) == 1)
        #expect(m.load(0x6000 - 24, UInt64.self) & Flag.ac != 0)
      }
      // stac; mov ecx, [rbx]; mov ecx, [rbx+0A00h]; ud2, with the interrupt table there: known to the TLB, and not excused.
      m = try machine(
        (prevents ? Self.turnedOn : []) + [0x0F, 0x01, 0xCB, 0x8B, 0x0B, 0x8B, 0x8B, 0, 0x0A, 0, 0, 0x0F, 0x0B], translator: translator)
      m.cpu.pointee.idt.base = 0x20_1000
      #expect(m.run() == (prevents ? .tripleFault : .halt))
      #expect(prevents || m.cpu.pointee.rip == 0x7007)
    }
  }

  @Test(arguments: [false, true]) func alignmentIsChecked(translator: Bool) throws {
    // mov esi, 500; (mov ecx, [rbx]; mov edx, [rbx+1]; dec esi; jnz); push 40002h; popfq; mov ecx, [rbx+4]; inc esi; mov edx, [rbx+1];
    // inc esi
    let code: [UInt8] = [
      0xBE, 0xF4, 1, 0, 0, 0x8B, 0x0B, 0x8B, 0x53, 1, 0xFF, 0xCE, 0x75, 0xF7, 0x68, 2, 0, 4, 0, 0x9D, 0x8B, 0x4B, 4, 0xFF, 0xC6, 0x8B,
      0x53, 1, 0xFF, 0xC6,
    ]
    for (mask, level, raises) in [(UInt64(1) << 18, UInt32(3), true), (0, 3, false), (1 << 18, 0, false)] {
      let m = try machine(code, translator: translator)
      m.memory.store(UInt64(0x87), at: 0xA000)
      m.vcpu.flushTranslations()
      m.memory.store(UInt64(0x5000), at: ModeMachine.task + 4)
      m.cpu.pointee.tr = pv_segment(base: ModeMachine.task, limit: 0x67, selector: 0x48, attributes: 0x8B)
      m.cpu.pointee.cr0 |= mask
      if level == 3 {
        m.vcpu.setPrivilege(3)
        m.vcpu.setSegment(1, selector: 0x33, descriptor: 0x00AF_FA00_0000_FFFF)
        m.vcpu.setSegment(2, selector: 0x3B, descriptor: ModeMachine.descriptors[7])
      }
      m.cpu.pointee.rip = ModeProgram.start
      #expect(m.run() == .halt)
      #expect(m.cpu.pointee.gpr.6 == (raises ? 1 : 2))
      guard level == 3 else { continue }
      // #AC(0) at the access, or #GP of HLT.
      #expect(m.cpu.pointee.rip == (raises ? 0x7012 : 0x700E))
      #expect(m.load(0x5000 - 48, UInt64.self) == 0)
      #expect(m.load(0x5000 - 40, UInt64.self) == ModeProgram.start + (raises ? 25 : 30))
    }
  }

  @Test func alignmentOfEachSize() throws {
    let m = try machine([])
    m.cpu.pointee.cr0 |= 1 << 18
    m.cpu.pointee.cpl = 3
    for (count, alignment) in [(1, 1), (2, 2), (4, 4), (8, 8), (16, 8), (10, 8), (28, 4), (94, 2)] as [(Int, UInt64)] {
      for offset in UInt64(0)..<16 {
        m.cpu.pointee.rflags |= Flag.ac
        #expect(m.cpu.isMisaligned(0x1000 + offset, count) == (offset % alignment != 0))
        m.cpu.pointee.rflags &= ~Flag.ac
        #expect(!m.cpu.isMisaligned(0x1000 + offset, count))
      }
    }
  }

  @Test func withoutItNothingChanges() throws {
    // Not on: users' pages are a supervisor's too. STAC works all the same.
    var m = try machine([0x0F, 0x01, 0xCB, 0x0F, 0x01, 0xCA, 0x8B, 0x0B])
    #expect(m.run() == .halt)
    #expect(m.cpu.pointee.gpr.1 == 0x1234)
    // Not there: #UD, and #GP for the bit of CR4.
    m = try machine([0x0F, 0x01, 0xCB], offered: false)
    #expect(m.run() == .halt)
    #expect(m.cpu.pointee.rip == 0x7007)
    m = try machine(Self.turnedOn, offered: false)
    #expect(m.run() == .halt)
    #expect(m.cpu.pointee.rip == 0x700E)
  }
}
