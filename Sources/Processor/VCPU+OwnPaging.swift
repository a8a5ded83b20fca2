import CHost
import GuestMemory

// A processor that stands for itself, with page tables that the guest changes as it likes.

extension VCPU {
  /// Makes every paging mode the guest's own, to be called once, before it runs: the walker obeys CR0, CR4 and EFER, and keeps the
  /// translations right by itself, so nobody has to tell it of changed page tables, nor act on INVLPG and its like.
  ///
  /// - Parameter physicalBits: MAXPHYADDR, 36 to 52.
  public func ownPageTables(physicalBits: Int) {
    cpu.pointee.own_paging = 1
    cpu.pointee.physical_bits = UInt32(min(max(physicalBits, 36), 52))
    cpu.pointee.address_lines = ~0
    pagingControlsChanged()
  }

  /// Whether address line 20 is on (it is at first); without it physical addresses wrap at each odd megabyte.
  public var a20Enabled: Bool {
    get { cpu.pointee.address_lines >> 20 & 1 != 0 }
    set {
      let lines = newValue ? ~0 : ~(UInt64(1) << 20)
      guard lines != cpu.pointee.address_lines else { return }
      cpu.pointee.address_lines = lines
      translations.flushAll()
    }
  }

  /// Takes note of CR0, CR3, CR4, EFER, CPL and RFLAGS.AC as they are now. Call after changing any of the first four; after CPL, and
  /// after RFLAGS.AC, `selectTranslations` is enough.
  public func pagingControlsChanged() {
    guard cpu.pointee.own_paging != 0 else { return selectTranslations() }
    let mode = PagingMode(cpu)
    if mode.paging {
      // WP; PSE, PAE, SMEP, SMAP; LMA, NXE; and that this is no fresh 0.
      let state = mode.cr0 & 0x1_0000 | mode.cr4 & 0x30_0030 | mode.efer & 0xC00 | 1 << 31
      let old = UInt64(cpu.pointee.paging_state)
      if state != old {
        cpu.pointee.paging_state = UInt32(truncatingIfNeeded: state)
        // What a frame is watched as is the format's.
        let format: UInt64 = 0x430
        if (state ^ old) & format != 0 { unwatchAll() } else { translations.flushAll() }
      }
    }
    selectTranslations()
  }

  /// The key of the set without paging: no table is there.
  static let unpaged = UInt64(1) << 62

  /// The set of translations for CR3, the privilege level and what else decides about rights.
  func selectOwnTranslations() {
    let mode = PagingMode(cpu)
    let aligned: UInt64 = cpu.checksAlignment ? 2 : 0
    guard mode.paging else {
      // All that there is without paging is one address space.
      cpu.pointee.tlb = translations.select(Self.unpaged | aligned, sharingUpperHalf: false)
      return
    }
    let root = mode.root(cpu.pointee.cr3)
    var rights: UInt64 = cpu.pointee.cpl == 3 ? 1 | aligned : 0
    // A supervisor who may touch users' pages has a set of his own, so that he comes and goes at no cost.
    if rights == 0 && mode.smap && cpu.pointee.rflags & Flag.ac != 0 { rights = 2 }
    cpu.pointee.tlb = translations.select(root | rights, sharingUpperHalf: mode.long)
    if mode.long { watchRoot(root & cpu.pointee.address_lines) }
  }
}
