import X86

// ADD … CMP, TEST, INC, DEC, NEG, NOT.

extension Translator {
  func emitArithmetic(_ index: Int, _ number: Int, _ i: Instruction) {
    if number == 2 || number == 3 { return emitCarrying(index, number, i) }
    if i.operands.0.kind == .memory { return emitArithmeticToMemory(index, number, i) }
    let step = steps[index]
    let size = step.size
    let (d, s) = (i.operands.0, i.operands.1)
    let logic = number == 1 || number == 4 || number == 6
    let immediate = Int(truncatingIfNeeded: i.immediate)
    var miss: Int?
    var source: Int?
    if s.kind == .memory {
      miss = lookUpOnce(i, size: size, write: false)
      if !step.needsSave || logic, let host = home(d) {
        // The operand itself is not wanted.
        onOperand(number << 3 | (size == 1 ? 2 : 3), host, size: size)
        finish(host)
        return
      }
      loadOperand(Host.b, size: size)
      source = Host.b
    } else if s.kind != .immediate {
      source = take(s, Host.b)
    }
    let host = take(d, Host.a)
    if step.needsSave && !logic {
      code.store(host, At.flagsA)
      if let source { code.store(source, At.flagsB) } else { code.storeImmediate(immediate, At.flagsB) }
    }
    if let source {
      code.rr(number << 3 | (size == 1 ? 2 : 3), host, source, size: size)
    } else {
      code.groupImmediate(number, host, immediate, size: size)
    }
    finish(host)

    func finish(_ host: Int) {
      if step.needsSave {
        if logic { code.store(host, At.flagsA) }
        saveKind(Self.kind(number), size: size)
      }
      if number != 7 && host == Host.a { put(d, host, size: size) }
      hostValid = true
      if let miss { slowPath(index, from: [miss], resume: code.position) }
    }
  }

  private static func kind(_ number: Int) -> Int {
    switch number {
    case 0: return NativeFlags.add
    case 5, 7: return NativeFlags.subtract
    default: return NativeFlags.logic
    }
  }

  private func emitArithmeticToMemory(_ index: Int, _ number: Int, _ i: Instruction) {
    let step = steps[index]
    let size = step.size
    let s = i.operands.1
    let logic = number == 1 || number == 4 || number == 6
    let immediate = Int(truncatingIfNeeded: i.immediate)
    let source = home(s)
    let miss = lookUp(i, size: size, write: number != 7)
    if !step.needsSave && (source != nil || s.kind == .immediate) {
      if let source {
        code.rm(number << 3 | (size == 1 ? 0 : 1), source, base: Host.a, size: size)
      } else {
        code.groupImmediate(number, base: Host.a, immediate, size: size)
      }
    } else {
      code.rm(sized(0x8A, size), Host.b, base: Host.a, size: size)
      let op = number << 3 | (size == 1 ? 2 : 3)
      if step.needsSave && !logic { code.store(Host.b, At.flagsA) }
      if s.kind == .immediate {
        if step.needsSave && !logic { code.storeImmediate(immediate, At.flagsB) }
        code.groupImmediate(number, Host.b, immediate, size: size)
      } else if let source {
        if step.needsSave && !logic { code.store(source, At.flagsB) }
        code.rr(op, Host.b, source, size: size)
      } else {
        // Nobody looks at `flags_b` as it was: this sets all flags.
        code.store(Host.a, At.scratch)
        code.store(take(s, Host.a), At.flagsB)
        code.load(Host.a, At.scratch)
        code.rs(op, Host.b, At.flagsB, size: size)
      }
      if number != 7 { code.rm(sized(0x88, size), Host.b, base: Host.a, size: size) }
      if step.needsSave {
        if logic { code.store(Host.b, At.flagsA) }
        saveKind(Self.kind(number), size: size)
      }
    }
    hostValid = true
    slowPath(index, from: [miss], resume: code.position)
  }

  /// ADC and SBB. The operand is fetched first, since looking an address up changes the flags.
  private func emitCarrying(_ index: Int, _ number: Int, _ i: Instruction) {
    let step = steps[index]
    let size = step.size
    let (d, s) = (i.operands.0, i.operands.1)
    let kind = number == 2 ? NativeFlags.addWithCarry : NativeFlags.subtractWithBorrow
    let op = number << 3 | (size == 1 ? 2 : 3)
    var miss: Int?
    if d.kind == .memory {
      miss = lookUp(i, size: size, write: true)
      code.store(Host.a, At.scratch)
      code.rm(sized(0x8A, size), Host.b, base: Host.a, size: size)
      ensureCarry()
      if step.needsSave { code.store(Host.b, At.flagsA) }
      if s.kind == .immediate {
        if step.needsSave { code.storeImmediate(Int(truncatingIfNeeded: i.immediate), At.flagsB) }
        code.groupImmediate(number, Host.b, Int(truncatingIfNeeded: i.immediate), size: size)
      } else {
        let source = take(s, Host.a)
        if step.needsSave { code.store(source, At.flagsB) }
        code.rr(op, Host.b, source, size: size)
      }
      code.load(Host.a, At.scratch)
      code.rm(sized(0x88, size), Host.b, base: Host.a, size: size)
      if step.needsSave { code.store(Host.b, At.flagsResult) }
    } else {
      if s.kind == .memory {
        miss = lookUp(i, size: size, write: false)
        loadOperand(Host.b, size: size)
      } else if s.kind == .immediate {
        code.immediate(Host.b, UInt64(bitPattern: i.immediate))
      } else {
        copy(s, Host.b)
      }
      ensureCarry()
      let host = take(d, Host.a)
      if step.needsSave {
        code.store(host, At.flagsA)
        code.store(Host.b, At.flagsB)
      }
      code.rr(op, host, Host.b, size: size)
      if step.needsSave { code.store(host, At.flagsResult) }
      if host == Host.a { put(d, host, size: size) }
    }
    if step.needsSave { saveKind(kind, size: size) }
    if step.needsHost { code.rs(0x0F92, 0, At.carryByte, size: 1) }
    hostValid = true
    if let miss { slowPath(index, from: [miss], resume: code.position) }
    carryByteValid = step.needsHost
  }

  func emitTest(_ index: Int, _ i: Instruction) {
    let step = steps[index]
    let size = step.size
    let (d, s) = (i.operands.0, i.operands.1)
    let immediate = Int(truncatingIfNeeded: i.immediate)
    var miss: Int?
    let first: Int
    if d.kind == .memory {
      miss = lookUp(i, size: size, write: false)
      loadOperand(Host.a, size: size)
      first = Host.a
    } else {
      first = take(d, Host.a)
    }
    if step.needsSave {
      if first != Host.a { code.rr(0x8B, Host.a, first, size: 8) }
      if s.kind == .immediate {
        code.groupImmediate(4, Host.a, immediate, size: size)
      } else {
        code.rr(size == 1 ? 0x22 : 0x23, Host.a, take(s, Host.b), size: size)
      }
      code.store(Host.a, At.flagsA)
      saveKind(NativeFlags.logic, size: size)
    } else if s.kind == .immediate {
      code.rr(sized(0xF6, size), 0, first, size: size)
      switch size {
      case 1: code.byte(immediate)
      case 2:
        code.byte(immediate)
        code.byte(immediate >> 8)
      default: code.int32(immediate)
      }
    } else {
      code.rr(sized(0x84, size), take(s, Host.b), first, size: size)
    }
    hostValid = true
    if let miss { slowPath(index, from: [miss], resume: code.position) }
  }

  /// INC and DEC: CF is kept, so to save the others it has to be known.
  func emitStep(_ index: Int, _ i: Instruction, _ kind: Int) {
    let step = steps[index]
    let size = step.size
    let d = i.operands.0
    let number = kind == NativeFlags.increment ? 0 : 1
    let wantsCarry = step.needsSave || step.hostFlags & FlagSet.carry != 0
    if d.kind != .memory {
      if wantsCarry { ensureHost() }
      let host = take(d, Host.a)
      code.rr(sized(0xFE, size), number, host, size: size)
      if host == Host.a { put(d, host, size: size) }
      if step.needsSave {
        saveCarries()
        code.store(host, At.flagsA)
        saveKind(kind, size: size)
      }
      hostValid = true
      return
    }
    if wantsCarry {
      // If `flags_carry` counts now, this is what it has.
      ensureHost()
      code.rs(0x0F92, 0, At.flagsCarry, size: 1)
    }
    let miss = lookUp(i, size: size, write: true)
    if step.needsSave {
      code.rm(sized(0x8A, size), Host.b, base: Host.a, size: size)
      code.rr(sized(0xFE, size), number, Host.b, size: size)
      code.rm(sized(0x88, size), Host.b, base: Host.a, size: size)
      code.store(Host.b, At.flagsA)
      code.rs(0x0F90, 0, At.flagsB + 1, size: 1)
      saveKind(kind | Int(NativeFlags.carryBeside), size: size)
      lastSaved = nil
    } else {
      code.rm(sized(0xFE, size), number, base: Host.a, size: size)
    }
    if step.hostFlags & FlagSet.carry != 0 { carryFromByte(At.flagsCarry) }
    hostValid = true
    slowPath(index, from: [miss], resume: code.position)
  }

  func emitNegate(_ index: Int, _ i: Instruction) {
    let step = steps[index]
    let size = step.size
    let d = i.operands.0
    var miss: Int?
    if d.kind == .memory {
      miss = lookUp(i, size: size, write: true)
      if step.needsSave {
        code.rm(sized(0x8A, size), Host.b, base: Host.a, size: size)
        code.storeImmediate(0, At.flagsA)
        code.store(Host.b, At.flagsB)
        saveKind(NativeFlags.subtract, size: size)
        code.rm(sized(0xF6, size), 3, base: Host.a, size: size)
      } else {
        code.rm(sized(0xF6, size), 3, base: Host.a, size: size)
      }
    } else {
      let host = take(d, Host.a)
      if step.needsSave {
        code.storeImmediate(0, At.flagsA)
        code.store(host, At.flagsB)
        saveKind(NativeFlags.subtract, size: size)
      }
      code.rr(sized(0xF6, size), 3, host, size: size)
      if host == Host.a { put(d, host, size: size) }
    }
    hostValid = true
    if let miss { slowPath(index, from: [miss], resume: code.position) }
  }

  func emitNot(_ index: Int, _ i: Instruction) {
    let size = steps[index].size
    let d = i.operands.0
    if d.kind == .memory {
      let miss = lookUp(i, size: size, write: true)
      code.rm(sized(0xF6, size), 2, base: Host.a, size: size)
      slowPath(index, from: [miss], resume: code.position)
      return
    }
    let host = take(d, Host.a)
    code.rr(sized(0xF6, size), 2, host, size: size)
    if host == Host.a { put(d, host, size: size) }
  }
}
