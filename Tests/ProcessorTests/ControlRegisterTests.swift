import CHost
import Testing

@testable import Processor

/// What MOV to CR3 and CR4 refuses on a processor whose page tables are the guest's, and what the platform is told of.
@Suite struct ControlRegisterTests {
  @Test func reservedBitsOfControlThree() throws {
    let m = try ModeMachine(.long)
    m.vcpu.ownPageTables(physicalBits: 40)
    m.startLong()
    for bit in UInt64(0)..<64 { #expect(m.vcpu.setControlThree(0x8000 | 1 << bit) == (bit < 40), "bit \(bit)") }
    #expect(m.vcpu.setControlThree(0x8000))
    #expect(m.cpu.pointee.cr3 == 0x8000)
  }

  @Test func pointersAreLoadedWithControlFour() throws {
    let m = try ModeMachine(.long)
    m.vcpu.ownPageTables(physicalBits: 40)
    m.startProtected()
    m.cpu.pointee.cr3 = 0x8000
    // Writable is reserved in a page-directory pointer.
    m.memory.store(UInt64(0x9003), at: 0x8000)
    m.cpu.pointee.cr0 = 0x8000_0011
    m.vcpu.pagingControlsChanged()
    let pae: UInt64 = 0x20
    #expect(!m.vcpu.setControlFour(pae))
    #expect(m.cpu.pointee.cr4 == 0)
    #expect(m.vcpu.setControlFour(0x10))
    m.memory.store(UInt64(0x9001), at: 0x8000)
    #expect(m.vcpu.setControlFour(pae))
    m.memory.store(UInt64(0x9003), at: 0x8000)
    for bit: UInt64 in [0x10, 0x80, 1 << 20] { #expect(!m.vcpu.setControlFour(pae | bit)) }
    // These load nothing: OSFXSR, and leaving PAE paging.
    #expect(m.vcpu.setControlFour(pae | 0x200))
    #expect(m.vcpu.setControlFour(0))
  }

  @Test func movesOfTheTimeStampCounterAreTold() throws {
    let m = try ModeMachine(.realMode)
    final class Told {
      var offsets: [UInt64] = []
    }
    let told = Told()
    let vcpu = m.vcpu
    vcpu.system.timeStampMoved = { [unowned vcpu] in told.offsets.append(vcpu.timeStampOffset) }
    #expect(vcpu.setOwnRegister(0x10, vcpu.now &+ 5000) == true)
    #expect(vcpu.setOwnRegister(0x3B, 100) == true)
    #expect(told.offsets == [5000, 100])
  }

  /// What CPUID does not offer cannot be switched on, and INVPCID is not there.
  @Test func onlyWhatIsOffered() throws {
    for isOffered in [true, false] {
      let m = try ModeMachine(.long)
      m.startLong()
      if !isOffered {
        m.vcpu.offeredControlFour = VCPU.controlFour & ~(1 << 11 | 1 << 16)
        m.vcpu.offeredExtendedControl = 3
      }
      for bit: UInt64 in [11, 16] { #expect(m.vcpu.setControlFour(0x20 | 1 << bit) == isOffered) }
      #expect(m.vcpu.setControlFour(0x20 | 1 << 18))
      // xor ecx, ecx; xor edx, edx; mov eax, 7; xsetbv; hlt
      m.memory.copyIn([0x31, 0xC9, 0x31, 0xD2, 0xB8, 7, 0, 0, 0, 0x0F, 0x01, 0xD1, 0xF4], at: ModeProgram.start)
      m.setLongGate(13, 0x7000)
      m.memory.store(UInt8(0xF4), at: 0x7000)
      m.cpu.pointee.gpr.4 = 0x6000
      #expect(m.run() == .halt)
      #expect(m.cpu.pointee.rip == (isOffered ? ModeProgram.start + 13 : 0x7001))
      #expect(m.cpu.pointee.xcr0 == (isOffered ? 7 : 1))
    }
    // invpcid rax, [rbx]
    let m = try ModeMachine(.long)
    m.startLong()
    m.memory.copyIn([0x66, 0x0F, 0x38, 0x82, 0x03], at: ModeProgram.start)
    m.setLongGate(6, 0x7000)
    m.memory.store(UInt8(0xF4), at: 0x7000)
    m.cpu.pointee.gpr.4 = 0x6000
    #expect(m.run() == .halt)
    #expect(m.cpu.pointee.rip == 0x7001)
  }
}
