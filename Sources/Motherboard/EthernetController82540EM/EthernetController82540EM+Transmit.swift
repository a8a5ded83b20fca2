import GuestMemory
import HostLinks

/// Between the descriptors of a packet: what context descriptors said.
struct TransmitState: Codable, Equatable {
  /// Offsets for a packet's checksums and for cutting it (manual section 3.3.6). An end of 0 is the packet's.
  struct Context: Codable, Equatable {
    var ipStart = 0
    var ipOffset = 0
    var ipEnd = 0
    var transportStart = 0
    var transportOffset = 0
    var transportEnd = 0
    var headerSize = 0
    var segmentSize = 0
    var isTCP = false
    var isIPv4 = false
  }
  /// For packets that are sent as they are, and for those that are cut.
  var plain = Context()
  var cutting = Context()
  /// Of the first data descriptor: bit 0 IP checksum, bit 1 TCP or UDP checksum.
  var options: UInt8 = 0
  var isCut = false
  var isFirst = true
  /// More than a packet can be was given for it: it is dropped at its end.
  var isTooLong = false
  /// In a saved machine only.
  var packet: [UInt8] = []

  func saved(_ packet: [UInt8]) -> TransmitState {
    var state = self
    state.packet = packet
    return state
  }
}

/// Frames from the guest: legacy, context and data descriptors.
extension EthernetController82540EM {
  static let maximumPacket = 65_535 + 22

  private enum Command {
    static let end: UInt32 = 1 << 24
    static let insertChecksum: UInt32 = 1 << 26
    static let report: UInt32 = 1 << 27
    static let isExtended: UInt32 = 1 << 29
    static let tag: UInt32 = 1 << 30
    static let delay: UInt32 = 1 << 31
    /// In data and context descriptors.
    static let cut: UInt32 = 1 << 26
  }

  /// The guest moved the tail: sends what is between it and the head.
  func serviceTransmit() {
    guard self[EthernetRegister.transmitControl] & 2 != 0, function.isBusMaster else { return }
    let slots = self[EthernetRegister.transmitLength] / 16
    var head = self[EthernetRegister.transmitHead]
    let tail = self[EthernetRegister.transmitTail]
    guard slots > 0, head < slots, tail < slots, head != tail else { return }
    let base = UInt64(self[EthernetRegister.transmitBaseHigh]) << 32 | UInt64(self[EthernetRegister.transmitBaseLow])
    var causes = EthernetCause.transmitQueueEmpty
    var isDelayed = false
    while head != tail {
      let at = base &+ UInt64(head) &* 16
      head = head + 1 == slots ? 0 : head + 1
      guard let address = board.memory.load(at, as: UInt64.self), let word = board.memory.load(at &+ 8, as: UInt64.self) else { continue }
      let low = UInt32(truncatingIfNeeded: word)
      if low & Command.isExtended != 0 && low >> 20 & 15 == 0 {
        takeContext(address, word)
      } else {
        takeData(address, low, UInt32(truncatingIfNeeded: word >> 32))
      }
      guard low & Command.report != 0 else { continue }
      // Descriptor done.
      board.memory.store(UInt8(truncatingIfNeeded: word >> 32) | 1, at: at &+ 12)
      if low & Command.delay != 0, self[EthernetRegister.transmitDelay] & 0xFFFF != 0 {
        isDelayed = true
      } else {
        causes |= EthernetCause.descriptorWritten
      }
    }
    self[EthernetRegister.transmitHead] = head
    link.flush()
    cause |= causes
    if causes & mask != 0 {
      timing.transmitDelayed = timing.transmitDelayed || isDelayed
      raise(0)
    } else if isDelayed {
      raiseDelayed()
    }
  }

  private func takeContext(_ first: UInt64, _ second: UInt64) {
    func field(_ word: UInt64, _ shift: UInt64, _ bits: UInt64) -> Int { Int(word >> shift & (1 << bits - 1)) }
    var context = TransmitState.Context()
    context.ipStart = field(first, 0, 8)
    context.ipOffset = field(first, 8, 8)
    context.ipEnd = field(first, 16, 16)
    context.transportStart = field(first, 32, 8)
    context.transportOffset = field(first, 40, 8)
    context.transportEnd = field(first, 48, 16)
    context.headerSize = field(second, 40, 8)
    context.segmentSize = field(second, 48, 16)
    context.isTCP = second >> 24 & 1 != 0
    context.isIPv4 = second >> 25 & 1 != 0
    if second >> 26 & 1 != 0 {
      transmit.cutting = context
      count(EthernetStatistic.segmentationContexts)
    } else {
      transmit.plain = context
    }
  }

  private func takeData(_ address: UInt64, _ low: UInt32, _ high: UInt32) {
    let isExtended = low & Command.isExtended != 0
    if transmit.isFirst {
      transmit.isFirst = false
      transmit.isCut = isExtended && low & Command.cut != 0
      transmit.options = isExtended ? UInt8(truncatingIfNeeded: high >> 8) : 0
    }
    let size = Int(low & (isExtended ? 0xFFFFF : 0xFFFF))
    if packet.count + size > Self.maximumPacket {
      transmit.isTooLong = true
    } else if let bytes = board.memory.readable(address, size) {
      packet.append(contentsOf: bytes)
    } else {
      transmit.isTooLong = true
    }
    guard low & Command.end != 0 else { return }
    if !isExtended, low & Command.insertChecksum != 0 {
      // Legacy: from a byte on, to a place.
      Self.insertChecksum(&packet, start: Int(high >> 8 & 0xFF), end: 0, at: Int(low >> 16 & 0xFF), isUDP: false)
    }
    finishPacket(tag: low & Command.tag != 0 ? UInt16(truncatingIfNeeded: high >> 16) : nil)
  }

  private func finishPacket(tag: UInt16?) {
    var frame: [UInt8] = []
    swap(&frame, &packet)
    let isWhole = !transmit.isTooLong && frame.count >= 14
    let (isCut, options) = (transmit.isCut, transmit.options)
    transmit.isFirst = true
    transmit.isTooLong = false
    guard isWhole else {
      statistics.txErrors += 1
      return
    }
    let tag = self[EthernetRegister.control] & 1 << 30 != 0 ? tag : nil
    guard !isCut else { return sendCut(frame, options, tag) }
    let context = transmit.plain
    if options & 1 != 0 {
      Self.insertChecksum(&frame, start: context.ipStart, end: context.ipEnd, at: context.ipOffset, isUDP: false)
    }
    let usual = context.transportStart + (context.isTCP ? 16 : 6)
    if options & 2 != 0, !(link.acceptsUnfinishedChecksums && context.transportOffset == usual) {
      Self.insertChecksum(
        &frame, start: context.transportStart, end: context.transportEnd, at: context.transportOffset, isUDP: !context.isTCP)
    }
    send(frame, tag)
  }

  /// Sums bytes from `start` to `end` (the last; 0: the packet's) and puts the complement into two of them.
  static func insertChecksum(_ frame: inout [UInt8], start: Int, end: Int, at offset: Int, isUDP: Bool) {
    let past = end == 0 ? frame.count : min(end + 1, frame.count)
    guard start < past, offset + 2 <= frame.count else { return }
    var value = ~InternetChecksum.fold(InternetChecksum.sum(frame[start..<past]))
    if value == 0 && isUDP { value = 0xFFFF }
    frame[offset] = UInt8(value >> 8)
    frame[offset + 1] = UInt8(value & 0xFF)
  }

  private func send(_ frame: [UInt8], _ tag: UInt16?) {
    var frame = frame
    if let tag {
      let type = self[EthernetRegister.vlanType]
      frame.insert(contentsOf: [UInt8(type >> 8 & 0xFF), UInt8(type & 0xFF), UInt8(tag >> 8), UInt8(tag & 0xFF)], at: 12)
    }
    let size = max(frame.count, 60) + 4
    statistics.txPackets += 1
    statistics.txBytes += UInt64(frame.count)
    count(EthernetStatistic.goodTransmitted)
    count(EthernetStatistic.totalTransmitted)
    countOctets(EthernetStatistic.octetsTransmitted, size)
    countOctets(EthernetStatistic.totalOctetsTransmitted, size)
    countSize(EthernetStatistic.transmitted64, size)
    if frame[0] & 1 != 0 {
      let isBroadcast = frame[0..<6].allSatisfy { $0 == 0xFF }
      count(isBroadcast ? EthernetStatistic.broadcastTransmitted : EthernetStatistic.multicastTransmitted)
    }
    // RCTL's loopback bits turn the frame round.
    if self[EthernetRegister.receiveControl] & 0xC0 == 0xC0 {
      frameArrived(frame)
    } else if phy.isLinkUp {
      link.send(frame)
    }
  }

  // MARK: - Segmentation

  /// Sends a packet whose payload is to go in segments of the context's size; whole, where the link takes it so.
  private func sendCut(_ frame: [UInt8], _ options: UInt8, _ tag: UInt16?) {
    let context = transmit.cutting
    let (ip, transport, header) = (context.ipStart, context.transportStart, context.headerSize)
    let minimum = transport + (context.isTCP ? 20 : 8)
    guard ip >= 14, transport >= ip + 20, header >= minimum, header <= frame.count, context.segmentSize > 0 else {
      statistics.txErrors += 1
      return
    }
    if context.isTCP, tag == nil, link.acceptsLargeSegments {
      var whole = frame
      fixHeaders(&whole, context, index: 0, payload: 0..<frame.count - header, isLast: true)
      fixChecksums(&whole, context, options, isUnfinished: link.acceptsUnfinishedChecksums)
      return send(whole, nil)
    }
    // A guest that asks for tiny segments would make one packet thousands.
    let size = max(context.segmentSize, 64)
    var start = header
    var index = 0
    repeat {
      let end = min(start + size, frame.count)
      var segment: [UInt8] = []
      segment.reserveCapacity(header + size + 4)
      segment.append(contentsOf: frame[..<header])
      segment.append(contentsOf: frame[start..<end])
      fixHeaders(&segment, context, index: index, payload: start - header..<end - header, isLast: end == frame.count)
      fixChecksums(&segment, context, options, isUnfinished: link.acceptsUnfinishedChecksums)
      send(segment, tag)
      index += 1
      start = end
    } while start < frame.count
  }

  /// Lengths, identification, sequence number and flags of the segment with these bytes of the payload.
  private func fixHeaders(
    _ segment: inout [UInt8], _ context: TransmitState.Context, index: Int, payload: Range<Int>, isLast: Bool
  ) {
    func get16(_ at: Int) -> UInt16 { UInt16(segment[at]) << 8 | UInt16(segment[at + 1]) }
    func put16(_ at: Int, _ value: UInt16) {
      segment[at] = UInt8(value >> 8)
      segment[at + 1] = UInt8(value & 0xFF)
    }
    let (ip, transport) = (context.ipStart, context.transportStart)
    if context.isIPv4 {
      put16(ip + 2, UInt16(truncatingIfNeeded: segment.count - ip))
      put16(ip + 4, get16(ip + 4) &+ UInt16(truncatingIfNeeded: index))
    } else {
      put16(ip + 4, UInt16(truncatingIfNeeded: segment.count - ip - 40))
    }
    guard context.isTCP else { return put16(transport + 4, UInt16(truncatingIfNeeded: segment.count - transport)) }
    let sequence = (UInt32(get16(transport + 4)) << 16 | UInt32(get16(transport + 6))) &+ UInt32(truncatingIfNeeded: payload.lowerBound)
    put16(transport + 4, UInt16(sequence >> 16))
    put16(transport + 6, UInt16(sequence & 0xFFFF))
    // FIN and PSH belong to the last segment.
    if !isLast { segment[transport + 13] &= ~0x09 }
  }

  /// The guest's checksum field has the sum over the pseudo-header without a length, which depends on the segment.
  private func fixChecksums(_ segment: inout [UInt8], _ context: TransmitState.Context, _ options: UInt8, isUnfinished: Bool) {
    if options & 1 != 0, context.isIPv4 {
      Self.insertChecksum(&segment, start: context.ipStart, end: context.ipEnd, at: context.ipOffset, isUDP: false)
    }
    let at = context.transportOffset
    guard options & 2 != 0, at >= context.transportStart, at + 2 <= segment.count else { return }
    let length = UInt64(segment.count - context.transportStart)
    let sum = InternetChecksum.fold((UInt64(segment[at]) << 8 | UInt64(segment[at + 1])) &+ length)
    segment[at] = UInt8(sum >> 8)
    segment[at + 1] = UInt8(sum & 0xFF)
    guard !isUnfinished else { return }
    Self.insertChecksum(
      &segment, start: context.transportStart, end: context.transportEnd, at: at, isUDP: !context.isTCP)
  }
}
