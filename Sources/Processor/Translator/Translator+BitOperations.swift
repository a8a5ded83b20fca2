import X86

// BT and its kin, bit scans and counts, BMI, ADX, CRC32.

extension Translator {
  /// `kind`: 0 test, 1 set, 2 reset, 3 complement. Of CF alone.
  func emitBitTest(_ index: Int, _ kind: Int, _ i: Instruction) {
    let step = steps[index]
    let size = step.size
    let (d, s) = (i.operands.0, i.operands.1)
    let isImmediate = s.kind == .immediate
    func test(_ host: Int, _ number: Int) {
      if isImmediate {
        code.rr(0x0FBA, 4 + kind, host, size: size)
        code.byte(Int(i.immediate) & (size * 8 - 1))
      } else {
        code.rr(0x0FA3 | kind << 3, number, host, size: size)
      }
    }
    guard d.kind == .memory else {
      ensureKept(step)
      let host = take(d, Host.a)
      test(host, isImmediate ? 0 : take(s, Host.b))
      if kind != 0 && host == Host.a { put(d, host, size: size) }
      if step.needsSave { saveBeside(FlagSet.carry) }
      return
    }
    let miss: Int
    if isImmediate {
      miss = lookUp(i, size: size, write: kind != 0)
    } else {
      // The offset's upper bits move the address, by whole operands.
      let number = take(s, Host.b)
      if size == 8 {
        if number != Host.b { code.rr(0x8B, Host.b, number, size: 8) }
      } else {
        code.rr(size == 2 ? 0x0FBF : 0x63, Host.b, number, size: 8)
      }
      let (bits, bytes) = size == 2 ? (4, 1) : size == 4 ? (5, 2) : (6, 3)
      code.shiftImmediate(7, Host.b, bits, size: 8)
      code.shiftImmediate(4, Host.b, bytes, size: 8)
      code.store(Host.b, At.scratch)
      miss = lookUp(size: size, write: kind != 0) {
        if self.isNarrow { self.narrowOffset(i) } else { self.address(i) }
        self.code.rs(0x03, Host.a, At.scratch, size: self.word)
        if self.isNarrow { self.narrowSegment(i.segment) }
      }
    }
    if kind == 0 {
      loadOperand(Host.b, size: size)
      ensureKept(step)
      test(Host.b, isImmediate ? 0 : take(s, Host.a))
    } else {
      code.rr(0x8B, Host.b, Host.a, size: 8)
      ensureKept(step)
      if isImmediate || home(s) != nil {
        code.rm(0x8B, Host.a, base: Host.b, size: size)
        test(Host.a, home(s) ?? 0)
        code.rm(0x89, Host.a, base: Host.b, size: size)
      } else {
        code.store(Host.b, At.scratch)
        code.rm(0x8B, Host.b, base: Host.b, size: size)
        test(Host.b, take(s, Host.a))
        code.load(Host.a, At.scratch)
        code.rm(0x89, Host.b, base: Host.a, size: size)
      }
    }
    if step.needsSave { saveBeside(FlagSet.carry) }
    slowPath(index, from: [miss], resume: code.position)
  }

  /// The register or memory operand in a host register: its own or `b`. Returns the jump of a miss too.
  private func source(_ operand: Instruction.Operand, _ i: Instruction, size: Int) -> (host: Int, miss: Int?) {
    guard operand.kind == .memory else { return (take(operand, Host.b), nil) }
    let miss = lookUp(i, size: size, write: false)
    loadOperand(Host.b, size: size)
    return (Host.b, miss)
  }

  /// BSF, BSR, TZCNT, LZCNT, POPCNT. Of 0 the former two keep the whole destination.
  func emitScan(_ index: Int, _ prefix: Int, _ opcode: Int, _ i: Instruction) {
    let step = steps[index]
    let size = step.size
    let d = i.operands.0
    let (from, miss) = source(i.operands.1, i, size: size)
    let host = take(d, Host.a)
    code.rr(opcode, host, from, size: size, prefix: prefix)
    if host == Host.a { put(d, host, size: size) }
    if step.needsSave { saveImage() }
    hostValid = true
    if let miss { slowPath(index, from: [miss], resume: code.position) }
  }

  func emitThreeOperand(_ index: Int, _ e: ThreeOperandEncoding, _ i: Instruction) {
    let step = steps[index]
    let size = step.size
    let (d, s, t) = (i.operands.0, i.operands.1, i.operands.2)
    var miss: Int?
    func vex(_ reg: Int, _ second: Int, _ rm: Int) {
      code.vex(map: e.map, prefix: e.prefix, e.opcode, reg: reg, second: second, rm: rm, size: size)
    }
    let host = home(d) ?? Host.a
    switch e.shape {
    case .registerSecond:
      let (from, slot) = source(t, i, size: size)
      miss = slot
      vex(host, take(s, Host.a), from)
    case .registerThird:
      let (from, slot) = source(s, i, size: size)
      miss = slot
      vex(host, take(t, Host.a), from)
    case .immediateThird:
      let (from, slot) = source(s, i, size: size)
      miss = slot
      vex(host, 0, from)
      code.byte(Int(truncatingIfNeeded: i.immediate))
    case .group(let number):
      let (from, slot) = source(s, i, size: size)
      miss = slot
      vex(number, host, from)
    case .twoResults:
      let (from, slot) = source(t, i, size: size)
      miss = slot
      // Where both results go to one register it gets the upper half.
      vex(Host.a, Host.b, from)
      put(s, Host.b, size: size == 4 ? 8 : size)
      put(d, Host.a, size: size == 4 ? 8 : size)
    }
    if case .twoResults = e.shape {} else if host == Host.a { put(d, host, size: size) }
    if e.setsFlags {
      if step.needsSave { saveImage() }
      hostValid = true
    }
    if let miss { slowPath(index, from: [miss], resume: code.position) }
  }

  /// ADCX and ADOX: one flag in and out.
  func emitAddFlag(_ index: Int, _ prefix: Int, _ i: Instruction) {
    let step = steps[index]
    let size = step.size
    let d = i.operands.0
    let (from, miss) = source(i.operands.1, i, size: size)
    ensureKept(step, reads: step.flagsRead)
    let host = take(d, Host.a)
    code.rr(0x0F38F6, host, from, size: size, prefix: prefix)
    if host == Host.a { put(d, host, size: size) }
    if step.needsSave { saveBeside(step.setsSome) }
    if let miss { slowPath(index, from: [miss], resume: code.position) }
  }

  func emitChecksum(_ index: Int, _ i: Instruction) {
    let d = i.operands.0
    let size = Int(i.operands.1.size)
    let (from, miss) = source(i.operands.1, i, size: size)
    let host = take(d, Host.a)
    code.rr(size == 1 ? 0x0F38F0 : 0x0F38F1, host, from, size: size, prefix: 0xF2)
    if host == Host.a { put(d, host, size: 8) }
    if let miss { slowPath(index, from: [miss], resume: code.position) }
  }
}
