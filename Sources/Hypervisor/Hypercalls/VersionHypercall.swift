import Processor

/// HYPERVISOR_xen_version (17): what hypervisor this is (Xen's version.h, features.h).
enum VersionHypercall {
  static let major: Int64 = 4
  static let minor: Int64 = 17
  /// What XENVER_get_features reports: mmu_pt_update_preserve_ad, highmem_assist, gnttab_map_avail_bits,
  /// memory_op_vnode_supported, direct_mapped.
  static let features: UInt32 = 0x0002_20E0

  static func run(_ domain: Domain, _ v: PVCPU, _ a: HypercallArguments) -> Int64 {
    let buffer = a.a1
    switch a.a0 {
    case 0: return major << 16 | minor
    case 1: return text(v, buffer, ".paravane", 16)
    case 2:
      let done = text(v, buffer, "swift", 64) == 0 && text(v, buffer &+ 64, "paravane", 16) == 0
      let rest = done && text(v, buffer &+ 80, "", 32) == 0 && text(v, buffer &+ 112, "", 32) == 0
      return rest ? 0 : XenError.fault.result
    case 3: return text(v, buffer, "xen-3.0-x86_64", 1024)
    case 4: return text(v, buffer, "unavailable", 64)
    case 5: return v.vcpu.writeGuest(buffer, XenHole.start) ? 0 : XenError.fault.result
    case 6:
      guard let index = v.vcpu.readGuest(buffer, as: UInt32.self) else { return XenError.fault.result }
      guard index == 0 else { return XenError.invalid.result }
      return v.vcpu.writeGuest(buffer &+ 4, features) ? 0 : XenError.fault.result
    case 7: return 4096
    case 8: return bytes(v, buffer, domain.uuid, 16)
    case 9: return text(v, buffer, "<denied>", 1024)
    case 10: return XenError.perm.result
    default: return XenError.noSys.result
    }
  }

  private static func text(_ v: PVCPU, _ address: UInt64, _ string: String, _ size: Int) -> Int64 {
    bytes(v, address, Array(string.utf8), size)
  }

  /// Writes `size` bytes, filled up with zeros.
  private static func bytes(_ v: PVCPU, _ address: UInt64, _ content: [UInt8], _ size: Int) -> Int64 {
    var padded = Array(content.prefix(size))
    padded.append(contentsOf: repeatElement(0, count: size - padded.count))
    return padded.withUnsafeBytes { v.vcpu.writeGuest(address, from: $0) } ? 0 : XenError.fault.result
  }
}
