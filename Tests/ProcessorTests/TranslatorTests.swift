import CHost
import Foundation
import Random
import Testing
import X86

@testable import Processor

/// The translator does what the interpreter does: same state, same clock, wherever a run is cut.
@Suite struct TranslatorTests {
  /// Runs a program on both engines in slices of `slice` cycles until SYSCALL, and compares the state at every stop.
  func compare(_ program: [UInt8], slice: UInt64 = 1_000_000, rounds: Int = 6, translates: Bool = true, prepare: (CPU) -> Void = { _ in })
    throws
  {
    let a = try TestMachine(program)
    let b = try TestMachine(program)
    for machine in [a, b] { prepare(machine.cpu) }
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
    #expect(memcmp(a.memory.base, b.memory.base, Int(a.memory.byteCount)) == 0)
    #expect(!translates || (b.vcpu.translator?.translations ?? 0) > 0)
  }

  @Test func aLoopSums() throws { try compare(RunLoopTests.sum) }
  @Test func aLoopIsCutAnywhere() throws { try compare(RunLoopTests.sum, slice: 13) }

  /// RDTSCP and RDTSC, 20 times, summed with what else they leave.
  @Test(arguments: [1_000_000, 13]) func clocksAreRead(slice: UInt64) throws {
    let program: [UInt8] = [
      0xBE, 20, 0, 0, 0,  // mov esi, 20
      0x0F, 0x01, 0xF9, 0x48, 0x01, 0xC3, 0x48, 0x01, 0xCB, 0x48, 0x01, 0xD3,  // rdtscp; add rbx, rax; add rbx, rcx; add rbx, rdx
      0x0F, 0x31, 0x48, 0x01, 0xC3,  // rdtsc; add rbx, rax
      0xFF, 0xCE, 0x75, 0xEB, 0x0F, 0x05,  // dec esi; jnz; syscall
    ]
    try compare(program, slice: slice) {
      $0.pointee.tsc_aux = 0x1_0000_0007
      $0.pointee.tsc_offset = 0x12_3456_789A
      $0.pointee.gpr.1 = ~0
    }
  }

  /// Runs of PUSH and POP, RET behind them, with the stack at every place of a page, so that a run lies in two pages too.
  @Test(arguments: [1_000_000, 11]) func stackRuns(slice: UInt64) throws {
    // mov esp, 0x2f000; mov ecx, 600; 1: push rcx; call f; pop rcx; sub esp, 8; dec ecx; jnz 1b; syscall
    let main: [UInt8] = [
      0xBC, 0, 0xF0, 2, 0, 0xB9, 0x58, 2, 0, 0, 0x51, 0xE8, 10, 0, 0, 0, 0x59, 0x83, 0xEC, 8, 0xFF, 0xC9, 0x75, 0xF2, 0x0F, 5,
    ]
    // f: push rbp; push r12; push rbx; push 0x77; push r15; add rbx, rcx; add r12, rbx; add r15, r12; pop r14; pop rdx; pop rbx;
    // pop r13; pop rbp; ret
    let f: [UInt8] = [
      0x55, 0x41, 0x54, 0x53, 0x6A, 0x77, 0x41, 0x57, 0x48, 0x01, 0xCB, 0x49, 0x01, 0xDC, 0x4D, 0x01, 0xE7, 0x41, 0x5E, 0x5A, 0x5B,
      0x41, 0x5D, 0x5D, 0xC3,
    ]
    try compare(main + f, slice: slice)
  }

  /// A page fault in the middle of a run leaves done what is before it: below the lowest user page, and above the highest.
  @Test func stackRunsFault() throws {
    // mov esp, 0x8010; push rax; push rcx; push rdx; syscall
    try compare([0xBC, 0x10, 0x80, 0, 0, 0x50, 0x51, 0x52, 0x0F, 5])
    // mov esp, 0xffff0; pop rax; pop r12; pop rdx; syscall
    try compare([0xBC, 0xF0, 0xFF, 0xF, 0, 0x58, 0x41, 0x5C, 0x5A, 0x0F, 5])
    // mov esp, 0xffff0; pop rax; pop rdx; ret
    try compare([0xBC, 0xF0, 0xFF, 0xF, 0, 0x58, 0x5A, 0xC3])
  }

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

  /// x87 instructions run as themselves, and their state is home at every stop: with a full stack, another rounding and precision, a
  /// control word that unmasks in between, and FNSAVE and FRSTOR.
  @Test func x87RunsAsItself() throws {
    // mov ecx, 40; lea rbx, [rip + data]; 1: fld1; fldpi; fdivp; fld st(0); fmul st, st(2); fsqrt; mov word [rbx], 0x?7f; fldcw [rbx]
    // fistp dword [rbx+8]; fild dword [rbx+8]; fcomip st, st(1); adc rax, rcx; fstp tbyte [rbx+16]; dec ecx; jnz 1b; syscall
    func program(_ control: UInt16, _ extra: [UInt8]) -> [UInt8] {
      let head: [UInt8] = [0xB9, 40, 0, 0, 0, 0x48, 0x8D, 0x1D, 0xF4, 0xFF, 0, 0]
      var body: [UInt8] = [0xD9, 0xE8, 0xD9, 0xEB, 0xDE, 0xF9, 0xD9, 0xC0, 0xD8, 0xCA, 0xD9, 0xFA]
      body += [0x66, 0xC7, 0x03, UInt8(control & 0xFF), UInt8(control >> 8), 0xD9, 0x2B, 0xDB, 0x5B, 8, 0xDB, 0x43, 8, 0xDF, 0xF1]
      body += [0x48, 0x11, 0xC8, 0xDB, 0x7B, 16] + extra + [0xFF, 0xC9]
      return head + body + [0x75, UInt8(bitPattern: Int8(-(body.count + 2))), 0x0F, 5]
    }
    // fnsave [rbx+64]; frstor [rbx+64]
    let saves: [UInt8] = [0xDD, 0x73, 64, 0xDD, 0x63, 64]
    let programs = [
      program(0x37F, []), program(0x0C7F, [0xD9, 0xC0]), program(0x027F, saves), program(0x035E, []), program(0x077F, [0xD9, 0x3B]),
    ]
    for (number, program) in programs.enumerated() {
      for slice in [1_000_000, 17] as [UInt64] {
        let a = try TestMachine(program)
        let b = try TestMachine(program)
        guard b.vcpu.enableTranslator(report: true, alwaysMindingNaNs: number & 1 != 0) else { return }
        for _ in 0..<4 {
          while true {
            let deadline = a.vcpu.now + slice
            let x = a.vcpu.run(until: deadline)
            #expect(x == b.vcpu.run(until: deadline))
            #expect(StateCapture(a.vcpu).differences(from: StateCapture(b.vcpu)).isEmpty)
            #expect(b.cpu.pointee.x87_live == 0)
            if x != .deadline { break }
          }
          for machine in [a, b] { machine.cpu.pointee.rip = TestMachine.code }
        }
        let left = b.vcpu.translatorReport(20).filter { $0.name.hasPrefix("f") && !$0.name.hasSuffix("(slow)") }.map(\.name)
        if HostKnownResults.present.contains(.x87) { #expect(left.allSatisfy { $0 == "fnsave" || $0 == "frstor" }, "\(left)") }
      }
    }
  }

  /// What comes of NaNs is the same in the second version of blocks: every arithmetic instruction with every kind of operand.
  @Test func x87MindsNaNs() throws {
    let values: [(UInt16, UInt64)] = [
      (0x3FFF, 1 << 63), (0xBFFF, 3 << 62), (0, 0), (0x7FFF, 1 << 63), (0x7FFF, 3 << 62), (0xFFFF, 3 << 62), (0x7FFF, 7 << 61),
      (0x7FFF, 5 << 61), (0x7FFF, 1), (0, 1 << 40), (0x4000, 1 << 20), (0x8000, 0),
    ]
    // D8, DC and DE with ST(0) to ST(2), FSQRT, FRNDINT, FISTP and FISTTP, FCOM, FCOMI, FDIV and FMUL of a double and FIADD.
    var bodies: [[UInt8]] = [[0xD9, 0xFA], [0xD9, 0xFC], [0xDF, 0x7B, 8], [0xDB, 0x4B, 8], [0xD8, 0xD2], [0xDB, 0xF1], [0xDF, 0xF1]]
    bodies += [[0xDC, 0x73, 32], [0xDC, 0x4B, 40], [0xDA, 0x43, 48], [0xDE, 0xD9]]
    for opcode in [0xD8, 0xDC, 0xDE] as [UInt8] {
      for row in [0, 1, 4, 5, 6, 7] as [UInt8] { for i in 0..<3 as Range<UInt8> { bodies.append([opcode, 0xC0 | row << 3 | i]) } }
    }
    // Three times, to be translated: fninit; fld tbyte [rbx+16]; fld1; fld tbyte [rbx]; body; fnstcw [rbx+56]; syscall
    let machines = try bodies.map { body in
      let program: [UInt8] = [0xDB, 0xE3, 0xDB, 0x6B, 16, 0xD9, 0xE8, 0xDB, 0x2B] + body + [0xD9, 0x7B, 56, 0x0F, 5]
      return (try TestMachine(program, frames: 64), try TestMachine(program, frames: 64))
    }
    for (a, b) in machines {
      guard b.vcpu.enableTranslator(alwaysMindingNaNs: true) else { return }
      for x in values {
        for y in values {
          for machine in [a, b] {
            let words = [x.1, UInt64(x.0), y.1, UInt64(y.0), UInt64(0x7FF8) << 48, 0x3FF0 << 48, 5]
            for (n, word) in words.enumerated() { machine.memory.store(word, at: TestMachine.data + UInt64(n) * 8) }
            machine.cpu.pointee.gpr.3 = TestMachine.data
            machine.cpu.pointee.rip = TestMachine.code
            #expect(machine.vcpu.run(until: machine.vcpu.now + 100) == .syscall)
          }
          if !a.vcpu.agrees(with: b.vcpu) {
            Issue.record("\(x), \(y): \(StateCapture(a.vcpu).differences(from: StateCapture(b.vcpu)))")
          }
        }
      }
      #expect((b.vcpu.translator?.translations ?? 0) > 0 || !HostKnownResults.present.contains(.x87))
    }
  }

  /// Versions of blocks for what the unit is known to hold leave what the interpreter leaves, and what a block says is known holds in the
  /// next: random instructions after the indefinite NaN, other NaNs, numbers, denormals and empty registers were loaded.
  @Test func x87KnowsWhatItHolds() throws {
    let values: [(UInt16, UInt64)] = [(0xFFFF, 3 << 62), (0x3FFF, 1 << 63), (0x7FFF, 3 << 62), (0, 0), (0x7FFF, 1 << 63), (0, 1 << 40)]
    var random = SeededRandom(seed: 87)
    func one(_ choices: [[UInt8]]) -> [UInt8] { choices[Int(random.next() % UInt64(choices.count))] }
    func any() -> [UInt8] {
      let i = UInt8(random.next() % 4)
      switch random.next() % 10 {
      // Arithmetic with registers, FIADD and FIDIVR, FDIV and FMUL of a double.
      case 0...2: return [one([[0xD8], [0xDC], [0xDE]])[0], 0xC0 | one([[0], [1], [4], [5], [6], [7]])[0] << 3 | i]
      case 3: return one([[0xDA, 0x43, 48], [0xDE, 0x7B, 48], [0xDC, 0x73, 32], [0xDC, 0x4B, 40]])
      // FLD, FXCH, FST, FSTP, FFREE.
      case 4: return one([[0xD9, 0xC0 | i], [0xD9, 0xC8 | i], [0xDD, 0xD0 | i], [0xDD, 0xD8 | i], [0xDD, 0xC0 | i]])
      // FISTP, FIST, FISTTP, FILD, FLD and FSTP of a long double.
      case 5: return one([[0xDB, 0x5B, 8], [0xDF, 0x53, 8], [0xDD, 0x4B, 8], [0xDF, 0x6B, 48], [0xDB, 0x2B], [0xDB, 0x7B, 16]])
      // FSQRT, FRNDINT, FCHS, FABS, FTST, FXAM, FLD1, FLDZ, FINCSTP, FDECSTP, FSCALE.
      case 6: return [0xD9, one([[0xFA], [0xFC], [0xE0], [0xE1], [0xE4], [0xE5], [0xE8], [0xEE], [0xF7], [0xF6], [0xFD]])[0]]
      // FCOM, FCOMP, FCOMPP, FUCOMP, FUCOMPP, FCOMI, FCOMIP, FUCOMI.
      case 7:
        return one([
          [0xD8, 0xD0 | i], [0xD8, 0xD8 | i], [0xDE, 0xD9], [0xDD, 0xE8 | i], [0xDA, 0xE9], [0xDB, 0xF0 | i], [0xDF, 0xF0 | i],
        ])
      // FCMOVB, FCMOVNU, FNSTSW, FNCLEX, FNINIT.
      case 8: return one([[0xDA, 0xC0 | i], [0xDB, 0xD8 | i], [0xDF, 0xE0], [0xDB, 0xE2], [0xDB, 0xE3]])
      default: return [0xD9, 0xC8 | i]
      }
    }
    var versions: UInt64 = 0
    for _ in 0..<40 {
      // fninit; fld tbyte [rbx+16] or fld1; fld tbyte [rbx]; syscall; then blocks of three; fnstsw [rbx+56]; syscall
      var program: [UInt8] = [0xDB, 0xE3] + one([[0xDB, 0x6B, 16], [0xD9, 0xE8]]) + [0xDB, 0x2B, 0x0F, 5]
      let second = UInt64(program.count)
      for _ in 0..<3 { program += any() + any() + any() + [0xEB, 0] }
      program += [0xDD, 0x7B, 56, 0x0F, 5]
      let (a, b) = (try TestMachine(program, frames: 64), try TestMachine(program, frames: 64))
      guard b.vcpu.enableTranslator(alwaysMindingNaNs: true) else { return }
      for x in values {
        for y in values {
          for round in 0..<5 {
            for machine in [a, b] {
              let words = [x.1, UInt64(x.0), y.1, UInt64(y.0), UInt64(0x7FF8) << 48, 0x3FF0 << 48, 5]
              for (n, word) in words.enumerated() { machine.memory.store(word, at: TestMachine.data + UInt64(n) * 8) }
              machine.cpu.pointee.gpr.3 = TestMachine.data
              for start in [0, second] {
                machine.cpu.pointee.rip = TestMachine.code + start
                #expect(machine.vcpu.run(until: machine.vcpu.now + 100) == .syscall)
              }
            }
            if !a.vcpu.agrees(with: b.vcpu) {
              Issue.record("\(program), \(x), \(y), \(round): \(StateCapture(a.vcpu).differences(from: StateCapture(b.vcpu)))")
            }
          }
        }
      }
      versions += b.vcpu.translator?.knownVersionsMade ?? 0
    }
    #expect(versions > 100 || !HostKnownResults.present.contains(.x87))
  }

  /// A jump that left to be linked must not be linked to whatever a run begins with after an interrupt moved RIP.
  @Test func interruptsBetweenRunsLinkNothingWrong() throws {
    let handler = TestMachine.code + 0x800
    var registers: [[UInt8]] = []
    for translating in [false, true] {
      let machine = try TestMachine(RunLoopTests.sum)
      // inc r15; jmp over a nop; syscall
      machine.memory.copyIn([0x49, 0xFF, 0xC7, 0xEB, 1, 0x90, 0x0F, 5], at: handler)
      if translating && !machine.vcpu.enableTranslator() { return }
      let cpu = machine.cpu
      for _ in 0..<20 {
        cpu.pointee.rip = TestMachine.code
        while machine.vcpu.run(until: machine.vcpu.now + 5) == .deadline {
          let (rip, flags) = (cpu.pointee.rip, cpu.rflags)
          cpu.pointee.rip = handler
          while machine.vcpu.run(until: machine.vcpu.now + 100) != .syscall {}
          cpu.pointee.rip = rip
          cpu.rflags = flags
        }
      }
      registers.append(withUnsafeBytes(of: cpu.pointee.gpr) { Array($0) })
      #expect(cpu.pointee.gpr.0 == 500_500)
    }
    #expect(registers[0] == registers[1])
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

  /// Programs of random instructions, run over and over from the same state until they are translated: registers, vectors, memory,
  /// clock and faults must be the interpreter's each time.
  @Test func randomSequencesAgree() throws {
    let count = Int(ProcessInfo.processInfo.environment["PARAVANE_SEQUENCES"] ?? "") ?? 400
    let first = UInt64(ProcessInfo.processInfo.environment["PARAVANE_SEQUENCE_SEED"] ?? "") ?? 1
    let left = [
      "in", "out", "hlt", "rdtsc", "rdtscp", "rdrand", "rdseed", "cpuid", "syscall", "sysenter", "int", "int1", "xgetbv", "rdpmc",
    ]
    let forms = InstructionTable.shared.forms.filter { form in
      form.id != 0 && form.isValid(in: .long64) && !form.isPrivileged && !left.contains(form.mnemonic.name)
        && (Native.table[Int(form.mnemonic.rawValue)] != nil || VectorNative.table[Int(form.mnemonic.rawValue)] != nil || form.id % 16 == 0)
    }
    // The vectors' forms are many; half of what runs is to be the others.
    let integers = forms.filter { Native.table[Int($0.mnemonic.rawValue)] != nil }
    let a = try TestMachine([])
    let b = try TestMachine([])
    guard b.vcpu.enableTranslator() else { return }
    for seed in first..<first + UInt64(count) {
      var random = SeededRandom(seed: seed &* 0x9E37_79B9_7F4A_7C15)
      var program: [UInt8] = []
      var listing: [String] = []
      for _ in 0..<Int.random(in: 2...9, using: &random) {
        guard let form = (Bool.random(using: &random) ? forms : integers).randomElement(using: &random),
          var (encoded, instruction) = form.randomEncoding(&random)
        else { continue }
        if encoded.displacementSize == 4 && Int.random(in: 0..<4, using: &random) > 0 {
          encoded.setDisplacement(UInt64.random(in: 0..<1024, using: &random))
          instruction = (try? Decoder.decode(encoded.bytes, mode: .long64)) ?? instruction
        }
        program += encoded.bytes
        listing.append(instruction.description)
      }
      program += [0x0F, 5]
      let registers = (0..<16).map { _ in
        Bool.random(using: &random)
          ? TestMachine.data + UInt64.random(in: 0..<0x800, using: &random) & ~7
          : UInt64.random(in: 0...UInt64.max, using: &random) >> UInt64.random(in: 0..<64, using: &random)
      }
      guard agree(a, b, program, registers, &random, "seed \(seed)", listing) else { return }
    }
    #expect((b.vcpu.translator?.translations ?? 0) > 0)
  }

  /// The same for general-purpose instructions with operands that mostly do not fault, so that what one leaves reaches the next.
  @Test func randomIntegerSequencesAgree() throws {
    let count = Int(ProcessInfo.processInfo.environment["PARAVANE_SEQUENCES"] ?? "") ?? 600
    let first = UInt64(ProcessInfo.processInfo.environment["PARAVANE_SEQUENCE_SEED"] ?? "") ?? 1
    let left = ["ret", "jmp", "syscall", "rdtsc", "rdtscp"]
    let forms = InstructionTable.shared.forms.filter { form in
      form.id != 0 && form.isValid(in: .long64) && Native.table[Int(form.mnemonic.rawValue)] != nil && !left.contains(form.mnemonic.name)
    }
    // By name, so that what has many forms does not come more often.
    let names = Set(forms.map(\.mnemonic.name)).sorted()
    let byName = Dictionary(grouping: forms, by: \.mnemonic.name)
    let pointers: Set<Int> = [3, 4, 5, 6, 7, 13, 15]
    let indices: Set<Int> = [8, 14]
    let a = try TestMachine([])
    let b = try TestMachine([])
    guard b.vcpu.enableTranslator() else { return }
    var seen = Set<String>()
    for seed in first..<first + UInt64(count) {
      var random = SeededRandom(seed: seed &* 0xD134_2543_DE82_EF95)
      var program: [UInt8] = []
      var listing: [String] = []
      for _ in 0..<Int.random(in: 3...14, using: &random) {
        guard let name = names.randomElement(using: &random), let group = byName[name] else { continue }
        for _ in 0..<30 {
          guard let form = group.randomElement(using: &random), var (encoded, instruction) = form.randomEncoding(&random) else { continue }
          if encoded.relativeSize > 0 { encoded.setRelative(0) }
          if encoded.displacementSize == 4 { encoded.setDisplacement(UInt64.random(in: 0..<256, using: &random)) }
          guard let fixed = try? Decoder.decode(encoded.bytes, mode: .long64) else { continue }
          instruction = fixed
          let o = instruction.operands
          if [o.0, o.1, o.2].contains(where: { $0.kind == .memory }) {
            guard encoded.displacementSize != 8, pointers.contains(Int(instruction.base)), instruction.segment < 4 else { continue }
            guard instruction.index < 0 || indices.contains(Int(instruction.index)) else { continue }
          }
          // What addresses are made of stays as it is, now and then.
          let kept = o.0.kind == .general && (pointers.contains(Int(o.0.register)) || indices.contains(Int(o.0.register)))
          if kept && Int.random(in: 0..<8, using: &random) > 0 { continue }
          program += encoded.bytes
          listing.append(instruction.description)
          seen.insert(name)
          break
        }
      }
      program += [0x0F, 5]
      let registers = (0..<16).map { number in
        if pointers.contains(number) { return TestMachine.data + 0x400 + UInt64.random(in: 0..<0x400, using: &random) & ~15 }
        if indices.contains(number) { return UInt64.random(in: 0..<64, using: &random) & ~7 }
        return UInt64.random(in: 0...UInt64.max, using: &random) >> UInt64.random(in: 0..<64, using: &random)
      }
      guard agree(a, b, program, registers, &random, "seed \(seed)", listing) else { return }
    }
    #expect(seen.count == names.count || count < 300, "\(Set(names).subtracting(seen))")
  }

  /// Runs a program over and over from one state in both engines; false after a difference that would only repeat itself.
  private func agree(
    _ a: TestMachine, _ b: TestMachine, _ program: [UInt8], _ registers: [UInt64], _ random: inout SeededRandom, _ title: String,
    _ listing: [String]
  ) -> Bool {
    let vectors = (0..<64).map { _ in UInt64.random(in: 0...UInt64.max, using: &random) }
    let flags = UInt64.random(in: 0...UInt64.max, using: &random) & Flag.arithmetic | 2
    for round in 0..<5 {
      var exits: [Exit] = []
      for machine in [a, b] {
        let cpu = machine.cpu
        if round == 0 { machine.memory.copyIn(program, at: TestMachine.code) }
        machine.memory.copyIn(Self.noise, at: TestMachine.data)
        withUnsafeMutableBytes(of: &cpu.pointee.gpr) { $0.copyBytes(from: registers.withUnsafeBytes { Array($0) }) }
        cpu.pointee.gpr.4 = TestMachine.stack
        withUnsafeMutableBytes(of: &cpu.pointee.ymm) { $0.copyBytes(from: vectors.withUnsafeBytes { Array($0) }) }
        cpu.rflags = flags
        cpu.pointee.mxcsr = 0x1F80
        cpu.pointee.rip = TestMachine.code
        cpu.pointee.cr2 = 0
        exits.append(machine.vcpu.run(until: machine.vcpu.now + 200))
      }
      var differences: [String] = []
      func compare(_ name: String, _ same: Bool) { if !same { differences.append(name) } }
      compare("exit \(exits)", exits[0] == exits[1])
      compare("rip", a.cpu.pointee.rip == b.cpu.pointee.rip)
      compare("flags \(String(a.cpu.rflags ^ b.cpu.rflags, radix: 16))", a.cpu.rflags == b.cpu.rflags)
      compare("clock", a.vcpu.now == b.vcpu.now)
      compare("cr2", a.cpu.pointee.cr2 == b.cpu.pointee.cr2)
      compare("mxcsr", a.cpu.pointee.mxcsr == b.cpu.pointee.mxcsr)
      for register in 0..<16 {
        let (x, y) = (a.cpu.general(register), b.cpu.general(register))
        if x != y { differences.append("register \(register): \(String(x, radix: 16)) and \(String(y, radix: 16))") }
      }
      withUnsafeBytes(of: a.cpu.pointee.ymm) { x in withUnsafeBytes(of: b.cpu.pointee.ymm) { y in compare("ymm", x.elementsEqual(y)) } }
      compare("data", a.memory.copyOut(TestMachine.data, count: 4096) == b.memory.copyOut(TestMachine.data, count: 4096))
      compare("stack", a.memory.copyOut(TestMachine.stack - 256, count: 512) == b.memory.copyOut(TestMachine.stack - 256, count: 512))
      if !differences.isEmpty {
        Issue.record("\(title) round \(round): \(listing): \(differences)")
        return false
      }
    }
    return true
  }

  /// What the data page has before every run.
  private static let noise: [UInt8] = {
    var random = SeededRandom(seed: 7)
    return (0..<4096).map { _ in UInt8.random(in: 0...255, using: &random) }
  }()
}
