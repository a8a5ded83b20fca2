import Storage

/// The packets' commands (MMC-3, SPC-2).
extension ATAPIDrive {
  private static let testUnitReady: UInt8 = 0x00
  private static let requestSense: UInt8 = 0x03
  private static let inquiry: UInt8 = 0x12
  private static let modeSelect6: UInt8 = 0x15
  private static let modeSense6: UInt8 = 0x1A
  private static let startStopUnit: UInt8 = 0x1B
  private static let preventAllow: UInt8 = 0x1E
  private static let readCapacity: UInt8 = 0x25
  private static let read10: UInt8 = 0x28
  private static let seek10: UInt8 = 0x2B
  private static let verify10: UInt8 = 0x2F
  private static let readSubchannel: UInt8 = 0x42
  private static let readTOC: UInt8 = 0x43
  private static let readHeader: UInt8 = 0x44
  private static let getConfiguration: UInt8 = 0x46
  private static let getEventStatus: UInt8 = 0x4A
  private static let stopPlay: UInt8 = 0x4E
  private static let readDiscInformation: UInt8 = 0x51
  private static let readTrackInformation: UInt8 = 0x52
  private static let modeSelect10: UInt8 = 0x55
  private static let modeSense10: UInt8 = 0x5A
  private static let read12: UInt8 = 0xA8
  private static let setCDSpeed: UInt8 = 0xBB
  private static let mechanismStatus: UInt8 = 0xBD
  private static let readCD: UInt8 = 0xBE

  /// - Parameter packet: 12 bytes.
  func executePacket(_ packet: [UInt8]) {
    guard packet.count == Self.packetSize else { return abort() }
    func be(_ at: Int, _ count: Int) -> UInt64 { packet[at..<at + count].reduce(0) { $0 << 8 | UInt64($1) } }
    let code = packet[0]
    // A changed disc is news to the first command that is not only a question about the drive.
    let isQuestion = [Self.inquiry, Self.requestSense, Self.getConfiguration, Self.getEventStatus].contains(code)
    if !isQuestion, let attention = disc.attention {
      disc.attention = nil
      return check(attention)
    }
    switch code {
    case Self.testUnitReady: withMedium { succeed() }
    case Self.requestSense: requestSense(Int(packet[4]))
    case Self.inquiry: packet[1] & 1 == 0 ? answer(inquiryData, limit: Int(be(3, 2))) : check(.invalidField)
    case Self.modeSense6: modeSense(page: packet[2], headerSize: 4, limit: Int(packet[4]))
    case Self.modeSense10: modeSense(page: packet[2], headerSize: 8, limit: Int(be(7, 2)))
    case Self.modeSelect6: accept(count: Int(packet[4]))
    case Self.modeSelect10: accept(count: Int(be(7, 2)))
    case Self.startStopUnit: startStop(packet[4])
    case Self.preventAllow:
      disc.isLocked = packet[4] & 1 != 0
      succeed()
    case Self.readCapacity:
      withMedium {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: UInt32(clamping: blockCount - 1))
        bytes.append(bigEndian: UInt32(Self.blockSize))
        answer(bytes, limit: 8)
      }
    case Self.read10: readBlocks(be(2, 4), be(7, 2))
    case Self.read12: readBlocks(be(2, 4), be(6, 4))
    case Self.readCD: readCD(first: be(2, 4), count: be(6, 3), what: packet[9] & 0xF8)
    case Self.seek10, Self.verify10: withMedium { be(2, 4) < blockCount ? succeed() : check(.outOfRange) }
    case Self.readSubchannel: withMedium { answer([0, 0, 0, 0], limit: Int(be(7, 2))) }
    case Self.readTOC:
      withMedium {
        let format = packet[2] & 15 != 0 ? packet[2] & 15 : packet[9] >> 6
        guard let toc = tableOfContents(format: format, isTime: packet[1] & 2 != 0, from: packet[6]) else { return check(.invalidField) }
        answer(toc, limit: Int(be(7, 2)))
      }
    case Self.readHeader:
      withMedium {
        guard be(2, 4) < blockCount else { return check(.outOfRange) }
        answer([1, 0, 0, 0] + address(be(2, 4), isTime: packet[1] & 2 != 0), limit: Int(be(7, 2)))
      }
    case Self.getConfiguration: answer(configuration(packet[1] & 3, from: UInt16(be(2, 2))), limit: Int(be(7, 2)))
    case Self.getEventStatus: eventStatus(isPolled: packet[1] & 1 != 0, classes: packet[4], limit: Int(be(7, 2)))
    case Self.readDiscInformation: withMedium { answer(discInformation, limit: Int(be(7, 2))) }
    case Self.readTrackInformation: withMedium { answer(trackInformation, limit: Int(be(7, 2))) }
    case Self.stopPlay, Self.setCDSpeed: succeed()
    case Self.mechanismStatus: answer([0, disc.isTrayOpen ? 0x10 : 0, 0, 0, 0, 0, 0, 0], limit: Int(be(8, 2)))
    default: check(.invalidCommand)
    }
  }

  private func withMedium(_ body: () -> Void) {
    guard blockCount > 0 else { return check(disc.isTrayOpen ? .trayOpen : .notPresent) }
    body()
  }

  private func requestSense(_ limit: Int) {
    let sense = disc.sense == .none ? disc.attention ?? .none : disc.sense
    if disc.sense == .none { disc.attention = nil }
    disc.sense = .none
    var bytes = [UInt8](repeating: 0, count: 18)
    bytes[0] = 0x70
    bytes[2] = sense.key
    bytes[7] = 10
    bytes[12] = sense.code
    bytes[13] = sense.qualifier
    answer(bytes, limit: limit)
  }

  /// READ CD: user data of 2048 bytes is all there is; what of a sector is asked for is in bits 7-3.
  private func readCD(first: UInt64, count: UInt64, what: UInt8) {
    switch what {
    case 0: withMedium { succeed() }
    case 0x10: readBlocks(first, count)
    default: check(.invalidField)
    }
  }

  /// Bit 0 starts or closes, bit 1 moves the tray.
  private func startStop(_ what: UInt8) {
    switch what & 3 {
    case 2:
      guard !disc.isLocked else { return check(.locked) }
      if !disc.isTrayOpen {
        disc.isTrayOpen = true
        disc.event = 3
      }
    case 3:
      if disc.isTrayOpen {
        disc.isTrayOpen = false
        if image != nil {
          disc.event = 2
          disc.attention = .changed
        }
      }
    default: break
    }
    succeed()
  }

  /// Of the classes of events only media (bit 4) has any here.
  private func eventStatus(isPolled: Bool, classes: UInt8, limit: Int) {
    guard isPolled else { return check(.invalidField) }
    guard classes & 0x10 != 0 else { return answer([0, 2, 0x80, 0x10], limit: limit) }
    let status: UInt8 = (disc.isTrayOpen ? 1 : 0) | (medium != nil ? 2 : 0)
    let event = disc.event
    disc.event = 0
    answer([0, 6, 4, 0x10, event, status, 0, 0], limit: limit)
  }
}
