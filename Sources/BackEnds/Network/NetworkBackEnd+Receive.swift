import HostLinks
import Xenstore

extension NetworkBackEnd {
  /// A frame came from the link.
  func arrived(_ frame: [UInt8]) {
    guard isLinkUp, frame.count >= 14, frame.count <= 65535, !queues.isEmpty else {
      statistics.rxDropped += 1
      return
    }
    let queue = queues[queues.count == 1 ? 0 : flow(frame) % queues.count]
    guard queue.arrived.count < configuration.receiveQueueLimit else {
      statistics.rxDropped += 1
      return
    }
    let next = ArrivedFrame(frame)
    if joinsSegments, isGathering, !queue.arrived.isEmpty, queue.arrived[queue.arrived.count - 1].join(next) { return }
    queue.arrived.append(next)
    if !isGathering { serviceReceive(queue) }
  }

  /// Several frames come in a row: they are delivered together at `endArrivals`, and those of one TCP connection that follow each other
  /// as one packet.
  public func beginArrivals() { isGathering = true }

  public func endArrivals() {
    guard isGathering else { return }
    isGathering = false
    for queue in queues { serviceReceive(queue) }
  }

  /// A number that all frames of a connection share.
  private func flow(_ frame: [UInt8]) -> Int {
    guard let layout = FrameLayout(frame) else { return 0 }
    let ports = frame[layout.transportOffset..<layout.transportOffset + 4]
    return ports.reduce(0) { ($0 &* 31 &+ Int($1)) & 0xFFFF }
  }

  /// The guest has posted buffers, or frames have come: puts frames into buffers while there are both.
  func serviceReceive(_ queue: NetworkQueue) {
    // Nothing waits for buffers: their arrival is no news.
    guard !queue.arrived.isEmpty else { return }
    var delivered = 0
    while delivered < queue.arrived.count {
      guard let buffers = queue.receive.waiting() else { return giveUp("receive index out of range") }
      queue.arrived[delivered].finish()
      let frame = queue.arrived[delivered]
      let needed = UInt32(frame.slotCount)
      if buffers < needed {
        queue.receive.requestEvent(after: needed)
        // The guest may have posted between the look and the request for an event.
        guard let again = queue.receive.waiting() else { return giveUp("receive index out of range") }
        if again < needed { break }
      }
      if place(frame, queue) {
        statistics.rxPackets += UInt64(frame.frameCount)
        statistics.rxBytes += UInt64(frame.byteCount)
      } else {
        statistics.rxDropped += UInt64(frame.frameCount)
      }
      delivered += 1
    }
    queue.arrived.removeFirst(delivered)
    if queue.receive.publish(), let port = queue.receivePort { guest.notify(port) }
  }

  /// Copies a frame into as many buffers as it takes; false if one of them cannot be written (the guest is told).
  private func place(_ arrived: ArrivedFrame, _ queue: NetworkQueue) -> Bool {
    let frame = arrived.bytes
    var done = 0
    var isWhole = true
    while done < frame.count {
      let size = min(frame.count - done, 4096)
      let fields = Fields(bytes: queue.receive.takeRequest())
      let written = write(frame[done..<done + size], fields.u32(4))
      isWhole = isWhole && written
      var flags: ReceiveFlags = []
      if done == 0 && arrived.isGood { flags.insert(.dataValidated) }
      if done == 0 && arrived.isJoined { flags.formUnion([.checksumBlank, .extraInfo]) }
      if done + size < frame.count { flags.insert(.moreData) }
      var response: [UInt8] = []
      response.reserveCapacity(8)
      response.append(little: fields.u16(0))
      response.append(little: UInt16(0))
      response.append(little: flags.rawValue)
      response.append(little: written ? Int16(truncatingIfNeeded: size) : -1)
      queue.receive.putResponse(response)
      if flags.contains(.extraInfo) {
        // The slot's buffer stays the guest's.
        _ = queue.receive.takeRequest()
        queue.receive.putResponse(ExtraInfo.gso(size: UInt16(clamping: arrived.segmentSize), type: 1))
      }
      done += size
    }
    return isWhole
  }

  private func write(_ bytes: ArraySlice<UInt8>, _ reference: UInt32) -> Bool {
    guard let page = guest.mapGrant(reference, write: true) else { return false }
    defer { guest.unmapGrant(page) }
    return bytes.withUnsafeBytes { guest.copyIn($0, at: page.address) }
  }
}
