import CHost
import GuestMemory

/// What an access wants of a page.
enum Access: UInt32 {
  case read = 0
  case write = 1
  case fetch = 2
}

/// The outcome of a page walk.
struct Walk {
  /// Machine address of the byte, if there is no fault.
  var address: UInt64 = 0
  /// Frame of the table whose entry maps the page, and whether that entry is a level-1 entry.
  var table: UInt32 = 0
  /// A write would succeed now without changing the entry: writable, dirty.
  var writableNow = false
  /// #PF error code, or nil for success.
  var errorCode: UInt32?
  /// The faulting entry was present and only its write permission was missing; then `address` is valid.
  var readOnly = false
  /// A non-canonical address.
  var nonCanonical = false
}

extension VCPU {
  /// Walks the current page tables for a linear address (Intel SDM volume 3, 4.5), setting accessed and dirty bits as the
  /// processor does.
  ///
  /// - Parameter user: check as a user-mode access.
  @inline(never) func walk(_ linear: UInt64, _ access: Access, user: Bool) -> Walk {
    var result = Walk()
    let state = cpu.pointee
    let top = Int64(bitPattern: linear) >> 47
    if top != 0 && top != -1 {
      result.nonCanonical = true
      return result
    }
    if state.cr0 >> 31 == 0 {
      result.address = linear
      result.writableNow = true
      return result
    }
    let nxEnabled = state.efer & 0x800 != 0
    var error: UInt32 = access == .write ? 2 : 0
    if user { error |= 4 }
    if access == .fetch && (nxEnabled || state.cr4 & (1 << 20) != 0) { error |= 0x10 }
    var writable = true
    var userOK = true
    var noExecute = false
    var table = state.cr3 & 0x000F_FFFF_FFFF_F000
    var shift: UInt64 = 39
    while true {
      let slot = table &+ ((linear >> shift) & 511) &* 8
      guard var entry: UInt64 = memory.load(slot), entry & 1 != 0 else {
        result.errorCode = error
        return result
      }
      if entry & (1 << 7) != 0 && (shift == 39 || (shift == 30 && entry & 0x3FFF_E000 != 0) || (shift == 21 && entry & 0x1F_E000 != 0)) {
        result.errorCode = error | 9
        return result
      }
      if !nxEnabled && entry >> 63 != 0 {
        result.errorCode = error | 9
        return result
      }
      writable = writable && entry & 2 != 0
      userOK = userOK && entry & 4 != 0
      noExecute = noExecute || entry >> 63 != 0
      let leaf = shift == 12 || (entry & (1 << 7) != 0 && shift < 39)
      if !leaf {
        if entry & 0x20 == 0 {
          entry |= 0x20
          memory.base.storeBytes(of: entry, toByteOffset: Int(slot), as: UInt64.self)
        }
        table = entry & 0x000F_FFFF_FFFF_F000
        shift -= 9
        continue
      }
      let offsetMask = (UInt64(1) << shift) &- 1
      result.address = (entry & 0x000F_FFFF_FFFF_F000 & ~offsetMask) | (linear & offsetMask)
      if (user && !userOK) || (access == .fetch && noExecute) || (access == .fetch && !user && userOK && state.cr4 & (1 << 20) != 0) {
        result.errorCode = error | 1
        return result
      }
      let mayWrite = writable || (!user && state.cr0 & (1 << 16) == 0)
      if access == .write && !mayWrite {
        result.errorCode = error | 1
        result.readOnly = true
        return result
      }
      let wanted: UInt64 = access == .write ? 0x60 : 0x20
      if entry & wanted != wanted {
        entry |= wanted
        memory.base.storeBytes(of: entry, toByteOffset: Int(slot), as: UInt64.self)
      }
      result.table = UInt32(truncatingIfNeeded: slot >> 12)
      result.writableNow = mayWrite && entry & 0x40 != 0
      return result
    }
  }

  /// Records a fault of a data access for the handler to raise.
  func record(_ walk: Walk, linear: UInt64, stack: Bool) {
    if walk.nonCanonical {
      cpu.pointee.vector = stack ? Vector.ss.rawValue : Vector.gp.rawValue
      cpu.pointee.error_code = 0
    } else {
      cpu.pointee.vector = Vector.pf.rawValue
      cpu.pointee.error_code = walk.errorCode ?? 0
      cpu.pointee.cr2 = linear
    }
    cpu.pointee.has_error_code = 1
  }

  /// Enters a translation into the current set.
  private func fill(_ linear: UInt64, _ walk: Walk) {
    guard memory.contains(walk.address & ~4095, 4096) else { return }
    let page = linear & ~4095
    let frame = Int(walk.address >> 12)
    let slot = Int(truncatingIfNeeded: (linear >> 12) & UInt64(TranslationSets.dataSlots - 1))
    let host = UInt64(UInt(bitPattern: memory.base + frame * 4096))
    let entry = TranslationSets.data(cpu.pointee.tlb) + slot
    entry.pointee.read_tag = page
    entry.pointee.write_tag = walk.writableNow && memory.codeLines[frame] == 0 ? page : TranslationSets.emptyDataTag(slot)
    entry.pointee.addend = host &- page
    entry.pointee.table = walk.table
    entry.pointee.frame = UInt32(truncatingIfNeeded: frame)
  }

  /// Translates one byte's address for a data access of the guest; nil after recording the fault.
  func translateData(_ linear: UInt64, _ access: Access, stack: Bool) -> Walk? {
    let walk = walk(linear, access, user: cpu.pointee.cpl == 3)
    if walk.errorCode != nil || walk.nonCanonical {
      if walk.readOnly && access == .write { return walk }
      record(walk, linear: linear, stack: stack)
      return nil
    }
    fill(linear, walk)
    return walk
  }

  /// Machine address of the code byte at a linear address; nil after recording the fault.
  func translateFetch(_ linear: UInt64) -> UInt64? {
    let slot = Int(truncatingIfNeeded: (linear >> 12) & UInt64(TranslationSets.fetchSlots - 1))
    let entry = TranslationSets.fetch(cpu.pointee.tlb) + slot
    if entry.pointee.tag == linear & ~4095 { return UInt64(entry.pointee.frame) << 12 | linear & 4095 }
    let walk = walk(linear, .fetch, user: cpu.pointee.cpl == 3)
    if walk.errorCode != nil || walk.nonCanonical || !memory.contains(walk.address & ~4095, 4096) {
      record(walk, linear: linear, stack: false)
      return nil
    }
    entry.pointee = pv_fetch_entry(tag: linear & ~4095, table: walk.table, frame: UInt32(truncatingIfNeeded: walk.address >> 12))
    return walk.address
  }
}
