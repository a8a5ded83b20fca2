/// What a frame is used as. The uses exclude each other while anything counts on them: that no page table, GDT or LDT page
/// can be mapped writable is what makes it safe to walk the guest's own tables.
public enum FrameType: UInt32, Sendable, CaseIterable {
  case none = 0
  case l1, l2, l3, l4
  /// In use as part of a GDT or LDT.
  case descriptors
  /// Mapped writable.
  case writable

  /// 1...4 for page tables, else 0.
  public var level: Int { rawValue >= 1 && rawValue <= 4 ? Int(rawValue) : 0 }
}

/// Who a frame belongs to.
public enum FrameOwner: Sendable, Equatable {
  case guest
  case xen
  /// Nobody: to be had by populate_physmap.
  case free
}

/// One frame's entry in the frame table, 16 bytes. The zero value is a frame that nobody uses and whose owner follows from
/// its number.
struct FrameInfo {
  /// Uses as `type`.
  var typeCount: UInt32
  /// Uses of any kind. A type use counts here too.
  var refCount: UInt32
  var flags: UInt32
  /// > 0: entries in this table that point at tables of its own level; < 0: such entries elsewhere that point at it. Never
  /// both, so that giving up tables cannot recurse along a chain of them.
  var linear: Int32

  static let typeMask: UInt32 = 7
  static let validated: UInt32 = 1 << 3
  static let pinned: UInt32 = 1 << 4
  /// The guest gave it back (decrease_reservation); it is free once nothing refers to it.
  static let released: UInt32 = 1 << 5
  static let ownerMask: UInt32 = 3 << 6
  static let ownerGuest: UInt32 = 1 << 6
  static let ownerFree: UInt32 = 2 << 6
  /// A Xen frame that the guest may map: shared_info, grant table.
  static let shared: UInt32 = 1 << 8
  static let inFreeStack: UInt32 = 1 << 9

  @inline(__always) var typeBits: UInt32 { flags & Self.typeMask }
  @inline(__always) var type: FrameType { FrameType(rawValue: flags & Self.typeMask) ?? .none }
  @inline(__always) mutating func set(_ type: FrameType) { flags = (flags & ~Self.typeMask) | type.rawValue }
  /// Whether the frame is in use as `type`.
  @inline(__always) func isUsed(as type: FrameType) -> Bool { typeCount != 0 && flags & Self.typeMask == type.rawValue }
}
