import HostLinks

/// Frames for the guest: filters, checksums, and legacy receive descriptors (manual section 3.2).
extension EthernetController82540EM {
  private static let frameCheckSize = 4

  /// Several frames come in a row: one interrupt tells of them, at `endArrivals`.
  public func beginArrivals() { isGathering = true }

  public func endArrivals() {
    guard isGathering else { return }
    isGathering = false
    updateInterrupt()
  }

  /// A frame came from the link, without frame check sequence.
  func frameArrived(_ frame: [UInt8]) {
    guard frame.count >= 14, frame.count <= 16384 - Self.frameCheckSize, isReceiving, phy.isLinkUp else {
      statistics.rxDropped += 1
      return
    }
    guard accepts(frame) else { return }
    // Long frames need LPE.
    let isTagged = frame[12] == 0x81 && frame[13] == 0
    guard frame.count <= (isTagged ? 1518 : 1514) || self[EthernetRegister.receiveControl] & 0x20 != 0 else {
      count(EthernetStatistic.oversized)
      statistics.rxDropped += 1
      return
    }
    if arrivedFirst == arrived.count, place(frame) { return }
    guard arrived.count - arrivedFirst < Self.queueLimit else {
      count(EthernetStatistic.missed)
      statistics.rxDropped += 1
      return raise(EthernetCause.receiveOverrun)
    }
    if arrivedFirst == arrived.count { count(EthernetStatistic.noBuffers) }
    arrived.append(frame)
  }

  private var isReceiving: Bool { self[EthernetRegister.receiveControl] & 2 != 0 && function.isBusMaster }

  /// The guest has posted buffers: puts frames that waited into them.
  func serviceReceive() {
    guard arrivedFirst < arrived.count, isReceiving else { return }
    while arrivedFirst < arrived.count, place(arrived[arrivedFirst]) {
      arrived[arrivedFirst] = []
      arrivedFirst += 1
    }
    if arrivedFirst == arrived.count {
      arrived.removeAll(keepingCapacity: true)
      arrivedFirst = 0
    } else if arrivedFirst > Self.queueLimit {
      arrived.removeFirst(arrivedFirst)
      arrivedFirst = 0
    }
  }

  // MARK: - Filters

  private func accepts(_ frame: [UInt8]) -> Bool {
    let control = self[EthernetRegister.receiveControl]
    guard acceptsTag(frame, control) else { return false }
    if frame[0] & 1 == 0 { return control & 8 != 0 || matches(frame) }
    if frame[0..<6].allSatisfy({ $0 == 0xFF }) { return control & 0x8018 != 0 || matches(frame) }
    if control & 0x10 != 0 || matches(frame) { return true }
    // Twelve bits of the address choose a bit of the table; which twelve is RCTL's to say (MO).
    let last = UInt32(frame[5]) << 8 | UInt32(frame[4])
    let hash = Int([last >> 4, last >> 3, last >> 2, last][Int(control >> 12 & 3)] & 0xFFF)
    return self[EthernetRegister.multicastTable + (hash >> 5) * 4] >> UInt32(hash & 31) & 1 != 0
  }

  /// Whether one of the 16 addresses is the frame's.
  private func matches(_ frame: [UInt8]) -> Bool {
    let low = UInt32(frame[0]) | UInt32(frame[1]) << 8 | UInt32(frame[2]) << 16 | UInt32(frame[3]) << 24
    let high = UInt32(frame[4]) | UInt32(frame[5]) << 8
    for entry in 0..<16 {
      let at = EthernetRegister.receiveAddress + entry * 8
      let top = self[at + 4]
      // Valid, and to be compared with the destination.
      if self[at] == low, top & 0x8003_FFFF == high | 1 << 31 { return true }
    }
    return false
  }

  private func acceptsTag(_ frame: [UInt8], _ control: UInt32) -> Bool {
    guard control & 1 << 18 != 0, isVLAN(frame) else { return true }
    let tag = Int(frame[14] & 15) << 8 | Int(frame[15])
    return self[EthernetRegister.vlanTable + (tag >> 5) * 4] >> UInt32(tag & 31) & 1 != 0
  }

  private func isVLAN(_ frame: [UInt8]) -> Bool {
    frame.count >= 18 && UInt32(frame[12]) << 8 | UInt32(frame[13]) == self[EthernetRegister.vlanType] & 0xFFFF
  }

  // MARK: - Descriptors

  /// Puts a frame into buffers; false if the guest has posted too few.
  private func place(_ frame: [UInt8]) -> Bool {
    let control = self[EthernetRegister.receiveControl]
    let slots = self[EthernetRegister.receiveLength] / 16
    var head = self[EthernetRegister.receiveHead]
    let tail = self[EthernetRegister.receiveTail]
    guard slots > 0, head < slots, tail < slots, head != tail else { return false }
    let free = tail > head ? tail - head : slots - head + tail
    let strips = self[EthernetRegister.control] & 1 << 30 != 0 && isVLAN(frame)
    let size = max(frame.count - (strips ? 4 : 0), 60)
    let total = size + (control & 1 << 26 != 0 ? 0 : Self.frameCheckSize)
    let buffer = bufferSize(control)
    guard (total + buffer - 1) / buffer <= Int(free) else { return false }

    let check = ReceiveChecksums(frame, control: self[EthernetRegister.receiveChecksum])
    var status = check.status | (strips ? 8 : 0)
    let special = strips ? UInt16(frame[14]) << 8 | UInt16(frame[15]) : 0
    let base = UInt64(self[EthernetRegister.receiveBaseHigh]) << 32 | UInt64(self[EthernetRegister.receiveBaseLow])
    var done = 0
    repeat {
      let descriptor = base &+ UInt64(head) &* 16
      let take = min(buffer, total - done)
      if let address = board.memory.load(descriptor, as: UInt64.self), let target = board.memory.writable(address, take) {
        copy(frame, strips: strips, from: done, into: target)
      }
      done += take
      // Descriptor done (bit 0), end of packet (bit 1).
      status = status & ~3 | (done == total ? 3 : 1)
      let word = UInt64(take) | UInt64(check.sum) << 16 | UInt64(status) << 32 | UInt64(check.errors) << 40 | UInt64(special) << 48
      board.memory.store(word, at: descriptor &+ 8)
      head = head + 1 == slots ? 0 : head + 1
    } while done < total
    self[EthernetRegister.receiveHead] = head
    countReceived(frame, size + Self.frameCheckSize)
    let left = tail >= head ? tail - head : slots - head + tail
    // Few are left: a half, a quarter, an eighth of the ring (RDMTS).
    let threshold = slots >> (control >> 8 & 3 &+ 1)
    raise(EthernetCause.receiveTimer | (left <= threshold ? EthernetCause.receiveThreshold : 0))
    return true
  }

  private func bufferSize(_ control: UInt32) -> Int {
    let code = Int(control >> 16 & 3)
    return control & 1 << 25 != 0 && code > 0 ? 32768 >> code : 2048 >> code
  }

  /// Copies what the guest sees of a frame: without the tag where it is stripped, padded with zeros.
  private func copy(_ frame: [UInt8], strips: Bool, from start: Int, into target: UnsafeMutableRawBufferPointer) {
    frame.withUnsafeBytes { bytes in
      var done = 0
      while done < target.count {
        let at = start + done
        let source = strips && at >= 12 ? at + 4 : at
        let end = strips && at < 12 ? 12 : bytes.count
        guard source < end else { break }
        let count = min(end - source, target.count - done)
        UnsafeMutableRawBufferPointer(rebasing: target[done..<done + count])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[source..<source + count]))
        done += count
      }
      if done < target.count {
        UnsafeMutableRawBufferPointer(rebasing: target[done...]).initializeMemory(as: UInt8.self, repeating: 0)
      }
    }
  }

  private func countReceived(_ frame: [UInt8], _ size: Int) {
    statistics.rxPackets += 1
    statistics.rxBytes += UInt64(frame.count)
    count(EthernetStatistic.goodReceived)
    count(EthernetStatistic.totalReceived)
    countOctets(EthernetStatistic.octetsReceived, size)
    countOctets(EthernetStatistic.totalOctetsReceived, size)
    countSize(EthernetStatistic.received64, size)
    guard frame[0] & 1 != 0 else { return }
    count(frame[0..<6].allSatisfy { $0 == 0xFF } ? EthernetStatistic.broadcastReceived : EthernetStatistic.multicastReceived)
  }
}

/// What a receive descriptor says of checksums, as RXCSUM asks for: first byte of the packet's sum (bits 0-7), IP (8), TCP and UDP (9).
struct ReceiveChecksums {
  /// Bit 2: nothing was checked; 5: TCP or UDP was; 6: IP was.
  var status: UInt8 = 0
  /// Bit 5: TCP or UDP is wrong; 6: IP is.
  var errors: UInt8 = 0
  /// Over the packet from the chosen byte on.
  var sum: UInt16 = 0

  init(_ frame: [UInt8], control: UInt32) {
    let start = Int(control & 0xFF)
    if start < frame.count { sum = InternetChecksum.fold(InternetChecksum.sum(frame[start...])).byteSwapped }
    guard control & 0x300 != 0 else {
      status = 4
      return
    }
    check(frame, checksIP: control & 0x100 != 0, checksTransport: control & 0x200 != 0)
    if status == 0 { status = 4 }
  }

  private mutating func check(_ frame: [UInt8], checksIP: Bool, checksTransport: Bool) {
    func u16(_ at: Int) -> Int { Int(frame[at]) << 8 | Int(frame[at + 1]) }
    var ip = 14
    guard frame.count >= 18 else { return }
    var type = u16(12)
    if type == 0x8100 {
      type = u16(16)
      ip = 18
    }
    let transport: Int
    let end: Int
    let pseudo: UInt64
    let number: UInt8
    switch type {
    case 0x0800:
      guard frame.count >= ip + 20, frame[ip] >> 4 == 4 else { return }
      let header = Int(frame[ip] & 15) * 4
      end = ip + u16(ip + 2)
      guard header >= 20, end >= ip + header, end <= frame.count else { return }
      if checksIP {
        status |= 0x40
        if InternetChecksum.fold(InternetChecksum.sum(frame[ip..<ip + header])) != 0xFFFF { errors |= 0x40 }
      }
      // Of a fragment the transport cannot be checked.
      guard u16(ip + 6) & 0x3FFF == 0 else { return }
      transport = ip + header
      number = frame[ip + 9]
      pseudo = InternetChecksum.sum(frame[ip + 12..<ip + 20])
    case 0x86DD:
      guard frame.count >= ip + 40, frame[ip] >> 4 == 6 else { return }
      transport = ip + 40
      end = transport + u16(ip + 4)
      guard end <= frame.count else { return }
      number = frame[ip + 6]
      pseudo = InternetChecksum.sum(frame[ip + 8..<ip + 40])
    default: return
    }
    guard checksTransport, number == 6 && end >= transport + 20 || number == 17 && end >= transport + 8 else { return }
    // UDP may leave it out.
    if number == 17, u16(transport + 6) == 0 { return }
    status |= 0x20
    let whole = InternetChecksum.sum(frame[transport..<end], pseudo &+ UInt64(number) &+ UInt64(end - transport))
    if InternetChecksum.fold(whole) != 0xFFFF { errors |= 0x20 }
  }
}
