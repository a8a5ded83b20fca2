import CHost
import Processor

/// The reserved descriptors of a 64-bit PV guest (Xen's arch-x86/xen-x86_64.h), and what segment registers hold after a
/// load of them.
public enum FlatSegments {
  public static let codeSelector: UInt16 = 0xE033
  public static let stackSelector: UInt16 = 0xE02B
  public static let code32Selector: UInt16 = 0xE023

  static var code64: pv_segment { pv_segment(base: 0, limit: 0xFFFF_FFFF, selector: 0xE033, attributes: 0xAFB) }
  static var stack: pv_segment { pv_segment(base: 0, limit: 0xFFFF_FFFF, selector: 0xE02B, attributes: 0xCF3) }
}

/// A descriptor's 8 bytes, taken apart (Intel SDM volume 3, 3.4.5).
struct SegmentDescriptor {
  var raw: UInt64
  init(_ raw: UInt64) { self.raw = raw }
  var isCodeOrData: Bool { raw >> 44 & 1 != 0 }
  var isCode: Bool { raw >> 43 & 1 != 0 }
  var isPresent: Bool { raw >> 47 & 1 != 0 }
  var dpl: UInt64 { raw >> 45 & 3 }
  var isWritableData: Bool { isCodeOrData && !isCode && raw >> 41 & 1 != 0 }
  var isLong: Bool { raw >> 53 & 1 != 0 }
  var isDefault32: Bool { raw >> 54 & 1 != 0 }
  var base: UInt64 { (raw >> 16 & 0xFF_FFFF) | (raw >> 32 & 0xFF00_0000) }
  var limit: UInt32 {
    let short = UInt32(truncatingIfNeeded: raw & 0xFFFF | raw >> 32 & 0xF_0000)
    return raw >> 55 & 1 != 0 ? short << 12 | 0xFFF : short
  }
  /// Bits 40...47 and 52...55 as a segment register's attributes hold them.
  var attributes: UInt16 { UInt16(truncatingIfNeeded: raw >> 40 & 0xFF | raw >> 44 & 0xF00) }

  func register(selector: UInt16) -> pv_segment {
    pv_segment(base: base, limit: limit, selector: selector, attributes: attributes)
  }

  /// Code segment register as iret leaves it; nil where the load faults.
  func codeRegister(selector: UInt16) -> pv_segment? {
    guard isCodeOrData, isCode, isPresent else { return nil }
    // A conforming segment may be more privileged than its user.
    let conforming = raw >> 42 & 1 != 0
    guard conforming || dpl == 3 else { return nil }
    if isLong && isDefault32 { return nil }
    var result = register(selector: selector)
    if isLong { result.base = 0 }
    return result
  }

  /// Stack segment register; nil where the load faults.
  func stackRegister(selector: UInt16) -> pv_segment? {
    guard isWritableData, isPresent, dpl == 3 else { return nil }
    return register(selector: selector)
  }

  /// Data segment register; nil where the load faults.
  func dataRegister(selector: UInt16) -> pv_segment? {
    guard isCodeOrData, isPresent else { return nil }
    if isCode && raw >> 41 & 1 == 0 { return nil }
    let conforming = isCode && raw >> 42 & 1 != 0
    guard conforming || dpl == 3 else { return nil }
    return register(selector: selector)
  }

  /// What the decoder is told of code in this segment: `pv_vcpu.mode`.
  var codeMode: UInt32 { isLong ? 0 : isDefault32 ? 1 : 2 }
}

/// A segment register's contents and the descriptor that they were loaded from: the same selector with the same descriptor loads
/// them again.
struct LoadedSegment {
  var raw: UInt64 = 0
  var segment = pv_segment(base: 0, limit: 0, selector: 0, attributes: 0)
}

extension PVCPU {
  /// The descriptor of a selector of the guest's own GDT entries; nil for others.
  @inline(__always) func ownDescriptor(_ selector: UInt16) -> UInt64? {
    let page = Int(selector >> 12)
    guard selector & 4 == 0, page < 14, page < hot.pointee.gdtCount else { return nil }
    // A GDT's frames were found to be the guest's when they were set.
    return hot.pointee.memory.load(fromByteOffset: Int(hot.pointee.gdt[page] << 12) | Int(selector & 0xFF8), as: UInt64.self)
  }

  /// Registers of the guest kernel's flat segments: where every bounce and every hypercall leaves the vCPU.
  @inline(__always) func loadFlatSegments() {
    cpu.pointee.seg.1 = FlatSegments.code64
    cpu.pointee.seg.2 = FlatSegments.stack
    cpu.pointee.mode = 0
  }

}

extension Domain {
  /// The descriptor that a selector names, for the hypervisor's own loads: what cannot be read counts as a bad one.
  @inline(__always) func descriptor(_ v: PVCPU, _ selector: UInt16) -> SegmentDescriptor? {
    guard case .descriptor(let raw) = pageTables.descriptor(v, selector) else { return nil }
    return SegmentDescriptor(raw)
  }
}
