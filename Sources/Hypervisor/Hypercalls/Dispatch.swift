import CHost
import GuestMemory
import Processor

// SYSCALL of the guest kernel: number in RAX, arguments in RDI, RSI, RDX, R10, R8, R9, result in RAX. Afterwards RCX is
// the next RIP, R11 is RFLAGS, and CS and SS are the flat ones whatever they were.

extension Domain {
  func hypercall(_ v: PVCPU) {
    hot.pointee.exits.hypercall &+= 1
    let cpu = v.cpu
    let number = cpu.pointee.gpr.0
    v.history.record(.hypercall, number, cpu.pointee.rip)
    if number == 23 {
      // RCX and R11 come from the frame.
      count(23)
      IretHypercall.run(self, v)
      if hot.pointee.traced, let hypercallTrace { hypercallTrace(v, 23, HypercallArguments(), 0) }
      return
    }
    let flags = cpu.rflags & ~Flag.rf
    let arguments = HypercallArguments(
      cpu.pointee.gpr.7, cpu.pointee.gpr.6, cpu.pointee.gpr.2, cpu.pointee.gpr.10, cpu.pointee.gpr.8, cpu.pointee.gpr.9)
    cpu.pointee.gpr.1 = cpu.pointee.rip
    cpu.pointee.gpr.11 = flags
    v.loadFlatSegments()
    let result = dispatch(v, number, arguments)
    cpu.pointee.gpr.0 = UInt64(bitPattern: result)
    if hot.pointee.traced, let hypercallTrace { hypercallTrace(v, number, arguments, result) }
    if flags & Flag.tf != 0 && !hot.pointee.ended {
      cpu.pointee.dr.6 |= 1 << 14
      reflectTrap(v, 1)
    }
  }

  @inline(__always) private func count(_ number: UInt64) {
    let index = number < 64 ? Int(number) : 64
    hypercallCounters[index] &+= 1
  }

  /// Runs one hypercall other than iret.
  func dispatch(_ v: PVCPU, _ number: UInt64, _ a: HypercallArguments) -> Int64 {
    count(number)
    switch number {
    case 0: return TrapHypercalls.setTrapTable(v, a.a0)
    case 1: return MemoryHypercalls.mmuUpdate(self, v, a)
    case 2: return MemoryHypercalls.setGDT(self, v, a)
    case 3:
      v.kernelSS = UInt16(truncatingIfNeeded: a.a0) | 3
      v.kernelSP = a.a1
      return 0
    case 4: return TrapHypercalls.setCallbacks(v, a.a0, a.a1, a.a2)
    case 5:
      v.setTaskSwitched(a.a0 != 0)
      return 0
    case 6: return SchedOp.compatible(self, v, a)
    case 8: return DebugRegisters.set(v, a.a0, a.a1)
    case 9: return DebugRegisters.get(v, a.a0).map { Int64(bitPattern: $0) } ?? XenError.noDevice.result
    case 10: return MemoryHypercalls.updateDescriptor(self, v, a)
    case 12: return MemoryHypercalls.memoryOp(self, v, a)
    case 13: return multicall(v, a.a0, a.a1)
    case 14: return MemoryHypercalls.updateVAMapping(self, v, a)
    case 15: return Timers.setTimerOp(self, v, a.a0)
    case 17: return VersionHypercall.run(self, v, a)
    case 18: return consoleIO(v, a)
    case 20: return GrantTableHypercall.run(self, v, a)
    case 21: return MemoryHypercalls.vmAssist(self, v, a)
    case 22: return MemoryHypercalls.updateVAMappingOtherDomain(self, v, a)
    case 23:
      // Only a multicall comes here: it really leaves, as on Xen.
      IretHypercall.run(self, v)
      return Int64(bitPattern: v.cpu.pointee.gpr.0)
    case 24: return VCPUOp.run(self, v, a)
    case 25: return TrapHypercalls.setSegmentBase(self, v, a.a0, a.a1)
    case 26: return MemoryHypercalls.mmuextOp(self, v, a)
    case 28: return TrapHypercalls.nmiOp(v, a.a0, a.a1)
    case 29: return SchedOp.run(self, v, a)
    case 30: return TrapHypercalls.callbackOp(v, a.a0, a.a1)
    case 32: return EventChannelHypercall.run(self, v, a)
    case 33: return PhysDevHypercall.run(self, v, a)
    default: return RefusedHypercalls.result(number, a)
    }
  }

  /// multicall (13): entries of 64 bytes {op, result, six arguments}, in order, each with its own result.
  private func multicall(_ v: PVCPU, _ entries: UInt64, _ count: UInt64) -> Int64 {
    if v.inMulticall { return XenError.invalid.result }
    v.inMulticall = true
    defer { v.inMulticall = false }
    var at = entries
    let count = UInt32(truncatingIfNeeded: count)
    var index: UInt32 = 0
    while index < count {
      var entry: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
      guard withUnsafeMutableBytes(of: &entry, { v.vcpu.readGuest(at, into: $0) }) else { return XenError.fault.result }
      let arguments = HypercallArguments(entry.2, entry.3, entry.4, entry.5, entry.6, entry.7)
      let result = dispatch(v, entry.0, arguments)
      if hot.pointee.traced, let hypercallTrace { hypercallTrace(v, entry.0, arguments, result) }
      if hot.pointee.ended { return 0 }
      guard v.vcpu.writeGuest(at &+ 8, UInt64(bitPattern: result)) else { return XenError.fault.result }
      at = at &+ 64
      index &+= 1
    }
    return 0
  }

  /// console_io (18): (0 write, count, buffer); reading gives nothing. A guest's earliest words come this way.
  private func consoleIO(_ v: PVCPU, _ a: HypercallArguments) -> Int64 {
    switch a.a0 {
    case 0:
      var left = UInt64(UInt32(truncatingIfNeeded: a.a1))
      guard left <= 1 << 20 else { return XenError.tooBig.result }
      var at = a.a2
      while left > 0 {
        var bytes = [UInt8](repeating: 0, count: Int(min(left, 4096)))
        guard bytes.withUnsafeMutableBytes({ v.vcpu.readGuest(at, into: $0) }) else { return XenError.fault.result }
        at = at &+ UInt64(bytes.count)
        left -= UInt64(bytes.count)
        services.consoleWrite(bytes)
      }
      return 0
    case 1: return 0
    default: return XenError.noSys.result
    }
  }
}
