import GuestMemory

/// Why a grant operation was refused: GNTST_* of Xen's grant_table.h.
public enum GrantStatus: Int16, Error, Sendable {
  case okay = 0
  case generalError = -1
  case badDomain = -2
  case badReference = -3
  case badHandle = -4
  case badVirtualAddress = -5
  case badDeviceAddress = -6
  case noDeviceSpace = -7
  case permissionDenied = -8
  case badPage = -9
  case badCopyArgument = -10
  case addressTooBig = -11
  case again = -12
  case noSpace = -13
}

/// A domain's grant table, version 1: 512 entries of 8 bytes {flags u16, domid u16, frame u32} to a frame. The frames are
/// the hypervisor's; the guest maps them by machine address.
public final class GrantTable {
  /// GTF_* flags.
  public enum Flags {
    public static let typeMask: UInt16 = 3
    public static let permitAccess: UInt16 = 1
    public static let readOnly: UInt16 = 4
    public static let reading: UInt16 = 8
    public static let writing: UInt16 = 16
  }
  public static let entriesPerFrame: UInt32 = 512
  /// References kept for the toolstack (GNTTAB_NR_RESERVED_ENTRIES).
  public static let reservedEntries: UInt32 = 8
  public static let reservedConsole: UInt32 = 0
  public static let reservedXenstore: UInt32 = 1

  /// Machine frames of the table.
  public internal(set) var frames: [UInt64] = []
  public var maximumFrames: UInt32 = 64
  /// Per reference: how often a back end has it mapped at all, and for writing.
  var mapped: [UInt16] = []
  var mappedForWriting: [UInt16] = []
  unowned(unsafe) var domain: Domain?

  public init() {}

  /// Grows the table to at least `count` frames; false if that is over the limit or machine memory is out.
  func grow(to count: UInt32) -> Bool {
    guard count <= maximumFrames, let domain else { return false }
    while frames.count < Int(count) {
      guard let frame = domain.frames.allocateXenFrame() else { return false }
      frames.append(frame)
      mapped.append(contentsOf: repeatElement(0, count: Int(Self.entriesPerFrame)))
      mappedForWriting.append(contentsOf: repeatElement(0, count: Int(Self.entriesPerFrame)))
    }
    return true
  }

  /// Machine address of an entry; nil outside the table.
  func address(of reference: UInt32) -> UInt64? {
    let index = Int(reference / Self.entriesPerFrame)
    guard index < frames.count else { return nil }
    return frames[index] &<< 12 &+ UInt64(reference % Self.entriesPerFrame) &* 8
  }

  /// Start of day: the toolstack's reserved entries. False if the table cannot hold it.
  @discardableResult public func setEntry(ref: UInt32, flags: UInt16, domid: DomainID, frame: UInt64) -> Bool {
    guard grow(to: ref / Self.entriesPerFrame &+ 1), let address = address(of: ref), let domain else { return false }
    domain.memory.store(domid.rawValue, at: address &+ 2)
    domain.memory.store(UInt32(truncatingIfNeeded: frame), at: address &+ 4)
    return domain.memory.store(flags, at: address)
  }
}
