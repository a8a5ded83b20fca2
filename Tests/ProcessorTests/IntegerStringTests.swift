import CHost
import GuestMemory
import Random
import Testing

@testable import Processor

/// String instructions against a model that does one element after the other.
@Suite struct IntegerStringTests {
  static let base: UInt64 = 0x20000
  static let pattern: UInt64 = 0x8877_6655_4433_2211
  static let areaBytes = 3 * 4096

  /// The opcode of a string instruction of `size` bytes, repeated.
  static func repeated(_ opcode: UInt8, _ size: Int, prefix: UInt8 = 0xF3) -> [UInt8] {
    switch size {
    case 1: return [prefix, opcode]
    case 2: return [0x66, prefix, opcode + 1]
    case 4: return [prefix, opcode + 1]
    default: return [prefix, 0x48, opcode + 1]
    }
  }

  static func fill(_ machine: TestMachine, _ g: inout SeededRandom, alphabet: UInt64 = 256) -> [UInt8] {
    let bytes = (0..<areaBytes).map { _ in UInt8(g.below(alphabet)) }
    machine.memory.copyIn(bytes, at: base)
    return bytes
  }

  static func area(_ machine: TestMachine) -> [UInt8] {
    [UInt8](UnsafeRawBufferPointer(start: machine.memory.base + Int(base), count: areaBytes))
  }

  @Test func movesAndStoresOverlapAsElementsWould() throws {
    var g = SeededRandom(seed: 42)
    for round in 0..<300 {
      let size = [1, 2, 4, 8][round % 4]
      let isMove = round % 3 != 0
      let machine = try TestMachine(Self.repeated(isMove ? 0xA4 : 0xAA, size) + [0x0F, 5])
      var model = Self.fill(machine, &g)
      let down = g.below(2) == 1
      let count = Int(g.below(round % 5 == 0 ? 1000 : 40))
      let span = count * size
      let source = (down ? span : 0) + Int(g.below(UInt64(Self.areaBytes - span - 8 - (down ? 0 : 8))))
      let close = source + Int(g.below(24)) - 12
      let far = (down ? span : 0) + Int(g.below(UInt64(Self.areaBytes - span - 16)))
      let limit = Self.areaBytes - 8 - (down ? 0 : span)
      let destination = max(down ? span : 0, min(g.below(2) == 0 ? close : far, limit))
      let cpu = machine.cpu
      cpu.rsi = Self.base + UInt64(source)
      cpu.rdi = Self.base + UInt64(destination)
      cpu.rcx = UInt64(count)
      cpu.rax = Self.pattern
      if down { cpu.rflags |= Flag.df }
      #expect(machine.vcpu.run(until: 100_000) == .syscall)
      let step = down ? -size : size
      for n in 0..<count {
        let from = source + n * step
        let to = destination + n * step
        let element =
          isMove ? Array(model[from..<from + size]) : (0..<size).map { UInt8(truncatingIfNeeded: Self.pattern >> UInt64(8 * $0)) }
        model.replaceSubrange(to..<to + size, with: element)
      }
      #expect(Self.area(machine) == model, "round \(round)")
      #expect(cpu.rcx == 0)
      #expect(cpu.rdi == Self.base &+ UInt64(destination) &+ UInt64(bitPattern: Int64(step * count)))
      #expect(cpu.rsi == Self.base &+ UInt64(source) &+ UInt64(bitPattern: Int64(isMove ? step * count : 0)))
      #expect(machine.vcpu.now == 2 + UInt64(count))
      #expect(machine.vcpu.instructions == 2)
    }
  }

  @Test func comparesAndScansStopWhereElementsDiffer() throws {
    var g = SeededRandom(seed: 7)
    for round in 0..<300 {
      let size = [1, 2, 4, 8][round % 4]
      let isScan = round % 3 == 0
      let untilEqual = round % 2 == 0
      let machine = try TestMachine(Self.repeated(isScan ? 0xAE : 0xA6, size, prefix: untilEqual ? 0xF2 : 0xF3) + [0x0F, 5])
      let model = Self.fill(machine, &g, alphabet: round % 5 == 0 ? 1 : 2)
      let down = g.below(2) == 1
      let count = Int(g.below(300))
      let span = count * size
      let source = (down ? span : 0) + Int(g.below(UInt64(Self.areaBytes - span - 8)))
      let destination = (down ? span : 0) + Int(g.below(UInt64(Self.areaBytes - span - 8)))
      let cpu = machine.cpu
      cpu.rsi = Self.base + UInt64(source)
      cpu.rdi = Self.base + UInt64(destination)
      cpu.rcx = UInt64(count)
      cpu.rax = 0x0101_0001_0100_0001
      if down { cpu.rflags |= Flag.df }
      cpu.setArithmeticFlags(Flag.cf | Flag.sf)
      #expect(machine.vcpu.run(until: 100_000) == .syscall)
      func element(_ at: Int) -> UInt64 { (0..<size).reduce(0) { $0 | UInt64(model[at + $1]) << UInt64(8 * $1) } }
      let mask: UInt64 = size == 8 ? ~0 : (1 << UInt64(8 * size)) - 1
      var ran = 0
      var flags = Flag.cf | Flag.sf
      while ran < count {
        let offset = (down ? -size : size) * ran
        let a = isScan ? 0x0101_0001_0100_0001 & mask : element(source + offset)
        let b = element(destination + offset)
        ran += 1
        flags = (a == b ? Flag.zf : 0) | (a < b ? Flag.cf : 0)
        if (a == b) == untilEqual { break }
      }
      #expect(cpu.rcx == UInt64(count - ran), "round \(round)")
      #expect(cpu.rflags & (Flag.cf | Flag.zf) == flags & (Flag.cf | Flag.zf), "round \(round)")
      #expect(cpu.rdi == Self.base &+ UInt64(bitPattern: Int64(destination + (down ? -size : size) * ran)))
    }
  }

  @Test func aFaultLeavesTheIterationsBeforeItDone() throws {
    // rep movsb into a page that is not there
    let machine = try TestMachine([0xF3, 0xA4, 0x0F, 5])
    machine.memory.store(UInt64(0), at: 0x4000 + 0x22 * 8)
    let cpu = machine.cpu
    cpu.rsi = 0x20000
    cpu.rdi = 0x22000 - 100
    cpu.rcx = 300
    #expect(machine.vcpu.run(until: 10_000) == .exception(vector: 14, errorCode: 6))
    #expect(cpu.pointee.cr2 == 0x22000)
    #expect(cpu.pointee.rip == TestMachine.code)
    #expect(cpu.rcx == 200)
    #expect(cpu.rsi == 0x20000 + 100)
    #expect(cpu.rdi == 0x22000)
    #expect(machine.vcpu.now == 100)
  }

  @Test func aFaultingComparisonRestoresTheFlags() throws {
    let machine = try TestMachine([0xF3, 0xA6, 0x0F, 5])
    machine.memory.store(UInt64(0), at: 0x4000 + 0x22 * 8)
    let cpu = machine.cpu
    cpu.rsi = 0x20000
    cpu.rdi = 0x22000 - 3
    cpu.rcx = 300
    cpu.setArithmeticFlags(Flag.cf | Flag.of)
    #expect(machine.vcpu.run(until: 10_000) == .exception(vector: 14, errorCode: 4))
    #expect(cpu.rflags & Flag.arithmetic == Flag.cf | Flag.of)
    #expect(cpu.rcx == 297)
  }

  /// The iterations done at a deadline depend on the cycle alone, not on the block around the instruction.
  @Test func deadlinesCutRepetitionsExactly() throws {
    for tail in [0, 1, 5] {
      for head in [0, 3] {
        for deadline in 1..<UInt64(24) {
          let nops = [UInt8](repeating: 0x90, count: head)
          let machine = try TestMachine(nops + [0xF3, 0xAB] + [UInt8](repeating: 0x90, count: tail) + [0x0F, 5])
          machine.cpu.rdi = 0x20000
          machine.cpu.rcx = 12
          let exit = machine.vcpu.run(until: deadline)
          let start = UInt64(head + 1)
          let done = deadline <= start ? 0 : min(12, deadline - start)
          let whole = UInt64(head + 1 + 12 + tail)
          if deadline > whole {
            #expect(exit == .syscall)
            continue
          }
          #expect(exit == .deadline)
          if deadline != start { #expect(machine.vcpu.now == deadline) }
          if deadline > start { #expect(machine.cpu.rcx == 12 - done, "head \(head) tail \(tail) deadline \(deadline)") }
          // And it ends where it would have.
          var next = deadline
          while machine.vcpu.run(until: next) == .deadline { next += 3 }
          #expect(machine.cpu.rcx == 0)
          #expect(machine.cpu.rdi == 0x20000 + 48)
        }
      }
    }
  }

  @Test func aStepIsOneIteration() throws {
    let machine = try TestMachine([0xF3, 0xAA, 0x0F, 5])
    machine.cpu.rdi = 0x20000
    machine.cpu.rcx = 3
    machine.cpu.rflags = 0x102
    for left in [2, 1, 0] as [UInt64] {
      #expect(machine.vcpu.run(until: 1000) == .exception(vector: 1, errorCode: nil))
      #expect(machine.cpu.rcx == left)
      machine.cpu.rflags = 0x102
    }
    #expect(machine.cpu.pointee.rip == TestMachine.code + (machine.cpu.rcx == 0 ? 2 : 0))
  }

  @Test func narrowAddressesWrap() throws {
    // a32 rep stosb across 4 GiB is not mapped; a32 lodsb clears the upper half of RSI
    let machine = try TestMachine([0x67, 0xAC, 0x0F, 5])
    machine.cpu.rsi = 0xFFFF_FFFF_0002_0000
    machine.memory.store(UInt8(0x5A), at: 0x20000)
    #expect(machine.vcpu.run(until: 100) == .syscall)
    #expect(machine.cpu.rax & 0xFF == 0x5A)
    #expect(machine.cpu.rsi == 0x20001)
  }

  @Test func aliasesOfOneFrameOverlapToo() throws {
    // Page 0x23 shows the frame of page 0x20: a copy to the alias one byte ahead repeats its first byte.
    let machine = try TestMachine([0xF3, 0xA4, 0x0F, 5])
    machine.memory.store(UInt64(0x20007), at: 0x4000 + 0x23 * 8)
    machine.memory.copyIn([1, 2, 3, 4, 5, 6, 7, 8], at: 0x20000)
    machine.cpu.rsi = 0x20000
    machine.cpu.rdi = 0x23001
    machine.cpu.rcx = 6
    // Touch both, so that the bulk path is taken.
    #expect(machine.vcpu.run(until: 100) == .syscall)
    machine.memory.copyIn([1, 2, 3, 4, 5, 6, 7, 8], at: 0x20000)
    machine.cpu.pointee.rip = TestMachine.code
    machine.cpu.rsi = 0x20000
    machine.cpu.rdi = 0x23001
    machine.cpu.rcx = 6
    #expect(machine.vcpu.run(until: 200) == .syscall)
    #expect((0..<8).map { machine.memory.load(0x20000 + $0, as: UInt8.self) } == [1, 1, 1, 1, 1, 1, 1, 8])
  }

  @Test func storesOverTheRunningCodeAreSeen() throws {
    // mov ecx, 2; lea rdi, [rip+2] (the inc below); rep stosb: writes 90 90 over it; inc eax; syscall
    let machine = try TestMachine([0xB9, 2, 0, 0, 0, 0x48, 0x8D, 0x3D, 2, 0, 0, 0, 0xF3, 0xAA, 0xFF, 0xC0, 0x0F, 5])
    machine.cpu.rax = 0x90
    #expect(machine.vcpu.run(until: 100) == .syscall)
    #expect(machine.cpu.rax == 0x90)
  }
}
