import X86

// XCHG, XADD, CMPXCHG and its wide forms. One CPU runs at a time, so none of them needs the bus locked.

extension Translator {
  func emitExchange(_ index: Int, _ i: Instruction) {
    let size = steps[index].size
    var (d, s) = (i.operands.0, i.operands.1)
    if d.kind == .memory || s.kind == .memory {
      if s.kind == .memory { swap(&d, &s) }
      let miss = lookUp(i, size: size, write: true)
      if let host = home(s) {
        code.rm(sized(0x8A, size), Host.b, base: Host.a, size: size)
        code.rm(sized(0x88, size), host, base: Host.a, size: size)
        code.rr(sized(0x8A, size), host, Host.b, size: size)
      } else {
        code.rm(sized(0x8A, size), Host.b, base: Host.a, size: size)
        code.store(Host.b, At.scratch)
        code.rm(sized(0x88, size), take(s, Host.b), base: Host.a, size: size)
        code.load(Host.b, At.scratch)
        put(s, Host.b, size: size)
      }
      slowPath(index, from: [miss], resume: code.position)
    } else if let first = home(d), let second = home(s) {
      code.rr(sized(0x86, size), second, first, size: size)
    } else {
      // Of 4 bytes the upper halves become 0 on the way.
      let width = size == 4 ? 4 : 8
      code.rr(0x8B, Host.a, take(d, Host.a), size: width)
      code.rr(0x8B, Host.b, take(s, Host.b), size: width)
      put(d, Host.b, size: size)
      put(s, Host.a, size: size)
    }
  }

  func emitExchangeAdd(_ index: Int, _ i: Instruction) {
    let step = steps[index]
    let size = step.size
    let (d, s) = (i.operands.0, i.operands.1)
    if d.kind == .memory {
      let miss = lookUp(i, size: size, write: true)
      if step.needsSave {
        code.rm(sized(0x8A, size), Host.b, base: Host.a, size: size)
        code.store(Host.b, At.flagsA)
      }
      let source = take(s, Host.b)
      if step.needsSave {
        code.store(source, At.flagsB)
        saveKind(NativeFlags.add, size: size)
      }
      code.rm(sized(0x0FC0, size), source, base: Host.a, size: size)
      if source == Host.b { put(s, source, size: size) }
      hostValid = true
      slowPath(index, from: [miss], resume: code.position)
      return
    }
    copy(d, Host.a)
    copy(s, Host.b)
    if step.needsSave {
      code.store(Host.a, At.flagsA)
      code.store(Host.b, At.flagsB)
      saveKind(NativeFlags.add, size: size)
    }
    code.rr(sized(0x0FC0, size), Host.b, Host.a, size: size)
    put(s, Host.b, size: size)
    put(d, Host.a, size: size)
    hostValid = true
  }

  func emitCompareExchange(_ index: Int, _ i: Instruction) {
    let step = steps[index]
    let size = step.size
    let (d, s) = (i.operands.0, i.operands.1)
    func save() {
      guard step.needsSave else { return }
      code.store(Host.rax, At.flagsA)
      code.store(Host.b, At.flagsB)
      saveKind(NativeFlags.subtract, size: size)
    }
    if d.kind == .memory {
      let miss = lookUp(i, size: size, write: true)
      if step.needsSave { code.rm(sized(0x8A, size), Host.b, base: Host.a, size: size) }
      save()
      code.rm(sized(0x0FB0, size), take(s, Host.b), base: Host.a, size: size)
      hostValid = true
      slowPath(index, from: [miss], resume: code.position)
      return
    }
    if step.needsSave {
      copy(d, Host.b)
      save()
    }
    let host = take(d, Host.a)
    code.rr(sized(0x0FB0, size), take(s, Host.b), host, size: size)
    if host == Host.a { put(d, host, size: size) }
    hostValid = true
  }

  /// Of ZF alone.
  func emitCompareExchangeWide(_ index: Int, _ bytes: Int, _ i: Instruction) {
    let step = steps[index]
    var leaves = [lookUp(i, size: bytes, write: true)]
    code.rr(0x8B, Host.b, Host.a, size: 8)
    if bytes == 16 {
      // Pages are aligned, so the address in the host is as the linear one. test b, 15
      code.byte(0x41)
      code.byte(0xF6)
      code.byte(0xC0 | Host.b & 7)
      code.byte(15)
      leaves.append(code.jump(condition: 5))
    }
    ensureKept(step)
    code.rm(0x0FC7, 1, base: Host.b, size: bytes == 16 ? 8 : 4)
    if step.needsSave { saveBeside(FlagSet.zero) }
    slowPath(index, from: leaves, resume: code.position)
  }
}
