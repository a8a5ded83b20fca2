import Devices
import Storage
import Xenstore

extension BlockBackEnd {
  /// The guest sent on a queue's event channel: takes all requests that wait.
  func service(_ queue: BlockQueue) {
    var mustNotify = false
    // A guest that writes its index while we read cannot keep us here: a whole ring twice is enough for any honest one.
    var budget = queue.ring.slotCount &* 2
    repeat {
      guard var waiting = queue.ring.waiting() else {
        guest.log("vbd \(configuration.name): request index out of range; the ring is given up")
        xenbus.fail("request index out of range")
        return
      }
      while waiting > 0 && budget > 0 {
        waiting &-= 1
        budget &-= 1
        let request = BlockRingRequest(queue.ring.takeRequest(), layout)
        if let status = submit(request, queue) { respond(queue, request.id, request.operation, status) }
      }
      mustNotify = queue.ring.publish() || mustNotify
    } while queue.ring.finalCheck() && budget > 0
    if mustNotify, let port = queue.port { guest.notify(port) }
  }

  /// Starts a request; the status of its response if that is known at once.
  private func submit(_ request: BlockRingRequest, _ queue: BlockQueue) -> BlockStatus? {
    switch BlockOperation(rawValue: request.operation) {
    case .read, .write, .writeBarrier, .flush: return transfer(request, queue)
    case .discard where !request.isIndirect: return discard(request, queue)
    default: return .notSupported
    }
  }

  private func transfer(_ request: BlockRingRequest, _ queue: BlockQueue) -> BlockStatus? {
    let operation = BlockOperation(rawValue: request.operation)
    let isWrite = operation != .read
    if isWrite && isReadOnly { return .error }
    if request.isIndirect && (operation == .writeBarrier || operation == .flush) { return .error }
    guard let segments = segments(request) else { return .error }
    if segments.isEmpty {
      guard operation == .flush || operation == .writeBarrier else { return .error }
      statistics.flushes += 1
      start(request, queue, [.flush], targets: [], byteCount: 0, flushes: true)
      return nil
    }
    var byteCount = 0
    for segment in segments {
      guard let bytes = segment.bytes else { return .error }
      byteCount += bytes.count
    }
    guard let offset = offset(request.sector, byteCount: UInt64(byteCount)) else { return .error }
    if let status = transferNow(operation, segments, offset, byteCount) { return status }
    guard isWrite else { return read(request, queue, segments, offset, byteCount) }
    guard let data = gather(segments, byteCount) else { return .error }
    statistics.writeRequests += 1
    statistics.writeBytes += UInt64(byteCount)
    var steps: [BlockRequest] = [.write(offset: offset, data: data)]
    if operation != .write { steps.insert(.flush, at: 0) }
    if operation == .writeBarrier { steps.append(.flush) }
    if operation != .write { statistics.flushes += 1 }
    start(request, queue, steps, targets: [], byteCount: byteCount, flushes: operation != .write)
    return nil
  }

  /// On the host's clock a plain transfer that the host can do at once is done at once, between the image and the guest's own pages:
  /// its status. nil: it takes time, or something about it is not plain.
  private func transferNow(
    _ operation: BlockOperation?, _ segments: [BlockSegment], _ offset: UInt64, _ byteCount: Int
  ) -> BlockStatus? {
    guard guest.hostIsDone != nil, operation == .read || operation == .write else { return nil }
    let isRead = operation == .read
    var parts: [GrantedBytes] = []
    parts.reserveCapacity(segments.count)
    for segment in segments {
      guard let bytes = segment.bytes else { return nil }
      parts.append(GrantedBytes(reference: segment.reference, bytes: bytes))
    }
    guard let pieces = guest.grantedMemory(parts, forWriting: isRead) else { return nil }
    guard let result = device.transferNow(isRead ? .read : .write, offset: offset, pieces: pieces) else { return nil }
    if isRead {
      statistics.readRequests += 1
      statistics.readBytes += UInt64(byteCount)
    } else {
      statistics.writeRequests += 1
      statistics.writeBytes += UInt64(byteCount)
    }
    if case .failure(let error) = result {
      guest.log("vbd \(configuration.name): \(error)")
      return .error
    }
    return .okay
  }

  private func read(
    _ request: BlockRingRequest, _ queue: BlockQueue, _ segments: [BlockSegment], _ offset: UInt64, _ byteCount: Int
  ) -> BlockStatus? {
    var targets: [BlockInFlight.Target] = []
    for segment in segments {
      guard let bytes = segment.bytes, let use = grants.map(segment.reference, write: true) else {
        for target in targets { grants.release(target.use) }
        return .error
      }
      targets.append(BlockInFlight.Target(use: use, bytes: bytes))
    }
    statistics.readRequests += 1
    statistics.readBytes += UInt64(byteCount)
    start(
      request, queue, [.read(offset: offset, count: byteCount)], targets: targets, byteCount: byteCount, flushes: false)
    return nil
  }

  /// Copies a write's data out of the guest's pages.
  private func gather(_ segments: [BlockSegment], _ byteCount: Int) -> [UInt8]? {
    var isWhole = true
    let data = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
      // Nothing of this process's memory may reach the disk where a page cannot be read.
      var done = 0
      for segment in segments {
        guard let bytes = segment.bytes, let use = grants.map(segment.reference, write: false) else {
          isWhole = false
          break
        }
        let slice = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[done..<done + bytes.count])
        isWhole = guest.copyOut(use.page.address &+ UInt64(bytes.lowerBound), into: slice)
        grants.release(use)
        guard isWhole else { break }
        done += bytes.count
      }
      count = done
    }
    return isWhole ? data : nil
  }

  private func discard(_ request: BlockRingRequest, _ queue: BlockQueue) -> BlockStatus? {
    guard offersDiscard, !request.secure else { return .notSupported }
    let (byteCount, overflow) = request.sectorCount.multipliedReportingOverflow(by: 512)
    guard !overflow, let offset = offset(request.sector, byteCount: byteCount) else { return .error }
    statistics.discards += 1
    start(
      request, queue, [.discard(offset: offset, count: byteCount)], targets: [], byteCount: 0, flushes: false)
    return nil
  }

  /// The request's segments; an indirect request's are copied out of its granted pages, once. nil: too many, or not granted.
  private func segments(_ request: BlockRingRequest) -> [BlockSegment]? {
    guard request.isIndirect else {
      return request.segmentCount <= BlockRingRequest.maximumDirectSegments ? request.segments : nil
    }
    guard request.segmentCount > 0, request.segmentCount <= configuration.maximumIndirectSegments else { return nil }
    var segments: [BlockSegment] = []
    segments.reserveCapacity(request.segmentCount)
    var left = request.segmentCount
    for reference in request.indirectGrants where left > 0 {
      let count = min(left, 512)
      guard let use = grants.map(reference, write: false) else { return nil }
      let words = [UInt64](unsafeUninitializedCapacity: count) { words, used in
        // Outside memory there is nothing to be read: no segments.
        let isRead = guest.copyOut(
          use.page.address, into: UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: words[..<count])))
        used = isRead ? count : 0
      }
      grants.release(use)
      guard words.count == count else { return nil }
      for word in words { segments.append(BlockSegment(word: UInt64(littleEndian: word))) }
      left -= count
    }
    return left == 0 ? segments : nil
  }

  /// Byte offset of a range of 512-byte sectors; nil if it is not all on the disk or not made of the device's sectors.
  private func offset(_ sector: UInt64, byteCount: UInt64) -> UInt64? {
    let (offset, overflow) = sector.multipliedReportingOverflow(by: 512)
    let (end, endOverflow) = offset.addingReportingOverflow(byteCount)
    guard !overflow, !endOverflow, end <= device.sizeInBytes else { return nil }
    let unit = UInt64(max(device.sectorSize, 512))
    guard offset % unit == 0, byteCount % unit == 0 else { return nil }
    return offset
  }

  private func start(
    _ request: BlockRingRequest, _ queue: BlockQueue, _ steps: [BlockRequest], targets: [BlockInFlight.Target],
    byteCount: Int, flushes: Bool
  ) {
    let token = nextToken()
    var done: (@Sendable () -> Void)?
    if let tell = guest.hostIsDone {
      done = { tell(token) }
    } else {
      guest.schedule(at: guest.now &+ cost(byteCount: byteCount, flushes: flushes), token: token)
    }
    let host = HostRequest(steps, on: device, whenDone: done)
    inFlight[token] = BlockInFlight(
      queue: queue, id: request.id, operation: request.operation, targets: targets, host: host)
  }

  private func cost(byteCount: Int, flushes: Bool) -> Cycles {
    var nanoseconds = configuration.nanosecondsPerRequest
    nanoseconds += UInt64(byteCount) * 1000 / max(configuration.bytesPerMicrosecond, 1)
    if flushes { nanoseconds += configuration.nanosecondsPerFlush }
    return max(guest.cycles(nanoseconds: nanoseconds), 1)
  }

  /// The cycle of a request's completion has come (or the host is done): waits for the host, hands read data over, answers.
  /// A token of a request that has gone with its connection is ignored.
  func complete(_ token: UInt64) {
    guard let request = inFlight.removeValue(forKey: token) else { return }
    var status = BlockStatus.okay
    switch request.host.wait() {
    case .success(let data):
      if !deliver(data, to: request.targets) { status = .error }
    case .failure(.notSupported): status = .notSupported
    case .failure(let error):
      status = .error
      guest.log("vbd \(configuration.name): \(error)")
    }
    for target in request.targets { grants.release(target.use) }
    let queue = request.queue
    respond(queue, request.id, request.operation, status)
    if queue.ring.publish(), let port = queue.port { guest.notify(port) }
  }

  private func deliver(_ data: [UInt8], to targets: [BlockInFlight.Target]) -> Bool {
    data.withUnsafeBytes { bytes in
      var done = 0
      for target in targets {
        guard done + target.bytes.count <= bytes.count else { return false }
        let slice = UnsafeRawBufferPointer(rebasing: bytes[done..<done + target.bytes.count])
        guard guest.copyIn(slice, at: target.use.page.address &+ UInt64(target.bytes.lowerBound)) else { return false }
        done += target.bytes.count
      }
      return true
    }
  }

  private func respond(_ queue: BlockQueue, _ id: UInt64, _ operation: UInt8, _ status: BlockStatus) {
    if status != .okay { statistics.errors += 1 }
    var response: [UInt8] = []
    response.append(little: id)
    response.append(operation)
    response.append(0)
    response.append(little: status.rawValue)
    queue.ring.putResponse(response)
  }
}
