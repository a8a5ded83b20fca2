/// The 256 words of IDENTIFY DEVICE and IDENTIFY PACKET DEVICE.
struct IdentifyData {
  private var words = [UInt16](repeating: 0, count: 256)

  subscript(index: Int) -> UInt16 {
    get { words.indices.contains(index) ? words[index] : 0 }
    set { if words.indices.contains(index) { words[index] = newValue } }
  }

  /// Characters in pairs, the first in the high byte, padded with blanks.
  mutating func put(_ text: String, at index: Int, words count: Int) {
    var characters = text.utf8.prefix(count * 2).map { $0 >= 0x20 && $0 < 0x7F ? $0 : 0x20 }
    characters += [UInt8](repeating: 0x20, count: count * 2 - characters.count)
    for word in 0..<count { self[index + word] = UInt16(characters[word * 2]) << 8 | UInt16(characters[word * 2 + 1]) }
  }

  mutating func put(_ value: UInt64, at index: Int, words count: Int) {
    for word in 0..<count { self[index + word] = UInt16(truncatingIfNeeded: value >> UInt64(word * 16)) }
  }

  /// What drives of both kinds say: transfer modes, timing, the standards, and the mode that was chosen.
  mutating func putCommon(_ drive: IDEDrive, model: String) {
    put(drive.description.serial, at: 10, words: 10)
    put("1.0", at: 23, words: 4)
    put(model, at: 27, words: 20)
    // LBA, DMA, IORDY that may be disabled.
    self[49] = 0x0B00
    // Words 54-58 (disks), 64-70 and 88 mean something.
    self[53] = 7
    let mode = drive.saved.dmaMode
    self[63] = 7 | (mode & 0xF8 == 0x20 ? 1 << (UInt16(mode & 7) + 8) : 0)
    self[88] = 0x3F | (mode & 0xF8 == 0x40 ? 1 << (UInt16(mode & 7) + 8) : 0)
    // PIO modes 3 and 4; 120 ns a cycle.
    self[64] = 3
    for word in 65...68 { self[word] = 120 }
    // ATA/ATAPI-4 to 7.
    self[80] = 0xF0
    // An 80-wire cable, found by hardware reset.
    self[93] = 0x6001
  }

  /// The words in the order of the bytes, with signature and checksum in the last.
  func bytes() -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(512)
    for word in words { bytes.append(littleEndian: word) }
    bytes[510] = 0xA5
    bytes[511] = 0 &- bytes[..<511].reduce(0, &+)
    return bytes
  }
}

extension ATADisk {
  var identity: [UInt8] {
    var data = IdentifyData()
    let sectors = sectorCount
    let cylinders = min(sectors / (16 * 63), 16383)
    data[0] = 0x0040
    data[1] = UInt16(cylinders)
    data[3] = 16
    data[6] = 63
    data.putCommon(self, model: "Paravane ATA disk")
    data[47] = 0x8000 | UInt16(Self.maximumMultiple)
    // The data port takes 32 bits.
    data[48] = 1
    data[50] = 0x4000
    data[51] = 0x0200
    let track = max(saved.heads &* saved.sectorsPerTrack, 1)
    let current = min(sectors / UInt64(truncatingIfNeeded: track), 65535)
    data[54] = UInt16(current)
    data[55] = UInt16(truncatingIfNeeded: saved.heads)
    data[56] = UInt16(truncatingIfNeeded: saved.sectorsPerTrack)
    data.put(min(current &* UInt64(truncatingIfNeeded: track), 0xFFFF_FFFF), at: 57, words: 2)
    data[59] = saved.multiple > 0 ? 0x0100 | UInt16(truncatingIfNeeded: saved.multiple) : 0
    data.put(min(sectors, 0x0FFF_FFFF), at: 60, words: 2)
    // Write cache and power management; FLUSH CACHE (EXT) and 48 bits of address.
    data[82] = 0x0028
    data[83] = 0x7400
    data[84] = 0x4000
    data[85] = 0x0008 | (saved.writeCache ? 0x20 : 0)
    data[86] = 0x3400
    data[87] = 0x4000
    data.put(min(sectors, 1 << 48 - 1), at: 100, words: 4)
    // Sectors of 512 bytes, eight of which the host handles as one, aligned with the first.
    data[106] = 0x6003
    data[209] = 0x4000
    if canDiscard {
      data[105] = UInt16(Self.maximumTrimBlocks)
      data[169] = 1
    }
    // No rotating medium: nothing is gained by sorting requests.
    data[217] = 1
    return data.bytes()
  }
}
