import GuestMemory
import Processor

extension MemoryHypercalls {
  // MARK: 26 mmuext_op

  /// mmuext_op(operations, count, *done, foreign domain): 24-byte elements {command, arg1, arg2}.
  public static func mmuextOp(_ domain: Domain, _ v: PVCPU, _ a: HypercallArguments) -> Int64 {
    let count = UInt32(truncatingIfNeeded: a.a1) & 0x7FFF_FFFF
    let owner = foreignDomain(UInt16(truncatingIfNeeded: a.a3), domain)
    if owner == .unknown { return XenError.search.result }
    if owner == .forbidden { return XenError.perm.result }
    var done: UInt32 = 0
    var result: Int64 = 0
    var at = a.a0
    while done < count {
      var operation: (command: UInt64, arg1: UInt64, arg2: UInt64) = (0, 0, 0)
      guard withUnsafeMutableBytes(of: &operation, { v.vcpu.readGuest(at, into: $0) }) else {
        result = XenError.fault.result
        break
      }
      let command = UInt32(truncatingIfNeeded: operation.command)
      let (arg1, arg2) = (operation.arg1, operation.arg2)
      result = extended(domain, v, command, arg1, arg2, isOwn: owner == .own)
      if result != 0 { break }
      done &+= 1
      at = at &+ 24
    }
    report(done, at: a.a2, v)
    return result
  }

  private static func extended(
    _ domain: Domain, _ v: PVCPU, _ command: UInt32, _ arg1: UInt64, _ arg2: UInt64, isOwn: Bool
  ) -> Int64 {
    let tables = domain.pageTables
    switch command {
    case 0...4, 16, 17:
      // None of DOMID_IO's frames is there.
      guard isOwn else { return XenError.invalid.result }
    case 5...13, 15, 18:
      guard isOwn else { return XenError.perm.result }
    default: break
    }
    switch command {
    case 0: return tables.pin(arg1, .l1)
    case 1: return tables.pin(arg1, .l2)
    case 2: return tables.pin(arg1, .l3)
    case 3: return tables.pin(arg1, .l4)
    case 4: return tables.unpin(arg1)
    case 5: return tables.setKernelTable(v, arg1)
    // Translations follow the tables by themselves: flushing is only a matter of well-formed arguments.
    case 6, 7, 10, 11: return 0
    case 8, 9: return v.vcpu.readGuest(arg2, as: UInt8.self) == nil ? XenError.invalid.result : 0
    // Caches are for those with devices to flush them.
    case 12: return XenError.access.result
    case 13: return tables.setLDT(v, arg1, UInt64(UInt32(truncatingIfNeeded: arg2)))
    case 15: return tables.setUserTable(v, arg1)
    case 16: return tables.clearPage(arg1)
    case 17: return tables.copyPage(from: arg2, to: arg1)
    case 18: return XenError.invalid.result
    case 19, 20: return XenError.notSupported.result
    default: return XenError.noSys.result
    }
  }
}
