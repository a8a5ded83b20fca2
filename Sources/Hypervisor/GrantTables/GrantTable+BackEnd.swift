import GuestMemory

// How domain 0's back ends, in this process, use a grant: the checks and the marks in the guest's entry are those of a
// real mapping, so a guest that looks at them before it revokes a grant sees the truth.

extension GrantTable {
  /// Maps a granted page for a back end and marks the entry as in use.
  /// - Returns: machine address of the page, or the status a real map would have given.
  public func mapForBackEnd(_ domain: Domain, _ ref: UInt32, write: Bool) -> Result<UInt64, GrantStatus> {
    guard let entry = address(of: ref) else { return .failure(.badReference) }
    let memory = domain.memory
    guard let flags = memory.load(entry, as: UInt16.self), let grantee = memory.load(entry &+ 2, as: UInt16.self),
      let frame = memory.load(entry &+ 4, as: UInt32.self)
    else { return .failure(.generalError) }
    guard flags & Flags.typeMask == Flags.permitAccess, grantee == DomainID.control.rawValue else { return .failure(.generalError) }
    if write && flags & Flags.readOnly != 0 { return .failure(.generalError) }
    guard write ? domain.frames.mayWrite(UInt64(frame)) : domain.frames.isGuestFrame(UInt64(frame)) else { return .failure(.generalError) }
    let index = Int(ref)
    guard mapped[index] < .max else { return .failure(.noSpace) }
    mapped[index] &+= 1
    if write { mappedForWriting[index] &+= 1 }
    let marks = Flags.reading | (write ? Flags.writing : 0)
    if flags & marks != marks { memory.store(flags | marks, at: entry) }
    return .success(UInt64(frame) &<< 12)
  }

  /// Machine address of a page that `mapForBackEnd` would map, for a use that ends before the guest goes on: it cannot see a mark that is
  /// gone by then, so none is made.
  public func pageForBackEnd(_ domain: Domain, _ ref: UInt32, write: Bool) -> UInt64? {
    guard let entry = address(of: ref), let word = domain.memory.load(entry, as: UInt64.self) else { return nil }
    let flags = UInt16(truncatingIfNeeded: word)
    let frame = word >> 32
    guard flags & Flags.typeMask == Flags.permitAccess, UInt16(truncatingIfNeeded: word >> 16) == DomainID.control.rawValue,
      !write || flags & Flags.readOnly == 0, write ? domain.frames.mayWrite(frame) : domain.frames.isGuestFrame(frame)
    else { return nil }
    return frame &<< 12
  }

  /// Ends a mapping made with the same `write`; the last one of a kind takes its mark away.
  public func unmapForBackEnd(_ domain: Domain, _ ref: UInt32, write: Bool) {
    let index = Int(ref)
    guard let entry = address(of: ref), index < mapped.count, mapped[index] > 0 else { return }
    mapped[index] &-= 1
    if write && mappedForWriting[index] > 0 { mappedForWriting[index] &-= 1 }
    guard let flags = domain.memory.load(entry, as: UInt16.self) else { return }
    var kept = flags
    if mappedForWriting[index] == 0 { kept &= ~Flags.writing }
    if mapped[index] == 0 { kept &= ~Flags.reading }
    if kept != flags { domain.memory.store(kept, at: entry) }
  }

  /// Whether a back end has the reference mapped.
  public func isMapped(_ ref: UInt32) -> Bool { Int(ref) < mapped.count && mapped[Int(ref)] > 0 }
}
