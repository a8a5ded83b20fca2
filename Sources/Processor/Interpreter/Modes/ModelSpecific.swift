import CHost

// Model-specific registers that are the processor's own (SDM volume 4). What a register of this list does is here or in `pv_vcpu`; any
// other is the platform's (`SystemHooks`), and where it has none either, #GP(0).

/// Registers that only keep what was written.
struct ModelSpecificRegisters {
  var timeStampAdjust: UInt64 = 0
  var pageAttributes: UInt64 = 0x0007_0406_0007_0406
  var rangeDefault: UInt64 = 0
  /// 250, 258, 259, 268 … 26F.
  var fixedRanges = [UInt64](repeating: 0, count: 11)
  /// 200 … 20F: base and mask, eight times.
  var variableRanges = [UInt64](repeating: 0, count: 16)
  var miscellaneous: UInt64 = 1
  var microcode: UInt64 = 0
  var machineCheckStatus: UInt64 = 0

  static let rangeCapability: UInt64 = 0x508
  /// Index in `fixedRanges`.
  static func fixedRange(_ number: UInt32) -> Int? {
    switch number {
    case 0x250: 0
    case 0x258, 0x259: Int(number) - 0x257
    case 0x268...0x26F: Int(number) - 0x265
    default: nil
    }
  }

  /// A memory type that a range or page attribute may have.
  static func isMemoryType(_ type: UInt64, page: Bool) -> Bool {
    type == 0 || type == 1 || (type >= 4 && type <= 6) || (page && type == 7)
  }

  /// Whether all eight bytes are memory types.
  static func areMemoryTypes(_ value: UInt64, page: Bool) -> Bool {
    (0..<8).allSatisfy { isMemoryType(value >> (UInt64($0) * 8) & 0xFF, page: page) }
  }
}

extension VCPU {
  /// RDMSR of one of the processor's own registers; nil for any other.
  func ownRegister(_ number: UInt32) -> UInt64? {
    switch number {
    case 0x10: return cpu.now &+ cpu.pointee.tsc_offset
    case 0x17: return 0
    case 0x3A: return 1
    case 0x3B: return modelSpecific.timeStampAdjust
    case 0x8B: return modelSpecific.microcode
    case 0xFE: return ModelSpecificRegisters.rangeCapability
    case 0x174: return cpu.pointee.sysenter_cs
    case 0x175: return cpu.pointee.sysenter_esp
    case 0x176: return cpu.pointee.sysenter_eip
    case 0x179: return 0
    case 0x17A: return modelSpecific.machineCheckStatus
    case 0x1A0: return modelSpecific.miscellaneous
    case 0x200...0x20F: return modelSpecific.variableRanges[Int(number & 15)]
    case 0x277: return modelSpecific.pageAttributes
    case 0x2FF: return modelSpecific.rangeDefault
    case 0xC000_0080: return cpu.pointee.efer
    case 0xC000_0081: return cpu.pointee.star
    case 0xC000_0082: return cpu.pointee.lstar
    case 0xC000_0083: return cpu.pointee.cstar
    case 0xC000_0084: return cpu.pointee.sfmask
    case 0xC000_0100: return cpu.pointee.seg.4.base
    case 0xC000_0101: return cpu.pointee.seg.5.base
    case 0xC000_0102: return cpu.pointee.kernel_gs_base
    case 0xC000_0103: return cpu.pointee.tsc_aux
    default:
      if let range = ModelSpecificRegisters.fixedRange(number) { return modelSpecific.fixedRanges[range] }
      return nil
    }
  }

  /// WRMSR of one of the processor's own registers: false for #GP(0), nil for any other register.
  func setOwnRegister(_ number: UInt32, _ value: UInt64) -> Bool? {
    switch number {
    case 0x10:
      let change = value &- (cpu.now &+ cpu.pointee.tsc_offset)
      cpu.pointee.tsc_offset = cpu.pointee.tsc_offset &+ change
      modelSpecific.timeStampAdjust = modelSpecific.timeStampAdjust &+ change
      if let moved = system.timeStampMoved { withHostModes(moved) }
    case 0x3B:
      cpu.pointee.tsc_offset = cpu.pointee.tsc_offset &+ (value &- modelSpecific.timeStampAdjust)
      modelSpecific.timeStampAdjust = value
      if let moved = system.timeStampMoved { withHostModes(moved) }
    case 0x8B: break
    case 0x174: cpu.pointee.sysenter_cs = value & 0xFFFF_FFFF
    case 0x175: return setAddress(\.sysenter_esp, value)
    case 0x176: return setAddress(\.sysenter_eip, value)
    case 0x17A: modelSpecific.machineCheckStatus = value & 7
    case 0x1A0: modelSpecific.miscellaneous = value
    case 0x200...0x20F:
      if number & 1 == 0 && !ModelSpecificRegisters.isMemoryType(value & 0xFF, page: false) { return false }
      modelSpecific.variableRanges[Int(number & 15)] = value
    case 0x277:
      guard ModelSpecificRegisters.areMemoryTypes(value, page: true) else { return false }
      modelSpecific.pageAttributes = value
    case 0x2FF:
      guard value & ~0xCFF == 0, ModelSpecificRegisters.isMemoryType(value & 0xFF, page: false) else { return false }
      modelSpecific.rangeDefault = value
    case 0xC000_0080: return setExtendedFeatures(value)
    case 0xC000_0081: cpu.pointee.star = value
    case 0xC000_0082: return setAddress(\.lstar, value)
    case 0xC000_0083: return setAddress(\.cstar, value)
    case 0xC000_0084: cpu.pointee.sfmask = value & 0xFFFF_FFFF
    case 0xC000_0100:
      guard isCanonical(value) else { return false }
      cpu.pointee.seg.4.base = value
    case 0xC000_0101:
      guard isCanonical(value) else { return false }
      cpu.pointee.seg.5.base = value
    case 0xC000_0102: return setAddress(\.kernel_gs_base, value)
    case 0xC000_0103:
      guard value >> 32 == 0 else { return false }
      cpu.pointee.tsc_aux = value
    // What can be read and not be written.
    case 0x17, 0x3A, 0xFE, 0x179: return false
    default:
      guard let range = ModelSpecificRegisters.fixedRange(number) else { return nil }
      guard ModelSpecificRegisters.areMemoryTypes(value, page: false) else { return false }
      modelSpecific.fixedRanges[range] = value
    }
    return true
  }

  private func setAddress(_ register: WritableKeyPath<pv_vcpu, UInt64>, _ value: UInt64) -> Bool {
    guard isCanonical(value) else { return false }
    cpu.pointee[keyPath: register] = value
    return true
  }

  /// EFER: SCE, LME and NXE can be changed, LME only while paging is off; LMA is the processor's.
  private func setExtendedFeatures(_ value: UInt64) -> Bool {
    let old = cpu.pointee.efer
    guard value & ~0xD01 == 0 else { return false }
    if (value ^ old) & 0x100 != 0 && cpu.pointee.cr0 >> 31 & 1 != 0 { return false }
    cpu.pointee.efer = value & ~0x400 | old & 0x400
    if (value ^ old) & 0x800 != 0 { pagingChanged() }
    return true
  }
}

extension VCPU {
  /// What the time-stamp counter is ahead of the cycles, modulo 2^64.
  public var timeStampOffset: UInt64 { cpu.pointee.tsc_offset }
}
