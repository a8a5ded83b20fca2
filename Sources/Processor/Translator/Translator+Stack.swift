import CHost
import X86

// PUSH, POP, LEAVE, PUSHFQ and PUSHFD.

extension Translator {
  func moveStack(_ displacement: Int) {
    code.rm(0x8D, Host.guestSP, base: Host.guestSP, displacement: displacement, size: word)
  }

  func lookUpStack(_ displacement: Int, write: Bool) -> Int {
    lookUp(size: word, write: write) {
      self.code.rm(0x8D, Host.a, base: Host.guestSP, displacement: displacement, size: self.word)
      if self.isNarrow { self.narrowSegment(UInt8(PV_SS)) }
    }
  }

  func emitPush(_ index: Int, _ i: Instruction) {
    let operand = i.operands.0
    if operand.kind == .memory {
      let read = lookUp(i, size: word, write: false)
      loadOperand(Host.b, size: word)
      code.store(Host.b, At.scratch)
      pushScratch(index, after: [read])
      return
    }
    let miss = lookUpStack(-word, write: true)
    if operand.kind == .immediate {
      code.rm(0xC7, 0, base: Host.a, size: word)
      code.int32(Int(truncatingIfNeeded: i.immediate))
    } else if let host = home(operand) {
      code.rm(0x89, host, base: Host.a, size: word)
    } else {
      code.rm(0x89, take(operand, Host.b), base: Host.a, size: word)
    }
    moveStack(-word)
    slowPath(index, from: [miss], resume: code.position)
  }

  // MARK: - Runs of PUSH or POP

  /// Words of a run at most: far less than a page.
  private static let longestRun = 16

  /// Several PUSH or POP of registers in a row, and a RET behind POP, with one look into the TLB for all their words, as functions begin
  /// and end. Where these do not lie in one known page each instruction looks for itself, apart from here. Returns the step behind them and
  /// whether the block has ended; nil, with nothing done, where there is no such run.
  func emitStackRun(_ start: Int) -> (end: Int, ended: Bool)? {
    // Versions for what the x87 unit holds do something before a block's last instruction.
    guard !isNarrow, known == nil, let pushes = stackRunKind(start) else { return nil }
    var end = start + 1
    while end < steps.count, end - start < Self.longestRun, stackRunKind(end) == pushes { end += 1 }
    let returns = !pushes && end == steps.count - 1 && isReturn(end)
    let count = end - start
    guard count > 1 || returns else { return nil }
    let bytes = count * 8
    let miss = lookUp(size: returns ? bytes + 8 : bytes, write: pushes) {
      if pushes {
        code.rm(0x8D, Host.a, base: Host.guestSP, displacement: -bytes, size: 8)
      } else {
        code.rr(0x8B, Host.a, Host.guestSP, size: 8)
      }
    }
    for index in start..<end {
      let operand = steps[index].instruction.operands.0
      let place = (pushes ? end - 1 - index : index - start) * 8
      if !pushes {
        let host = home(operand) ?? Host.b
        code.rm(0x8B, host, base: Host.a, displacement: place, size: 8)
        if host == Host.b { code.store(Host.b, At.guest(guest(operand))) }
      } else if operand.kind == .immediate {
        code.rm(0xC7, 0, base: Host.a, displacement: place, size: 8)
        code.int32(Int(truncatingIfNeeded: steps[index].instruction.immediate))
      } else {
        code.rm(0x89, take(operand, Host.b), base: Host.a, displacement: place, size: 8)
      }
    }
    if returns { code.rm(0x8B, Host.a, base: Host.a, displacement: bytes, size: 8) }
    moveStack(pushes ? -bytes : bytes)
    if returns { emitReturn(end, steps[end].instruction, from: []) }
    code.forgetHeld()
    lastSaved = nil
    let resume = code.position
    let last = returns ? end + 1 : end
    later.append(
      .other { [unowned self] in
        code.patch(miss, to: code.position)
        code.forgetHeld()
        for index in start..<last { _ = emit(index) }
        if !returns { code.jump(to: resume) }
      })
    return (last, returns)
  }

  private func isReturn(_ index: Int) -> Bool {
    if case .ret = steps[index].native { return true }
    return false
  }

  /// Whether a step can be part of a run: true for PUSH, false for POP; nil for what cannot. The stack pointer's own value is left alone.
  private func stackRunKind(_ index: Int) -> Bool? {
    let operand = steps[index].instruction.operands.0
    switch steps[index].native {
    case .push:
      return operand.kind == .immediate || (operand.kind == .general && guest(operand) != 4) ? true : nil
    case .pop: return operand.kind == .general && guest(operand) != 4 ? false : nil
    default: return nil
    }
  }

  private func pushScratch(_ index: Int, after misses: [Int]) {
    let miss = lookUpStack(-word, write: true)
    code.load(Host.b, At.scratch)
    code.rm(0x89, Host.b, base: Host.a, size: word)
    moveStack(-word)
    slowPath(index, from: misses + [miss], resume: code.position)
  }

  func emitPop(_ index: Int, _ i: Instruction) {
    let operand = i.operands.0
    let miss = lookUpStack(0, write: false)
    if operand.kind == .memory {
      loadOperand(Host.b, size: word)
      code.store(Host.b, At.scratch)
      // The address is that with the stack pointer already moved.
      var moved = i
      if i.base == 4 { moved.displacement = i.displacement &+ Int64(word) }
      let second = lookUp(moved, size: word, write: true)
      code.load(Host.b, At.scratch)
      code.rm(0x89, Host.b, base: Host.a, size: word)
      moveStack(word)
      slowPath(index, from: [miss, second], resume: code.position)
      return
    }
    let host = home(operand) ?? Host.a
    loadOperand(host, size: word)
    if host == Host.a { put(operand, host, size: word) }
    if guest(operand) != 4 { moveStack(word) }
    slowPath(index, from: [miss], resume: code.position)
  }

  func emitLeaveFrame(_ index: Int, _ i: Instruction) {
    let miss = lookUp(memory(base: 5, segment: UInt8(PV_SS), like: i), size: word, write: false)
    loadOperand(Host.b, size: word)
    code.rm(0x8D, Host.guestSP, base: 5, displacement: word, size: word)
    code.rr(0x8B, 5, Host.b, size: 8)
    slowPath(index, from: [miss], resume: code.position)
  }

  /// VM and RF read as 0.
  func emitPushFlags(_ index: Int, _ i: Instruction) {
    ensureHost()
    // pushfq; pop b
    code.byte(0x9C)
    code.byte(0x41)
    code.byte(0x58 | Host.b & 7)
    code.groupImmediate(4, Host.b, Int(Flag.arithmetic), size: 4)
    code.load(Host.a, At.rflags)
    code.groupImmediate(4, Host.a, ~Int(Flag.vm | Flag.rf | Flag.arithmetic), size: 8)
    code.rr(0x0B, Host.b, Host.a, size: 8)
    code.groupImmediate(1, Host.b, 2, size: 4)
    code.store(Host.b, At.scratch)
    pushScratch(index, after: [])
  }

  /// CLD, STD.
  func emitDirection(_ down: Bool) {
    if down {
      code.rs(0x81, 1, At.rflags, size: 4)
      code.int32(Int(Flag.df))
    } else {
      code.rs(0x81, 4, At.rflags, size: 4)
      code.int32(~Int(Flag.df))
    }
    hostValid = false
  }

  // MARK: - Single string elements, upwards

  /// Leaves to the interpreter where DF is set.
  private func requireUpwards() -> Int {
    // test dword [rflags], DF
    code.rs(0xF7, 0, At.rflags, size: 4)
    code.int32(Int(Flag.df))
    return code.jump(condition: 5)
  }

  private func advance(_ register: Int, _ size: Int) {
    code.rm(0x8D, register, base: register, displacement: size, size: word)
  }

  func emitStringStore(_ index: Int, _ size: Int, _ i: Instruction) {
    let down = requireUpwards()
    let miss = lookUp(memory(base: 7, segment: UInt8(PV_ES), like: i), size: size, write: true)
    code.rm(sized(0x88, size), Host.rax, base: Host.a, size: size)
    advance(Host.rdi, size)
    slowPath(index, from: [down, miss], resume: code.position)
  }

  func emitStringLoad(_ index: Int, _ size: Int, _ i: Instruction) {
    let down = requireUpwards()
    let miss = lookUp(memory(base: 6, segment: i.segment, like: i), size: size, write: false)
    loadOperand(Host.rax, size: size)
    advance(Host.rsi, size)
    slowPath(index, from: [down, miss], resume: code.position)
  }

  func emitStringMove(_ index: Int, _ size: Int, _ i: Instruction) {
    let down = requireUpwards()
    let read = lookUp(memory(base: 6, segment: i.segment, like: i), size: size, write: false)
    loadOperand(Host.b, size: size)
    code.store(Host.b, At.scratch)
    let write = lookUp(memory(base: 7, segment: UInt8(PV_ES), like: i), size: size, write: true)
    code.load(Host.b, At.scratch)
    code.rm(sized(0x88, size), Host.b, base: Host.a, size: size)
    advance(Host.rsi, size)
    advance(Host.rdi, size)
    slowPath(index, from: [down, read, write], resume: code.position)
  }
}
