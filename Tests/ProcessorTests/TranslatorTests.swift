import CHost
import Testing

@testable import Processor

/// The translator does what the interpreter does: same state, same clock, wherever a run is cut.
@Suite struct TranslatorTests {
  /// Runs a program on both engines in slices of `slice` cycles until SYSCALL, and compares the state at every stop.
  func compare(_ program: [UInt8], slice: UInt64 = 1_000_000, rounds: Int = 6, translates: Bool = true) throws {
    let a = try TestMachine(program)
    let b = try TestMachine(program)
    guard b.vcpu.enableTranslator() else { return }
    for round in 0..<rounds {
      var deadline = a.vcpu.now
      while true {
        deadline += slice
        let x = a.vcpu.run(until: deadline)
        let y = b.vcpu.run(until: deadline)
        #expect(x == y)
        #expect(a.vcpu.now == b.vcpu.now)
        #expect(a.cpu.pointee.rip == b.cpu.pointee.rip)
        #expect(a.cpu.rflags == b.cpu.rflags)
        withUnsafeBytes(of: a.cpu.pointee.gpr) { left in
          withUnsafeBytes(of: b.cpu.pointee.gpr) { right in #expect(left.elementsEqual(right), "round \(round)") }
        }
        if x != .deadline || y != .deadline { break }
      }
      for machine in [a, b] { machine.cpu.pointee.rip = TestMachine.code }
    }
    #expect(!translates || (b.vcpu.translator?.translations ?? 0) > 0)
  }

  @Test func aLoopSums() throws { try compare(RunLoopTests.sum) }
  @Test func aLoopIsCutAnywhere() throws { try compare(RunLoopTests.sum, slice: 13) }

  @Test func memoryCallsAndFlags() throws {
    // mov ecx,50; 1: push rcx; call f; pop rcx; add [rip+data],rax; inc r13; adc rbx,r13; dec ecx; jnz 1b; syscall
    // f: lea rax,[rcx+rcx*4+7]; shl rax,3; imul r14,rax,13; sub r14,r13; setl dl; cmovg rsi,r14; movzx edi,dl; ret
    let f: [UInt8] = [
      0x48, 0x8D, 0x44, 0x89, 7, 0x48, 0xC1, 0xE0, 3, 0x4C, 0x6B, 0xF0, 13, 0x4D, 0x29, 0xEE, 0x0F, 0x9C, 0xC2, 0x49, 0x0F, 0x4F, 0xF6,
      0x0F,
      0xB6, 0xFA, 0xC3,
    ]
    var main: [UInt8] = [0xB9, 50, 0, 0, 0]
    main += [0x51, 0xE8, 0, 0, 0, 0, 0x59, 0x48, 1, 5, 0xF0, 0xFF, 0, 0, 0x49, 0xFF, 0xC5, 0x4C, 0x11, 0xEB, 0xFF, 0xC9]
    let back = Int8(-(main.count + 2 - 5))
    main += [0x75, UInt8(bitPattern: back), 0x0F, 5]
    let distance = main.count - (5 + 1 + 5)
    main[7] = UInt8(distance)
    // imul's operand: r14 <- rax * 13 needs ModRM with reg r14, rm rax.
    var g = f
    g[10] = 0x6B
    g[11] = 0xF0
    try compare(main + g)
    try compare(main + g, slice: 7)
  }

  @Test func aFaultLeavesTheSameState() throws {
    // mov ecx,5; xor eax,eax; 1: sub rax,3; mov [rax+0x20000],rcx; loop back by dec/jnz; then mov [0x40000000],eax
    let program: [UInt8] = [
      0xB9, 5, 0, 0, 0, 0x31, 0xC0, 0x48, 0x83, 0xE8, 3, 0x48, 0x89, 0x88, 0, 0, 2, 0, 0xFF, 0xC9, 0x75, 0xF1, 0x48, 0x39, 0xC8, 0x89, 4,
      0x25, 0, 0, 0, 0x40, 0x0F, 5,
    ]
    try compare(program)
  }

  @Test func codeThatChangesItself() throws {
    // mov byte [rip+1],0x7f; mov al,1; inc byte [rip-3 -> the immediate]…; syscall
    try compare([0xC6, 5, 1, 0, 0, 0, 0x7F, 0xB0, 1, 0x0F, 5], translates: false)
  }
}
