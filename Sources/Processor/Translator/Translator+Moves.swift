import CHost
import X86

// MOV and its kin, LEA, BSWAP, MOVBE, SETcc, CMOVcc.

extension Translator {
  func emitMove(_ index: Int, _ i: Instruction) {
    let (d, s) = (i.operands.0, i.operands.1)
    let size = steps[index].size
    if d.kind == .memory {
      let miss = lookUpOnce(i, size: size, write: true)
      if s.kind == .immediate {
        onOperand(sized(0xC6, size), 0, size: size)
        switch size {
        case 1: code.byte(Int(truncatingIfNeeded: i.immediate))
        case 2:
          code.byte(Int(truncatingIfNeeded: i.immediate))
          code.byte(Int(truncatingIfNeeded: i.immediate >> 8))
        default: code.int32(Int(truncatingIfNeeded: i.immediate))
        }
      } else if let host = home(s) {
        onOperand(sized(0x88, size), host, size: size)
      } else {
        // The value's register is `a`, which is free unless the address is in it.
        if operand.index == nil {
          code.rm(sized(0x88, size), take(s, Host.b), base: Host.a, size: size)
        } else {
          onOperand(sized(0x88, size), take(s, Host.a), size: size)
        }
      }
      slowPath(index, from: [miss], resume: code.position)
    } else if s.kind == .memory {
      let miss = lookUpOnce(i, size: size, write: false)
      let host = home(d) ?? Host.a
      loadOperand(host, size: size)
      put(d, host, size: size)
      slowPath(index, from: [miss], resume: code.position)
    } else if s.kind == .immediate {
      let bits = UInt64(bitPattern: i.immediate)
      let host = size >= 4 ? home(d) ?? Host.a : Host.a
      code.immediate(host, size == 8 ? bits : bits & (size == 1 ? 0xFF : size == 2 ? 0xFFFF : 0xFFFF_FFFF))
      put(d, host, size: size)
    } else {
      let from = take(s, Host.b)
      if size == 4 && home(d) == nil || size == 4 && home(d) == from {
        // The upper half goes.
        code.rr(0x8B, home(d) ?? Host.a, from, size: 4)
        put(d, home(d) ?? Host.a, size: 4)
      } else {
        put(d, from, size: size)
      }
    }
  }

  func emitExtend(_ index: Int, _ i: Instruction, signed: Bool) {
    let (d, s) = (i.operands.0, i.operands.1)
    let size = steps[index].size
    let opcode: Int
    switch s.size {
    case 1: opcode = signed ? 0x0FBE : 0x0FB6
    case 2: opcode = signed ? 0x0FBF : 0x0FB7
    default: opcode = 0x63
    }
    let host = home(d) ?? Host.a
    if s.kind == .memory {
      let miss = lookUpOnce(i, size: Int(s.size), write: false)
      onOperand(opcode, host, size: size)
      put(d, host, size: size)
      slowPath(index, from: [miss], resume: code.position)
    } else {
      code.rr(opcode, host, take(s, Host.b), size: size, byteRegister: s.size == 1)
      put(d, host, size: size)
    }
  }

  func emitLea(_ i: Instruction) {
    let size = Int(i.operands.0.size)
    var plain = i
    plain.segment = 3
    let index = i.index >= 0 ? Int(i.index) : nil
    if let index, i.base >= 0, Host.of(index) == nil, Host.of(Int(i.base)) == nil {
      // Not through `address`, which would add and so change the flags.
      code.load(Host.a, At.guest(Int(i.base)))
      code.load(Host.b, At.guest(index))
      code.rm(0x8D, Host.a, base: Host.a, index: Host.b, scale: Int(i.scale), displacement: Int(i.displacement), size: 8)
    } else if isNarrow {
      narrowOffset(plain)
    } else {
      address(plain)
    }
    if size == 4 && home(i.operands.0) == nil { code.rr(0x8B, Host.a, Host.a, size: 4) }
    put(i.operands.0, Host.a, size: size)
  }

  func emitByteSwap(_ index: Int, _ i: Instruction) {
    let size = steps[index].size
    let host = take(i.operands.0, Host.a)
    swapBytes(host, size: size)
    if host == Host.a { put(i.operands.0, host, size: size) }
  }

  private func swapBytes(_ host: Int, size: Int) {
    if size == 8 || host >= 8 { code.byte(0x40 | (size == 8 ? 8 : 0) | host >> 3) }
    code.byte(0x0F)
    code.byte(0xC8 | host & 7)
  }

  func emitBigEndianMove(_ index: Int, _ i: Instruction) {
    let (d, s) = (i.operands.0, i.operands.1)
    let size = steps[index].size
    if d.kind == .memory {
      let miss = lookUp(i, size: size, write: true)
      code.rm(0x0F38F1, take(s, Host.b), base: Host.a, size: size)
      slowPath(index, from: [miss], resume: code.position)
    } else {
      let miss = lookUp(i, size: size, write: false)
      let host = home(d) ?? Host.a
      code.rm(0x0F38F0, host, base: Host.a, size: size)
      put(d, host, size: size)
      slowPath(index, from: [miss], resume: code.position)
    }
  }

  func emitConditionalSet(_ index: Int, _ condition: Int, _ i: Instruction) {
    let d = i.operands.0
    ensureHost()
    if d.kind == .memory {
      code.rs(0x0F90 | condition, 0, At.scratch, size: 1)
      let miss = lookUp(i, size: 1, write: true)
      code.load(Host.b, At.scratch)
      code.rm(0x88, Host.b, base: Host.a, size: 1)
      slowPath(index, from: [miss], resume: code.position)
    } else if let host = home(d) {
      code.rr(0x0F90 | condition, 0, host, size: 1)
    } else {
      code.rr(0x0F90 | condition, 0, Host.a, size: 1)
      put(d, Host.a, size: 1)
    }
  }

  /// A memory operand is read, and may fault, whatever the condition.
  func emitConditionalMove(_ index: Int, _ condition: Int, _ i: Instruction) {
    let (d, s) = (i.operands.0, i.operands.1)
    let size = steps[index].size
    var miss: Int?
    if s.kind == .memory {
      miss = lookUp(i, size: size, write: false)
      loadOperand(Host.b, size: size)
    }
    ensureHost()
    let from = miss != nil ? Host.b : take(s, Host.b)
    let host = take(d, Host.a)
    code.rr(0x0F40 | condition, host, from, size: size)
    if host == Host.a { put(d, host, size: size) }
    if let miss { slowPath(index, from: [miss], resume: code.position) }
  }
}
