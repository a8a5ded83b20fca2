import CHost
import GuestMemory

// The proof that what is kept is what a walk would find, for tests and the fuzzer.

/// A translation that a set holds, and what is known of it.
struct KeptTranslation {
  enum Kind { case read, write, fetch }
  var kind: Kind
  /// The set's: CR3 and rights.
  var key: UInt64
  var page: UInt64
  /// Found by the slow path only.
  var guarded: Bool
  var frame: UInt32
  var table: UInt32
  /// Host address by the entry, from either of its fields.
  var host: (UInt64, UInt64)
  /// What is said of its table: that it fed this set, and where it maps; of its frame: that this set may write it.
  var fed: Bool
  var region: UInt32
  var written: Bool
}

extension VCPU {
  /// Compares every translation that is kept with a walk of the page tables as they are, and says what is wrong; at most ten things. Only
  /// for a processor that owns its page tables. Changes nothing.
  public func checkTranslations() -> [String] {
    var problems: [String] = []
    guard cpu.pointee.own_paging != 0 else { return ["the page tables are not this processor's"] }
    translations.forEachKept { kept in
      if problems.count < 10, let problem = check(kept) {
        problems.append("\(kept.kind) \(hex(kept.page)) of \(hex(kept.key)), frame \(hex(UInt64(kept.frame))): \(problem)")
      }
    }
    translations.forEachLostJump { rip in
      if problems.count < 10 { problems.append("a jump to \(hex(rip)), whose page is not there") }
    }
    return problems
  }

  private func hex(_ value: UInt64) -> String { String(value, radix: 16) }

  private func check(_ kept: KeptTranslation) -> String? {
    let mode = PagingMode(cpu)
    let unpaged = kept.key & Self.unpaged != 0
    if !unpaged && !mode.paging {
      // A set that waits for paging to come back as it was; another way drops it.
      return nil
    }
    let access: Access = kept.kind == .fetch ? .fetch : .read
    var walk = Walk()
    if unpaged {
      walk.address = kept.page & cpu.pointee.address_lines
      walk.table = translations.noTable
      walk.region = TranslationSets.regionWhole
      walk.writableNow = true
    } else {
      // The set's own bits are in those of CR3 that a root never has.
      walk = walkTables(
        kept.page, access, kept.key & 1 != 0 ? .user : .supervisor, excused: kept.key & 2 != 0, cr3: kept.key & ~3, changing: false)
    }
    if walk.nonCanonical { return "no address" }
    if let code = walk.errorCode { return code == ~0 ? "an entry is not accessed, or its table not watched" : "faults with \(code)" }
    var frame = walk.address >> 12
    let inside = walk.address < memory.byteCount
    let mark = inside ? memory.marks[Int(frame)] : FrameMark.unreadable
    if kept.kind == .fetch && mark & FrameMark.unreadable != 0 { frame = UInt64(memory.frameCount) }
    if frame != UInt64(kept.frame) { return "leads to frame \(hex(frame))" }
    if walk.table != kept.table { return "fed by \(hex(UInt64(walk.table))), not \(hex(UInt64(kept.table)))" }
    if !kept.fed { return "the table does not know" }
    if kept.region != walk.region && kept.region != UInt32.max { return "the table is elsewhere" }
    if kept.kind == .fetch { return nil }
    let host = UInt64(UInt(bitPattern: memory.base + Int(kept.frame) * 4096))
    if kept.host != (host, host) { return "another host address" }
    if kept.kind == .read {
      if !kept.guarded && mark & FrameMark.unreadable != 0 { return "no memory" }
      return nil
    }
    if !walk.writableNow { return "not writable or not dirty" }
    if kept.guarded { return nil }
    if mark & (FrameMark.kind | FrameMark.table) != 0 || memory.codeLines[Int(kept.frame)] != 0 { return "is not for writing blindly" }
    return kept.written ? nil : "the frame does not know"
  }
}
