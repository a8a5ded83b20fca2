/// What a CD-ROM drive says of itself and of its disc.
extension ATAPIDrive {
  var inquiryData: [UInt8] {
    // CD-ROM, removable, ATAPI's format of answers, 31 bytes more.
    var bytes: [UInt8] = [5, 0x80, 0, 0x21, 31, 0, 0, 0]
    bytes.append("PARAVANE", padded: 8, with: 0x20)
    bytes.append("CD-ROM", padded: 16, with: 0x20)
    bytes.append("1.0", padded: 4, with: 0x20)
    return bytes
  }

  /// A block's number, or its time on a disc (minute, second, frame of a 75th) with the two seconds before block 0.
  func address(_ block: UInt64, isTime: Bool) -> [UInt8] {
    var bytes: [UInt8] = []
    guard isTime else {
      bytes.append(bigEndian: UInt32(clamping: block))
      return bytes
    }
    let frames = block &+ 150
    return [0, UInt8(truncatingIfNeeded: frames / 4500), UInt8(frames / 75 % 60), UInt8(frames % 75)]
  }

  /// One data track, and the lead-out; nil for formats there is nothing to say of.
  func tableOfContents(format: UInt8, isTime: Bool, from track: UInt8) -> [UInt8]? {
    let leadOut: UInt8 = 0xAA
    var bytes: [UInt8] = []
    switch format {
    case 0:
      guard track <= 1 || track == leadOut else { return nil }
      bytes = [1, 1]
      if track <= 1 { bytes += [0, 0x14, 1, 0] + address(0, isTime: isTime) }
      bytes += [0, 0x14, leadOut, 0] + address(blockCount, isTime: isTime)
    case 1: bytes = [1, 1, 0, 0x14, 1, 0] + address(0, isTime: isTime)
    case 2:
      bytes = [1, 1]
      let points: [(point: UInt8, place: [UInt8])] = [
        (0xA0, [0, 1, 0, 0]), (0xA1, [0, 1, 0, 0]), (0xA2, address(blockCount, isTime: true)), (1, address(0, isTime: true)),
      ]
      for (point, place) in points { bytes += [1, 0x14, 0, point, 0, 0, 0] + place }
    default: return nil
    }
    var result: [UInt8] = []
    result.append(bigEndian: UInt16(bytes.count))
    return result + bytes
  }

  /// More than 80 minutes are no CD.
  private var isDVD: Bool { blockCount > 80 * 60 * 75 }

  /// GET CONFIGURATION: features from a number on; all (0), the current ones (1), one only (2).
  func configuration(_ kind: UInt8, from first: UInt16) -> [UInt8] {
    let hasMedium = blockCount > 0
    let (isCD, isDVD) = (hasMedium && !isDVD, hasMedium && isDVD)
    // Number, version and persistence, whether it is current, and its bytes.
    let features: [(number: UInt16, flags: UInt8, isCurrent: Bool, data: [UInt8])] = [
      // Profiles: DVD-ROM, CD-ROM.
      (0x0000, 0x02, true, [0, 0x10, isDVD ? 1 : 0, 0, 0, 0x08, isCD ? 1 : 0, 0]),
      // Core: ATAPI.
      (0x0001, 0x06, true, [0, 0, 0, 2, 0, 0, 0, 0]),
      // Removable medium: tray, eject, lock.
      (0x0003, 0x02, true, [0x29, 0, 0, 0]),
      // Random readable: 2048 bytes, one at a time.
      (0x0010, 0x00, hasMedium, [0, 0, 8, 0, 0, 1, 0, 0]),
      (0x001E, 0x00, isCD, [0, 0, 0, 0]),
      (0x001F, 0x00, isDVD, [0, 0, 0, 0]),
    ]
    var bytes: [UInt8] = [0, 0]
    bytes.append(bigEndian: UInt16(isDVD ? 0x10 : isCD ? 0x08 : 0))
    for feature in features {
      switch kind {
      case 0: guard feature.number >= first else { continue }
      case 1: guard feature.number >= first, feature.isCurrent else { continue }
      default: guard feature.number == first else { continue }
      }
      bytes.append(bigEndian: feature.number)
      bytes.append(feature.flags | (feature.isCurrent ? 1 : 0))
      bytes.append(UInt8(feature.data.count))
      bytes += feature.data
    }
    var result: [UInt8] = []
    result.append(bigEndian: UInt32(bytes.count))
    return result + bytes
  }

  var discInformation: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 34)
    bytes[1] = 32
    // The disc and its only session are complete; first track, sessions, first and last track of the last session.
    bytes[2] = 0x0E
    bytes[3] = 1
    bytes[4] = 1
    bytes[5] = 1
    bytes[6] = 1
    // Unrestricted use.
    bytes[7] = 0x20
    for index in 16..<24 { bytes[index] = 0xFF }
    return bytes
  }

  /// Of track 1, a data track.
  var trackInformation: [UInt8] {
    var bytes: [UInt8] = [0, 34, 1, 1, 0, 4, 1, 0]
    for value in [0, 0, 0, 0, UInt32(clamping: blockCount), 0] { bytes.append(bigEndian: value) }
    return bytes + [UInt8](repeating: 0, count: 36 - bytes.count)
  }

  /// MODE SENSE: error recovery, CD parameters, capabilities; nothing that may be changed or saved.
  func modeSense(page: UInt8, headerSize: Int, limit: Int) {
    guard page >> 6 != 3 else { return check(DiscState.Sense(key: 5, code: 0x39)) }
    let isMask = page >> 6 == 1
    var pages: [UInt8] = []
    let code = page & 0x3F
    func add(_ bytes: [UInt8]) {
      guard code == bytes[0] || code == 0x3F else { return }
      pages += isMask ? bytes.enumerated().map { $0.offset < 2 ? $0.element : 0 } : bytes
    }
    add([0x01, 6, 0, 5, 0, 0, 0, 0])
    add([0x0D, 6, 0, 1, 0, 60, 0, 75])
    add(capabilities)
    guard !pages.isEmpty else { return check(.invalidField) }
    let medium: UInt8 = disc.isTrayOpen ? 0x71 : blockCount > 0 ? 0x01 : 0x70
    var bytes: [UInt8] = []
    if headerSize == 4 {
      bytes = [UInt8(truncatingIfNeeded: pages.count + 3), medium, 0, 0]
    } else {
      bytes.append(bigEndian: UInt16(pages.count + 6))
      bytes += [medium, 0, 0, 0, 0, 0]
    }
    answer(bytes + pages, limit: limit)
  }

  private var capabilities: [UInt8] {
    // Reads CD-R, CD-RW, DVD-ROM; writes nothing; several sessions, mode 2; a tray that opens and locks.
    var bytes: [UInt8] = [0x2A, 18, 0x0B, 0, 0x70, 0, 0x29 | (disc.isLocked ? 2 : 0), 0]
    // 40 times 176 kB/s, two volume levels, a buffer of 512 kB, the speed now.
    for value: UInt16 in [7056, 2, 512, 7056] { bytes.append(bigEndian: value) }
    return bytes + [UInt8](repeating: 0, count: 20 - bytes.count)
  }
}
