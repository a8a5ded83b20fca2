import CHost
import GuestMemory
import Processor

// Hypercalls that say where traps and callbacks go, and those that set what a trap switches.

enum TrapHypercalls {
  /// set_trap_table (0): entries of 16 bytes {vector u8, flags u8, cs u16, pad, address u64}, ended by address 0. A null
  /// pointer clears the table.
  static func setTrapTable(_ v: PVCPU, _ table: UInt64) -> Int64 {
    if table == 0 {
      for index in 0..<v.traps.count { v.traps[index] = TrapGate() }
      return 0
    }
    var at = table
    // A table that does not end is the guest's mistake; 64 Ki entries rewrite every gate often enough.
    for _ in 0..<65536 {
      guard let head = v.vcpu.readGuest(at, as: UInt32.self), let address = v.vcpu.readGuest(at &+ 8, as: UInt64.self) else {
        return XenError.fault.result
      }
      if address == 0 { return 0 }
      guard isCanonical(address) else { return XenError.invalid.result }
      var gate = TrapGate()
      gate.address = address
      gate.selector = UInt16(truncatingIfNeeded: head >> 16)
      gate.dpl = UInt8(truncatingIfNeeded: head >> 8 & 3)
      gate.masksEvents = head >> 8 & 4 != 0
      v.traps[Int(head & 0xFF)] = gate
      at = at &+ 16
    }
    return XenError.tooBig.result
  }

  /// set_callbacks (4), the old form: event, failsafe and syscall at once.
  static func setCallbacks(_ v: PVCPU, _ event: UInt64, _ failsafe: UInt64, _ syscall: UInt64) -> Int64 {
    guard isCanonical(event), isCanonical(failsafe), isCanonical(syscall) else { return XenError.invalid.result }
    v.eventCallback = Callback(address: event, masksEvents: true)
    v.failsafeCallback.address = failsafe
    v.syscallCallback.address = syscall
    return 0
  }

  /// callback_op (30): {type u16, flags u16, pad, address u64}.
  static func callbackOp(_ v: PVCPU, _ operation: UInt64, _ pointer: UInt64) -> Int64 {
    guard operation <= 1 else { return XenError.noSys.result }
    guard let type = v.vcpu.readGuest(pointer, as: UInt16.self) else { return XenError.fault.result }
    if operation == 1 {
      switch type {
      case 0, 1, 2, 5, 7: return XenError.invalid.result
      case 4:
        v.traps[2] = TrapGate()
        return 0
      default: return XenError.noSys.result
      }
    }
    guard let flags = v.vcpu.readGuest(pointer &+ 2, as: UInt16.self), let address = v.vcpu.readGuest(pointer &+ 8, as: UInt64.self)
    else { return XenError.fault.result }
    guard isCanonical(address) else { return XenError.invalid.result }
    let callback = Callback(address: address, masksEvents: flags & 1 != 0)
    switch type {
    case 0: v.eventCallback = Callback(address: address, masksEvents: true)
    case 1: v.failsafeCallback = callback
    case 2: v.syscallCallback = callback
    case 4: registerNMI(v, address)
    case 5: v.sysenterCallback = callback
    case 7: v.syscall32Callback = callback
    default: return XenError.noSys.result
    }
    return 0
  }

  /// nmi_op (28).
  static func nmiOp(_ v: PVCPU, _ operation: UInt64, _ pointer: UInt64) -> Int64 {
    switch operation {
    case 0:
      guard let address = v.vcpu.readGuest(pointer, as: UInt64.self) else { return XenError.fault.result }
      guard isCanonical(address) else { return XenError.invalid.result }
      registerNMI(v, address)
      return 0
    case 1:
      v.traps[2] = TrapGate()
      return 0
    default: return XenError.noSys.result
    }
  }

  /// The NMI's callback is the gate of vector 2.
  private static func registerNMI(_ v: PVCPU, _ address: UInt64) {
    var gate = TrapGate()
    gate.address = address
    gate.selector = FlatSegments.codeSelector
    gate.masksEvents = true
    v.traps[2] = gate
  }

  /// set_segment_base (25).
  @inline(__always) static func setSegmentBase(_ domain: Domain, _ v: PVCPU, _ which: UInt64, _ value: UInt64) -> Int64 {
    let cpu = v.cpu
    switch which {
    case 0:
      guard isCanonical(value) else { return XenError.invalid.result }
      cpu.pointee.seg.4.base = value
    case 1:
      guard isCanonical(value) else { return XenError.invalid.result }
      v.inactiveGSBase = value
    case 2:
      guard isCanonical(value) else { return XenError.invalid.result }
      cpu.pointee.seg.5.base = value
    case 3: loadUserGS(domain, v, UInt16(truncatingIfNeeded: value))
    default: return XenError.invalid.result
    }
    return 0
  }

  /// Loads GS for user mode: the selector is the register's, its base goes to the user one. A bad selector loads as null.
  private static func loadUserGS(_ domain: Domain, _ v: PVCPU, _ selector: UInt16) {
    let cpu = v.cpu
    let kernelBase = cpu.pointee.seg.5.base
    var loaded = pv_segment(base: 0, limit: 0, selector: 0, attributes: 0)
    if selector & 0xFFFC == 0 {
      loaded.selector = selector
    } else if let segment = domain.descriptor(v, selector)?.dataRegister(selector: selector) {
      loaded = segment
    }
    v.inactiveGSBase = loaded.base
    loaded.base = kernelBase
    cpu.pointee.seg.5 = loaded
  }
}
