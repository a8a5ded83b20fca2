import GuestMemory

/// A channel's half of the bus master's 16 ports (82371SB PIIX3, section 2.7).
struct BusMasterRegisters: Codable, Equatable {
  /// Bit 0 start, bit 3 towards memory.
  var command: UInt8 = 0
  /// Bit 0 active, 1 error, 2 the drive interrupted; 5 and 6 are the drivers' own notes.
  var status: UInt8 = 0
  /// Address of the PRD table.
  var table: UInt32 = 0

  var isStarted: Bool { command & 1 != 0 && status & 1 != 0 }
  var fillsMemory: Bool { command & 8 != 0 }

  func read(_ offset: Int, size: Int) -> UInt32 {
    let all = UInt64(command) | UInt64(status) << 16 | UInt64(table) << 32
    return UInt32(truncatingIfNeeded: all >> UInt64((offset & 7) * 8))
  }

  /// One byte of the table's address.
  mutating func writeTable(_ byte: Int, _ value: UInt8) {
    let shift = UInt32(byte & 3) * 8
    table = (table & ~(0xFF << shift) | UInt32(value) << shift) & ~3
  }
}

/// What a PRD table describes: pieces of memory in a row.
///
/// An entry is an address, a length (0: 64 KiB), and bit 31 of the second word on the last; addresses and lengths are even. A table
/// does not cross a 64 KiB boundary, so it has at most 8192 entries.
struct PhysicalRegions {
  private(set) var pieces: [UnsafeMutableRawBufferPointer] = []
  private(set) var count = 0
  /// The last entry was used to its last byte.
  private(set) var isUsedUp = false
  /// The table, or memory it names, is not RAM.
  private(set) var isFaulty = false

  /// Walks a table up to `wanted` bytes. The pieces are for use at once.
  ///
  /// - Parameter forWriting: memory is to be filled: code in it is forgotten.
  init(_ table: UInt32, wanted: Int, memory: MachineMemory, forWriting: Bool) {
    pieces.reserveCapacity(8)
    var entry = UInt64(table)
    let end = (entry | 0xFFFF) &+ 1
    while true {
      guard entry < end else {
        isUsedUp = true
        return
      }
      guard let base = memory.load(entry, as: UInt32.self), let word = memory.load(entry &+ 4, as: UInt32.self) else {
        isFaulty = true
        return
      }
      entry &+= 8
      let length = Int(word & 0xFFFE)
      let size = length == 0 ? 65536 : length
      let take = min(size, wanted &- count)
      if take > 0 { add(UInt64(base & ~1), take, memory, forWriting) }
      if isFaulty { return }
      if word >> 31 != 0 {
        isUsedUp = take == size
        return
      }
      if count >= wanted { return }
    }
  }

  private mutating func add(_ address: UInt64, _ size: Int, _ memory: MachineMemory, _ forWriting: Bool) {
    guard
      let piece = forWriting
        ? memory.writable(address, size) : memory.readable(address, size).map({ UnsafeMutableRawBufferPointer(mutating: $0) })
    else {
      isFaulty = true
      return
    }
    count += size
    if let last = pieces.last, let start = last.baseAddress, start + last.count == piece.baseAddress {
      pieces[pieces.count - 1] = UnsafeMutableRawBufferPointer(start: start, count: last.count + size)
    } else {
      pieces.append(piece)
    }
  }
}
