import CHost
import GuestMemory

// Page walks of a whole machine, whose page tables are the guest's own affair: every paging mode (Intel SDM volume 3, 4.3 to 4.6), with
// physical addresses that lead to RAM, ROM, devices or nothing.

/// On whose behalf an access is made.
enum Requester {
  case user
  case supervisor
  /// Descriptor tables and task state, whatever the privilege level: as a supervisor whom RFLAGS.AC does not excuse.
  case system
  /// From outside the guest: with all of a supervisor's rights.
  case platform
}

/// What a walk rests on, besides CR3.
struct PagingMode {
  let cr0: UInt64
  let cr4: UInt64
  let efer: UInt64

  @inline(__always) init(_ cpu: CPU) {
    cr0 = cpu.pointee.cr0
    cr4 = cpu.pointee.cr4
    efer = cpu.pointee.efer
  }
  @inline(__always) var paging: Bool { cr0 >> 31 & 1 != 0 }
  @inline(__always) var long: Bool { efer & 0x400 != 0 }
  /// Entries of 8 bytes.
  @inline(__always) var wide: Bool { long || cr4 & 0x20 != 0 }
  @inline(__always) var writeProtect: Bool { cr0 & 0x1_0000 != 0 }
  @inline(__always) var bigPages: Bool { wide || cr4 & 0x10 != 0 }
  @inline(__always) var noExecute: Bool { wide && efer & 0x800 != 0 }
  @inline(__always) var smep: Bool { cr4 >> 20 & 1 != 0 }
  @inline(__always) var smap: Bool { cr4 >> 21 & 1 != 0 }

  /// The table that CR3 names.
  @inline(__always) func root(_ cr3: UInt64) -> UInt64 {
    long ? cr3 & 0x000F_FFFF_FFFF_F000 : wide ? cr3 & 0xFFFF_FFE0 : cr3 & 0xFFFF_F000
  }
}

extension VCPU {
  /// A walk for the processor's own accesses: descriptor tables and the like.
  func walkAsSystem(_ linear: UInt64, _ access: Access) -> Walk {
    cpu.pointee.own_paging != 0 ? walkOwn(linear, access, .system) : walk(linear, access, user: false)
  }

  @inline(never) func walkOwn(_ linear: UInt64, _ access: Access, _ requester: Requester) -> Walk {
    translations.hot.pointee.counters.walks &+= 1
    return walkTables(linear, access, requester, excused: cpu.pointee.rflags & Flag.ac != 0, cr3: cpu.pointee.cr3, changing: true)
  }

  /// The walk itself.
  ///
  /// - Parameters:
  ///   - excused: RFLAGS.AC.
  ///   - changing: set accessed and dirty bits and keep watch over the tables. Else nothing is changed, and where that would have been
  ///     the error code is all ones.
  @inline(__always) func walkTables(
    _ linear: UInt64, _ access: Access, _ requester: Requester, excused: Bool, cr3: UInt64, changing: Bool
  ) -> Walk {
    var result = Walk()
    let cpu = self.cpu
    let mode = PagingMode(cpu)
    let lines = cpu.pointee.address_lines
    var linear = linear
    if mode.paging && mode.long {
      let top = Int64(bitPattern: linear) >> 47
      if top != 0 && top != -1 {
        result.nonCanonical = true
        return result
      }
    } else {
      linear &= 0xFFFF_FFFF
      if !mode.paging {
        result.address = linear & lines
        result.table = translations.noTable
        result.region = TranslationSets.regionWhole
        result.writableNow = true
        return result
      }
    }
    let wide = mode.wide
    let bits: UInt64 = wide ? 9 : 10
    let beyond = ~UInt64(0) << UInt64(cpu.pointee.physical_bits)
    // Bits that no present entry may have.
    var never: UInt64 = mode.long ? 0x000F_FFFF_FFFF_F000 & beyond : wide ? 0x7FFF_FFFF_FFFF_F000 & beyond : 0
    if wide && !mode.noExecute { never |= 1 << 63 }
    // Entries that are all ones here allow; NX is inverted.
    var allowed: UInt64 = 7 | 1 << 63
    var level = mode.long ? 4 : wide ? 3 : 2
    var shift = 12 &+ bits &* UInt64(level &- 1)
    var table = mode.root(cr3)
    while true {
      let pointers = level == 3 && !mode.long
      let index = linear &>> shift & (pointers ? 3 : (1 << bits) &- 1)
      let slot = (table &+ index &* (wide ? 8 : 4)) & lines
      let frame = Int(truncatingIfNeeded: slot >> 12)
      // What is no memory reads as ones.
      let mark = slot < memory.byteCount ? memory.marks[frame] : FrameMark.unreadable
      let place = memory.base + Int(truncatingIfNeeded: mark & FrameMark.unreadable == 0 ? slot : 0)
      var entry: UInt64 = ~0
      if mark & FrameMark.unreadable == 0 { entry = wide ? place.load(as: UInt64.self) : UInt64(place.load(as: UInt32.self)) }
      guard entry & 1 != 0 else {
        result.errorCode = pageFaultCode(access, requester, mode)
        return result
      }
      let big = entry & 0x80 != 0
      var reserved = never
      var leaf = level == 1
      if pointers {
        // The processor has these four in registers since CR3 was loaded, or reads them when it needs them, as it likes; what
        // `pageDirectoryPointersFit` refuses at the load is refused here too.
        reserved |= 1 << 63 | 0x1E6
      } else if big && level > 1 {
        if level == 4 {
          reserved |= 0x80
        } else if level == 3 {
          (leaf, reserved) = (true, reserved | 0x3FFF_E000)
        } else if wide {
          (leaf, reserved) = (true, reserved | 0x1F_E000)
        } else if mode.bigPages {
          // Physical bits 39:32 in bits 20:13.
          (leaf, reserved) = (true, 0x20_0000 | ((beyond >> 32) << 13) & 0x1F_E000)
        }
      }
      guard entry & reserved == 0 else {
        result.errorCode = pageFaultCode(access, requester, mode) | 9
        return result
      }
      if !pointers { allowed &= entry ^ (wide ? 1 << 63 : 0) | (wide ? 0 : 1 << 63) }
      let changes = mark & FrameMark.kind == 0
      if mark & FrameMark.unreadable == 0 {
        if changing {
          noteTable(frame, mark, level)
        } else if !isWatched(mark, level) || (changes && !pointers && entry & 0x20 == 0) {
          result.errorCode = ~0
          return result
        }
      }
      if !leaf {
        if changing && changes && !pointers && entry & 0x20 == 0 { setBits(place, 0x20, wide) }
        table = entry & (wide ? 0x000F_FFFF_FFFF_F000 : 0xFFFF_F000)
        shift &-= bits
        level &-= 1
        continue
      }
      let offsetMask = (UInt64(1) &<< shift) &- 1
      let base = wide || level == 1 ? entry : entry & 0xFFC0_0000 | (entry >> 13 & 0xFF) << 32
      result.address = (base & 0x000F_FFFF_FFFF_F000 & ~offsetMask | linear & offsetMask) & lines
      guard
        isAllowed(
          access, requester, mode, userPage: allowed & 4 != 0, executable: allowed >> 63 != 0, writable: allowed & 2 != 0,
          excused: excused)
      else {
        result.errorCode = pageFaultCode(access, requester, mode) | 1
        return result
      }
      let wanted: UInt64 = access == .write ? 0x60 : 0x20
      if entry & wanted != wanted && changes {
        entry |= wanted
        if changing { setBits(place, wanted, wide) }
      }
      result.table = UInt32(truncatingIfNeeded: frame)
      result.region = region(linear, level: level, wide: wide)
      let mayWrite = allowed & 2 != 0 || (requester != .user && !mode.writeProtect)
      result.writableNow = mayWrite && entry & 0x40 != 0
      return result
    }
  }

  @inline(__always) private func setBits(_ place: UnsafeMutableRawPointer, _ bits: UInt64, _ wide: Bool) {
    if wide {
      place.storeBytes(of: place.load(as: UInt64.self) | bits, as: UInt64.self)
    } else {
      place.storeBytes(of: place.load(as: UInt32.self) | UInt32(truncatingIfNeeded: bits), as: UInt32.self)
    }
  }

  /// What a table that maps a page at a level maps with such entries, for `TranslationSets`.
  @inline(__always) private func region(_ linear: UInt64, level: Int, wide: Bool) -> UInt32 {
    if wide {
      if level == 1 { return TranslationSets.region(linear) }
      if level == 2 { return TranslationSets.region2M | UInt32(truncatingIfNeeded: linear >> 30 & 0x3_FFFF) }
      return TranslationSets.region1G | UInt32(truncatingIfNeeded: linear >> 39 & 511)
    }
    return level == 1 ? TranslationSets.region4 | UInt32(truncatingIfNeeded: linear >> 22) : TranslationSets.regionWhole
  }

  /// The rights of SDM volume 3, 4.6.1.
  @inline(__always) private func isAllowed(
    _ access: Access, _ requester: Requester, _ mode: PagingMode, userPage: Bool, executable: Bool, writable: Bool, excused: Bool
  ) -> Bool {
    if requester == .user {
      return userPage && (access == .write ? writable : access == .fetch ? executable : true)
    }
    if access == .fetch { return executable && !(userPage && mode.smep && requester != .platform) }
    if userPage && mode.smap && (requester == .system || (requester == .supervisor && !excused)) { return false }
    return access == .read || writable || !mode.writeProtect
  }

  /// The #PF error code of an access, less P and RSVD.
  @inline(__always) private func pageFaultCode(_ access: Access, _ requester: Requester, _ mode: PagingMode) -> UInt32 {
    var error: UInt32 = access == .write ? 2 : 0
    if requester == .user { error |= 4 }
    if access == .fetch && (mode.noExecute || mode.smep) { error |= 0x10 }
    return error
  }

  /// Whether the four entries that CR3 names under PAE paging without long mode have no reserved bit: else loading it is a #GP(0).
  public func pageDirectoryPointersFit(_ cr3: UInt64) -> Bool {
    let reserved = 0x1E6 | ~UInt64(0) << UInt64(cpu.pointee.physical_bits)
    for index in 0..<4 {
      let entry = memory.load(((cr3 & 0xFFFF_FFE0) &+ UInt64(index) &* 8) & cpu.pointee.address_lines, as: UInt64.self) ?? ~0
      if entry & 1 != 0 && entry & reserved != 0 { return false }
    }
    return true
  }
}

extension VCPU {
  /// As `translateData`.
  func translateOwnData(_ linear: UInt64, _ access: Access, stack: Bool) -> Walk? {
    if let frame = translations.guardedFrame(linear, writing: access == .write) {
      if access == .write && isPlain(Int(frame)) { translations.unguardWrites(linear) }
      var known = Walk()
      known.address = UInt64(frame) << 12 | linear & 4095
      return known
    }
    let walk = walkOwn(linear, access, cpu.pointee.cpl == 3 ? .user : .supervisor)
    if walk.errorCode != nil || walk.nonCanonical {
      record(walk, linear: linear, stack: stack)
      return nil
    }
    // A breakpoint on data looks at every access, and so does the check of alignment.
    guard walk.address < memory.byteCount, !cpu.watchesData, !cpu.checksAlignment else { return walk }
    let frame = Int(truncatingIfNeeded: walk.address >> 12)
    translations.fillGuarded(
      linear & ~4095, host: UInt64(UInt(bitPattern: memory.base + frame &* 4096)), frame: UInt32(truncatingIfNeeded: frame),
      table: walk.table, region: walk.region, writing: access == .write, writable: walk.writableNow,
      guardReads: memory.marks[frame] & FrameMark.unreadable != 0, guardWrites: !isPlain(frame))
    return walk
  }

  /// Whether a frame may be written without looking.
  @inline(__always) private func isPlain(_ frame: Int) -> Bool {
    memory.marks[frame] & (FrameMark.kind | FrameMark.table) == 0 && memory.codeLines[frame] == 0
  }

  /// As `translateFetch`. Where nothing is, or a device, there are ones to execute.
  func translateOwnFetch(_ linear: UInt64) -> UInt64? {
    let walk = walkOwn(linear, .fetch, cpu.pointee.cpl == 3 ? .user : .supervisor)
    if walk.errorCode != nil || walk.nonCanonical {
      record(walk, linear: linear, stack: false)
      return nil
    }
    var frame = Int(truncatingIfNeeded: walk.address >> 12)
    if walk.address >= memory.byteCount || memory.marks[frame] & FrameMark.unreadable != 0 { frame = memory.openBusFrame() }
    translations.fillFetch(linear & ~4095, frame: UInt32(truncatingIfNeeded: frame), table: walk.table, region: walk.region)
    return UInt64(frame) << 12 | linear & 4095
  }
}
