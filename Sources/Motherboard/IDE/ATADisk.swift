import Storage

/// A hard disk (ATA/ATAPI-6): sectors of 512 bytes by PIO and DMA, 28 and 48 bits of address, or cylinders, heads and sectors.
final class ATADisk: IDEDrive {
  /// Sectors of a block of READ and WRITE MULTIPLE at most.
  static let maximumMultiple = 16
  /// Blocks of TRIM ranges at most.
  static let maximumTrimBlocks = 8

  var sectorCount: UInt64 { (image?.sizeInBytes ?? 0) / 512 }
  var isReadOnly: Bool { description.isReadOnly || image?.isReadOnly != false }
  var canDiscard: Bool { !isReadOnly && image?.supportsDiscard == true }

  override func sign(isPowerOn: Bool) {
    saved.task.status = ATAStatus.idle
    saved.task.error = ATAError.diagnosticPassed
  }

  override func execute(_ command: UInt8) {
    switch command {
    case ATACommand.readSectors, ATACommand.readSectorsOnce: read(blocks: 1, isExt: false)
    case ATACommand.readSectorsExt: read(blocks: 1, isExt: true)
    case ATACommand.readMultiple: read(blocks: saved.multiple, isExt: false)
    case ATACommand.readMultipleExt: read(blocks: saved.multiple, isExt: true)
    case ATACommand.writeSectors, ATACommand.writeSectorsOnce: write(blocks: 1, isExt: false)
    case ATACommand.writeSectorsExt: write(blocks: 1, isExt: true)
    case ATACommand.writeMultiple: write(blocks: saved.multiple, isExt: false)
    case ATACommand.writeMultipleExt: write(blocks: saved.multiple, isExt: true)
    case ATACommand.readDMA, ATACommand.readDMAOnce: transfer(.read, isExt: false)
    case ATACommand.readDMAExt: transfer(.read, isExt: true)
    case ATACommand.writeDMA, ATACommand.writeDMAOnce: transfer(.write, isExt: false)
    case ATACommand.writeDMAExt: transfer(.write, isExt: true)
    case ATACommand.verify, ATACommand.verifyOnce: if range(isExt: false) != nil { finish() }
    case ATACommand.verifyExt: if range(isExt: true) != nil { finish() }
    case ATACommand.seek: seek()
    case ATACommand.recalibrate..<ATACommand.recalibrate + 16: finish()
    case ATACommand.dataSetManagement: dataSetManagement()
    case ATACommand.flushCache, ATACommand.flushCacheExt: flush()
    case ATACommand.identifyDevice:
      load(identity)
      startSending(count: 512, blockSize: 512)
    case ATACommand.setFeatures: setFeatures()
    case ATACommand.setMultiple: setMultiple()
    case ATACommand.initializeParameters: initializeParameters()
    case ATACommand.checkPowerMode, 0x98:
      TaskFile.put(&saved.task.count, saved.isStandby ? 0 : 0xFF)
      finish()
    case ATACommand.standbyImmediate, ATACommand.standby, ATACommand.sleep, 0x94, 0x96, 0x99:
      saved.isStandby = true
      flush()
    case ATACommand.idleImmediate, ATACommand.idle, 0x95, 0x97:
      saved.isStandby = false
      finish()
    default: abort()
    }
  }

  // MARK: - Addresses

  /// First byte and number of bytes of the sectors that the command block names; nil: refused, which has been said.
  private func range(isExt: Bool) -> (offset: UInt64, count: UInt64)? {
    let task = saved.task
    saved.isStandby = false
    var sectors = UInt64(isExt ? task.count : task.count & 0xFF)
    if sectors == 0 { sectors = isExt ? 65536 : 256 }
    guard let first = address(isExt: isExt), first < sectorCount, sectors <= sectorCount - first else {
      statistics.errors += 1
      fail(ATAError.notFound)
      return nil
    }
    return (first * 512, sectors * 512)
  }

  /// The first sector; nil where a cylinder, head or sector does not exist.
  private func address(isExt: Bool) -> UInt64? {
    let task = saved.task
    let (low, mid, high) = (UInt64(task.lbaLow), UInt64(task.lbaMid), UInt64(task.lbaHigh))
    if isExt {
      return low & 0xFF | (mid & 0xFF) << 8 | (high & 0xFF) << 16 | (low >> 8) << 24 | (mid >> 8) << 32 | (high >> 8) << 40
    }
    if task.device & 0x40 != 0 { return low & 0xFF | (mid & 0xFF) << 8 | (high & 0xFF) << 16 | UInt64(task.device & 15) << 24 }
    let head = Int(task.device & 15)
    let sector = Int(low & 0xFF)
    guard head < saved.heads, sector >= 1, sector <= saved.sectorsPerTrack else { return nil }
    let cylinder = mid & 0xFF | (high & 0xFF) << 8
    return (cylinder * UInt64(saved.heads) + UInt64(head)) * UInt64(saved.sectorsPerTrack) + UInt64(sector - 1)
  }

  private func seek() {
    guard let first = address(isExt: false), first < sectorCount else { return fail(ATAError.notFound) }
    finish()
  }

  // MARK: - Transfers

  private func read(blocks: Int, isExt: Bool) {
    guard blocks > 0 else { return abort() }
    guard let range = range(isExt: isExt) else { return }
    startReading(offset: range.offset, count: range.count, blockSize: blocks * 512)
  }

  private func write(blocks: Int, isExt: Bool) {
    guard blocks > 0, !isReadOnly else { return abort() }
    guard let range = range(isExt: isExt) else { return }
    startWriting(offset: range.offset, count: range.count, blockSize: blocks * 512)
  }

  private func transfer(_ kind: Job.Kind, isExt: Bool) {
    guard kind == .read || !isReadOnly else { return abort() }
    guard let range = range(isExt: isExt) else { return }
    if kind == .read {
      statistics.readRequests += 1
      statistics.readBytes &+= range.count
    } else {
      statistics.writeRequests += 1
      statistics.writeBytes &+= range.count
    }
    waitForBusMaster(Job(kind: kind, offset: range.offset, count: Int(range.count)))
  }

  private func waitForBusMaster(_ job: Job) {
    saved.job = job
    saved.task.status = ATAStatus.data
    channel.beginTransfers()
  }

  override func flowEnded(_ kind: Flow.Kind) {
    // All of a read was taken: no interrupt follows. What was written is on the image.
    if kind == .fromHost {
      finish()
    } else {
      saved.task.error = 0
    }
  }

  override func jobEnded(_ job: Job, _ outcome: Job.Outcome) {
    if job.kind == .take, outcome == .done { return trim(count: job.count) }
    // A discard is a hint.
    guard outcome != .done, job.kind != .discard else { return finish() }
    fail(job.kind == .take ? .failed : outcome)
  }

  // MARK: - Cache

  private func flush() {
    statistics.flushes += 1
    guard !isReadOnly else { return finish() }
    channel.beginHostWork(.flush, [.flush], self)
  }

  /// DATA SET MANAGEMENT: TRIM by DMA, blocks of 64 ranges of 48 bits of sector number and 16 of length.
  private func dataSetManagement() {
    let blocks = Int(saved.task.count)
    guard canDiscard, saved.task.features & 0xFF == 1, blocks > 0, blocks <= Self.maximumTrimBlocks else { return abort() }
    waitForBusMaster(Job(kind: .take, count: blocks * 512))
  }

  private func trim(count: Int) {
    var requests: [BlockRequest] = []
    for at in stride(from: 0, to: count, by: 8) {
      var entry: UInt64 = 0
      for index in 0..<8 { entry |= UInt64(byte(at + index)) << UInt64(index * 8) }
      let (first, length) = (entry & (1 << 48 - 1), entry >> 48)
      guard length > 0 else { continue }
      guard first < sectorCount, length <= sectorCount - first else { return fail(ATAError.notFound) }
      requests.append(.discard(offset: first * 512, count: length * 512))
    }
    statistics.discards += UInt64(requests.count)
    guard !requests.isEmpty else { return finish() }
    channel.beginHostWork(.discard, requests, self)
  }

  // MARK: - Settings

  private func setMultiple() {
    let count = Int(saved.task.count & 0xFF)
    guard count <= Self.maximumMultiple, count & (count - 1) == 0 else { return abort() }
    saved.multiple = count
    finish()
  }

  private func initializeParameters() {
    let sectors = Int(saved.task.count & 0xFF)
    guard sectors > 0 else { return abort() }
    saved.sectorsPerTrack = sectors
    saved.heads = Int(saved.task.device & 15) + 1
    finish()
  }

  private func setFeatures() {
    switch UInt8(truncatingIfNeeded: saved.task.features) {
    case 0x02: saved.writeCache = true
    case 0x82:
      saved.writeCache = false
      return flush()
    case 0x03: guard setTransferMode(UInt8(truncatingIfNeeded: saved.task.count)) else { return abort() }
    // Read look-ahead and power-on defaults on and off change nothing here.
    case 0x55, 0xAA, 0x66, 0xCC: break
    default: return abort()
    }
    finish()
  }
}

extension IDEDrive {
  /// SET FEATURES 03: PIO default and 0-4, multiword DMA 0-2, ultra DMA 0-5; false for others.
  func setTransferMode(_ mode: UInt8) -> Bool {
    switch mode {
    case 0, 1, 0x08...0x0C: return true
    case 0x20...0x22, 0x40...0x45:
      saved.dmaMode = mode
      return true
    default: return false
    }
  }
}
