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
  /// What that table maps with such entries (`TranslationSets.region`), where the tables are the guest's own.
  var region: UInt32 = 0
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
    // Single fields through the pointer: the state is more than a kilobyte, and a copy of it costs more than the walk.
    let cpu = self.cpu
    if cpu.pointee.own_paging != 0 { return walkOwn(linear, access, user ? .user : .platform) }
    let top = Int64(bitPattern: linear) >> 47
    if top != 0 && top != -1 {
      result.nonCanonical = true
      return result
    }
    if cpu.pointee.cr0 >> 31 == 0 {
      result.address = linear
      result.writableNow = true
      return result
    }
    translations.hot.pointee.counters.walks &+= 1
    let base = memory.base
    let end = memory.byteCount
    let nxEnabled = cpu.pointee.efer & 0x800 != 0
    // Entries that are all ones here allow; NX is inverted.
    var allowed: UInt64 = 7 | 1 << 63
    let invert: UInt64 = 1 << 63
    var table = cpu.pointee.cr3 & 0x000F_FFFF_FFFF_F000
    var shift: UInt64 = 39
    while true {
      let slot = table | ((linear &>> shift) & 511) &* 8
      guard slot < end else {
        result.errorCode = errorCode(access, user: user)
        return result
      }
      let place = base + Int(truncatingIfNeeded: slot)
      var entry = place.load(as: UInt64.self)
      guard entry & 1 != 0 else {
        result.errorCode = errorCode(access, user: user)
        return result
      }
      if entry & (1 << 7) != 0 && (shift == 39 || (shift == 30 && entry & 0x3FFF_E000 != 0) || (shift == 21 && entry & 0x1F_E000 != 0)) {
        result.errorCode = errorCode(access, user: user) | 9
        return result
      }
      if !nxEnabled && entry >> 63 != 0 {
        result.errorCode = errorCode(access, user: user) | 9
        return result
      }
      allowed &= entry ^ invert
      let leaf = shift == 12 || (entry & (1 << 7) != 0 && shift < 39)
      if !leaf {
        if entry & 0x20 == 0 { place.storeBytes(of: entry | 0x20, as: UInt64.self) }
        table = entry & 0x000F_FFFF_FFFF_F000
        shift &-= 9
        continue
      }
      let offsetMask = (UInt64(1) &<< shift) &- 1
      result.address = (entry & 0x000F_FFFF_FFFF_F000 & ~offsetMask) | (linear & offsetMask)
      let userOK = allowed & 4 != 0
      let noExecute = allowed >> 63 == 0
      let smep = cpu.pointee.cr4 & (1 << 20) != 0
      if (user && !userOK) || (access == .fetch && (noExecute || (!user && userOK && smep))) {
        result.errorCode = errorCode(access, user: user) | 1
        return result
      }
      let mayWrite = allowed & 2 != 0 || (!user && cpu.pointee.cr0 & (1 << 16) == 0)
      if access == .write && !mayWrite {
        result.errorCode = errorCode(access, user: user) | 1
        result.readOnly = true
        return result
      }
      let wanted: UInt64 = access == .write ? 0x60 : 0x20
      if entry & wanted != wanted {
        entry |= wanted
        place.storeBytes(of: entry, as: UInt64.self)
      }
      result.table = UInt32(truncatingIfNeeded: slot >> 12)
      result.writableNow = mayWrite && entry & 0x40 != 0
      return result
    }
  }

  /// The #PF error code of an access, less P and RSVD.
  private func errorCode(_ access: Access, user: Bool) -> UInt32 {
    var error: UInt32 = access == .write ? 2 : 0
    if user { error |= 4 }
    if access == .fetch && (cpu.pointee.efer & 0x800 != 0 || cpu.pointee.cr4 & (1 << 20) != 0) { error |= 0x10 }
    return error
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
  @inline(__always) private func fill(_ linear: UInt64, _ walk: Walk, _ access: Access) {
    guard walk.address < memory.byteCount else { return }
    let frame = Int(truncatingIfNeeded: walk.address >> 12)
    let host = UInt64(UInt(bitPattern: memory.base + frame &* 4096))
    translations.fillData(
      linear & ~4095, host: host, frame: UInt32(truncatingIfNeeded: frame), table: walk.table,
      writing: access == .write, writable: walk.writableNow && memory.codeLines[frame] == 0)
  }

  /// Translates one byte's address for a data access of the guest; nil after recording the fault.
  func translateData(_ linear: UInt64, _ access: Access, stack: Bool) -> Walk? {
    if cpu.pointee.own_paging != 0 { return translateOwnData(linear, access, stack: stack) }
    let walk = walk(linear, access, user: cpu.pointee.cpl == 3)
    if walk.errorCode != nil || walk.nonCanonical {
      if walk.readOnly && access == .write { return walk }
      record(walk, linear: linear, stack: stack)
      return nil
    }
    if !cpu.watchesData { fill(linear, walk, access) }
    return walk
  }

  /// Machine address of the code byte at a linear address; nil after recording the fault.
  @inline(__always) func translateFetch(_ linear: UInt64) -> UInt64? {
    let slot = Int(truncatingIfNeeded: (linear >> 12) & UInt64(TranslationSets.fetchSlots - 1))
    let entry = TranslationSets.fetch(cpu.pointee.tlb) + slot
    if entry.pointee.tag == linear & ~4095 { return UInt64(entry.pointee.frame) << 12 | linear & 4095 }
    return translateFetchSlowly(linear)
  }

  @inline(never) private func translateFetchSlowly(_ linear: UInt64) -> UInt64? {
    if cpu.pointee.own_paging != 0 { return translateOwnFetch(linear) }
    let walk = walk(linear, .fetch, user: cpu.pointee.cpl == 3)
    if walk.errorCode != nil || walk.nonCanonical || walk.address >= memory.byteCount {
      record(walk, linear: linear, stack: false)
      return nil
    }
    translations.fillFetch(
      linear & ~4095, frame: UInt32(truncatingIfNeeded: walk.address >> 12), table: walk.table,
      region: TranslationSets.region(linear))
    return walk.address
  }
}
