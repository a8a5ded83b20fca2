import CHost
import GuestMemory

// The watch over page tables that nobody but the guest knows of. A frame that a walk used as a table is marked, with its level, and
// loses its write tags; so every store to it comes by here, and drops what the changed entry fed. What is kept is then always what a
// walk would find, which is one of the things that a processor may do: the guest's invalidations have nothing left to drop.
//
// Memory that is a table no more keeps its mark until it is written as no table is: by a string instruction, by a device, or many
// times with no walk between. Then all that it fed goes, and the mark.
//
// Marks, in `MachineMemory.marks`: bits 5:2 are set for tables of levels 4 to 1, bits 15:8 count the stores since the last walk.

extension VCPU {
  private static let countShift: UInt16 = 8
  /// So many stores in a row are no table's.
  static let manyStores: UInt16 = 40

  @inline(__always) private static func bit(_ level: Int) -> UInt16 { 1 << UInt16(truncatingIfNeeded: level &+ 1) }

  /// A walk uses a frame of RAM or ROM with this mark as a table.
  @inline(__always) func noteTable(_ frame: Int, _ mark: UInt16, _ level: Int) {
    if mark & (0xFF00 | Self.bit(level)) != Self.bit(level) { watch(frame, level) }
  }

  func isWatched(_ mark: UInt16, _ level: Int) -> Bool { mark & Self.bit(level) != 0 }

  @inline(never) private func watch(_ frame: Int, _ level: Int) {
    let mark = memory.marks[frame]
    memory.marks[frame] = mark & 0xFF | Self.bit(level)
    if mark & FrameMark.table == 0 {
      memory.hasMarks.pointee = true
      translations.hot.pointee.counters.watched &+= 1
      translations.dropWriteTags(frame: UInt32(truncatingIfNeeded: frame))
    }
  }

  /// A table that is a set's root, whether or not a walk has used it: what the set took over from another rests on it.
  @inline(__always) func watchRoot(_ root: UInt64) {
    guard root < memory.byteCount else { return }
    let frame = Int(truncatingIfNeeded: root >> 12)
    let mark = memory.marks[frame]
    if mark & (FrameMark.unreadable | Self.bit(4)) == 0 { watch(frame, 4) }
  }

  /// Ends the watch over a frame, and drops all that it fed.
  func unwatch(_ frame: Int) {
    let mark = memory.marks[frame]
    guard mark & FrameMark.table != 0 else { return }
    translations.hot.pointee.counters.unwatched &+= 1
    let mode = PagingMode(cpu)
    if mark & Self.bit(4) != 0 { translations.rootLeft(UInt64(frame) << 12) }
    if mark & Self.bit(3) != 0 && !mode.long { translations.flushAll() }
    if mark & Self.bit(2) != 0 && !mode.wide { translations.flushAll() }
    var room = Self.descentRoom
    for level in 1..<4 where mark & Self.bit(level) != 0 { descend(UInt64(frame) << 12, level, mode, &room) }
    memory.marks[frame] = mark & FrameMark.kind
  }

  /// The guest's store, within one page, to a watched frame.
  ///
  /// - Parameter bulk: a string instruction's.
  func storeToTable(_ address: UInt64, _ bytes: UnsafeRawPointer, _ count: Int, bulk: Bool) {
    let frame = Int(truncatingIfNeeded: address >> 12)
    let place = memory.base + Int(truncatingIfNeeded: address)
    let mark = memory.marks[frame]
    let mode = PagingMode(cpu)
    let size = mode.wide ? 8 : 4
    let first = Int(address & 4095) & (0 - size)
    let last = (Int(address & 4095) + count - 1) & (0 - size)
    if bulk || mark >> Self.countShift >= Self.manyStores || (first ^ last) & ~7 != 0 || !mode.paging {
      unwatch(frame)
      place.copyMemory(from: bytes, byteCount: count)
      return
    }
    memory.marks[frame] = mark &+ 1 << Self.countShift
    let line = memory.base + frame * 4096 + (first & ~7)
    let before = line.load(as: UInt64.self)
    place.copyMemory(from: bytes, byteCount: count)
    let after = line.load(as: UInt64.self)
    if before == after { return }
    if mode.wide { return entryChanged(frame, first >> 3, mark, before, after, mode) }
    let index = (first & ~7) >> 2
    entryChanged(frame, index, mark, before & 0xFFFF_FFFF, after & 0xFFFF_FFFF, mode)
    entryChanged(frame, index + 1, mark, before >> 32, after >> 32, mode)
  }

  /// An entry of a watched table has changed: drops what it fed at each level that the table was used at.
  private func entryChanged(_ frame: Int, _ index: Int, _ mark: UInt16, _ old: UInt64, _ new: UInt64, _ mode: PagingMode) {
    // Nothing, bits that are the system's own, or a dirty bit more.
    if (old ^ new) & ~0xE00 == 0 || new == old | 0x40 { return }
    let table = UInt32(truncatingIfNeeded: frame)
    for level in 1...4 where mark & Self.bit(level) != 0 && wasUsed(old, level, mode) {
      let big = old & 0x80 != 0
      if level == 1 {
        translations.entryChanged(table: table, index: index, wide: mode.wide)
      } else if big && (level == 3 || (level == 2 && mode.bigPages)) {
        translations.largeEntryChanged(table: table, index: index)
      } else {
        var room = Self.descentRoom
        descend(old & cpu.pointee.address_lines, level - 1, mode, &room)
      }
    }
  }

  /// Whether a walk may have used an entry: then it set the accessed bit, where there is one.
  private func wasUsed(_ entry: UInt64, _ level: Int, _ mode: PagingMode) -> Bool {
    let accessed: UInt64 = level == 3 && !mode.long ? 0 : 0x20
    return entry & (1 | accessed) == 1 | accessed
  }

  /// Tables that are looked at before everything is dropped instead.
  private static let descentRoom = 1024

  /// Drops what a table of this level, named by an entry, fed, and the tables below it.
  private func descend(_ entry: UInt64, _ level: Int, _ mode: PagingMode, _ room: inout Int) {
    let table = entry & 0x000F_FFFF_FFFF_F000
    guard room > 0, table < memory.byteCount else { return }
    let frame = Int(truncatingIfNeeded: table >> 12)
    // What no walk used at this level fed nothing.
    guard memory.marks[frame] & Self.bit(level) != 0 else { return }
    room -= 1
    if room == 0 { return translations.flushAll() }
    translations.tableLeft(UInt32(truncatingIfNeeded: frame))
    guard level > 1 else { return }
    let inROM = memory.marks[frame] & FrameMark.kind != 0
    let wide = mode.wide
    let page = memory.base + frame * 4096
    for index in 0..<(wide ? 512 : 1024) {
      let entry =
        wide ? page.load(fromByteOffset: index * 8, as: UInt64.self) : UInt64(page.load(fromByteOffset: index * 4, as: UInt32.self))
      // In ROM no bit says which were used.
      guard inROM ? entry & 1 != 0 : wasUsed(entry, level, mode), entry & 0x80 == 0 || (level == 2 && !mode.bigPages) else { continue }
      descend(entry & cpu.pointee.address_lines, level - 1, mode, &room)
    }
  }

  /// Ends the watch over everything: entries are read another way from now on.
  func unwatchAll() {
    translations.flushAll()
    guard memory.hasMarks.pointee else { return }
    for frame in 0..<memory.frameCount where memory.marks[frame] & ~FrameMark.kind != 0 { memory.marks[frame] &= FrameMark.kind }
  }
}
