import CHost
import Random
import X86

// What single instructions want of their operands, so that most cases get past their checks.

extension CaseGenerator {
  private func near(_ random: inout SeededRandom) -> UInt64 {
    switch random.below(16) {
    case 0: return Self.writableEnd &- 64 &+ random.below(128)
    case 1: return Self.data &- 32 &+ random.below(64)
    default: return Self.data &+ 0x400 &+ random.below(0x1000)
    }
  }

  /// Registers that an instruction uses without naming them. Before the memory operand is placed.
  func prepareRegisters(_ name: String, _ instruction: Instruction, _ random: inout SeededRandom) {
    let narrow = instruction.addressSize == 4
    func pointer(_ register: Int, _ value: UInt64, _ random: inout SeededRandom) {
      gpr(register, narrow ? value | random.next() << 32 : value)
    }
    if Self.isString(name) && instruction.operandCount == 0 {
      let segment = instruction.segment == 4 ? before.pointee.fs_base : instruction.segment == 5 ? before.pointee.gs_base : 0
      let source = near(&random)
      pointer(6, (source &- segment) & (narrow ? 0xFFFF_FFFF : .max), &random)
      pointer(7, random.oneIn(3) ? source &+ random.below(32) &- 16 : near(&random), &random)
      let count = random.oneIn(8) ? random.below(200) : random.below(12)
      pointer(1, count, &random)
      // Runs of equal bytes, so that comparisons go on for a while.
      if random.oneIn(2) {
        let value = random.oneIn(2) ? 0 : random.next()
        for i in 0..<16 as Range<UInt64> {
          poke(source &+ i * 8, value, 8)
          poke((gpr(7) & (narrow ? 0xFFFF_FFFF : .max)) &+ i * 8, value, 8)
        }
        gpr(0, value)
        poke(source &+ random.below(128), random.next(), 1)
      }
      return
    }
    switch name {
    case "xlatb":
      let al = gpr(0) & 0xFF
      let segment = instruction.segment == 4 ? before.pointee.fs_base : instruction.segment == 5 ? before.pointee.gs_base : 0
      pointer(3, (near(&random) &- al &- segment) & (narrow ? 0xFFFF_FFFF : .max), &random)
    case "maskmovq", "maskmovdqu", "vmaskmovdqu":
      let segment = instruction.segment == 4 ? before.pointee.fs_base : instruction.segment == 5 ? before.pointee.gs_base : 0
      pointer(7, (near(&random) &- segment) & (narrow ? 0xFFFF_FFFF : .max), &random)
    case "leave", "enter":
      gpr(5, near(&random))
    case "loop", "loope", "loopne", "jrcxz", "jecxz":
      if random.oneIn(2) { pointer(1, random.below(3), &random) }
    case "div", "idiv":
      // A dividend whose quotient may fit.
      switch random.below(4) {
      case 0: gpr(2, 0)
      case 1: gpr(2, random.below(256))
      case 2: gpr(2, UInt64(bitPattern: Int64(bitPattern: gpr(0)) >> 63))
      default: break
      }
      if random.oneIn(4) { gpr(0, gpr(0) & 0xFFFF) }
    case "xsave", "xsave64", "xsaveopt", "xsaveopt64", "xsavec", "xsavec64", "xrstor", "xrstor64":
      gpr(0, random.below(8))
      gpr(2, 0)
    case "ret":
      poke(gpr(4), landing(before.pointee.rip, &random), 8)
    default: break
    }
    if random.oneIn(24) && Self.usesStack(name) {
      gpr(4, random.oneIn(2) ? near(&random) : random.oneIn(2) ? Self.data &+ random.below(12) : Self.writableEnd &+ random.below(16))
    }
  }

  static func isString(_ name: String) -> Bool {
    guard let last = name.last, "bwdq".contains(last) else { return false }
    switch name.dropLast() {
    case "movs", "cmps", "stos", "lods", "scas", "ins", "outs": return true
    default: return false
    }
  }

  static func usesStack(_ name: String) -> Bool {
    switch name {
    case "push", "pop", "pushfq", "popfq", "pushfw", "popfw", "call", "ret", "enter", "leave": return true
    default: return false
    }
  }

  /// Registers and memory that an instruction reads as data. After the memory operand is placed.
  func prepareOperands(
    _ name: String, _ form: InstructionForm, _ instruction: Instruction, _ operand: UInt64?, _ random: inout SeededRandom
  ) {
    let first = instruction.operands.0
    let second = instruction.operands.1
    if let operand { fillMemory(operand, name, instruction, &random) }
    // Not over the registers of the address.
    func set(_ register: UInt8, _ value: UInt64) {
      let isAddress = operand != nil && (Int(instruction.base) == Int(register) || Int(instruction.index) == Int(register))
      if !isAddress { gpr(Int(register), value) }
    }
    switch name {
    case "bt", "bts", "btr", "btc":
      if operand != nil, second.kind == .general, !random.oneIn(16) { set(second.register, random.below(2048) &- 1024) }
    case "cmpxchg":
      if random.oneIn(2) {
        if let operand { poke(operand, gpr(0), Int(first.size)) } else if first.kind == .general { set(first.register, gpr(0)) }
      }
    case "cmpxchg8b", "cmpxchg16b":
      if random.oneIn(2), let operand {
        let half = name == "cmpxchg8b" ? 4 : 8
        poke(operand, gpr(0), half)
        poke(operand &+ UInt64(half), gpr(2), half)
      }
    case "call", "jmp":
      let place = landing(before.pointee.rip, &random)
      let value = random.oneIn(16) ? random.next() | 1 << 62 & ~(1 << 63) : place
      if let operand { poke(operand, value, 8) } else if first.kind == .general { set(first.register, value) }
    case "popfq", "popfw": poke(gpr(4), random.next() & ~0x4_0100, 8)
    case "pop":
      if first.kind == .segment { poke(gpr(4), random.next() & ~0xFFFF | selector(&random), 8) }
    case "mov":
      guard first.kind == .segment else { break }
      if let operand { poke(operand, selector(&random), 2) } else { set(second.register, random.next() & ~0xFFFF | selector(&random)) }
    case "lss", "lfs", "lgs":
      if let operand { poke(operand &+ UInt64(instruction.operandSize), selector(&random), 2) }
    case "lar", "lsl", "verr", "verw":
      let source = name.hasPrefix("v") ? first : second
      if let operand { poke(operand, selector(&random), 2) } else { set(source.register, random.next() & ~0xFFFF | selector(&random)) }
    case "wrfsbase", "wrgsbase":
      if random.oneIn(2) { set(first.register, random.next() >> 18) }
    case "ldmxcsr", "vldmxcsr":
      if let operand { poke(operand, random.next() & (random.oneIn(8) ? 0xFFFF_FFFF : 0xFFFF), 4) }
    case "fldcw":
      if let operand { poke(operand, random.next(), 2) }
    case "fldenv", "frstor": break
    case "fxrstor", "fxrstor64", "xrstor", "xrstor64":
      if let operand { putImage(operand, isExtended: name.hasPrefix("x"), &random) }
    default: break
    }
  }

  /// Selectors that Linux's user programs may try.
  private func selector(_ random: inout SeededRandom) -> UInt64 {
    switch random.below(10) {
    case 0: return 0
    case 1: return random.below(4)
    case 2: return 0x33
    case 3: return 0x23
    case 4: return 0x10
    case 5: return 0x18
    case 6: return 0xFFF8 | random.below(8)
    default: return 0x2B
    }
  }

  private func fillMemory(_ operand: UInt64, _ name: String, _ instruction: Instruction, _ random: inout SeededRandom) {
    let kind = random.below(10)
    if instruction.mnemonic.name.hasPrefix("f") && kind > 3 {
      let (significand, exponent) = random.extended()
      let size = (0..<Int(instruction.operandCount)).map { instruction.operand($0) }.first { $0.kind == .memory }?.size ?? 0
      switch size {
      case 4: poke(operand, random.single(), 4)
      case 8: poke(operand, random.double(), 8)
      default:
        if name == "fbld" {
          var digits: UInt64 = 0
          for _ in 0..<16 { digits = digits << 4 | random.below(10) }
          poke(operand, digits, 8)
          poke(operand &+ 8, random.below(10) << 4 | random.below(10) | random.below(2) << 15, 2)
        } else {
          poke(operand, significand, 8)
          poke(operand &+ 8, UInt64(exponent), 2)
        }
      }
      return
    }
    for i in 0..<5 as Range<UInt64> {
      poke(operand &+ i * 8, kind == 8 ? random.integer() : random.element(kind == 9 ? random.below(8) : kind), 8)
    }
    if kind == 0 && random.oneIn(2) { poke(operand, random.integer(), 8) }
  }

  /// A saved state, mostly a legal one.
  private func putImage(_ operand: UInt64, isExtended: Bool, _ random: inout SeededRandom) {
    let image = UnsafeRawPointer(before) + 256
    for i in 0..<(isExtended ? 104 : 64) {
      var value = image.load(fromByteOffset: i * 8, as: UInt64.self)
      if i >= 4 && i < 52 && random.oneIn(4) { value = random.element(random.below(8)) }
      if i >= 4 && i < 20 && i & 1 == 1 { value &= 0xFFFF }
      if i == 0 { value = random.next() & 0x0000_00FF_7F00_0F7F | 0x37F & random.next() | 0x40 }
      if i == 3 { value = random.next() & (random.oneIn(8) ? .max : 0xFFFF) }
      if i == 64 { value = random.oneIn(16) ? random.next() : random.below(8) }
      if i > 64 && i < 72 { value = random.oneIn(64) ? random.next() : 0 }
      poke(operand &+ UInt64(i * 8), value, 8)
    }
  }
}
