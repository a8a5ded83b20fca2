import CHost
import GuestMemory
import Testing

@testable import Processor

/// Stack, branches, traps and 32-bit code: what the random comparison with silicon does not reach.
@Suite struct IntegerControlTests {
  /// Runs to the SYSCALL behind the program.
  static func run(_ program: [UInt8], _ prepare: (TestMachine) -> Void = { _ in }) throws -> (TestMachine, Exit) {
    let machine = try TestMachine(program + [0x0F, 5])
    prepare(machine)
    return (machine, machine.vcpu.run(until: 10_000))
  }

  /// The same as 32-bit code, ended by INT 80.
  static func run32(_ program: [UInt8], _ prepare: (TestMachine) -> Void = { _ in }) throws -> (TestMachine, Exit) {
    let machine = try TestMachine(program + [0xCD, 0x80])
    machine.cpu.pointee.mode = 1
    machine.cpu.pointee.seg.1.attributes = 0xC_FB
    prepare(machine)
    return (machine, machine.vcpu.run(until: 10_000))
  }

  static func unmap(_ machine: TestMachine, _ page: UInt64) { machine.memory.store(UInt64(0), at: 0x4000 + page * 8) }

  // MARK: - Stack

  @Test func aPushThatFaultsMovesNothing() throws {
    for program: [UInt8] in [
      [0x50], [0x6A, 1], [0xFF, 0x36], [0xE8, 0, 0, 0, 0], [0xFF, 0xD0], [0x9C], [0xC8, 8, 0, 0], [0xC8, 0, 0, 2],
    ] {
      let (machine, exit) = try Self.run(program) {
        Self.unmap($0, 0x2F)
        $0.cpu.rax = TestMachine.code
        $0.cpu.rsi = TestMachine.data
        $0.cpu.rbp = TestMachine.data
      }
      #expect(exit == .exception(vector: 14, errorCode: 6), "\(program)")
      #expect(machine.cpu.rsp == TestMachine.stack)
      #expect(machine.cpu.rbp == TestMachine.data)
      #expect(machine.cpu.pointee.cr2 & ~4095 == 0x2F000)
    }
  }

  @Test func aPopThatFaultsMovesNothing() throws {
    for program: [UInt8] in [[0x58], [0x8F, 6], [0xC3], [0x9D], [0xC9]] {
      let (machine, exit) = try Self.run(program) {
        Self.unmap($0, 0x30)
        $0.cpu.rbp = 0x30008
        $0.cpu.rsi = TestMachine.data
      }
      #expect(exit == .exception(vector: 14, errorCode: 4), "\(program)")
      #expect(machine.cpu.rsp == TestMachine.stack)
      #expect(machine.cpu.rbp == 0x30008)
    }
  }

  @Test func aNonCanonicalStackIsAStackFault() throws {
    for program: [UInt8] in [[0x50], [0x58], [0xFF, 0x36], [0x8F, 6], [0xE8, 0, 0, 0, 0], [0xC3], [0xFF, 0x16], [0x9C], [0x9D]] {
      let (machine, exit) = try Self.run(program) {
        $0.cpu.rsp = 0x8000_0000_0000_1000
        $0.cpu.rsi = TestMachine.data
      }
      #expect(exit == .exception(vector: 12, errorCode: 0), "\(program)")
      #expect(machine.cpu.rsp == 0x8000_0000_0000_1000)
    }
    // The operand's own fault stays #GP.
    let (_, exit) = try Self.run([0xFF, 0x36]) { $0.cpu.rsi = 1 << 63 }
    #expect(exit == .exception(vector: 13, errorCode: 0))
  }

  @Test func stackPointerAsOperand() throws {
    // push rsp; pop rax
    let (a, _) = try Self.run([0x54, 0x58])
    #expect(a.cpu.rax == TestMachine.stack)
    // push 0x1234; pop rsp
    let (b, _) = try Self.run([0x68, 0x34, 0x12, 0, 0, 0x5C])
    #expect(b.cpu.rsp == 0x1234)
    // push -1; pop [rsp]: the address is computed after the pop.
    let (c, _) = try Self.run([0x6A, 0xFF, 0x8F, 4, 0x24])
    #expect(c.memory.load(TestMachine.stack, as: UInt64.self) == ~0)
    // push [rsp-8] reads before the push; pushw
    let (d, _) = try Self.run([0xFF, 0x74, 0x24, 8, 0x66, 0x6A, 0x80]) { $0.memory.store(UInt64(77), at: TestMachine.stack + 8) }
    #expect(d.memory.load(TestMachine.stack - 8, as: UInt64.self) == 77)
    #expect(d.cpu.rsp == TestMachine.stack - 10)
    #expect(d.memory.load(TestMachine.stack - 10, as: UInt16.self) == 0xFF80)
  }

  @Test func enterCopiesFramePointers() throws {
    // enter 16, 3
    let (machine, exit) = try Self.run([0xC8, 16, 0, 3]) {
      $0.cpu.rbp = 0x20100
      $0.memory.store(UInt64(0xA), at: 0x200F8)
      $0.memory.store(UInt64(0xB), at: 0x200F0)
    }
    #expect(exit == .syscall)
    let frame = TestMachine.stack - 8
    #expect(machine.cpu.rbp == frame)
    #expect(machine.cpu.rsp == frame - 24 - 16)
    let words = (0..<4).map { machine.memory.load(frame - UInt64($0) * 8, as: UInt64.self) }
    #expect(words == [0x20100, 0xA, 0xB, frame])
  }

  // MARK: - Branches

  @Test func aReturnToNowhereChangesNothing() throws {
    let (machine, exit) = try Self.run([0xC3]) { $0.memory.store(UInt64(1) << 63, at: TestMachine.stack) }
    #expect(exit == .exception(vector: 13, errorCode: 0))
    #expect(machine.cpu.rsp == TestMachine.stack)
    #expect(machine.cpu.pointee.rip == TestMachine.code)
    let (call, callExit) = try Self.run([0xFF, 0xD0]) { $0.cpu.rax = 0x8000_0000_0000 }
    #expect(callExit == .exception(vector: 13, errorCode: 0))
    #expect(call.cpu.rsp == TestMachine.stack)
  }

  @Test func callsReturn() throws {
    // call +3; mov al,1; syscall... f: mov bl,2; ret 16
    let machine = try TestMachine([0xE8, 4, 0, 0, 0, 0xB0, 1, 0x0F, 5, 0xB3, 2, 0xC2, 16, 0])
    #expect(machine.vcpu.run(until: 100) == .syscall)
    #expect(machine.cpu.rax & 0xFF == 1)
    #expect(machine.cpu.rbx & 0xFF == 2)
    #expect(machine.cpu.rsp == TestMachine.stack + 16)
  }

  @Test func loopsCount() throws {
    // xor eax,eax; 1: inc eax; loop 1b
    let (a, _) = try Self.run([0x31, 0xC0, 0xFF, 0xC0, 0xE2, 0xFC]) { $0.cpu.rcx = 5 }
    #expect(a.cpu.rax == 5 && a.cpu.rcx == 0)
    // With 32-bit count: upper half cleared.
    let (b, _) = try Self.run([0x31, 0xC0, 0xFF, 0xC0, 0x67, 0xE2, 0xFB]) { $0.cpu.rcx = 0xF_0000_0005 }
    #expect(b.cpu.rax == 5 && b.cpu.rcx == 0)
    // jecxz looks at ECX only: skips the mov.
    let (c, _) = try Self.run([0x67, 0xE3, 2, 0xB0, 9]) { $0.cpu.rcx = 0xF_0000_0000 }
    #expect(c.cpu.rax == 0)
    // 1: dec eax; loopne 1b ends where ZF is set.
    let (d, _) = try Self.run([0xFF, 0xC8, 0xE0, 0xFC]) {
      $0.cpu.rcx = 10
      $0.cpu.rax = 3
    }
    #expect(d.cpu.rax == 0 && d.cpu.rcx == 7)
  }

  // MARK: - Traps and flags

  @Test func trapsAndFaultsLeaveTheRightInstruction() throws {
    let code = TestMachine.code
    let (a, e) = try Self.run([0x90, 0xCC])
    #expect(e == .exception(vector: 3, errorCode: nil) && a.cpu.pointee.rip == code + 2)
    let (b, f) = try Self.run([0x90, 0xF1])
    #expect(f == .exception(vector: 1, errorCode: nil) && b.cpu.pointee.rip == code + 2)
    let (c, g) = try Self.run([0x90, 0xCD, 0x42])
    #expect(g == .interrupt(vector: 0x42) && c.cpu.pointee.rip == code + 1 && c.cpu.pointee.next_rip == code + 3)
    let (d, h) = try Self.run([0x90, 0x0F, 0x0B])
    #expect(h == .exception(vector: 6, errorCode: nil) && d.cpu.pointee.rip == code + 1)
    // div by 0 and overflowing quotients
    for (rdx, rax, divisor, opcode) in [
      (0, 5, 0, 0xF1), (7, 0, 7, 0xF1), (~0, 1 << 63, ~0, 0xF9), (1, 0, 2, 0xF9), (~0, 5, 0, 0xF9),
    ] as [(UInt64, UInt64, UInt64, UInt8)] {
      let (m, exit) = try Self.run([0x48, 0xF7, opcode]) {
        $0.cpu.rdx = rdx
        $0.cpu.rax = rax
        $0.cpu.rcx = divisor
      }
      #expect(exit == .exception(vector: 0, errorCode: nil))
      #expect(m.cpu.rdx == rdx && m.cpu.rax == rax)
    }
  }

  @Test func popfKeepsWhatPrivilegeProtects() throws {
    // popfq with everything set; pushfq; pop rax
    let all: UInt64 = 0x3F_FFFF & ~Flag.tf
    func flags(cpl: UInt32, before: UInt64) throws -> UInt64 {
      let (machine, exit) = try Self.run([0x9D, 0x9C, 0x58]) {
        $0.memory.store(all, at: TestMachine.stack)
        $0.cpu.pointee.cpl = cpl
        $0.cpu.rflags = before
        $0.vcpu.selectTranslations()
      }
      #expect(exit == .syscall)
      return machine.cpu.rax
    }
    let common = Flag.arithmetic | 2 | Flag.df | Flag.nt | Flag.ac | Flag.id
    #expect(try flags(cpl: 3, before: 2) == common)
    #expect(try flags(cpl: 3, before: 2 | Flag.if) == common | Flag.if)
    #expect(try flags(cpl: 0, before: 2) == common | Flag.if | Flag.iopl)
    #expect(try flags(cpl: 1, before: 2 | 0x1000) == common | Flag.if | 0x1000)
    // TF traps after the instruction behind POPF.
    let (machine, exit) = try Self.run([0x9D, 0x90, 0x90]) { $0.memory.store(UInt64(0x102), at: TestMachine.stack) }
    #expect(exit == .exception(vector: 1, errorCode: nil))
    #expect(machine.cpu.pointee.rip == TestMachine.code + 2)
  }

  @Test func compareAndExchangeOfSixteenBytesWantsAlignment() throws {
    for offset in [0, 8] as [UInt64] {
      let (_, exit) = try Self.run([0x48, 0x0F, 0xC7, 0x0E]) { $0.cpu.rsi = TestMachine.data + offset }
      #expect(exit == (offset == 0 ? .syscall : .exception(vector: 13, errorCode: 0)))
    }
  }

  @Test func randomNumbersRepeatWithTheSeed() throws {
    // rdrand rax; rdseed ecx
    func draw(_ seed: UInt64) throws -> [UInt64] {
      let (machine, exit) = try Self.run([0x48, 0x0F, 0xC7, 0xF0, 0x0F, 0xC7, 0xF9]) { $0.cpu.pointee.random = seed }
      #expect(exit == .syscall)
      #expect(machine.cpu.rflags & Flag.arithmetic == Flag.cf)
      return [machine.cpu.rax, machine.cpu.rcx]
    }
    #expect(try draw(1) == draw(1))
    #expect(try draw(1) != draw(2))
  }

  @Test func readModifyWriteThatMayNotWriteChangesNothing() throws {
    // add [rsi], rax on a read-only page
    for program: [UInt8] in [
      [0x48, 1, 6], [0x48, 0xFF, 6], [0x48, 0xD1, 0x26], [0x48, 0x0F, 0xC1, 6], [0x48, 0x0F, 0xB1, 6], [0x48, 0x87, 6],
      [0x48, 0x0F, 0xAB, 6], [0x0F, 0xC7, 0x0E],
    ] {
      let (machine, exit) = try Self.run(program) {
        $0.memory.store(UInt64(0x20005), at: 0x4000 + 0x20 * 8)
        $0.memory.store(UInt64(41), at: TestMachine.data)
        $0.cpu.rsi = TestMachine.data
        $0.cpu.rax = 1
        $0.cpu.rdx = 2
        $0.cpu.setArithmeticFlags(Flag.af)
      }
      #expect(exit == .exception(vector: 14, errorCode: 7), "\(program)")
      #expect(machine.memory.load(TestMachine.data, as: UInt64.self) == 41)
      #expect(machine.cpu.rax == 1 && machine.cpu.rdx == 2)
      #expect(machine.cpu.rflags & Flag.arithmetic == Flag.af)
    }
  }

  // MARK: - 32-bit code

  @Test func narrowStackAndCalls() throws {
    // pusha; popa: all registers back
    let (a, exit) = try Self.run32([0x60, 0x31, 0xC0, 0x31, 0xDB, 0x61]) {
      for r in 0..<8 where r != 4 {
        UnsafeMutableRawPointer($0.cpu).storeBytes(of: UInt64(0x1111 * (r + 1)), toByteOffset: r * 8, as: UInt64.self)
      }
    }
    #expect(exit == .interrupt(vector: 0x80))
    #expect(a.cpu.rax == 0x1111 && a.cpu.rbx == 0x4444 && a.cpu.rdi == 0x8888)
    #expect(a.cpu.rsp == TestMachine.stack)
    #expect(a.memory.load(TestMachine.stack - 20, as: UInt32.self) == UInt32(TestMachine.stack))
    // call +1; nop; pop eax; inc eax (one byte form)
    let (b, _) = try Self.run32([0xE8, 1, 0, 0, 0, 0x90, 0x58, 0x40])
    #expect(b.cpu.rax == TestMachine.code + 6)
    // push 0x11223344; popw ax; popw bx
    let (c, _) = try Self.run32([0x68, 0x44, 0x33, 0x22, 0x11, 0x66, 0x58, 0x66, 0x5B])
    #expect(c.cpu.rax & 0xFFFF == 0x3344 && c.cpu.rbx & 0xFFFF == 0x1122)
  }

  @Test func narrowAddresses() throws {
    // mov eax, [ebx+esi] wraps at 4 GiB
    let (a, _) = try Self.run32([0x8B, 4, 0x33]) {
      $0.cpu.rbx = 0xFFFF_0000
      $0.cpu.rsi = 0x30000
      $0.memory.store(UInt32(0xABCD), at: TestMachine.data)
    }
    #expect(a.cpu.rax == 0xABCD)
    // a16 lea eax, [bx+si]
    let (b, _) = try Self.run32([0x67, 0x8D, 0]) {
      $0.cpu.rbx = 0xFFFF
      $0.cpu.rsi = 3
    }
    #expect(b.cpu.rax == 2)
    // gs:[4] with a base
    let (c, _) = try Self.run32([0x65, 0xA1, 4, 0, 0, 0]) {
      $0.cpu.pointee.seg.5.base = TestMachine.data
      $0.memory.store(UInt32(99), at: TestMachine.data + 4)
    }
    #expect(c.cpu.rax == 99)
  }

  /// 0...99 as two decimal digits.
  static func decimal(_ n: Int) -> UInt64 { UInt64((n / 10) * 16 + n % 10) }

  /// The examples of the manual (SDM volume 2, DAA and DAS), and the adjustments after adding and subtracting.
  @Test func decimalAdjustment() throws {
    // add al, bl; daa / sub al, bl; das
    for a in stride(from: 0, to: 100, by: 7) {
      for b in stride(from: 0, to: 100, by: 9) {
        let (x, y) = (Self.decimal(a), Self.decimal(b))
        let sum = a + b
        let (m, _) = try Self.run32([0, 0xD8, 0x27]) {
          $0.cpu.rax = x
          $0.cpu.rbx = y
        }
        #expect(m.cpu.rax & 0xFF == Self.decimal(sum % 100))
        #expect(m.cpu.cf == (sum > 99))
        let difference = (a - b + 100) % 100
        let (n, _) = try Self.run32([0x28, 0xD8, 0x2F]) {
          $0.cpu.rax = x
          $0.cpu.rbx = y
        }
        #expect(n.cpu.rax & 0xFF == Self.decimal(difference))
        #expect(n.cpu.cf == (a < b))
      }
    }
    // add al, 9 with AL = 8; aaa: AX = 0107
    let (a, _) = try Self.run32([4, 9, 0x37]) { $0.cpu.rax = 8 }
    #expect(a.cpu.rax == 0x107 && a.cpu.cf && a.cpu.af)
    // sub al, 9 with AX = 0208; aas: AX = 0109
    let (s, _) = try Self.run32([0x2C, 9, 0x3F]) { $0.cpu.rax = 0x208 }
    #expect(s.cpu.rax == 0x109 && s.cpu.cf)
    let (m, _) = try Self.run32([0xD4, 10]) { $0.cpu.rax = 73 }
    #expect(m.cpu.rax == 0x703)
    let (d, _) = try Self.run32([0xD5, 10]) { $0.cpu.rax = 0x703 }
    #expect(d.cpu.rax == 73)
    let (_, exit) = try Self.run32([0xD4, 0])
    #expect(exit == .exception(vector: 0, errorCode: nil))
  }

  @Test func boundsAndPrivilegeLevels() throws {
    // bound eax, [esi]
    for (index, faults) in [(5, false), (-3, false), (10, false), (11, true), (-4, true)] as [(Int32, Bool)] {
      let (_, exit) = try Self.run32([0x62, 6]) {
        $0.cpu.rax = UInt64(UInt32(bitPattern: index))
        $0.cpu.rsi = TestMachine.data
        $0.memory.store(Int32(-3), at: TestMachine.data)
        $0.memory.store(Int32(10), at: TestMachine.data + 4)
      }
      #expect(exit == (faults ? .exception(vector: 5, errorCode: nil) : .interrupt(vector: 0x80)))
    }
    // arpl ax, bx; into; salc
    let (a, _) = try Self.run32([0x63, 0xD8]) {
      $0.cpu.rax = 0x100
      $0.cpu.rbx = 3
    }
    #expect(a.cpu.rax == 0x103 && a.cpu.zf)
    let (o, exit) = try Self.run32([0xCE]) { $0.cpu.setArithmeticFlags(Flag.of) }
    #expect(exit == .exception(vector: 4, errorCode: nil) && o.cpu.pointee.rip == TestMachine.code + 1)
    let (s, _) = try Self.run32([0xF9, 0xD6])
    #expect(s.cpu.rax & 0xFF == 0xFF)
  }
}

/// Fused comparisons and branches against the same pair run one by one.
@Suite struct IntegerFusionTests {
  @Test func fusedPairsBranchAsTheirPartsDo() throws {
    let values: [UInt64] = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 63, ~0, (1 << 63) - 1, 0x1_0000_0000]
    // Comparison bytes; [rsi] holds RBX too.
    let compares: [[UInt8]] = [
      [0x38, 0xD8], [0x3C, 0x80], [0x66, 0x39, 0xD8], [0x66, 0x83, 0xF8, 0xFF], [0x39, 0xD8], [0x83, 0xF8, 1], [0x48, 0x39, 0xD8],
      [0x48, 0x83, 0xF8, 0xFF], [0x80, 0x3E, 0x80], [0x83, 0x3E, 1], [0x48, 0x83, 0x3E, 0xFF], [0x3B, 6], [0x48, 0x3B, 6],
      [0x84, 0xD8], [0xA8, 0x80], [0xF6, 6, 0x80], [0x85, 0xD8], [0xA9, 0xFF, 0, 0, 0x80], [0x48, 0x85, 0xC0], [0x83, 0xE8, 1],
      [0x48, 0x83, 0xE8, 1], [0x83, 0xC0, 1], [0x48, 0x83, 0xC0, 1], [0x83, 0xE0, 0x80], [0x21, 0xD8],
    ]
    var wrong = 0
    for compare in compares {
      for code in 0..<16 as Range<UInt8> {
        // compare; jcc +2; mov cl, 1; syscall
        let machine = try TestMachine(compare + [0x70 | code, 2, 0xB1, 1, 0x0F, 5])
        for a in values {
          for b in values.prefix(code % 2 == 0 ? 13 : 5) {
            var results: [[UInt64]] = []
            for stepped in [false, true] {
              let cpu = machine.cpu
              cpu.pointee.rip = TestMachine.code
              cpu.rax = a
              cpu.rbx = b
              cpu.rcx = 0
              cpu.rsi = TestMachine.data
              machine.memory.store(b, at: TestMachine.data)
              cpu.rflags = 2
              let start = machine.vcpu.now
              if stepped {
                while machine.vcpu.run(until: machine.vcpu.now + 1) == .deadline {}
              } else {
                #expect(machine.vcpu.run(until: start + 100) == .syscall)
              }
              results.append([cpu.rax, cpu.rcx, cpu.rflags, machine.vcpu.now - start])
            }
            if results[0] != results[1] { wrong += 1 }
          }
        }
      }
    }
    #expect(wrong == 0)
  }

  @Test func aFaultingComparisonIsItsOwnFault() throws {
    // inc ecx; cmp [rsi], 0; jz
    let machine = try TestMachine([0xFF, 0xC1, 0x83, 0x3E, 0, 0x74, 0, 0x0F, 5])
    machine.cpu.rsi = 0x4000_0000
    #expect(machine.vcpu.run(until: 100) == .exception(vector: 14, errorCode: 4))
    #expect(machine.cpu.pointee.rip == TestMachine.code + 2)
    #expect(machine.vcpu.now == 1)
  }
}
