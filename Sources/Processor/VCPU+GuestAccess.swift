import CHost
import GuestMemory

// The guest's linear memory, as its hypervisor or motherboard reaches it: with supervisor rights, through the current page
// tables, never raising anything in the guest.

extension VCPU {
  /// Copies from the guest's linear address space; false if any byte cannot be read (the buffer is then undefined).
  public func readGuest(_ linear: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Bool {
    var at = linear
    var done = 0
    while done < buffer.count {
      let part = min(buffer.count - done, 4096 - Int(at & 4095))
      guard let address = translate(at, .read), memory.contains(address, part) else { return false }
      (buffer.baseAddress! + done).copyMemory(from: memory.base + Int(address), byteCount: part)
      done += part
      at = at &+ UInt64(part)
    }
    return true
  }

  /// Copies to the guest's linear address space; false if any byte cannot be written, and then nothing was.
  public func writeGuest(_ linear: UInt64, from buffer: UnsafeRawBufferPointer) -> Bool {
    var at = linear
    var left = buffer.count
    while left > 0 {
      let part = min(left, 4096 - Int(at & 4095))
      guard let address = translate(at, .write), memory.contains(address, part) else { return false }
      if part == left && left == buffer.count {
        return memory.copyIn(buffer, at: address)
      }
      left -= part
      at = at &+ UInt64(part)
    }
    at = linear
    var done = 0
    while done < buffer.count {
      let part = min(buffer.count - done, 4096 - Int(at & 4095))
      guard let address = translate(at, .write) else { return false }
      memory.copyIn(UnsafeRawBufferPointer(rebasing: buffer[done..<done + part]), at: address)
      done += part
      at = at &+ UInt64(part)
    }
    return true
  }

  /// Reads an integer of the guest's linear address space.
  @inlinable public func readGuest<T: FixedWidthInteger>(_ linear: UInt64, as: T.Type = T.self) -> T? {
    var value: T = 0
    return withUnsafeMutableBytes(of: &value) { readGuest(linear, into: $0) } ? value : nil
  }

  /// Writes an integer to the guest's linear address space.
  @inlinable public func writeGuest<T: FixedWidthInteger>(_ linear: UInt64, _ value: T) -> Bool {
    var value = value
    return withUnsafeBytes(of: &value) { writeGuest(linear, from: $0) }
  }

  /// Host address of `count` bytes of the guest's, if the TLB has them in one page; else nil, which says nothing. Use at once.
  @inline(__always) public func readableNow(_ linear: UInt64, _ count: Int) -> UnsafeRawPointer? {
    pv_readable(cpu, linear, UInt64(truncatingIfNeeded: count)).map { UnsafeRawPointer($0) }
  }

  /// As `readableNow`, for writing: such a page holds no code.
  @inline(__always) public func writableNow(_ linear: UInt64, _ count: Int) -> UnsafeMutableRawPointer? {
    pv_writable(cpu, linear, UInt64(truncatingIfNeeded: count))
  }

  /// What a supervisor access wants, for `translate`.
  public enum GuestAccess: Sendable { case read, write, execute }

  /// Machine address of a linear address under the current page tables, with supervisor rights; nil if it would fault.
  public func translate(_ linear: UInt64, _ access: GuestAccess) -> UInt64? {
    if access != .execute, let frame = TranslationSets.frame(of: linear, in: cpu.pointee.tlb, writing: access == .write) {
      return UInt64(frame) << 12 | linear & 4095
    }
    let walked = walk(linear, access == .read ? .read : access == .write ? .write : .fetch, user: false)
    return walked.errorCode == nil && !walked.nonCanonical ? walked.address : nil
  }

  /// Loads CR3: the address space of the page table at a machine address.
  public func setPageTableBase(_ cr3: UInt64) {
    cpu.pointee.cr3 = cr3
    selectTranslations()
  }

  /// Takes the set of translations that fits CR3 and CPL. Call after changing either.
  public func selectTranslations() {
    if cpu.pointee.own_paging != 0 { return selectOwnTranslations() }
    cpu.pointee.tlb = translations.select((cpu.pointee.cr3 & ~4095) | (cpu.pointee.cpl == 3 ? 1 : 0))
  }

  /// A present level-1 entry changed: drops the translations that it fed.
  @inline(__always) public func pageTableEntryChanged(table: UInt32, index: Int) { translations.entryChanged(table: table, index: index) }

  /// A level-2 entry that pointed at the level-1 table in frame `table` changed: drops all that the table fed. Only where no
  /// table is walked as one of another level.
  public func pageTableLeft(_ table: UInt32) { translations.tableLeft(table) }

  /// The frame at a machine address stopped being a top-level table: drops the translations of its address space.
  public func pageTableRootLeft(_ cr3: UInt64) { translations.rootLeft(cr3) }

  /// The page in a frame stopped being a level-3 table.
  public func pageDirectoryLeft(_ table: UInt32) { translations.directoryLeft(UInt64(table)) }

  /// Present entries of higher levels changed, or a page stopped being a page table: drops every translation.
  public func flushTranslations() {
    translations.flushAll()
  }

  /// The current cycle.
  public var now: UInt64 { cpu.pointee.deadline &- UInt64(bitPattern: cpu.pointee.budget) }

  /// Lets time pass: idle time, or the cost of something done for the guest.
  public func advance(cycles: UInt64) {
    cpu.pointee.budget &-= Int64(truncatingIfNeeded: cycles)
    cpu.pointee.extra_cycles &+= cycles
  }

  /// Instructions executed so far.
  public var instructions: UInt64 { now &- cpu.pointee.extra_cycles }
}

extension VCPU {
  /// Seeds RDRAND and RDSEED.
  public func seed(_ value: UInt64) { cpu.pointee.random = value }
}
