import HostLinks
import Xenstore

extension NetworkBackEnd {
  /// Slots of one packet beyond which a guest is out of its mind (netback's fatal_skb_slots), extras aside.
  static let maximumSlots = 20

  /// The guest sent on the transmit channel: takes all packets that wait.
  func serviceTransmit(_ queue: NetworkQueue) {
    var mustNotify = false
    var budget = queue.transmit.slotCount &* 2
    repeat {
      guard var waiting = queue.transmit.waiting() else { return giveUp("transmit index out of range") }
      while waiting > 0 && budget > 0 {
        let before = queue.transmit.requestConsumer
        guard takePacket(queue, waiting) else { return }
        let used = queue.transmit.requestConsumer &- before
        waiting &-= min(used, waiting)
        budget &-= min(used, budget)
      }
      mustNotify = queue.transmit.publish() || mustNotify
    } while queue.transmit.finalCheck() && budget > 0
    link.flush()
    if mustNotify, let port = queue.transmitPort { guest.notify(port) }
  }

  /// Takes one packet of at most `waiting` slots; false if the card has been given up.
  private func takePacket(_ queue: NetworkQueue, _ waiting: UInt32) -> Bool {
    var left = waiting
    func next() -> [UInt8]? {
      guard left > 0 else { return nil }
      left &-= 1
      return queue.transmit.takeRequest()
    }
    guard let slot = next() else { return true }
    let first = TransmitRequest(slot)
    var extras: [ExtraInfo] = []
    var hasExtra = first.flags.contains(.extraInfo)
    while hasExtra {
      guard let slot = next(), extras.count < 16 else {
        giveUp("extra information is missing")
        return false
      }
      let extra = ExtraInfo(slot)
      guard extra.type > 0, extra.type <= ExtraInfo.maximumType else {
        giveUp("extra information of type \(extra.type)")
        return false
      }
      extras.append(extra)
      hasExtra = extra.hasMore
    }
    var parts = [first]
    while parts.last?.flags.contains(.moreData) ?? false {
      guard let slot = next(), parts.count < Self.maximumSlots else {
        giveUp("a packet has no end")
        return false
      }
      parts.append(TransmitRequest(slot))
    }
    guard let ranges = fragmentSizes(parts) else {
      giveUp("a packet's fragments do not fit its size or their pages")
      return false
    }
    let status = send(parts, ranges, extras)
    if status != .okay { statistics.txErrors += 1 }
    for (index, part) in parts.enumerated() {
      answer(queue, part.id, status)
      if index == 0 { for _ in extras { answer(queue, 0, .null) } }
    }
    return true
  }

  /// Bytes of each fragment; the first request names the whole packet's. nil if they contradict each other.
  private func fragmentSizes(_ parts: [TransmitRequest]) -> [Int]? {
    var first = Int(parts[0].size)
    var sizes: [Int] = []
    for part in parts.dropFirst() {
      first -= Int(part.size)
      sizes.append(Int(part.size))
    }
    guard first >= 0 else { return nil }
    sizes.insert(first, at: 0)
    for (part, size) in zip(parts, sizes) where Int(part.offset) + size > 4096 { return nil }
    return sizes
  }

  private func send(_ parts: [TransmitRequest], _ sizes: [Int], _ extras: [ExtraInfo]) -> TransmitStatus {
    let total = Int(parts[0].size)
    guard total >= 14 else { return .error }
    guard let frame = gather(parts, sizes, total) else { return .error }
    let gso = extras.last { $0.type == ExtraInfo.gso }
    guard let frames = finish(frame, isBlank: parts[0].flags.contains(.checksumBlank), gso) else { return .error }
    statistics.txPackets += UInt64(frames.count)
    for frame in frames {
      statistics.txBytes += UInt64(frame.count)
      if isLinkUp { link.send(frame) }
    }
    return .okay
  }

  private func gather(_ parts: [TransmitRequest], _ sizes: [Int], _ total: Int) -> [UInt8]? {
    var isWhole = true
    let frame = [UInt8](unsafeUninitializedCapacity: total) { buffer, count in
      var done = 0
      for (part, size) in zip(parts, sizes) where isWhole && size > 0 {
        guard let page = guest.mapGrant(part.reference, write: false) else {
          isWhole = false
          break
        }
        let slice = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[done..<done + size])
        isWhole = guest.copyOut(page.address &+ UInt64(part.offset), into: slice)
        guest.unmapGrant(page)
        if isWhole { done += size }
      }
      count = done
    }
    return isWhole && frame.count == total ? frame : nil
  }

  /// What the link is to get: checksums filled in and large packets cut, unless it does that itself.
  private func finish(_ frame: [UInt8], isBlank: Bool, _ gso: ExtraInfo?) -> [[UInt8]]? {
    if let gso {
      guard gso.gsoType == 1 || gso.gsoType == 2, gso.gsoSize > 0, let layout = FrameLayout(frame) else { return nil }
      if !link.acceptsLargeSegments {
        // A guest that asks for tiny segments would make one packet thousands.
        let segments = Segmentation.segments(frame, size: max(Int(gso.gsoSize), 64))
        return layout.transport == .tcp ? segments : nil
      }
    }
    guard isBlank, !link.acceptsUnfinishedChecksums else { return [frame] }
    var frame = frame
    FrameLayout(frame)?.fillChecksum(&frame)
    return [frame]
  }

  private func answer(_ queue: NetworkQueue, _ id: UInt16, _ status: TransmitStatus) {
    var response: [UInt8] = []
    response.append(little: id)
    response.append(little: status.rawValue)
    queue.transmit.putResponse(response)
  }
}
