import CHost
import GuestMemory

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The software TLB: several sets, one per address space and privilege, so that a switch of page tables and back throws
/// nothing away.
///
/// The TLB is never visible to a guest. Whoever changes a present page-table entry says so (`entryChanged`, `tableLeft`,
/// `rootLeft`, `flushAll`), and each entry remembers the page table that fed it, so every access behaves as if it walked.
///
/// Nothing here costs by the size of a set: bit maps say which slots are filled, so emptying a set touches no others, and
/// masks by frame say which sets may hold what a table fed, or a right to write a page.
///
/// Invariants of the unsafe parts: the sets and the bookkeeping are allocated once and freed with the object; `current` points at
/// one of the sets; an entry's tag is a page address or the slot's own impossible one, so a stale host address is never used; a
/// filled slot's bit is set; a set that holds an entry of a table has its bit in that table's mask, and likewise for rights to
/// write; a jump is only there while the fetch entry of its page is.
final class TranslationSets {
  static let count = 12
  static let dataSlots = Int(PV_TLB_SIZE)
  static let fetchSlots = Int(PV_FETCH_SIZE)
  static let jumpSlots = Int(PV_JUMP_SIZE)
  static let unused = ~UInt64(0)

  /// A set's bookkeeping.
  struct Info {
    /// cr3 | privilege, or `unused`: then the set may still hold what is to be emptied before its next use.
    var key: UInt64
    var lastUse: UInt64
    /// The address space is no more, but what the set holds of the upper half is right for any other with the top-level entries that
    /// `images` has for the set.
    var kept = false
    var privilege: UInt64 = 0
  }

  /// What frames are to the sets: bit n speaks of set n. A bit may outlive its reason.
  struct FrameUse {
    /// May hold entries that the table in this frame fed.
    var fed: UInt16
    /// May hold the right to write this frame without looking.
    var written: UInt16
    /// Where the table in this frame maps: all that it fed is there. `manyRegions` if in several places.
    var region: UInt32
    /// Where those rights are: up to four slots, plus 1 each, or all ones if in more. Of no meaning while `written` is 0.
    var slots: UInt64
  }

  private static let manyRegions = UInt32.max
  /// What a level-1 table of 8-byte entries maps, as linear bits 47:21, plus 1.
  @inline(__always) static func region(_ page: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: (page >> 21) & 0x7FF_FFFF) &+ 1 }
  /// What other tables map that fed an entry themselves: a level-1 table of 4-byte entries; 2 MiB pages of a level-2 table; 1 GiB pages
  /// of a level-3 table; 4 MiB pages, or no paging.
  static let region4 = UInt32(0x5000_0000)
  static let region2M = UInt32(0x4000_0000)
  static let region1G = UInt32(0x6000_0000)
  static let regionWhole = UInt32(0x7000_0000)
  /// A tag with this bit turned belongs in another slot, so it never hits, but the slow path finds the translation by it: of a page that
  /// may be written, but not without looking, or that is no memory.
  static let guarded = UInt64(1) << 40
  /// Fed by no table.
  var noTable: UInt32 { UInt32(truncatingIfNeeded: memory.frameCount) }

  struct Hot {
    var clock: UInt64 = 0
    var current = 0
    /// The set before the current one: mostly what comes next.
    var previous = 0
    var counters = TranslationCounters()
  }

  private let memory: MachineMemory
  private let sets: UnsafeMutableRawPointer
  private let infos: UnsafeMutablePointer<Info>
  private let images: UnsafeMutableRawPointer
  private let bits: UnsafeMutablePointer<UInt64>
  /// Per set and fetch slot: bit n says that jumps into its page may be in word n (modulo 64) of the jumps' bit map.
  private let jumpGroups: UnsafeMutablePointer<UInt64>
  private let uses: UnsafeMutablePointer<FrameUse>
  let hot: UnsafeMutablePointer<Hot>
  /// How often something had been entered when everything was dropped last.
  private var enteredAtFlush: UInt64 = .max
  /// Which of two slots a jump takes: no guest can tell.
  private var jumpChance: UInt64 = 0
  /// Words of a set's bit map: slots to read, slots to write, fetch slots, jump slots.
  private static let dataWords = dataSlots / 64
  private static let fetchWords = fetchSlots / 64
  private static let jumpWords = jumpSlots / 64
  /// Behind them: data slots that may hold a page of the lower half, to read and to write.
  private static let lowerWord = 2 * dataWords + fetchWords + jumpWords
  private static let words = lowerWord + 2 * dataWords

  init(memory: MachineMemory) {
    self.memory = memory
    infos = .allocate(capacity: Self.count)
    infos.initialize(repeating: Info(key: Self.unused, lastUse: 0), count: Self.count)
    images = .allocate(byteCount: Self.count * 2048, alignment: 8)
    bits = .allocate(capacity: Self.count * Self.words)
    bits.initialize(repeating: 0, count: Self.count * Self.words)
    jumpGroups = .allocate(capacity: Self.count * Self.fetchSlots)
    jumpGroups.initialize(repeating: 0, count: Self.count * Self.fetchSlots)
    // Never touched for most frames, so it costs nothing for them.
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    // Zeroes are an empty set, so what is never filled is never touched.
    let space = mmap(nil, Self.count * Self.stride, PROT_READ | PROT_WRITE, flags, -1, 0)
    guard let space, space != MAP_FAILED else { ph_host_lacks("address space for the TLB") }
    sets = space
    // One more, for `noTable`.
    let map = mmap(nil, (memory.frameCount + 1) * MemoryLayout<FrameUse>.stride, PROT_READ | PROT_WRITE, flags, -1, 0)
    guard let map, map != MAP_FAILED else { ph_host_lacks("address space for the TLB's bookkeeping") }
    uses = map.bindMemory(to: FrameUse.self, capacity: memory.frameCount + 1)
    hot = .allocate(capacity: 1)
    hot.initialize(to: Hot())
    for set in 0..<Self.count { initialise(set) }
  }

  deinit {
    munmap(sets, Self.count * Self.stride)
    infos.deallocate()
    images.deallocate()
    bits.deallocate()
    jumpGroups.deallocate()
    munmap(uses, (memory.frameCount + 1) * MemoryLayout<FrameUse>.stride)
    hot.deallocate()
  }

  private func initialise(_ set: Int) {
    for way in Way.all { way.tags(at(set))[0] = Self.emptyDataTag(0) }
    let fetch = Self.fetch(at(set))
    fetch[0].tag = Self.emptyFetchTag(0)
    Self.jumps(at(set))[0] = Self.emptyJump(0)
  }

  /// One of the two data tables.
  struct Way {
    let tag: Int
    let addend: Int
    let host: Int
    let source: Int
    /// Word in the set's bit map.
    let word: Int
    static let read = Way(
      tag: Int(PV_TLB_READ_TAG), addend: Int(PV_TLB_READ_ADDEND), host: Int(PV_TLB_READ_HOST), source: Int(PV_TLB_READ_SOURCE), word: 0)
    static let write = Way(
      tag: Int(PV_TLB_WRITE_TAG), addend: Int(PV_TLB_WRITE_ADDEND), host: Int(PV_TLB_WRITE_HOST), source: Int(PV_TLB_WRITE_SOURCE),
      word: TranslationSets.dataWords)
    static let all = [read, write]
    @inline(__always) func tags(_ set: UnsafeMutableRawPointer) -> UnsafeMutablePointer<UInt64> {
      (set + tag).assumingMemoryBound(to: UInt64.self)
    }
    @inline(__always) func addends(_ set: UnsafeMutableRawPointer) -> UnsafeMutablePointer<UInt64> {
      (set + addend).assumingMemoryBound(to: UInt64.self)
    }
    @inline(__always) func hosts(_ set: UnsafeMutableRawPointer) -> UnsafeMutablePointer<UInt64> {
      (set + host).assumingMemoryBound(to: UInt64.self)
    }
    @inline(__always) func sources(_ set: UnsafeMutableRawPointer) -> UnsafeMutablePointer<pv_tlb_source> {
      (set + source).assumingMemoryBound(to: pv_tlb_source.self)
    }
  }

  static let stride = (Int(PV_TLB_BYTES) + 4095) & ~4095
  @inline(__always) private func at(_ set: Int) -> UnsafeMutableRawPointer { sets + set &* Self.stride }

  /// The frame that a set has for a page's data.
  static func frame(of linear: UInt64, in set: UnsafeMutableRawPointer, writing: Bool) -> UInt32? {
    let way = writing ? Way.write : Way.read
    let slot = Int(truncatingIfNeeded: pv_tlb_slot(linear))
    return way.tags(set)[slot] == linear & ~4095 ? way.sources(set)[slot].frame : nil
  }

  @inline(__always) static func fetch(_ set: UnsafeMutableRawPointer) -> UnsafeMutablePointer<pv_fetch_entry> {
    (set + Int(PV_TLB_FETCH)).assumingMemoryBound(to: pv_fetch_entry.self)
  }
  @inline(__always) static func jumps(_ set: UnsafeMutableRawPointer) -> UnsafeMutablePointer<pv_jump_entry> {
    (set + Int(PV_TLB_JUMP)).assumingMemoryBound(to: pv_jump_entry.self)
  }

  /// The tag of a slot that holds nothing: a page address that belongs in another slot.
  @inline(__always) static func emptyDataTag(_ slot: Int) -> UInt64 { slot == 0 ? 4096 : 0 }
  @inline(__always) static func emptyFetchTag(_ slot: Int) -> UInt64 { slot == 0 ? 4096 : 0 }
  /// Any address may be jumped to: the empty slot's is one that belongs in other slots, so its code is never used.
  @inline(__always) private static func emptyJump(_ slot: Int) -> pv_jump_entry { pv_jump_entry(rip: slot == 0 ? 1 : 0, code: nil) }

  /// A jump's target has two slots, each the address folded by its own number of bits: addresses that share the one seldom share the other.
  enum JumpHash: Int {
    case first = 9
    case second = 13

    @inline(__always) func slot(_ rip: UInt64) -> Int {
      Int(truncatingIfNeeded: (rip ^ (rip >> UInt64(rawValue))) & UInt64(jumpSlots - 1))
    }
  }

  var current: UnsafeMutableRawPointer { at(hot.pointee.current) }

  @inline(__always) private func dataBits(_ set: Int, _ way: Way) -> UnsafeMutablePointer<UInt64> {
    bits + (set &* Self.words &+ way.word)
  }
  @inline(__always) private func lowerBits(_ set: Int, _ way: Way) -> UnsafeMutablePointer<UInt64> {
    bits + (set &* Self.words &+ Self.lowerWord &+ way.word)
  }
  @inline(__always) private func fetchBits(_ set: Int) -> UnsafeMutablePointer<UInt64> { bits + (set * Self.words + 2 * Self.dataWords) }
  @inline(__always) private func jumpBits(_ set: Int) -> UnsafeMutablePointer<UInt64> {
    bits + (set * Self.words + 2 * Self.dataWords + Self.fetchWords)
  }
  @inline(__always) private func groups(_ set: Int, _ page: UInt64) -> UnsafeMutablePointer<UInt64> {
    jumpGroups + (set * Self.fetchSlots + Int(truncatingIfNeeded: (page >> 12) & UInt64(Self.fetchSlots - 1)))
  }
  @inline(__always) private static func mark(_ map: UnsafeMutablePointer<UInt64>, _ slot: Int) { map[slot >> 6] |= 1 << UInt64(slot & 63) }
  @inline(__always) private static func unmark(_ map: UnsafeMutablePointer<UInt64>, _ slot: Int) {
    map[slot >> 6] &= ~(1 << UInt64(slot & 63))
  }

  /// Calls `body` with every set bit of a map.
  @inline(__always) private static func forEach(_ map: UnsafeMutablePointer<UInt64>, _ words: Int, _ body: (Int) -> Void) {
    for word in 0..<words {
      var left = map[word]
      while left != 0 {
        body(word &* 64 &+ left.trailingZeroBitCount)
        left &= left &- 1
      }
    }
  }

  // MARK: Filling the current set

  /// Enters a data translation, to read or to write; the other too where its slot is free. `frame` and `table` are frames of the machine.
  @inline(__always) func fillData(_ page: UInt64, host: UInt64, frame: UInt32, table: UInt32, writing: Bool, writable: Bool) {
    let h = hot
    let set = h.pointee.current
    let slot = Int(truncatingIfNeeded: pv_tlb_slot(page))
    let bit = UInt16(1) << UInt16(set)
    let base = at(set)
    noteTable(table, Self.region(page), bit)
    h.pointee.counters.dataFills &+= 1
    if !writing || Way.read.tags(base)[slot] == Self.emptyDataTag(slot) {
      fill(.read, set, base, slot, page, host, frame, table)
    }
    if writable && (writing || Way.write.tags(base)[slot] == Self.emptyDataTag(slot)) {
      fill(.write, set, base, slot, page, host, frame, table)
      noteWriter(frame, slot, bit)
    }
  }

  /// As `fillData`, where a page may be one that every access has to look at: `guardReads` and `guardWrites`.
  func fillGuarded(
    _ page: UInt64, host: UInt64, frame: UInt32, table: UInt32, region: UInt32, writing: Bool, writable: Bool, guardReads: Bool,
    guardWrites: Bool
  ) {
    let h = hot
    let set = h.pointee.current
    let slot = Int(truncatingIfNeeded: pv_tlb_slot(page))
    let bit = UInt16(1) << UInt16(set)
    let base = at(set)
    noteTable(table, region, bit)
    h.pointee.counters.dataFills &+= 1
    if !writing || Way.read.tags(base)[slot] == Self.emptyDataTag(slot) {
      fill(.read, set, base, slot, page, host, frame, table, guarded: guardReads)
    }
    if writable && (writing || Way.write.tags(base)[slot] == Self.emptyDataTag(slot)) {
      fill(.write, set, base, slot, page, host, frame, table, guarded: guardWrites)
      if !guardWrites { noteWriter(frame, slot, bit) }
    }
  }

  /// The frame of a page that the current set has, guarded or not.
  @inline(__always) func guardedFrame(_ linear: UInt64, writing: Bool) -> UInt32? {
    let way = writing ? Way.write : Way.read
    let base = at(hot.pointee.current)
    let slot = Int(truncatingIfNeeded: pv_tlb_slot(linear))
    let tag = way.tags(base)[slot]
    // The page whose guarded tag is the empty one is walked for each time.
    return (tag ^ linear) & ~(4095 | Self.guarded) == 0 && tag != Self.emptyDataTag(slot) ? way.sources(base)[slot].frame : nil
  }

  /// Gives back the right to write without looking to a page that `guardedFrame` found.
  func unguardWrites(_ linear: UInt64) {
    let set = hot.pointee.current
    let slot = Int(truncatingIfNeeded: pv_tlb_slot(linear))
    let base = at(set)
    Way.write.tags(base)[slot] = linear & ~4095
    noteWriter(Way.write.sources(base)[slot].frame, slot, UInt16(1) << UInt16(set))
  }

  /// A set got the right to write a frame, in this slot.
  @inline(__always) private func noteWriter(_ frame: UInt32, _ slot: Int, _ bit: UInt16) {
    let use = uses + Int(frame)
    let code = UInt64(truncatingIfNeeded: slot &+ 1)
    if use.pointee.written == 0 { use.pointee.slots = code } else if use.pointee.slots & 0xFFFF != code { noteSlot(use, code) }
    use.pointee.written |= bit
  }

  private func noteSlot(_ use: UnsafeMutablePointer<FrameUse>, _ code: UInt64) {
    let slots = use.pointee.slots
    for shift in Swift.stride(from: UInt64(16), to: 64, by: 16) {
      let known = slots >> shift & 0xFFFF
      if known == code { return }
      if known == 0 {
        use.pointee.slots = slots | code << shift
        return
      }
    }
    use.pointee.slots = ~0
  }

  /// A table fed an entry of a set.
  @inline(__always) private func noteTable(_ table: UInt32, _ region: UInt32, _ bit: UInt16) {
    let use = uses + Int(table)
    if use.pointee.region != region { use.pointee.region = use.pointee.fed == 0 ? region : Self.manyRegions }
    use.pointee.fed |= bit
  }

  @inline(__always) private func fill(
    _ way: Way, _ set: Int, _ base: UnsafeMutableRawPointer, _ slot: Int, _ page: UInt64, _ host: UInt64, _ frame: UInt32, _ table: UInt32,
    guarded: Bool = false
  ) {
    way.tags(base)[slot] = guarded ? page ^ Self.guarded : page
    way.addends(base)[slot] = host &- page
    way.hosts(base)[slot] = host
    way.sources(base)[slot] = pv_tlb_source(table: table, frame: frame)
    Self.mark(dataBits(set, way), slot)
    if page >> 63 == 0 { Self.mark(lowerBits(set, way), slot) }
  }

  /// Enters the translation of a page of code. The page that had the slot loses its jumps.
  @inline(__always) func fillFetch(_ page: UInt64, frame: UInt32, table: UInt32, region: UInt32) {
    let h = hot
    let set = h.pointee.current
    let slot = Int(truncatingIfNeeded: (page >> 12) & UInt64(Self.fetchSlots - 1))
    let entry = Self.fetch(at(set)) + slot
    let old = entry.pointee.tag
    if old != Self.emptyFetchTag(slot) {
      h.pointee.counters.fetchEvictions &+= 1
      dropJumps(set, page: old)
    }
    entry.pointee = pv_fetch_entry(tag: page, table: table, frame: frame)
    Self.mark(fetchBits(set), slot)
    noteTable(table, region, UInt16(1) << UInt16(set))
    h.pointee.counters.fetchFills &+= 1
  }

  /// Remembers where a jump leads. Its page must have a fetch entry.
  @inline(__always) func fillJump(_ rip: UInt64, _ code: UnsafeMutableRawPointer) {
    let set = hot.pointee.current
    let jumps = Self.jumps(at(set))
    let (first, second) = (JumpHash.first.slot(rip), JumpHash.second.slot(rip))
    var slot = first
    if jumps[first].rip != rip {
      if jumps[second].rip == rip {
        slot = second
      } else if jumps[first].code != nil {
        // Either goes, by chance, if neither is free: then what is wanted often soon is where nothing else is that is wanted often. (To move
        // the old one to its own other slot is worse: one that is not wanted any more is sent to and fro by two that are, each time in the
        // place of one.)
        jumpChance = jumpChance &* 0x5851_F42D_4C95_7F2D &+ 1
        if jumps[second].code == nil || jumpChance >> 63 != 0 { slot = second }
      }
    }
    jumps[slot] = pv_jump_entry(rip: rip, code: code)
    Self.mark(jumpBits(set), slot)
    groups(set, rip).pointee |= 1 << UInt64((slot >> 6) & 63)
  }

  /// The translation that a jump to `rip` leads to in a set; nil if that is not known.
  @inline(__always) static func knownJump(_ set: UnsafeMutableRawPointer, _ rip: UInt64) -> UnsafeMutableRawPointer? {
    let jumps = jumps(set)
    let first = jumps[JumpHash.first.slot(rip)]
    if first.rip == rip { return first.code }
    let second = jumps[JumpHash.second.slot(rip)]
    return second.rip == rip ? second.code : nil
  }

  // MARK: Choosing a set

  /// Makes the set of an address space current. One that has none yet gets the upper half of the one before, where both have
  /// the same top-level entries for it.
  @inline(__always) func select(_ key: UInt64, sharingUpperHalf sharing: Bool = true) -> UnsafeMutableRawPointer {
    let h = hot
    let previous = h.pointee.previous
    guard infos[previous].key == key else { return selectSlowly(key, sharing) }
    h.pointee.clock &+= 1
    infos[previous].lastUse = h.pointee.clock
    h.pointee.previous = h.pointee.current
    h.pointee.current = previous
    return at(previous)
  }

  @inline(never) private func selectSlowly(_ key: UInt64, _ sharing: Bool) -> UnsafeMutableRawPointer {
    let h = hot
    h.pointee.clock &+= 1
    h.pointee.counters.selects &+= 1
    let before = h.pointee.current
    var chosen = -1
    var oldest = UInt64.max
    var victim = 0
    for index in 0..<Self.count {
      if infos[index].key == key {
        chosen = index
        break
      }
      let age = infos[index].key == Self.unused ? 0 : infos[index].lastUse
      if age < oldest && index != before {
        oldest = age
        victim = index
      }
    }
    if chosen < 0 {
      h.pointee.counters.newSets &+= 1
      chosen = sharing ? keptSet(key, besides: before) : -1
      if chosen < 0 {
        chosen = victim
        empty(chosen)
        infos[chosen].key = key
        if sharing { inherit(chosen, from: before) }
      }
      infos[chosen].key = key
      infos[chosen].kept = false
    }
    infos[chosen].lastUse = h.pointee.clock
    if chosen != before { h.pointee.previous = before }
    h.pointee.current = chosen
    return at(chosen)
  }

  /// A set without an address space whose upper half is right for this one; -1 for none.
  private func keptSet(_ key: UInt64, besides current: Int) -> Int {
    let top = (key & ~4095) &+ 2048
    guard memory.contains(top, 2048) else { return -1 }
    for index in 0..<Self.count where infos[index].kept && index != current && infos[index].privilege == key & 4095 {
      if memcmp(images + index &* 2048, memory.base + Int(top), 2048) == 0 {
        hot.pointee.counters.inherited &+= 1
        return index
      }
    }
    return -1
  }

  /// Copies the translations of the upper half, if both top-level tables have the same entries for it, and the same privilege:
  /// a guest kernel is the same in every address space.
  private func inherit(_ set: Int, from source: Int) {
    let (from, to) = (infos[source].key, infos[set].key)
    guard from != Self.unused, from != to, (from ^ to) & 4095 == 0 else { return }
    let (a, b) = ((from & ~4095) &+ 2048, (to & ~4095) &+ 2048)
    guard memory.contains(a, 2048), memory.contains(b, 2048), memcmp(memory.base + Int(a), memory.base + Int(b), 2048) == 0 else { return }
    hot.pointee.counters.inherited &+= 1
    let bit = UInt16(1) << UInt16(set)
    let (oldFetch, newFetch) = (Self.fetch(at(source)), Self.fetch(at(set)))
    let (oldJumps, newJumps) = (Self.jumps(at(source)), Self.jumps(at(set)))
    let (newFetchBits, newJumpBits) = (fetchBits(set), jumpBits(set))
    for way in [Way.read, Way.write] {
      let (old, new) = (at(source), at(set))
      let map = dataBits(set, way)
      Self.forEach(dataBits(source, way), Self.dataWords) { slot in
        let tag = way.tags(old)[slot]
        guard tag >> 63 != 0 else { return }
        way.tags(new)[slot] = tag
        way.addends(new)[slot] = way.addends(old)[slot]
        way.hosts(new)[slot] = way.hosts(old)[slot]
        let fed = way.sources(old)[slot]
        way.sources(new)[slot] = fed
        Self.mark(map, slot)
        uses[Int(fed.table)].fed |= bit
        if way.word != 0 { noteWriter(fed.frame, slot, bit) }
      }
    }
    Self.forEach(fetchBits(source), Self.fetchWords) { slot in
      let entry = oldFetch[slot]
      guard entry.tag >> 63 != 0 else { return }
      newFetch[slot] = entry
      groups(set, entry.tag).pointee = groups(source, entry.tag).pointee
      Self.mark(newFetchBits, slot)
      uses[Int(entry.table)].fed |= bit
    }
    Self.forEach(jumpBits(source), Self.jumpWords) { slot in
      guard oldJumps[slot].rip >> 63 != 0 else { return }
      newJumps[slot] = oldJumps[slot]
      Self.mark(newJumpBits, slot)
    }
  }

  // MARK: Dropping

  /// Empties a set.
  private func empty(_ set: Int) {
    let keep = ~(UInt16(1) << UInt16(set))
    let fetch = Self.fetch(at(set))
    for way in [Way.read, Way.write] {
      let base = at(set)
      Self.forEach(dataBits(set, way), Self.dataWords) { slot in
        let fed = way.sources(base)[slot]
        uses[Int(fed.table)].fed &= keep
        uses[Int(fed.frame)].written &= keep
        way.tags(base)[slot] = Self.emptyDataTag(slot)
      }
    }
    Self.forEach(fetchBits(set), Self.fetchWords) { slot in
      uses[Int(fetch[slot].table)].fed &= keep
      jumpGroups[set * Self.fetchSlots + slot] = 0
      fetch[slot].tag = Self.emptyFetchTag(slot)
    }
    clearJumps(set)
    let map = dataBits(set, .read)
    for word in 0..<2 * Self.dataWords + Self.fetchWords { map[word] = 0 }
    lowerBits(set, .read).update(repeating: 0, count: 2 * Self.dataWords)
  }

  /// Drops every translation of every set.
  func flushAll() {
    // What a window of many frames says once for each.
    let counters = hot.pointee.counters
    let entered = counters.dataFills &+ counters.fetchFills &+ counters.selects
    if entered == enteredAtFlush { return }
    enteredAtFlush = entered
    hot.pointee.counters.flushes &+= 1
    for index in 0..<Self.count where index != hot.pointee.current {
      infos[index].key = Self.unused
      infos[index].kept = false
    }
    empty(hot.pointee.current)
  }

  /// A top-level table is one no more: its sets hold nothing of the lower half now. The upper half is kept for the next address space
  /// with the same one.
  func rootLeft(_ root: UInt64) {
    let top = (root & ~4095) &+ 2048
    for index in 0..<Self.count where infos[index].key & ~4095 == root & ~4095 && infos[index].key != Self.unused {
      if index == hot.pointee.current || !memory.contains(top, 2048) {
        empty(index)
        continue
      }
      emptyLower(index)
      infos[index].privilege = infos[index].key & 4095
      infos[index].key = Self.unused
      infos[index].kept = true
      (images + index &* 2048).copyMemory(from: memory.base + Int(top), byteCount: 2048)
    }
  }

  /// The level-3 table in a frame is one no more: no kept set may rest on it, lest it be one again with another content.
  func directoryLeft(_ table: UInt64) {
    for index in 0..<Self.count where infos[index].kept {
      let image = (images + index &* 2048).assumingMemoryBound(to: UInt64.self)
      for slot in 0..<256 where image[slot] & 1 != 0 && (image[slot] & 0x000F_FFFF_FFFF_F000) >> 12 == table { infos[index].kept = false }
    }
  }

  /// Drops what a set holds of the lower half.
  private func emptyLower(_ set: Int) {
    let base = at(set)
    emptyLower(set, base, .read)
    emptyLower(set, base, .write)
    let fetch = Self.fetch(base)
    Self.forEach(fetchBits(set), Self.fetchWords) { slot in
      guard fetch[slot].tag >> 63 == 0 else { return }
      forgetLowerTable(fetch[slot].table, ~(UInt16(1) << UInt16(set)))
      dropFetch(set, slot)
    }
  }

  /// A table that is in the lower half only feeds nothing of this set any more.
  @inline(__always) private func forgetLowerTable(_ table: UInt32, _ keep: UInt16) {
    let use = uses + Int(table)
    if use.pointee.region < Self.region2M && (use.pointee.region &- 1) >> 26 & 1 == 0 { use.pointee.fed &= keep }
  }

  private func emptyLower(_ set: Int, _ base: UnsafeMutableRawPointer, _ way: Way) {
    let keep = ~(UInt16(1) << UInt16(set))
    let map = dataBits(set, way)
    let lower = lowerBits(set, way)
    let tags = way.tags(base)
    // Not by `map`: of a kernel's set most is the upper half's.
    Self.forEach(lower, Self.dataWords) { slot in
      guard tags[slot] >> 63 == 0 else { return }
      // The upper half may hold the right to write the same frame: that bit stays.
      forgetLowerTable(way.sources(base)[slot].table, keep)
      tags[slot] = Self.emptyDataTag(slot)
      Self.unmark(map, slot)
    }
    lower.update(repeating: 0, count: Self.dataWords)
  }

  /// Drops what slot `index` of the level-1 table in frame `table` fed.
  @inline(__always) func entryChanged(table: UInt32, index: Int) {
    guard Int(table) < memory.frameCount else { return }
    let mask = uses[Int(table)].fed
    if mask != 0 { dropEntry(mask, table, index & 511) }
  }

  /// As `entryChanged`, for tables of 8-byte or 4-byte entries.
  func entryChanged(table: UInt32, index: Int, wide: Bool) {
    if wide { return entryChanged(table: table, index: index) }
    let (mask, region) = (uses[Int(table)].fed, uses[Int(table)].region)
    guard region >> 28 == Self.region4 >> 28 else { return dropEntryAnywhere(mask, table, index & 511) }
    let page = Int(region & 0xF_FFFF) &* 1024 &+ index
    dropPage(mask, table, page)
  }

  /// An entry of a table that maps a large page changed: drops what it fed.
  func largeEntryChanged(table: UInt32, index: Int) {
    let (mask, region) = (uses[Int(table)].fed, uses[Int(table)].region)
    guard mask != 0 else { return }
    switch region & 0xF000_0000 {
    case Self.region2M where region != Self.manyRegions:
      drop(mask, table, from: UInt64(region & 0x3_FFFF) << 30 | UInt64(index) << 21, words: 8)
    case Self.regionWhole:
      drop(mask, table, from: UInt64(index) << 22, words: 16)
    default: tableLeft(table)
    }
  }

  @inline(never) private func dropEntry(_ mask: UInt16, _ table: UInt32, _ index: Int) {
    let region = uses[Int(table)].region
    guard region != Self.manyRegions else { return dropEntryAnywhere(mask, table, index) }
    // The one page that the entry maps, whichever half it is in: tags are compared by table.
    dropPage(mask, table, Int(truncatingIfNeeded: region &- 1) &* 512 &+ index)
  }

  /// Drops what a table fed of one page, by its number.
  @inline(__always) private func dropPage(_ mask: UInt16, _ table: UInt32, _ page: Int) {
    let dataSlot = Int(truncatingIfNeeded: pv_tlb_slot(UInt64(truncatingIfNeeded: page) << 12))
    let fetchSlot = page & (Self.fetchSlots - 1)
    var left = mask
    while left != 0 {
      let set = left.trailingZeroBitCount
      left &= left &- 1
      drop(set, table, dataSlot: dataSlot, fetchSlot: fetchSlot)
    }
  }

  /// Drops what is in these slots, if a table fed it.
  @inline(__always) private func drop(_ set: Int, _ table: UInt32, dataSlot: Int, fetchSlot: Int) {
    let base = at(set)
    if Way.read.sources(base)[dataSlot].table == table { Way.read.tags(base)[dataSlot] = Self.emptyDataTag(dataSlot) }
    if Way.write.sources(base)[dataSlot].table == table { Way.write.tags(base)[dataSlot] = Self.emptyDataTag(dataSlot) }
    let fetch = Self.fetch(base) + fetchSlot
    if fetch.pointee.table == table && fetch.pointee.tag != Self.emptyFetchTag(fetchSlot) { dropFetch(set, fetchSlot) }
  }

  /// As `dropEntry`, for a table that is in an address space twice, or in two at different places.
  private func dropEntryAnywhere(_ mask: UInt16, _ table: UInt32, _ index: Int) {
    hot.pointee.counters.wideDrops &+= 1
    var left = mask
    while left != 0 {
      let set = left.trailingZeroBitCount
      left &= left &- 1
      var slot = index
      while slot < max(Self.dataSlots, Self.fetchSlots) {
        drop(set, table, dataSlot: slot & (Self.dataSlots - 1), fetchSlot: slot & (Self.fetchSlots - 1))
        slot += 512
      }
    }
  }

  /// The table in frame `table` was taken out of an address space: drops all that it fed.
  func tableLeft(_ table: UInt32) {
    guard Int(table) < memory.frameCount else { return }
    let use = uses + Int(table)
    let left = use.pointee.fed
    guard left != 0 else { return }
    let region = use.pointee.region
    use.pointee.fed = 0
    use.pointee.region = 0
    hot.pointee.counters.tableDrops &+= 1
    // A region's slots lie together.
    if region < Self.region2M {
      drop(left, table, from: UInt64(region &- 1) << 21, words: 8)
    } else if region >> 28 == Self.region4 >> 28 {
      drop(left, table, from: UInt64(region & 0xF_FFFF) << 22, words: 16)
    } else {
      drop(left, table, from: 0, words: Int.max)
    }
  }

  /// Drops what a table fed of the pages from `start` on that take so many words of a bit map, a power of two; all for any more.
  private func drop(_ mask: UInt16, _ table: UInt32, from start: UInt64, words: Int) {
    let (dataWord, dataCount) = Self.words(Int(truncatingIfNeeded: pv_tlb_slot(start)), Self.dataWords, words)
    let (fetchWord, fetchCount) = Self.words(Int(truncatingIfNeeded: start >> 12), Self.fetchWords, words)
    var left = mask
    while left != 0 {
      let set = left.trailingZeroBitCount
      left &= left &- 1
      let base = at(set)
      dropTable(table, dataBits(set, .read), Way.read, base, dataWord, dataCount)
      dropTable(table, dataBits(set, .write), Way.write, base, dataWord, dataCount)
      let fetch = Self.fetch(base)
      Self.forEach(fetchBits(set) + fetchWord, fetchCount) { bit in
        let slot = fetchWord &* 64 &+ bit
        if fetch[slot].table == table { dropFetch(set, slot) }
      }
    }
  }

  /// The words of a bit map of `count` words that a region takes which is so many words long, by its first slot.
  @inline(__always) private static func words(_ slot: Int, _ count: Int, _ words: Int) -> (first: Int, count: Int) {
    words >= count ? (0, count) : (slot >> 6 & (count - 1), words)
  }

  @inline(__always) private func dropTable(
    _ table: UInt32, _ map: UnsafeMutablePointer<UInt64>, _ way: Way, _ base: UnsafeMutableRawPointer, _ first: Int, _ count: Int
  ) {
    Self.forEach(map + first, count) { bit in
      let slot = first &* 64 &+ bit
      if way.sources(base)[slot].table == table { way.tags(base)[slot] = Self.emptyDataTag(slot) }
    }
  }

  private func dropFetch(_ set: Int, _ slot: Int) {
    let entry = Self.fetch(at(set)) + slot
    dropJumps(set, page: entry.pointee.tag)
    entry.pointee.tag = Self.emptyFetchTag(slot)
    Self.unmark(fetchBits(set), slot)
  }

  /// Forgets the jumps of a set that lead into a page.
  private func dropJumps(_ set: Int, page: UInt64) {
    let group = groups(set, page)
    guard group.pointee != 0 else { return }
    let jumps = Self.jumps(at(set))
    let map = jumpBits(set)
    Self.forEach(group, 1) { first in
      var word = first
      while word < Self.jumpWords {
        Self.forEach(map + word, 1) { bit in
          let slot = word &* 64 &+ bit
          guard Self.jumpPage(jumps[slot].rip) == page else { return }
          jumps[slot] = Self.emptyJump(slot)
          Self.unmark(map, slot)
        }
        word += 64
      }
    }
    group.pointee = 0
  }

  /// Forgets where computed jumps of a set lead.
  private func clearJumps(_ set: Int) {
    let jumps = Self.jumps(at(set))
    let map = jumpBits(set)
    Self.forEach(map, Self.jumpWords) { slot in jumps[slot] = Self.emptyJump(slot) }
    for word in 0..<Self.jumpWords { map[word] = 0 }
  }

  /// Forgets all computed jumps: translated code went away.
  func clearAllJumps() {
    hot.pointee.counters.jumpClears &+= 1
    for set in 0..<Self.count { clearJumps(set) }
  }

  /// Forgets the jumps into a frame, whose translated code went away.
  func dropJumps(frame: UInt32) {
    for set in 0..<Self.count {
      let fetch = Self.fetch(at(set))
      Self.forEach(fetchBits(set), Self.fetchWords) { slot in
        if fetch[slot].frame == frame { dropJumps(set, page: fetch[slot].tag) }
      }
    }
  }

  /// Takes the right to write without looking from every translation of a frame: it holds code now.
  func dropWriteTags(frame: UInt32) {
    guard Int(frame) < memory.frameCount else { return }
    var left = uses[Int(frame)].written
    let slots = uses[Int(frame)].slots
    uses[Int(frame)].written = 0
    while left != 0 {
      let set = left.trailingZeroBitCount
      left &= left &- 1
      let base = at(set)
      if slots != ~0 {
        var codes = slots
        while codes != 0 {
          let slot = Int(truncatingIfNeeded: codes & 0xFFFF) &- 1
          codes >>= 16
          if Way.write.sources(base)[slot].frame == frame { Way.write.tags(base)[slot] = Self.emptyDataTag(slot) }
        }
        continue
      }
      Self.forEach(dataBits(set, .write), Self.dataWords) { slot in
        if Way.write.sources(base)[slot].frame == frame { Way.write.tags(base)[slot] = Self.emptyDataTag(slot) }
      }
    }
  }
}

extension TranslationSets {
  /// Calls `body` with everything that sets in use hold.
  func forEachKept(_ body: (KeptTranslation) -> Void) {
    for set in 0..<Self.count where infos[set].key != Self.unused {
      let (base, bit, key) = (at(set), UInt16(1) << UInt16(set), infos[set].key)
      for way in Way.all {
        Self.forEach(dataBits(set, way), Self.dataWords) { slot in
          let tag = way.tags(base)[slot]
          guard tag != Self.emptyDataTag(slot) else { return }
          let guarded = Int(truncatingIfNeeded: pv_tlb_slot(tag)) != slot
          let page = guarded ? tag ^ Self.guarded : tag
          let source = way.sources(base)[slot]
          let use = uses[Int(source.table)]
          body(
            KeptTranslation(
              kind: way.word == 0 ? .read : .write, key: key, page: page, guarded: guarded, frame: source.frame, table: source.table,
              host: (way.hosts(base)[slot], way.addends(base)[slot] &+ page), fed: use.fed & bit != 0, region: use.region,
              written: uses[Int(source.frame)].written & bit != 0))
        }
      }
      Self.forEach(fetchBits(set), Self.fetchWords) { slot in
        let entry = Self.fetch(base)[slot]
        guard entry.tag != Self.emptyFetchTag(slot) else { return }
        let use = uses[Int(entry.table)]
        body(
          KeptTranslation(
            kind: .fetch, key: key, page: entry.tag, guarded: false, frame: entry.frame, table: entry.table, host: (0, 0),
            fed: use.fed & bit != 0, region: use.region, written: false))
      }
    }
  }

  /// Calls `body` with every jump whose page has no fetch entry.
  func forEachLostJump(_ body: (UInt64) -> Void) {
    for set in 0..<Self.count where infos[set].key != Self.unused {
      let fetch = Self.fetch(at(set))
      Self.forEach(jumpBits(set), Self.jumpWords) { slot in
        let rip = Self.jumps(at(set))[slot].rip
        let page = Self.jumpPage(rip)
        if fetch[Int(truncatingIfNeeded: (page >> 12) & UInt64(Self.fetchSlots - 1))].tag != page { body(rip) }
      }
    }
  }
}

/// How busy the TLB was.
public struct TranslationCounters: Sendable, Equatable {
  /// Switches of set that were no way back to the one before; of these, to an address space that had none; of these, with the
  /// kernel's half taken along.
  public var selects: UInt64 = 0
  public var newSets: UInt64 = 0
  public var inherited: UInt64 = 0
  /// Everything dropped; what one table fed dropped; all computed jumps dropped.
  public var flushes: UInt64 = 0
  public var tableDrops: UInt64 = 0
  /// Frames that the walker began to watch as page tables, and those that were tables no more.
  public var watched: UInt64 = 0
  public var unwatched: UInt64 = 0
  /// Changed entries of tables that are in several places.
  public var wideDrops: UInt64 = 0
  public var jumpClears: UInt64 = 0
  /// Page walks, and what they were for.
  public var walks: UInt64 = 0
  public var dataFills: UInt64 = 0
  public var fetchFills: UInt64 = 0
  public var fetchEvictions: UInt64 = 0
}
