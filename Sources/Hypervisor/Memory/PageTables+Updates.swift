import GuestMemory

// Changes of single entries: mmu_update and update_va_mapping, less their arguments' reading.

/// Whose frames new entries may name.
enum PageOwner {
  case guest
  /// DOMID_IO: device memory only, of which a domU has none.
  case io
}

extension PageTables {
  /// Changes a level-1 entry of a table in use.
  @inline(__always) func changeL1(
    _ table: UInt64, _ index: Int, _ value: UInt64, preserveAccessed: Bool = false, owner: PageOwner = .guest
  ) -> Int64 {
    let slot = entries(table) + index
    let old = slot.pointee
    var new = value
    var sameCounts = false
    if new & Self.present != 0 {
      if new & Self.l1Disallowed != 0 { return XenError.invalid.result }
      if (old ^ new) & ~Self.harmless == 0 {
        sameCounts = true
      } else {
        if owner == .io && frame(new) < frameCount { return XenError.busy.result }
        let result = getL1(new)
        if result != 0 { return result }
      }
      new = Self.adjustL1(new)
    }
    if preserveAccessed { new |= old & Self.accessedDirty }
    if old == new && sameCounts { return 0 }
    memory.willWrite(table &<< 12 &+ UInt64(truncatingIfNeeded: index) &* 8, 8)
    slot.pointee = new
    if old & Self.present != 0 {
      entryChanged(table, index)
      if !sameCounts { putL1(old) }
    }
    return 0
  }

  /// Changes an entry of a level 2...4 table in use.
  func changeUpper(_ table: UInt64, _ level: Int, _ index: Int, _ value: UInt64, preserveAccessed: Bool = false) -> Int64 {
    if level == 4 && Self.xenSlots.contains(index) { return XenError.invalid.result }
    let slot = entries(table) + index
    let old = slot.pointee
    var new = value
    var sameCounts = false
    if new & Self.present != 0 {
      if new & Self.upperDisallowed != 0 { return XenError.invalid.result }
      if (old ^ new) & ~Self.harmless == 0 {
        sameCounts = true
      } else {
        let result = getUpper(new, in: table, level: level)
        if result != 0 { return result }
      }
      new = Self.adjustUpper(new, level: level)
    }
    if preserveAccessed { new |= old & Self.accessedDirty }
    memory.willWrite(table &<< 12 &+ UInt64(truncatingIfNeeded: index) &* 8, 8)
    slot.pointee = new
    if old & Self.present != 0 {
      if old != new { dropBelow(old, level: level) }
      if !sameCounts { putUpper(old, in: table, level: level) }
    }
    return 0
  }

  /// Drops the translations that went through an entry of a level 2...4 table that has changed.
  private func dropBelow(_ old: UInt64, level: Int) {
    let target = frame(old)
    guard level < 4, !state.pointee.linear, target < frameCount else {
      state.pointee.flushNeeded = true
      return
    }
    if level == 2 { return tableLeft(target) }
    let lower = entries(target)
    var n = 0
    while n < 512 {
      if lower[n] & Self.present != 0 { tableLeft(frame(lower[n])) }
      n += 1
    }
  }

  /// One NORMAL_PT_UPDATE or PT_UPDATE_PRESERVE_AD: `address` is the entry's machine address. A page that is no table is
  /// simply written, if it may be.
  func update(_ address: UInt64, _ value: UInt64, preserveAccessed: Bool, owner: PageOwner = .guest) -> Int64 {
    let mfn = address >> 12
    guard frames.belongsToGuest(mfn) else { return XenError.invalid.result }
    let f = info[Int(truncatingIfNeeded: mfn)]
    let index = Int(truncatingIfNeeded: (address & 4095) >> 3)
    if f.typeCount == 0 || f.type == .writable {
      memory.store(value, at: address & ~7)
      return 0
    }
    switch f.type {
    case .l1: return changeL1(mfn, index, value, preserveAccessed: preserveAccessed, owner: owner)
    case .l2, .l3, .l4:
      guard owner == .guest else { return XenError.invalid.result }
      // A table must not vanish under its own change (an entry that was the last to count on it).
      guard getPage(mfn) else { return XenError.invalid.result }
      guard getType(mfn, f.type) == 0 else {
        putPage(mfn)
        return XenError.invalid.result
      }
      let result = changeUpper(mfn, f.type.level, index, value, preserveAccessed: preserveAccessed)
      putPageAndType(mfn)
      settle()
      return result
    default: return XenError.invalid.result
    }
  }

  /// Machine address of the level-1 entry that maps a linear address; nil where there is no level-1 table, or the address
  /// is not canonical or Xen's.
  @inline(__always) func l1Entry(_ root: UInt64, _ linear: UInt64) -> UInt64? {
    let top = Int64(bitPattern: linear) >> 47
    guard top == 0 || top == -1 else { return nil }
    let first = Int(truncatingIfNeeded: (linear &>> 39) & 511)
    guard root != 0, root < frameCount, first < 256 || first >= 272 else { return nil }
    let l4 = entries(root)[first]
    guard l4 & 1 != 0, frame(l4) < frameCount else { return nil }
    let l3 = entries(frame(l4))[Int(truncatingIfNeeded: (linear &>> 30) & 511)]
    guard l3 & 1 != 0, frame(l3) < frameCount else { return nil }
    let l2 = entries(frame(l3))[Int(truncatingIfNeeded: (linear &>> 21) & 511)]
    guard l2 & 0x81 == 1, frame(l2) < frameCount else { return nil }
    return l2 & Self.addressMask | ((linear &>> 12) & 511) &* 8
  }

  /// update_va_mapping, less its flush.
  @inline(__always) func updateVAMapping(root: UInt64, _ linear: UInt64, _ value: UInt64, owner: PageOwner = .guest) -> Int64 {
    guard let address = l1Entry(root, linear) else { return XenError.invalid.result }
    let table = address &>> 12
    guard frames.belongsToGuest(table), info[Int(truncatingIfNeeded: table)].isUsed(as: .l1) else {
      return XenError.invalid.result
    }
    return changeL1(table, Int(truncatingIfNeeded: (address & 4095) &>> 3), value, owner: owner)
  }

  // MARK: Pins

  /// PIN_L1_TABLE … PIN_L4_TABLE.
  func pin(_ mfn: UInt64, _ type: FrameType) -> Int64 {
    let result = getPageAndType(mfn, type)
    if result == 0 {
      if info[Int(truncatingIfNeeded: mfn)].flags & FrameInfo.pinned == 0 {
        info[Int(truncatingIfNeeded: mfn)].flags |= FrameInfo.pinned
      } else {
        putPageAndType(mfn)
        settle()
        return XenError.invalid.result
      }
    }
    settle()
    return result
  }

  func unpin(_ mfn: UInt64) -> Int64 {
    guard frames.belongsToGuest(mfn), info[Int(truncatingIfNeeded: mfn)].flags & FrameInfo.pinned != 0 else {
      return XenError.invalid.result
    }
    info[Int(truncatingIfNeeded: mfn)].flags &= ~FrameInfo.pinned
    putPageAndType(mfn)
    settle()
    return 0
  }

  /// Zeroes a page, if it may be written (CLEAR_PAGE).
  func clearPage(_ mfn: UInt64) -> Int64 {
    guard mayStore(mfn) else { return XenError.invalid.result }
    memory.zero(mfn << 12, count: 4096)
    return 0
  }

  func copyPage(from source: UInt64, to target: UInt64) -> Int64 {
    guard frames.belongsToGuest(source), mayStore(target) else { return XenError.invalid.result }
    guard source != target, let bytes = memory.readable(source << 12, 4096) else { return 0 }
    memory.copyIn(bytes, at: target << 12)
    return 0
  }

  private func mayStore(_ mfn: UInt64) -> Bool {
    guard frames.belongsToGuest(mfn) else { return false }
    let f = info[Int(truncatingIfNeeded: mfn)]
    return f.typeCount == 0 || f.type == .writable
  }
}
