import CHost
import GuestMemory

/// The software TLB: several sets, one per address space and privilege, so that a switch of page tables and back throws
/// nothing away.
///
/// The TLB is never visible to a guest. Whoever changes a present page-table entry says so (`entryChanged`,
/// `flushAll`), and each entry remembers the page table that fed it, so every access behaves as if it walked.
///
/// Invariants of the unsafe parts: the sets are allocated once and freed with the object; `current` points at one of them;
/// an entry's tag is a page address or the slot's own impossible one, so a stale host address is never used.
final class TranslationSets {
  static let count = 16
  private let memory: MachineMemory
  private let sets: UnsafeMutablePointer<pv_tlb>
  private let empty: UnsafeMutablePointer<pv_tlb>
  /// cr3 | privilege, or `unused`.
  private var keys: [UInt64]
  private var lastUse: [UInt64]
  private var clock: UInt64 = 0
  private(set) var current: UnsafeMutablePointer<pv_tlb>
  private var currentIndex = 0
  private static let unused = ~UInt64(0)

  init(memory: MachineMemory) {
    self.memory = memory
    sets = .allocate(capacity: Self.count)
    empty = .allocate(capacity: 1)
    keys = Array(repeating: Self.unused, count: Self.count)
    lastUse = Array(repeating: 0, count: Self.count)
    let data = Self.data(empty)
    for slot in 0..<Self.dataSlots {
      let tag = UInt64(slot ^ (Self.dataSlots / 2)) << 12
      data[slot] = pv_tlb_entry(read_tag: tag, write_tag: tag, addend: 0, table: 0, frame: 0)
    }
    let fetch = Self.fetch(empty)
    for slot in 0..<Self.fetchSlots {
      fetch[slot] = pv_fetch_entry(tag: UInt64(slot ^ (Self.fetchSlots / 2)) << 12, table: 0, frame: 0)
    }
    current = sets
    current.update(from: empty, count: 1)
  }

  deinit {
    sets.deallocate()
    empty.deallocate()
  }

  static let dataSlots = Int(PV_TLB_SIZE)
  static let fetchSlots = Int(PV_FETCH_SIZE)
  @inline(__always) static func data(_ set: UnsafeMutablePointer<pv_tlb>) -> UnsafeMutablePointer<pv_tlb_entry> {
    UnsafeMutableRawPointer(set).assumingMemoryBound(to: pv_tlb_entry.self)
  }
  @inline(__always) static func fetch(_ set: UnsafeMutablePointer<pv_tlb>) -> UnsafeMutablePointer<pv_fetch_entry> {
    (UnsafeMutableRawPointer(set) + MemoryLayout<pv_tlb>.offset(of: \.fetch)!).assumingMemoryBound(to: pv_fetch_entry.self)
  }
  /// The tag of a slot that holds nothing: a page address that belongs in another slot.
  @inline(__always) static func emptyDataTag(_ slot: Int) -> UInt64 { UInt64(slot ^ (dataSlots / 2)) << 12 }
  @inline(__always) static func emptyFetchTag(_ slot: Int) -> UInt64 { UInt64(slot ^ (fetchSlots / 2)) << 12 }

  /// Makes the set of an address space current, empty if it has none yet.
  func select(_ key: UInt64) -> UnsafeMutablePointer<pv_tlb> {
    clock &+= 1
    var victim = 0
    var oldest = UInt64.max
    for index in 0..<Self.count {
      if keys[index] == key {
        lastUse[index] = clock
        currentIndex = index
        current = sets + index
        return current
      }
      let age = keys[index] == Self.unused ? 0 : lastUse[index]
      if age < oldest {
        oldest = age
        victim = index
      }
    }
    keys[victim] = key
    lastUse[victim] = clock
    currentIndex = victim
    current = sets + victim
    current.update(from: empty, count: 1)
    return current
  }

  /// Drops every translation of every set.
  func flushAll() {
    for index in 0..<Self.count where index != currentIndex { keys[index] = Self.unused }
    current.update(from: empty, count: 1)
  }

  /// Drops what slot `index` of the level-1 table in frame `table` fed.
  func entryChanged(table: UInt32, index: Int) {
    let index = index & 511
    for set in 0..<Self.count where keys[set] != Self.unused || set == currentIndex {
      let data = Self.data(sets + set)
      var slot = index
      while slot < Self.dataSlots {
        if data[slot].table == table {
          data[slot].read_tag = Self.emptyDataTag(slot)
          data[slot].write_tag = Self.emptyDataTag(slot)
        }
        slot += 512
      }
      let fetchSlot = index & (Self.fetchSlots - 1)
      let fetch = Self.fetch(sets + set)
      if fetch[fetchSlot].table == table {
        fetch[fetchSlot].tag = Self.emptyFetchTag(fetchSlot)
        clearJumps(sets + set)
      }
    }
  }

  @inline(__always) static func jumps(_ set: UnsafeMutablePointer<pv_tlb>) -> UnsafeMutablePointer<pv_jump_entry> {
    (UnsafeMutableRawPointer(set) + MemoryLayout<pv_tlb>.offset(of: \.jump)!).assumingMemoryBound(to: pv_jump_entry.self)
  }

  /// Forgets where computed jumps of a set lead.
  private func clearJumps(_ set: UnsafeMutablePointer<pv_tlb>) { Self.jumps(set).update(from: Self.jumps(empty), count: Int(PV_JUMP_SIZE)) }

  /// Forgets all computed jumps: translated code went away.
  func clearAllJumps() {
    for set in 0..<Self.count where keys[set] != Self.unused || set == currentIndex { clearJumps(sets + set) }
  }

  /// Sets the code that empty jump slots lead to.
  func setMissCode(_ code: UnsafeMutableRawPointer) {
    // Any address may be jumped to: the empty slot's is one that belongs in another slot.
    for slot in 0..<Int(PV_JUMP_SIZE) { Self.jumps(empty)[slot] = pv_jump_entry(rip: slot == 0 ? 1 : 0, code: code) }
    for set in 0..<Self.count { clearJumps(sets + set) }
  }

  /// Takes the right to write without looking from every translation of a frame: it holds code now.
  func dropWriteTags(frame: UInt32) {
    for set in 0..<Self.count where keys[set] != Self.unused || set == currentIndex {
      let data = Self.data(sets + set)
      for slot in 0..<Self.dataSlots where data[slot].frame == frame { data[slot].write_tag = Self.emptyDataTag(slot) }
    }
  }
}
