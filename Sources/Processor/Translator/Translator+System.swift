import CHost
import X86

// Instructions of kernels that are frequent enough to be run without the interpreter: what CPL 0 does on each way in and out. Whatever is
// not as it nearly always is (another privilege level, an interrupt that waits) is the interpreter's. Those that end a block in the
// interpreter do so here too.

extension At {
  static let privilege = MemoryLayout<pv_vcpu>.offset(of: \.cpl)!
  static let attention = Int(PV_AT_ATTENTION)
  static let architectural = MemoryLayout<pv_vcpu>.offset(of: \.architectural)!
  static let kernelGSBase = MemoryLayout<pv_vcpu>.offset(of: \.kernel_gs_base)!
  static func base(_ segment: Int) -> Int { Int(StateOffset.segmentBase(segment)) }
  static func selector(_ segment: Int) -> Int {
    Int(StateOffset.segmentBase(segment)) + MemoryLayout<pv_segment>.offset(of: \.selector)!
  }
  /// Nil where there is no such register.
  static func control(_ number: Int) -> Int? {
    switch number {
    case 0: MemoryLayout<pv_vcpu>.offset(of: \.cr0)
    case 2: MemoryLayout<pv_vcpu>.offset(of: \.cr2)
    case 3: MemoryLayout<pv_vcpu>.offset(of: \.cr3)
    case 4: MemoryLayout<pv_vcpu>.offset(of: \.cr4)
    case 8: MemoryLayout<pv_vcpu>.offset(of: \.cr8)
    default: nil
    }
  }
}

extension Step {
  /// MOV from a segment or control register.
  mutating func classifySystem() {
    let o = instruction.operands
    guard instruction.mnemonic == Self.move, o.0.kind == .general else { return }
    switch o.1.kind {
    case .segment where o.1.register <= 5: native = .readSegment(Int(o.1.register))
    case .control where At.control(Int(o.1.register)) != nil: native = .readControl(Int(o.1.register))
    default: break
    }
  }

  private static let move = Mnemonic("mov")
}

extension Translator {
  /// Leaves to the interpreter if CPL is not 0.
  private func requireKernel() -> Int {
    // cmp dword [cpl], 0
    code.rs(0x83, 7, At.privilege, size: 4)
    code.byte(0)
    return code.jump(condition: 5)
  }

  func emitSwapGS(_ index: Int) {
    let refused = requireKernel()
    code.load(Host.a, At.base(Int(PV_GS)))
    code.load(Host.b, At.kernelGSBase)
    code.store(Host.a, At.kernelGSBase)
    code.store(Host.b, At.base(Int(PV_GS)))
    hostValid = false
    slowPath(index, from: [refused], resume: runtime.miss)
  }

  func emitClearInterrupts(_ index: Int) {
    let refused = requireKernel()
    code.rs(0x81, 4, At.rflags, size: 4)
    code.int32(~Int(Flag.if))
    hostValid = false
    slowPath(index, from: [refused], resume: runtime.miss)
  }

  /// STI where nothing waits for it. Its shadow lies over the next instruction; if that comes now the shadow is over before anybody can ask
  /// for an interrupt, so that it is only noted where the run ends here.
  func emitSetInterrupts(_ index: Int) {
    // cmp dword [attention], 0
    code.rs(0x83, 7, At.attention, size: 4)
    code.byte(0)
    let wanted = code.jump(condition: 5)
    let refused = requireKernel()
    code.rs(0x83, 7, At.architectural, size: 4)
    code.byte(0)
    let foreign = code.jump(condition: 4)
    // bts dword [rflags], 9
    code.rs(0x0FBA, 5, At.rflags, size: 4)
    code.byte(Flag.if.trailingZeroBitCount)
    let known = code.jump(condition: 2)
    code.rr(0x85, Host.budget, Host.budget, size: 8)
    let goesOn = code.jump(condition: 15)
    code.rs(0xC6, 0, At.attention, size: 4)
    code.byte(Int(PV_SHADOW_STI))
    code.patch(known, to: code.position)
    code.patch(goesOn, to: code.position)
    hostValid = false
    slowPath(index, from: [wanted, refused, foreign], resume: runtime.miss)
  }

  /// MOV from a segment register to a general one.
  func emitReadSegment(_ index: Int, _ segment: Int, _ i: Instruction) {
    code.rs(0x0FB7, Host.a, At.selector(segment), size: 4)
    put(i.operands.0, Host.a, size: i.operandSize == 2 ? 2 : 8)
  }

  func emitReadControl(_ index: Int, _ number: Int, _ i: Instruction) {
    let refused = requireKernel()
    code.rs(0x8B, Host.a, At.control(number) ?? At.scratch, size: word)
    put(i.operands.0, Host.a, size: word)
    hostValid = false
    slowPath(index, from: [refused], resume: runtime.miss)
  }

  /// RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE.
  func emitSegmentBase(_ index: Int, _ segment: Int, write: Bool, _ i: Instruction) {
    // test byte [cr4 + 2], FSGSBASE
    code.rs(0xF6, 0, At.cr4 + 2, size: 4)
    code.byte(1)
    var misses = [code.jump(condition: 4)]
    hostValid = false
    let size = i.operandSize == 8 ? 8 : 4
    if write {
      code.rr(0x8B, Host.a, value(guest(i.operands.0), Host.a), size: size)
      if size == 8 {
        // Bits 63:47 are all alike.
        code.rr(0x8B, Host.b, Host.a, size: 8)
        code.shiftImmediate(4, Host.b, 16, size: 8)
        code.shiftImmediate(7, Host.b, 16, size: 8)
        code.rr(0x3B, Host.b, Host.a, size: 8)
        misses.append(code.jump(condition: 5))
      }
      code.store(Host.a, At.base(segment))
    } else {
      code.rs(0x8B, Host.a, At.base(segment), size: size)
      put(i.operands.0, Host.a, size: size)
    }
    slowPath(index, from: misses, resume: code.position)
  }
}
