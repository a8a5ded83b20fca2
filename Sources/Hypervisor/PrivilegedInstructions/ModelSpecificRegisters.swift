import CHost
import Processor

/// The few model-specific registers that keep what is written to them.
struct ModelSpecificState: Codable, Sendable, Equatable {
  var specControl: UInt64 = 0
  var mcgStatus: UInt64 = 0
  var machineCheckControl2: UInt64 = 0
}

/// RDMSR and WRMSR in guest kernel mode, as Xen 4.17 answers them on an Intel processor. Nil or false: #GP.
enum ModelSpecificRegisters {
  private static let tsc: UInt32 = 0x10
  private static let specControlBits: UInt64 = 1

  static func read(_ domain: Domain, _ v: PVCPU, _ number: UInt32) -> UInt64? {
    let cpu = v.cpu
    switch number {
    case 0xC000_0100: return cpu.pointee.seg.4.base
    case 0xC000_0101: return cpu.pointee.seg.5.base
    case 0xC000_0102: return v.inactiveGSBase
    case 0xC000_0103: return domain.policy.has(.rdtscp) ? cpu.pointee.tsc_aux & 0xFFFF_FFFF : unknown(v)
    case 0xC000_0080: return 0xD01
    case tsc: return v.vcpu.now
    case 0x1B: return v.id == 0 ? 0xFEE0_0900 : 0xFEE0_0800
    case 0x3A: return 1
    case 0x48: return domain.policy.has(.ibrs) ? v.msrs.specControl : unknown(v)
    case 0x8B: return UInt64(CPUPolicy.microcodeRevision) << 32
    case 0x10A: return domain.policy.has(.archCapabilities) ? CPUPolicy.architecturalCapabilities : unknown(v)
    case 0x17A: return v.msrs.mcgStatus
    case 0x1A0: return 0x80_1801
    case 0x277: return 0x0000_0501_0007_0406
    case 0x280: return v.msrs.machineCheckControl2
    case 0x17, 0xCE, 0x140, 0x179, 0x17B, 0x198, 0x199, 0x19C, 0x345, 0x4000_0000: return 0
    // Performance counters: none.
    case 0xC1, 0x186, 0x38D, 0x38F: return 0
    default: return unknown(v)
    }
  }

  /// Until a #GP handler is registered an unknown register reads 0.
  private static func unknown(_ v: PVCPU) -> UInt64? { v.traps[13].address == 0 ? 0 : nil }

  static func write(_ domain: Domain, _ v: PVCPU, _ number: UInt32, _ value: UInt64) -> Bool {
    let cpu = v.cpu
    switch number {
    case 0xC000_0100:
      guard isCanonical(value) else { return false }
      cpu.pointee.seg.4.base = value
    case 0xC000_0101:
      guard isCanonical(value) else { return false }
      cpu.pointee.seg.5.base = value
    case 0xC000_0102:
      guard isCanonical(value) else { return false }
      v.inactiveGSBase = value
    case 0xC000_0103:
      guard domain.policy.has(.rdtscp), value >> 32 == 0 else { return false }
      cpu.pointee.tsc_aux = value
    case 0xC000_0080: return value == 0xD01
    case 0x48:
      guard domain.policy.has(.ibrs), value & ~specControlBits == 0 else { return false }
      v.msrs.specControl = value
    case 0x49: return domain.policy.has(.ibrs) && value & ~1 == 0
    case 0x8B: return value == 0
    case 0x140: return value == 0
    case 0x17A: v.msrs.mcgStatus = value
    case 0x280: v.msrs.machineCheckControl2 = value
    case 0x79, 0xE7, 0xE8, 0x179, 0x17B, 0x199, 0x19A, 0x1A0, 0x1B0: break
    case 0xC1, 0x186, 0x38D, 0x38F: break
    case 0x4000_0000: return writeHypercallPage(domain, value)
    default: return false
    }
    return true
  }

  /// Fills a page of the guest's with hypercall stubs: value is the frame's address, its low bits the page's index, 0.
  private static func writeHypercallPage(_ domain: Domain, _ value: UInt64) -> Bool {
    guard value & 0xFFF == 0, domain.frames.mayWrite(value >> 12) else { return false }
    return domain.memory.copyIn(HypercallPage.contents, at: value)
  }
}
