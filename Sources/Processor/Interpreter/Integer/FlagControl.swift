import CHost
import X86

// Instructions on the flags themselves: CLC … STD, LAHF, SAHF, PUSHF, POPF, SALC.

func registerFlagControl(_ table: inout LoweringTable) {
  func simple(_ name: String, _ handler: @escaping pv_handler) {
    table.register(name) { _, op in op.take(handler) }
  }
  simple("clc") { cpu, op in
    cpu.setCF(false)
    return next(cpu, op)
  }
  simple("stc") { cpu, op in
    cpu.setCF(true)
    return next(cpu, op)
  }
  simple("cmc") { cpu, op in
    cpu.setCF(!cpu.cf)
    return next(cpu, op)
  }
  simple("cld") { cpu, op in
    cpu.pointee.rflags &= ~Flag.df
    return next(cpu, op)
  }
  simple("std") { cpu, op in
    cpu.pointee.rflags |= Flag.df
    return next(cpu, op)
  }
  simple("lahf") { cpu, op in
    cpu.set(1, UInt8(truncatingIfNeeded: cpu.rflags))
    return next(cpu, op)
  }
  simple("sahf") { cpu, op in
    let of = cpu.of ? Flag.of : 0
    cpu.setArithmeticFlags(UInt64(cpu.get(1, UInt8.self)) & 0xD5 | of)
    return next(cpu, op)
  }
  simple("salc") { cpu, op in
    cpu.set(0, cpu.cf ? 0xFF : 0 as UInt8)
    return next(cpu, op)
  }
  for (name, size) in [("pushfw", 2), ("pushfd", 4), ("pushfq", 8)] as [(String, UInt8)] {
    table.register(name) { _, op in
      op.flags |= UInt16(PV_OP_STACK_SEGMENT)
      if op.isCode64 { return op.take(size, nil, { pushFlags($0, $1, UInt16.self, true) }, nil, { pushFlags($0, $1, UInt64.self, true) }) }
      return op.take(size, nil, { pushFlags($0, $1, UInt16.self, false) }, { pushFlags($0, $1, UInt32.self, false) }, nil)
    }
  }
  for (name, size) in [("popfw", 2), ("popfd", 4), ("popfq", 8)] as [(String, UInt8)] {
    table.register(name) { _, op in
      // TF may come on, and IF: nothing runs on in this block.
      op.flags |= UInt16(PV_OP_STACK_SEGMENT | PV_OP_ENDS_BLOCK)
      if op.isCode64 { return op.take(size, nil, { popFlags($0, $1, UInt16.self, true) }, nil, { popFlags($0, $1, UInt64.self, true) }) }
      return op.take(size, nil, { popFlags($0, $1, UInt16.self, false) }, { popFlags($0, $1, UInt32.self, false) }, nil)
    }
  }
}

/// VM and RF read as 0.
@inline(__always) private func pushFlags<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type, _ code64: Bool) -> Operation? {
  let image = cpu.rflags & ~(Flag.vm | Flag.rf)
  let (linear, pointer) = stackBelow(cpu, code64, T.self)
  guard write(cpu, op, linear, T(truncatingIfNeeded: image)) else { return raise(cpu, op) }
  cpu.rsp = pointer
  return next(cpu, op)
}

/// SDM volume 2, POPF: IOPL changes at CPL 0 only, IF where CPL ≤ IOPL; VM, VIF and VIP never; RF is cleared.
@inline(__always) private func popFlags<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type, _ code64: Bool) -> Operation? {
  guard let image = read(cpu, op, stackLinear(cpu, code64, cpu.rsp), T.self) else { return raise(cpu, op) }
  cpu.rsp = stackAbove(cpu, code64, UInt64(MemoryLayout<T>.size))
  let old = cpu.rflags
  var changes = Flag.arithmetic | Flag.tf | Flag.df | Flag.nt
  if T.bitWidth > 16 { changes |= Flag.ac | Flag.id }
  let cpl = UInt64(cpu.pointee.cpl)
  if cpl == 0 { changes |= Flag.iopl }
  if cpl <= (old & Flag.iopl) >> 12 { changes |= Flag.if }
  cpu.rflags = (old & ~changes | UInt64(truncatingIfNeeded: image) & changes) & ~Flag.rf
  cpu.accessMayHaveChanged(from: old)
  return leave(cpu, cpu.ripAfter(op))
}
