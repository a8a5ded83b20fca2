import X86

// Shifts and rotates. What the manuals leave undefined is the host's, which `Documentation/UndefinedResults.md` has as well.

extension Translator {
  func emitShift(_ index: Int, _ number: Int, _ i: Instruction) {
    let size = steps[index].size
    if i.operands.1.kind != .immediate {
      return emitByCount(index, i) {
        self.code.rr(self.sized(0xD2, size), number, $0, size: size)
      } save: {
        self.saveShift($0, size: size)
      }
    }
    modify(index, i) {
      self.code.shiftImmediate(number, $0, Int(i.immediate) & (size == 8 ? 63 : 31), size: size)
    } save: {
      self.saveShift($0, size: size)
    }
  }

  func emitRotate(_ index: Int, _ number: Int, _ i: Instruction) {
    let step = steps[index]
    let size = step.size
    if i.operands.1.kind != .immediate {
      return emitByCount(index, i) {
        self.code.rr(self.sized(0xD2, size), number, $0, size: size)
      } save: { _ in
        self.saveBeside(FlagSet.carry | FlagSet.overflow)
      }
    }
    if i.operands.0.kind == .memory {
      // As itself: on a register it might keep OF.
      let miss = lookUp(i, size: size, write: true)
      code.rr(0x8B, Host.b, Host.a, size: 8)
      ensureKept(step, reads: step.flagsRead)
      code.rm(sized(0xC0, size), number, base: Host.b, size: size)
      code.byte(Int(i.immediate) & (size == 8 ? 63 : 31))
      if step.needsSave { saveBeside(step.setsSome) }
      return slowPath(index, from: [miss], resume: code.position)
    }
    modify(index, i) {
      self.code.shiftImmediate(number, $0, Int(i.immediate) & (size == 8 ? 63 : 31), size: size)
    } save: { _ in
      self.saveBeside(step.setsSome)
    }
  }

  /// SHLD, SHRD: `opcode` by an immediate, the next one by CL.
  func emitDoubleShift(_ index: Int, _ opcode: Int, _ i: Instruction) {
    let size = steps[index].size
    let source = i.operands.1
    let isImmediate = i.operands.2.kind == .immediate
    let shift: (Int) -> Void = { host in
      // The destination is in `a` or its own register: `b` is free, or has the destination's address.
      let home = self.home(source)
      var from = home ?? Host.b
      if home == nil {
        if i.operands.0.kind == .memory {
          self.code.store(Host.b, At.scratch)
        }
        self.copy(source, Host.b)
        from = Host.b
      }
      self.code.rr(0x0F00 | opcode | (isImmediate ? 0 : 1), from, host, size: size)
      if isImmediate { self.code.byte(Int(truncatingIfNeeded: i.immediate)) }
      if home == nil && i.operands.0.kind == .memory { self.code.load(Host.b, At.scratch) }
    }
    if isImmediate {
      modify(index, i, shift) { self.saveShift($0, size: size) }
    } else {
      emitByCount(index, i, shift) { self.saveShift($0, size: size) }
    }
  }

  private func saveShift(_ host: Int, size: Int) {
    saveCarries()
    code.store(host, At.flagsA)
    saveKind(NativeFlags.shift, size: size)
  }

  /// Changes the first operand by `operation` on a host register: its own, or `a`, where `b` has the memory operand's address.
  func modify(_ index: Int, _ i: Instruction, _ operation: (Int) -> Void, save: (Int) -> Void) {
    let step = steps[index]
    let d = i.operands.0
    if d.kind == .memory {
      let miss = lookUp(i, size: step.size, write: true)
      code.rr(0x8B, Host.b, Host.a, size: 8)
      ensureKept(step, reads: step.flagsRead)
      code.rm(sized(0x8A, step.size), Host.a, base: Host.b, size: step.size)
      operation(Host.a)
      code.rm(sized(0x88, step.size), Host.a, base: Host.b, size: step.size)
      if step.needsSave { save(Host.a) }
      slowPath(index, from: [miss], resume: code.position)
    } else {
      ensureKept(step, reads: step.flagsRead)
      let host = take(d, Host.a)
      operation(host)
      if host == Host.a { put(d, host, size: step.size) }
      if step.needsSave { save(host) }
    }
  }

  /// The same by a count in CL, which where it is 0 changes no flags.
  private func emitByCount(_ index: Int, _ i: Instruction, _ operation: (Int) -> Void, save: (Int) -> Void) {
    let step = steps[index]
    let d = i.operands.0
    let size = step.size
    let inMemory = d.kind == .memory
    let keeps = step.hostFlags != 0
    let carries = step.flagsRead != 0
    var miss: Int?
    if inMemory {
      miss = lookUp(i, size: size, write: true)
      code.rr(0x8B, Host.b, Host.a, size: 8)
    }
    if keeps || carries { ensureHost() }
    let host = inMemory ? Host.a : take(d, Host.a)
    if inMemory { code.rm(sized(0x8A, size), Host.a, base: Host.b, size: size) }
    var zero: Int?
    if step.needsSave && !keeps && !carries {
      // test cl, 31 or 63
      code.byte(0xF6)
      code.byte(0xC1)
      code.byte(size == 8 ? 63 : 31)
      zero = code.jump(condition: 4)
    }
    operation(host)
    if inMemory {
      code.rm(sized(0x88, size), Host.a, base: Host.b, size: size)
    } else if host == Host.a {
      put(d, host, size: size)
    }
    if step.needsSave { if keeps || carries { saveImage() } else { save(host) } }
    lastSaved = nil
    hostValid = true
    if let zero {
      let resume = code.position
      later.append(
        .other { [unowned self] in
          code.patch(zero, to: code.position)
          if size == 4 && !inMemory {
            // The upper half goes all the same.
            code.rr(0x8B, host, host, size: 4)
            if host == Host.a { put(d, host, size: 4) }
          }
          code.jump(to: resume)
        })
    }
    if let miss { slowPath(index, from: [miss], resume: code.position) }
  }
}
