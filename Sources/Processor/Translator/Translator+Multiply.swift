import X86

// MUL, IMUL, DIV, IDIV.

extension Translator {
  /// IMUL with a destination.
  func emitMultiply(_ index: Int, _ i: Instruction) {
    let step = steps[index]
    let size = step.size
    let (d, s) = (i.operands.0, i.operands.1)
    var miss: Int?
    let from: Int
    if s.kind == .memory {
      miss = lookUp(i, size: size, write: false)
      loadOperand(Host.b, size: size)
      from = Host.b
    } else {
      from = take(s, Host.b)
    }
    let host: Int
    if i.operands.2.kind == .immediate {
      host = home(d) ?? Host.a
      // Of a 16-bit register the rest stays.
      if size == 2 && home(d) == nil { code.load(Host.a, At.guest(guest(d))) }
      code.rr(0x69, host, from, size: size)
      if size == 2 {
        code.byte(Int(truncatingIfNeeded: i.immediate))
        code.byte(Int(truncatingIfNeeded: i.immediate >> 8))
      } else {
        code.int32(Int(truncatingIfNeeded: i.immediate))
      }
    } else {
      host = take(d, Host.a)
      code.rr(0x0FAF, host, from, size: size)
    }
    if host == Host.a { put(d, host, size: size) }
    if step.needsSave { saveProduct(host, size: size) }
    hostValid = true
    if let miss { slowPath(index, from: [miss], resume: code.position) }
  }

  private func saveProduct(_ host: Int, size: Int) {
    saveCarries()
    code.store(host, At.flagsA)
    saveKind(NativeFlags.multiply, size: size)
  }

  /// MUL and IMUL of the accumulator, which is the host's own, as RDX is.
  func emitWideMultiply(_ index: Int, _ number: Int, _ i: Instruction) {
    let step = steps[index]
    let size = step.size
    let s = i.operands.0
    var miss: Int?
    if s.kind == .memory {
      miss = lookUp(i, size: size, write: false)
      loadOperand(Host.b, size: size)
    }
    code.rr(sized(0xF6, size), number, miss != nil ? Host.b : take(s, Host.b), size: size)
    if step.needsSave { saveProduct(Host.rax, size: size) }
    hostValid = true
    if let miss { slowPath(index, from: [miss], resume: code.position) }
  }

  /// DIV and IDIV keep all flags. The interpreter raises #DE, and divides what is wider than the divisor and signed.
  func emitDivide(_ index: Int, _ number: Int, _ i: Instruction) {
    let size = steps[index].size
    let s = i.operands.0
    var leaves: [Int] = []
    if s.kind == .memory {
      leaves.append(lookUp(i, size: size, write: false))
      loadOperand(Host.b, size: size)
    } else {
      copy(s, Host.b)
    }
    if number == 6 {
      // The quotient fits where the dividend's upper half is below the divisor, which then is not 0.
      if size == 1 {
        code.rr(0x0FB7, Host.a, Host.rax, size: 4)
        code.shiftImmediate(5, Host.a, 8, size: 4)
        code.rr(0x3A, Host.a, Host.b, size: 1)
      } else {
        code.rr(0x3B, Host.rdx, Host.b, size: size)
      }
      leaves.append(code.jump(condition: 3))
    } else {
      // The dividend is its lower half sign-extended, and the divisor neither 0 nor -1.
      switch size {
      case 1:
        code.rr(0x0FBE, Host.a, Host.rax, size: 4, byteRegister: true)
        code.rr(0x3B, Host.a, Host.rax, size: 2)
      default:
        code.rr(0x8B, Host.a, Host.rax, size: size)
        code.shiftImmediate(7, Host.a, size * 8 - 1, size: size)
        code.rr(0x3B, Host.a, Host.rdx, size: size)
      }
      leaves.append(code.jump(condition: 5))
      code.rm(0x8D, Host.a, base: Host.b, displacement: 1, size: 8)
      if size == 1 {
        code.groupImmediate(7, Host.a, 1, size: 1)
      } else {
        code.groupImmediate(7, Host.a, 1, size: size)
      }
      leaves.append(code.jump(condition: 6))
    }
    code.rr(sized(0xF6, size), number, Host.b, size: size)
    hostValid = false
    slowPath(index, from: leaves, resume: code.position)
  }
}
