import Processor

/// HYPERVISOR_physdev_op (33): only the virtual I/O privilege is an unprivileged guest's (Xen's physdev.h).
enum PhysDevHypercall {
  static func run(_ domain: Domain, _ v: PVCPU, _ a: HypercallArguments) -> Int64 {
    let pointer = a.a1
    switch a.a0 {
    case 6:
      guard let iopl = v.vcpu.readGuest(pointer, as: UInt32.self) else { return XenError.fault.result }
      guard iopl <= 3 else { return XenError.invalid.result }
      v.iopl = UInt8(iopl)
      return 0
    case 7:
      guard let bitmap = v.vcpu.readGuest(pointer, as: UInt64.self), let ports = v.vcpu.readGuest(pointer &+ 8, as: UInt32.self)
      else { return XenError.fault.result }
      guard ports <= 65536 else { return XenError.invalid.result }
      v.ioBitmap = bitmap
      v.ioBitmapPorts = ports
      return 0
    case 4: return 0
    // irq_status_query: flags 0; get_free_pirq: none is ever used.
    case 5: return readable(v, pointer) && v.vcpu.writeGuest(pointer &+ 4, UInt32(0)) ? 0 : XenError.fault.result
    case 23: return readable(v, pointer) ? 0 : XenError.fault.result
    case 8, 9, 10, 13, 15, 16, 19, 20, 21, 24, 25, 26, 27, 29, 30, 31:
      return readable(v, pointer) ? XenError.perm.result : XenError.fault.result
    case 12, 14, 17: return readable(v, pointer) ? XenError.invalid.result : XenError.fault.result
    default: return XenError.noSys.result
    }
  }

  private static func readable(_ v: PVCPU, _ pointer: UInt64) -> Bool { v.vcpu.readGuest(pointer, as: UInt32.self) != nil }
}
