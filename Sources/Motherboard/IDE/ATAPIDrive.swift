import Storage

/// A CD-ROM drive: SCSI commands in packets of 12 bytes over ATA (SFF-8020i; ATA/ATAPI-6 chapter 9; MMC-3).
///
/// This file has the ATA side: the packet, its data by PIO in blocks of the guest's byte count limit or by DMA, and its end.
/// The interrupt reason is in the count register: bit 0 command (or end), bit 1 towards the host.
final class ATAPIDrive: IDEDrive {
  static let packetSize = 12
  static let blockSize: UInt64 = 2048

  /// The disc's state; it is there from the first reset on.
  var disc: DiscState {
    get { saved.disc ?? DiscState() }
    set { saved.disc = newValue }
  }

  /// The disc in the closed drive.
  var medium: (any BlockDevice)? { disc.isTrayOpen ? nil : image }
  var blockCount: UInt64 { (medium?.sizeInBytes ?? 0) / Self.blockSize }

  override func sign(isPowerOn: Bool) {
    putSignature()
    saved.task.status = isPowerOn ? ATAStatus.idle : 0
    saved.task.error = ATAError.diagnosticPassed
    var disc = disc
    disc.isLocked = false
    disc.sense = .none
    if isPowerOn { disc.attention = nil }
    self.disc = disc
  }

  private func putSignature() {
    TaskFile.put(&saved.task.count, 1)
    TaskFile.put(&saved.task.lbaLow, 1)
    TaskFile.put(&saved.task.lbaMid, 0x14)
    TaskFile.put(&saved.task.lbaHigh, 0xEB)
  }

  override func execute(_ command: UInt8) {
    switch command {
    case ATACommand.packet: startPacket()
    case ATACommand.identifyPacketDevice:
      load(identity)
      saved.flow = Flow(kind: .toHost, blockEnd: 512, filled: 512, isIdentity: true)
      saved.task.status = ATAStatus.data
      disc.usesDMA = false
      interrupt()
    case ATACommand.deviceReset:
      let device = saved.task.device
      cancel()
      channel.busMaster.status &= ~1
      saved.task = TaskFile()
      saved.task.device = device & 0x10
      sign(isPowerOn: false)
    case ATACommand.identifyDevice, ATACommand.readSectors, ATACommand.readSectorsOnce:
      // Whoever takes it for a disk learns better.
      putSignature()
      abort()
    case ATACommand.setFeatures: setFeatures()
    case ATACommand.checkPowerMode:
      TaskFile.put(&saved.task.count, saved.isStandby ? 0 : 0xFF)
      finish()
    case ATACommand.standbyImmediate, ATACommand.standby, ATACommand.sleep:
      saved.isStandby = true
      finish()
    case ATACommand.idleImmediate, ATACommand.idle:
      saved.isStandby = false
      finish()
    default: abort()
    }
  }

  private func setFeatures() {
    switch UInt8(truncatingIfNeeded: saved.task.features) {
    case 0x03: guard setTransferMode(UInt8(truncatingIfNeeded: saved.task.count)) else { return abort() }
    case 0x66, 0xCC: break
    default: return abort()
    }
    finish()
  }

  // MARK: - Packets

  private func startPacket() {
    // Bit 1 asks for overlapped commands.
    guard saved.task.features & 2 == 0 else { return abort() }
    disc.usesDMA = saved.task.features & 1 != 0
    saved.isStandby = false
    saved.flow = Flow(kind: .packet, blockEnd: Self.packetSize, filled: Self.packetSize)
    TaskFile.put(&saved.task.count, 1)
    saved.task.error = 0
    saved.task.status = ATAStatus.data
  }

  /// Bytes of a PIO block: the limit the guest set, even.
  private var limit: Int {
    let limit = Int(saved.task.lbaMid & 0xFF | (saved.task.lbaHigh & 0xFF) << 8) & ~1
    return limit == 0 ? 0xFFFE : limit
  }

  override func blockOffered() {
    guard saved.flow.kind == .toHost || saved.flow.kind == .fromHost else { return }
    TaskFile.put(&saved.task.count, saved.flow.kind == .toHost ? 2 : 0)
    let size = portBytes
    TaskFile.put(&saved.task.lbaMid, UInt8(truncatingIfNeeded: size))
    TaskFile.put(&saved.task.lbaHigh, UInt8(truncatingIfNeeded: size >> 8))
    interrupt()
  }

  override func flowEnded(_ kind: Flow.Kind) {
    switch kind {
    case .packet: executePacket((0..<Self.packetSize).map { byte($0) })
    case .toHost where saved.flow.isIdentity: saved.task.error = 0
    default: succeed()
    }
  }

  override func jobEnded(_ job: Job, _ outcome: Job.Outcome) {
    if outcome == .done { succeed() } else { fail(outcome) }
  }

  override func fail(_ outcome: Job.Outcome) { check(.readError) }

  // MARK: - A packet's end

  func succeed() {
    TaskFile.put(&saved.task.count, 3)
    finish()
  }

  /// CHECK CONDITION: REQUEST SENSE tells why.
  func check(_ sense: DiscState.Sense) {
    saved.flow.kind = .none
    saved.job = nil
    disc.sense = sense
    TaskFile.put(&saved.task.count, 3)
    saved.task.error = sense.key << 4 | ATAError.aborted
    saved.task.status = ATAStatus.ready | ATAStatus.error
    interrupt()
  }

  /// Hands an answer to the guest, cut to what it asked for.
  func answer(_ bytes: [UInt8], limit allocation: Int) {
    let count = min(bytes.count, allocation)
    guard count > 0 else { return succeed() }
    load(bytes)
    guard disc.usesDMA else { return startSending(count: count, blockSize: limit) }
    waitForBusMaster(Job(kind: .send, count: count))
  }

  /// Hands blocks of the disc to the guest.
  func readBlocks(_ first: UInt64, _ count: UInt64) {
    guard medium != nil else { return check(disc.isTrayOpen ? .trayOpen : .notPresent) }
    guard first <= blockCount, count <= blockCount - first else { return check(.outOfRange) }
    guard count > 0 else { return succeed() }
    let (offset, size) = (first * Self.blockSize, count * Self.blockSize)
    guard disc.usesDMA else { return startReading(offset: offset, count: size, blockSize: limit) }
    statistics.readRequests += 1
    statistics.readBytes &+= size
    waitForBusMaster(Job(kind: .read, offset: offset, count: Int(size)))
  }

  private func waitForBusMaster(_ job: Job) {
    TaskFile.put(&saved.task.count, 2)
    saved.job = job
    saved.task.status = ATAStatus.data
    channel.beginTransfers()
  }

  /// Takes data that the guest sends; it changes nothing here.
  func accept(count: Int) {
    guard count > 0 else { return succeed() }
    guard count <= Self.bufferSize else { return check(.invalidField) }
    guard !disc.usesDMA else { return waitForBusMaster(Job(kind: .take, count: count)) }
    saved.flow = Flow(kind: .fromHost, filled: count, blockSize: limit, offset: Flow.noOffset)
    offerBlock()
  }

  // MARK: - The disc

  /// The host changes the disc; false if software has locked it in, which is asked to let it go.
  func change(to image: (any BlockDevice)?) -> Bool {
    guard !disc.isLocked else {
      disc.event = 1
      return false
    }
    let hadDisc = medium != nil
    self.image = image
    disc.isTrayOpen = false
    if image != nil {
      disc.attention = .changed
      disc.event = 2
    } else if hadDisc {
      disc.event = 3
    }
    return true
  }

  var identity: [UInt8] {
    var data = IdentifyData()
    // ATAPI, CD-ROM, removable, DRQ within 50 microseconds, packets of 12 bytes.
    data[0] = 0x85C0
    data.putCommon(self, model: "Paravane CD-ROM")
    data[71] = 30
    data[72] = 30
    // DEVICE RESET and PACKET.
    data[82] = 0x0210
    data[83] = 0x4000
    data[84] = 0x4000
    data[85] = 0x0210
    data[87] = 0x4000
    return data.bytes()
  }
}
