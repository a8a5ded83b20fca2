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
