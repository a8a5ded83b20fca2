import CHost
import X86

// Jumps, calls and returns within the segment.

extension Translator {
  func emitConditionalJump(_ index: Int, _ condition: Int, _ i: Instruction) {
    ensureHost()
    branch(code.jump(condition: condition), index, i)
  }

  /// JRCXZ and LOOP. The flags are in memory at a block's end.
  func emitCount(_ index: Int, _ i: Instruction) {
    var condition = 4
    if case .loop = steps[index].native {
      code.rm(0x8D, Host.rcx, base: Host.rcx, displacement: -1, size: word)
      condition = 5
    }
    code.rr(0x85, Host.rcx, Host.rcx, size: word)
    branch(code.jump(condition: condition), index, i)
  }

  /// The end of a block whose jump at `taken` leads to the relative target.
  private func branch(_ taken: Int, _ index: Int, _ i: Instruction) {
    let next = pageOffset + steps[index].offset + Int(i.length)
    let target = next + Int(truncatingIfNeeded: i.immediate)
    emitDirect(to: next)
    if target >= 0 && target < 4096 {
      link(taken, to: target)
    } else {
      code.patch(taken, to: code.position)
      emitDirect(to: target)
    }
  }

  func emitReturn(_ index: Int, _ i: Instruction) {
    let miss = lookUpStack(0, write: false)
    code.rm(0x8B, Host.a, base: Host.a, size: word)
    emitReturn(index, i, from: [miss])
  }

  /// The rest of a return, the address being in `a`. `misses`: the jumps for which the interpreter does all of it.
  func emitReturn(_ index: Int, _ i: Instruction, from misses: [Int]) {
    let target = code.lookUpJump(narrow: isNarrow)
    moveStack(word + (i.operands.0.kind == .immediate ? Int(i.immediate) & 0xFFFF : 0))
    code.groupImmediate(4, Host.a, -4096, size: word)
    code.store(Host.a, At.pageRIP)
    code.onSet(0xFF, 4, At.jump + 8, size: 4)
    slowPath(index, from: misses, jump: target, resume: runtime.miss)
  }

  func emitJump(_ index: Int, _ i: Instruction) {
    let operand = i.operands.0
    if operand.kind == .relative {
      emitDirect(to: pageOffset + steps[index].offset + Int(i.length) + Int(truncatingIfNeeded: i.immediate))
      return
    }
    var misses: [Int] = []
    if operand.kind == .memory {
      misses.append(lookUp(i, size: word, write: false))
      code.rm(0x8B, Host.a, base: Host.a, size: word)
    } else {
      let from = value(guest(operand), Host.a)
      if from != Host.a { code.rr(0x8B, Host.a, from, size: word) }
    }
    let target = code.lookUpJump(narrow: isNarrow)
    code.groupImmediate(4, Host.a, -4096, size: word)
    code.store(Host.a, At.pageRIP)
    code.onSet(0xFF, 4, At.jump + 8, size: 4)
    slowPath(index, from: misses, jump: target, resume: runtime.miss)
  }

  /// SYSCALL: served without the run loop. Without EFER.SCE it is the interpreter's to refuse.
  func emitSystemCall(_ index: Int, _ i: Instruction) {
    code.rs(0xF6, 0, At.efer, size: 4)
    code.byte(1)
    let refused = code.jump(condition: 4)
    code.load(Host.a, At.pageRIP)
    code.rm(0x8D, Host.a, base: Host.a, displacement: pageOffset + steps[index].offset + Int(i.length), size: 8)
    code.jump(to: runtime.systemCall)
    slowPath(index, from: [refused], resume: runtime.miss)
  }

  /// RDTSC and RDTSCP, which end their block: all that was charged has run. Where CR4.TSD is set it is the interpreter's to allow or
  /// refuse.
  func emitReadTimeStamp(_ index: Int, _ withProcessor: Bool) {
    code.rs(0xF6, 0, At.cr4, size: 4)
    code.byte(4)
    let refused = code.jump(condition: 5)
    code.load(Host.rax, At.deadline)
    code.rr(0x2B, Host.rax, Host.budget, size: 8)
    code.rs(0x03, Host.rax, At.tscOffset, size: 8)
    code.rr(0x8B, Host.rdx, Host.rax, size: 8)
    code.shiftImmediate(5, Host.rdx, 32, size: 8)
    code.rr(0x8B, Host.rax, Host.rax, size: 4)
    if withProcessor { code.rs(0x8B, Host.rcx, At.tscAux, size: 4) }
    hostValid = false
    slowPath(index, from: [refused], resume: runtime.miss)
  }

  func emitCall(_ index: Int, _ i: Instruction) {
    let operand = i.operands.0
    let next = pageOffset + steps[index].offset + Int(i.length)
    func pushReturn() -> Int {
      let miss = lookUpStack(-word, write: true)
      code.load(Host.b, At.pageRIP)
      code.rm(0x8D, Host.b, base: Host.b, displacement: next, size: word)
      code.rm(0x89, Host.b, base: Host.a, size: word)
      moveStack(-word)
      return miss
    }
    if operand.kind == .relative {
      let miss = pushReturn()
      emitDirect(to: next + Int(truncatingIfNeeded: i.immediate))
      slowPath(index, from: [miss], resume: runtime.miss)
      return
    }
    var misses: [Int] = []
    if operand.kind == .memory {
      misses.append(lookUp(i, size: word, write: false))
      code.rm(0x8B, Host.a, base: Host.a, size: word)
    } else {
      let from = value(guest(operand), Host.a)
      if from != Host.a { code.rr(0x8B, Host.a, from, size: word) }
    }
    let target = code.lookUpJump(narrow: isNarrow)
    // The target and its code wait in memory while the return address is pushed, which may still fault.
    code.store(Host.a, At.rip)
    code.onSet(0x8B, Host.b, At.jump + 8, size: 8)
    code.store(Host.b, At.scratch)
    misses.append(pushReturn())
    code.load(Host.a, At.rip)
    code.groupImmediate(4, Host.a, -4096, size: word)
    code.store(Host.a, At.pageRIP)
    code.rs(0xFF, 4, At.scratch, size: 4)
    slowPath(index, from: misses, jump: target, resume: runtime.miss)
  }
}
