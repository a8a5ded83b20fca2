import CHost
import X86

// CPUID, clocks, and system calls: what user programs ask the processor and the kernel.

private let controlTSD: UInt64 = 1 << 2
private let controlOSXSAVE: UInt64 = 1 << 18
private let controlFSGSBASE: UInt64 = 1 << 16

func registerIdentification(_ table: inout LoweringTable) {
  table.register("cpuid", lowerer: running(identify))
  table.register("rdtsc", lowerer: ending(readTimeStamp))
  table.register("rdtscp", lowerer: ending(readTimeStampAndProcessor))
  table.register("rdpid", lowerer: running(readProcessor))
  table.register("rdpmc", lowerer: ending(raiseGP))
  table.register("syscall", lowerer: ending(systemCall))
  table.register("sysenter", lowerer: ending(systemEnter))
  table.register("xgetbv", lowerer: running(readExtendedControl))
  table.register("serialize", lowerer: running(doNothing))
  table.register("clflush", "clflushopt", "clwb", lowerer: running(touchLine))
  table.register("monitor", "mwait", "vmcall", "vmmcall", "rdpkru", "wrpkru", "rsm", lowerer: absent)
  table.register("xtest", "xbegin", "xabort", "xend", lowerer: absent)
  for (name, register, isWrite) in [
    ("rdfsbase", PV_FS, false), ("rdgsbase", PV_GS, false), ("wrfsbase", PV_FS, true), ("wrgsbase", PV_GS, true),
  ] {
    table.register(name) { i, op in
      guard op.flags & UInt16(PV_OP_CODE64) != 0 else { return false }
      op.size = i.operandSize == 8 ? 8 : 4
      op.extra = UInt8(register)
      op.handler = isWrite ? writeBase : readBase
      return true
    }
  }
}

private func doNothing(_ cpu: CPU, _ op: Operation) -> Operation? { next(cpu, op) }

private func identify(_ cpu: CPU, _ op: Operation) -> Operation? {
  if cpu.pointee.cpuid_faulting != 0 && cpu.pointee.cpl > 0 { return raiseGP(cpu, op) }
  let leaf = UInt32(truncatingIfNeeded: cpu.pointee.gpr.0)
  let (a, b, c, d) = withHostModes { VCPU.of(cpu).cpuid(leaf, UInt32(truncatingIfNeeded: cpu.pointee.gpr.1)) }
  cpu.pointee.gpr.0 = UInt64(a)
  cpu.pointee.gpr.3 = UInt64(b)
  cpu.pointee.gpr.1 = UInt64(c)
  cpu.pointee.gpr.2 = UInt64(d)
  return next(cpu, op)
}

/// The time-stamp counter counts cycles: one an instruction, this one included; where the processor stands for itself, software may
/// have set it.
private func stamp(_ cpu: CPU) {
  let now = cpu.now &+ cpu.pointee.tsc_offset
  cpu.pointee.gpr.0 = now & 0xFFFF_FFFF
  cpu.pointee.gpr.2 = now >> 32
}

private func readTimeStamp(_ cpu: CPU, _ op: Operation) -> Operation? {
  if cpu.pointee.cr4 & controlTSD != 0 && cpu.pointee.cpl > 0 { return raiseGP(cpu, op) }
  stamp(cpu)
  return leave(cpu, cpu.ripAfter(op))
}

private func readTimeStampAndProcessor(_ cpu: CPU, _ op: Operation) -> Operation? {
  if cpu.pointee.cr4 & controlTSD != 0 && cpu.pointee.cpl > 0 { return raiseGP(cpu, op) }
  stamp(cpu)
  cpu.pointee.gpr.1 = cpu.pointee.tsc_aux & 0xFFFF_FFFF
  return leave(cpu, cpu.ripAfter(op))
}

private func readProcessor(_ cpu: CPU, _ op: Operation) -> Operation? {
  cpu.set(op.pointee.dst, cpu.pointee.tsc_aux & 0xFFFF_FFFF)
  return next(cpu, op)
}

private func systemCall(_ cpu: CPU, _ op: Operation) -> Operation? {
  if cpu.pointee.efer & 1 == 0 || !cpu.longMode { return raise(cpu, op, .ud) }
  return leave(cpu, op, exit: UInt32(PV_EXIT_SYSCALL))
}

private func systemEnter(_ cpu: CPU, _ op: Operation) -> Operation? {
  if cpu.isArchitectural && (!cpu.isProtected || cpu.pointee.sysenter_cs & 0xFFFC == 0) { return raiseGP(cpu, op) }
  return leave(cpu, op, exit: UInt32(PV_EXIT_SYSENTER))
}

private func readExtendedControl(_ cpu: CPU, _ op: Operation) -> Operation? {
  if cpu.pointee.cr4 & controlOSXSAVE == 0 { return raise(cpu, op, .ud) }
  let value: UInt64
  switch UInt32(truncatingIfNeeded: cpu.pointee.gpr.1) {
  case 0: value = cpu.pointee.xcr0
  case 1: value = cpu.pointee.xcr0 & stateInUse(cpu)
  default: return raiseGP(cpu, op)
  }
  cpu.pointee.gpr.0 = value & 0xFFFF_FFFF
  cpu.pointee.gpr.2 = value >> 32
  return next(cpu, op)
}

private func touchLine(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard read(cpu, op, cpu.effectiveAddress(op), UInt8.self) != nil else { return raise(cpu, op) }
  return next(cpu, op)
}

private func readBase(_ cpu: CPU, _ op: Operation) -> Operation? {
  if cpu.pointee.cr4 & controlFSGSBASE == 0 { return raise(cpu, op, .ud) }
  let base = op.pointee.extra == UInt8(PV_FS) ? cpu.pointee.seg.4.base : cpu.pointee.seg.5.base
  cpu.set(op.pointee.dst, op.pointee.size == 8 ? base : base & 0xFFFF_FFFF)
  return next(cpu, op)
}

private func writeBase(_ cpu: CPU, _ op: Operation) -> Operation? {
  if cpu.pointee.cr4 & controlFSGSBASE == 0 { return raise(cpu, op, .ud) }
  var base = cpu.get(op.pointee.dst, UInt64.self)
  if op.pointee.size != 8 { base &= 0xFFFF_FFFF }
  if !isCanonical(base) { return raiseGP(cpu, op) }
  if op.pointee.extra == UInt8(PV_FS) { cpu.pointee.seg.4.base = base } else { cpu.pointee.seg.5.base = base }
  return next(cpu, op)
}
