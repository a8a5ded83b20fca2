import CHost
import X86

// SSE as itself: operands are copied from the state into the host's XMM1 and XMM2, the very instruction runs on them, the result goes
// back. While guest code runs the host's MXCSR is the guest's, so rounding, NaNs and flags are the instruction's own.

extension Translator {
  /// Tells the run loop to interpret the block this time.
  static let interpretNext = Int(Int32(-1))

  /// At the block's start: unless SSE may be used without a look (`vector_ready`), the interpreter runs the block.
  func requireVectors(_ short: Int) {
    let wanted = Int(PV_VECTOR_SSE | PV_VECTOR_MASKED)
    code.rs(0x8B, Host.a, At.vectorReady, size: 4)
    code.groupImmediate(4, Host.a, wanted, size: 4)
    code.groupImmediate(7, Host.a, wanted, size: 4)
    let refused = code.jump(condition: 5)
    later.append { [unowned self] in
      code.patch(refused, to: code.position)
      code.groupImmediate(0, Host.budget, Int(block.pointee.count), size: 8)
      emitExit(to: pageOffset, slot: Self.interpretNext)
    }
  }

  private func slot(_ register: UInt8) -> Int { Int(StateOffset.vector(Int(register) & 15)) }

  /// movaps between an XMM register and the state.
  private func loadVector(_ host: Int, _ register: UInt8) { code.rs(0x0F28, host, slot(register), size: 4) }
  private func storeVector(_ host: Int, _ register: UInt8) { code.rs(0x0F29, host, slot(register), size: 4) }

  /// The instruction's opcode behind its prefix, with registers' high bits.
  private func opcode(_ e: VectorEncoding, reg: Int, index: Int = 0, base: Int) {
    if e.prefix != 0 { code.byte(Int(e.prefix)) }
    let rex = 0x40 | (e.wide ? 8 : 0) | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3
    if rex != 0x40 { code.byte(rex) }
    code.byte(0x0F)
    if e.map != 0 { code.byte(Int(e.map)) }
    code.byte(Int(e.opcode))
  }

  private func onRegisters(_ e: VectorEncoding, reg: Int, rm: Int) {
    opcode(e, reg: reg, base: rm)
    code.byte(0xC0 | (reg & 7) << 3 | rm & 7)
    if let immediate = e.immediate { code.byte(Int(immediate)) }
  }

  /// With the memory operand at [a + b].
  private func onMemory(_ e: VectorEncoding, reg: Int) {
    opcode(e, reg: reg, index: Host.b, base: Host.a)
    code.byte((reg & 7) << 3 | 4)
    code.byte((Host.b & 7) << 3 | Host.a & 7)
    if let immediate = e.immediate { code.byte(Int(immediate)) }
  }

  func emitVector(_ index: Int, _ i: Instruction, _ e: VectorEncoding) {
    let (d, s) = (i.operands.0, i.operands.1)
    var misses: [Int] = []
    if d.kind == .memory || s.kind == .memory {
      let size = Int(d.kind == .memory ? d.size : s.size)
      misses.append(lookUp(i, size: size, write: d.kind == .memory))
      if size == 16 && !VectorNative.unaligned[Int(i.mnemonic.rawValue)] {
        // test a, 15
        code.byte(0x41)
        code.byte(0xF6)
        code.byte(0xC0 | Host.a & 7)
        code.byte(15)
        misses.append(code.jump(condition: 5))
      }
    }
    if d.kind == .memory {
      loadVector(1, s.register)
      onMemory(e, reg: 1)
    } else if d.kind == .general {
      emitToGeneral(i, e)
    } else if s.kind == .immediate {
      loadVector(1, d.register)
      onRegisters(e, reg: Int(e.modRM >> 3 & 7), rm: 1)
      storeVector(1, d.register)
    } else {
      emitToVector(i, e)
      if e.role == .compare {
        if steps[index].needsSave { saveComparison() }
        hostValid = true
      }
    }
    if !misses.isEmpty { slowPath(index, from: misses, resume: code.position) }
  }

  private func emitToVector(_ i: Instruction, _ e: VectorEncoding) {
    let (d, s) = (i.operands.0, i.operands.1)
    if e.role != .write { loadVector(1, d.register) }
    switch s.kind {
    case .memory: onMemory(e, reg: 1)
    case .general:
      let register = guest(s)
      onRegisters(e, reg: 1, rm: value(register, Host.a))
    default:
      // MOVSS and MOVSD between registers keep the rest of the destination, which is loaded; the store form's opcode has the operands
      // the other way round.
      loadVector(2, s.register)
      let reversed = isStoreOpcode(e)
      onRegisters(e, reg: reversed ? 2 : 1, rm: reversed ? 1 : 2)
    }
    if e.role != .compare { storeVector(1, d.register) }
  }

  /// Encodings in which ModRM.reg is the source.
  private func isStoreOpcode(_ e: VectorEncoding) -> Bool {
    guard e.map == 0 else { return false }
    switch e.opcode {
    case 0x11, 0x29, 0x7F: return true
    case 0xD6: return true
    default: return false
    }
  }

  private func emitToGeneral(_ i: Instruction, _ e: VectorEncoding) {
    let (d, s) = (i.operands.0, i.operands.1)
    let register = guest(d)
    let host = Host.of(register) ?? Host.a
    if s.kind == .memory {
      onMemory(e, reg: host)
    } else {
      loadVector(1, s.register)
      // MOVD and MOVQ to a general register have the vector in ModRM.reg.
      let vectorInReg = e.map == 0 && e.opcode == 0x7E
      onRegisters(e, reg: vectorInReg ? 1 : host, rm: vectorInReg ? host : 1)
    }
    if Host.of(register) == nil { writeBack(register, host, size: 8) }
  }

  private func saveComparison() {
    code.rs(0x0F92, 0, At.flagsB, size: 1)
    code.rs(0x0F9A, 0, At.flagsB + 1, size: 1)
    code.rs(0x0F94, 0, At.flagsB + 2, size: 1)
    saveKind(NativeFlags.compare, size: 1)
  }
}
