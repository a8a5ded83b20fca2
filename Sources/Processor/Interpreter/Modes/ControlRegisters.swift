import CHost

// CR0, CR4 and CR3 of a processor that stands for itself (SDM volume 3, 2.5 and 10.8.5): what may be set, and what a change of it does.

private enum CR0 {
  static let pe: UInt64 = 1
  static let ts: UInt64 = 8
  static let et: UInt64 = 0x10
  static let wp: UInt64 = 1 << 16
  static let nw: UInt64 = 1 << 29
  static let cd: UInt64 = 1 << 30
  static let pg: UInt64 = 1 << 31
  /// Other bits below 32 are ignored.
  static let known: UInt64 = 0xE005_003F
}

private enum CR4 {
  static let pae: UInt64 = 0x20
  /// A change of these changes what a walk finds: PSE, PAE, PGE, SMEP, SMAP.
  static let paging: UInt64 = 0x30_00B0
  /// And of these loads PAE paging's page-directory pointers: PSE, PAE, PGE, SMEP.
  static let pointers: UInt64 = 0x10_00B0
}

extension VCPU {
  /// The bits of CR4 that may be set: VME, PVI, TSD, DE, PSE, PAE, MCE, PGE, PCE, OSFXSR, OSXMMEXCPT, UMIP, FSGSBASE, OSXSAVE and SMEP.
  /// There is no PCID, LA57 or protection key, and SMAP only with `hasAccessPrevention`.
  public static let controlFour: UInt64 = 0x15_0FFF

  /// MOV to CR0 and LMSW; false for #GP(0).
  func setControlZero(_ value: UInt64) -> Bool {
    let old = cpu.pointee.cr0
    if value >> 32 != 0 || (value & CR0.pg != 0 && value & CR0.pe == 0) || (value & CR0.nw != 0 && value & CR0.cd == 0) { return false }
    let new = value & CR0.known | CR0.et
    let changed = old ^ new
    if changed & CR0.pg != 0 {
      if new & CR0.pg != 0 {
        if cpu.pointee.efer & 0x100 != 0 {
          if cpu.pointee.cr4 & CR4.pae == 0 || cpu.pointee.seg.1.attributes & 0x200 != 0 { return false }
          cpu.pointee.efer |= 0x400
        } else if new & CR0.pg != 0 && cpu.pointee.cr4 & CR4.pae != 0 && cpu.pointee.own_paging != 0 {
          if !pageDirectoryPointersFit(cpu.pointee.cr3) { return false }
        }
      } else {
        // 64-bit code cannot be left this way.
        if cpu.pointee.mode == 0 { return false }
        cpu.pointee.efer &= ~0x400
      }
    }
    cpu.pointee.cr0 = new
    if changed & (CR0.pg | CR0.wp | CR0.pe) != 0 { pagingChanged() }
    if changed & (CR0.pg | CR0.pe) != 0 { updateMode() }
    refreshVectorState(cpu)
    return true
  }

  /// MOV to CR4; false for #GP(0).
  func setControlFour(_ value: UInt64) -> Bool {
    if value & ~(offeredControlFour | (hasAccessPrevention ? AccessPrevention.controlFour : 0)) != 0 { return false }
    if value & CR4.pae == 0 && cpu.isLongModeActive { return false }
    let changed = cpu.pointee.cr4 ^ value
    // PAE paging loads its page-directory pointers anew (SDM volume 3, 4.4.1).
    let legacyPAE = cpu.pointee.cr0 & CR0.pg != 0 && value & CR4.pae != 0 && !cpu.isLongModeActive
    if legacyPAE && changed & CR4.pointers != 0 && cpu.pointee.own_paging != 0 && !pageDirectoryPointersFit(cpu.pointee.cr3) {
      return false
    }
    cpu.pointee.cr4 = value
    if changed & CR4.paging != 0 { pagingChanged() }
    refreshVectorState(cpu)
    return true
  }

  /// MOV to CR3; false for #GP(0): there is no PCID, so bit 63 is reserved like all others from MAXPHYADDR up.
  func setControlThree(_ value: UInt64) -> Bool {
    let physicalBits: UInt64 = cpu.pointee.own_paging != 0 ? UInt64(cpu.pointee.physical_bits) : 52
    if cpu.isLongModeActive && value >> physicalBits != 0 { return false }
    // The page-directory pointers are looked at when they are loaded.
    let legacyPAE = cpu.pointee.cr0 & CR0.pg != 0 && cpu.pointee.cr4 & CR4.pae != 0 && !cpu.isLongModeActive
    if legacyPAE && cpu.pointee.own_paging != 0 && !pageDirectoryPointersFit(value) { return false }
    setPageTableBase(value)
    return true
  }

  /// What a walk rests on has changed.
  func pagingChanged() {
    if cpu.pointee.own_paging != 0 {
      pagingControlsChanged()
    } else {
      flushTranslations()
      selectTranslations()
    }
  }
}
