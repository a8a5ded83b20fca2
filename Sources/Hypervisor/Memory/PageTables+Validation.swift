import GuestMemory

// What entries count on, and whole tables coming into use and going out of it. The depth of recursion is the number of
// levels, and one more per level for linear page tables (`getLinear`).

extension PageTables {
  // MARK: One entry

  /// Counts on what a level-1 entry maps.
  ///
  /// - Returns: −EINVAL for cache attributes, −EPERM where the machine has no memory, −EBUSY for others' memory and for a
  ///   writable mapping of a page that must not be written.
  @inline(__always) func getL1(_ entry: UInt64) -> Int64 {
    if entry & Self.present == 0 { return 0 }
    if entry & Self.l1Disallowed != 0 { return XenError.invalid.result }
    let mfn = frame(entry)
    guard mfn < frameCount else {
      return mfn == Self.addressMask >> 12 ? XenError.invalid.result : XenError.perm.result
    }
    guard frames.belongsToGuest(mfn) else { return XenError.busy.result }
    let p = info + Int(truncatingIfNeeded: mfn)
    if p.pointee.refCount == .max { return XenError.busy.result }
    if entry & Self.writableBit != 0 {
      if p.pointee.typeCount == 0 {
        p.pointee.set(.writable)
        p.pointee.flags |= FrameInfo.validated
        p.pointee.typeCount = 1
      } else if p.pointee.typeBits == FrameType.writable.rawValue && p.pointee.typeCount != .max {
        p.pointee.typeCount &+= 1
      } else {
        return XenError.busy.result
      }
    }
    p.pointee.refCount &+= 1
    return 0
  }

  @inline(__always) func putL1(_ entry: UInt64) {
    if entry & Self.present == 0 { return }
    let mfn = frame(entry)
    guard mfn < frameCount else { return }
    let p = info + Int(truncatingIfNeeded: mfn)
    if entry & Self.writableBit != 0 {
      if p.pointee.isUsed(as: .writable) {
        p.pointee.typeCount &-= 1
        if p.pointee.typeCount == 0 {
          p.pointee.flags &= ~FrameInfo.validated
          p.pointee.set(.none)
        }
      }
    } else if p.pointee.isUsed(as: .descriptors) {
      // The mapping may have been the LDT's: it is looked up again at the next use.
      dropAllLDTs()
    }
    putPage(mfn)
  }

  /// Counts on the table that an entry of a level 2...4 table points at.
  func getUpper(_ entry: UInt64, in table: UInt64, level: Int) -> Int64 {
    if entry & Self.present == 0 { return 0 }
    if entry & Self.upperDisallowed != 0 { return XenError.invalid.result }
    guard let type = FrameType(rawValue: UInt32(level - 1)) else { return XenError.invalid.result }
    let result = getPageAndType(frame(entry), type)
    if result == XenError.invalid.result && getLinear(entry, in: table, level: level) { return 0 }
    return result
  }

  /// Linear page tables: an entry may point, read-only, at its own table or at another of the same level, which makes the
  /// tables themselves readable in the address space.
  private func getLinear(_ entry: UInt64, in table: UInt64, level: Int) -> Bool {
    if entry & Self.writableBit != 0 { return false }
    let target = frame(entry)
    // From now on a table may be walked as one of another level, so that precise dropping is no more.
    state.pointee.linear = true
    if target == table { return true }
    guard frames.belongsToGuest(target) else { return false }
    let t = info + Int(truncatingIfNeeded: target)
    let own = info + Int(truncatingIfNeeded: table)
    guard t.pointee.typeCount != 0, t.pointee.typeBits == UInt32(level), t.pointee.flags & FrameInfo.validated != 0,
      t.pointee.typeCount != .max, t.pointee.refCount != .max, own.pointee.linear >= 0, t.pointee.linear <= 0,
      t.pointee.linear != .min
    else { return false }
    own.pointee.linear += 1
    t.pointee.linear -= 1
    t.pointee.typeCount += 1
    t.pointee.refCount += 1
    return true
  }

  func putUpper(_ entry: UInt64, in table: UInt64, level: Int) {
    let target = frame(entry)
    if entry & Self.present == 0 || target == table || target >= frameCount { return }
    let t = info + Int(truncatingIfNeeded: target)
    if t.pointee.typeBits == UInt32(level) {
      t.pointee.linear += 1
      info[Int(truncatingIfNeeded: table)].linear -= 1
    }
    putPageAndType(target)
  }

  // MARK: Whole tables

  func validateL1(_ mfn: UInt64) -> Int64 {
    memory.willWrite(mfn << 12, 4096)
    let e = entries(mfn)
    var n = 0
    while n < 512 {
      let entry = e[n]
      if entry & Self.present != 0 {
        let result = getL1(entry)
        if result != 0 {
          devalidate(mfn, 1, entries: n)
          return result
        }
        let adjusted = Self.adjustL1(entry)
        if adjusted != entry { e[n] = adjusted }
      }
      n += 1
    }
    return 0
  }

  func validateUpper(_ mfn: UInt64, _ level: Int) -> Int64 {
    memory.willWrite(mfn << 12, 4096)
    let e = entries(mfn)
    var n = 0
    while n < 512 {
      if level == 4 && n == Self.xenSlots.lowerBound {
        n = Self.xenSlots.upperBound
        continue
      }
      let entry = e[n]
      if entry & Self.present != 0 {
        let result = getUpper(entry, in: mfn, level: level)
        if result != 0 {
          devalidate(mfn, level, entries: n)
          return result
        }
        let adjusted = Self.adjustUpper(entry, level: level)
        if adjusted != entry { e[n] = adjusted }
      }
      n += 1
    }
    if level == 4 {
      for slot in Self.xenSlots { e[slot] = 0 }
      if hidesM2P { e[Self.xenSlots.lowerBound] = frames.m2pRootEntry }
    }
    return 0
  }

  /// Gives up what the first `entries` entries count on.
  func devalidate(_ mfn: UInt64, _ level: Int, entries count: Int) {
    let e = entries(mfn)
    var n = 0
    if level == 1 {
      while n < count {
        putL1(e[n])
        n += 1
      }
      return
    }
    // A table below the top is given up after all entries that led to it, whose change has dropped what it fed.
    if state.pointee.linear { state.pointee.flushNeeded = true } else if level != 2 { tableGone(mfn, level) }
    while n < count {
      if level == 4 && n == Self.xenSlots.lowerBound {
        n = Self.xenSlots.upperBound
        continue
      }
      putUpper(e[n], in: mfn, level: level)
      n += 1
    }
  }
}
