/// Hypercalls that an unprivileged guest is refused, with the error Xen 4.17 gives it.
enum RefusedHypercalls {
  static func result(_ number: UInt64, _ a: HypercallArguments) -> Int64 {
    switch number {
    // platform_op, sysctl, domctl: the interface version is looked at before the privilege.
    case 7, 35, 36: return XenError.access.result
    case 31: return XenError.noDevice.result
    case 34: return hvmOp(a.a0)
    case 37, 42, 48: return XenError.perm.result
    case 40: return XenError.notSupported.result
    case 41: return XenError.noData.result
    default: return XenError.noSys.result
    }
  }

  private static func hvmOp(_ operation: UInt64) -> Int64 {
    switch operation {
    case 0, 1: return XenError.invalid.result
    case 9: return XenError.notSupported.result
    case 10: return 0
    default: return XenError.noSys.result
    }
  }
}
