import Storage

/// What stands on a ribbon cable's connector.
public struct IDEDriveDescription {
  public enum Kind: Sendable { case disk, cdrom }
  public var kind: Kind
  /// nil: a CD-ROM drive without a disc.
  public var image: (any BlockDevice)?
  /// In `--stats` and in the log: `hda`.
  public var name: String
  public var isReadOnly: Bool
  /// Up to 20 ASCII characters.
  public var serial: String

  /// - Parameter image: a disk's sectors must be of 512 bytes, a disc's of a size that divides 2048.
  public init(_ kind: Kind, image: (any BlockDevice)?, name: String, isReadOnly: Bool = false, serial: String? = nil) {
    self.kind = kind
    self.image = image
    self.name = name
    self.isReadOnly = isReadOnly
    self.serial = serial ?? "PV-\(name)"
  }
}

/// What a drive's work costs in guest time under the virtual clock; PIO costs its port accesses only.
public struct IDECosts: Sendable {
  public var nanosecondsPerRequest: UInt64 = 20_000
  public var bytesPerMicrosecond: UInt64 = 1000
  public var nanosecondsPerFlush: UInt64 = 50_000
  public init() {}
}

/// One drive: its command block, its data buffer, and the flow of data between them and the host.
///
/// A read by PIO takes up to a buffer of sectors from the image at once and hands them out block by block; a write by PIO gathers a
/// buffer before it goes to the image. Both wait for the host, so that they look the same to the guest however long it takes.
///
/// Invariant of the unsafe part: `buffer` has `bufferSize` bytes and lives as long as the drive; `flow.position <= flow.blockEnd <=
/// flow.filled <= bufferSize`, also after a state was restored.
class IDEDrive {
  static let bufferSize = 256 * 512

  /// What the data port does.
  struct Flow: Codable, Equatable {
    enum Kind: UInt8, Codable { case none, toHost, fromHost, packet }
    var kind = Kind.none
    /// In the buffer: the next byte, the end of the block that is on offer, the end of what is (or is to be) there.
    var position = 0
    var blockEnd = 0
    var filled = 0
    /// Bytes of a whole block.
    var blockSize = 512
    /// Beyond the buffer: the image's next byte (`noOffset`: data that is not the image's), and how many follow.
    var offset: UInt64 = 0
    var left: UInt64 = 0
    /// IDENTIFY's data, after which a packet drive does not interrupt.
    var isIdentity = false
    static let noOffset = UInt64.max

    func isSound(_ limit: Int) -> Bool {
      position >= 0 && position <= blockEnd && blockEnd <= filled && filled <= limit && blockSize > 0 && blockSize <= limit
    }
  }

  /// What the bus master, or the host, does.
  struct Job: Codable, Equatable {
    enum Kind: UInt8, Codable {
      /// Image to memory, memory to image.
      case read, write
      /// Buffer to memory, memory to buffer.
      case send, take
      case flush, discard

      var isTransfer: Bool { self != .flush && self != .discard }
      var fillsMemory: Bool { self == .read || self == .send }
    }
    enum Outcome: UInt8, Codable { case done, failed, outOfRange }
    var kind: Kind
    var offset: UInt64 = 0
    var count = 0
    /// The drive waits for the bus master no longer.
    var hasBegun = false
    /// Known already; its time has not come.
    var outcome: Outcome?
    /// The transfer uses the whole PRD table.
    var endsTable = false
  }

  struct Saved: Codable, Equatable {
    var task = TaskFile()
    var flow = Flow()
    var job: Job?
    var interruptPending = false
    /// Sectors of a block of READ and WRITE MULTIPLE; 0: not set.
    var multiple = 16
    /// SET FEATURES 03's last choice for DMA: 20+n multiword, 40+n ultra.
    var dmaMode: UInt8 = 0x45
    var writeCache = true
    var isStandby = false
    /// INITIALIZE DEVICE PARAMETERS.
    var heads = 16
    var sectorsPerTrack = 63
    /// Tells the job's event from those of jobs before it.
    var generation: UInt64 = 0
    /// What the buffer holds, as far as it matters; only in a saved machine.
    var buffer: [UInt8] = []
    var disc: DiscState?
  }

  unowned let channel: IDEChannel
  let unit: Int
  let description: IDEDriveDescription
  /// Packets make a CD-ROM drive change its image.
  var image: (any BlockDevice)?
  var saved = Saved()
  let buffer: UnsafeMutableRawPointer
  var statistics: BlockStatistics
  /// The host works on the job.
  var host: HostRequest?

  init(_ description: IDEDriveDescription, channel: IDEChannel, unit: Int) {
    self.description = description
    self.channel = channel
    self.unit = unit
    image = description.image
    buffer = .allocate(byteCount: Self.bufferSize, alignment: 4096)
    buffer.initializeMemory(as: UInt8.self, repeating: 0, count: Self.bufferSize)
    statistics = BlockStatistics(dev: description.name)
  }

  deinit { buffer.deallocate() }

  /// Carries out a command that has just been written.
  func execute(_ command: UInt8) { abort() }
  /// The signature in the command block, and the status after a reset: `isPowerOn` or by software.
  func sign(isPowerOn: Bool) {}
  /// All of a flow from the host is in the buffer, or a flow to the host is over.
  func flowEnded(_ kind: Flow.Kind) {}
  /// A job's end.
  func jobEnded(_ job: Job, _ outcome: Job.Outcome) {}
  /// The next block of a flow is on offer.
  func blockOffered() { interrupt() }

  // MARK: - Outcomes

  func interrupt() {
    saved.interruptPending = true
    channel.updateInterrupt()
  }

  /// The command is done.
  func finish() {
    saved.task.status = ATAStatus.idle
    saved.task.error = 0
    interrupt()
  }

  func fail(_ error: UInt8) {
    saved.flow.kind = .none
    saved.job = nil
    saved.task.error = error
    saved.task.status = error == ATAError.aborted ? ATAStatus.ready | ATAStatus.error : ATAStatus.idle | ATAStatus.error
    interrupt()
  }

  func abort() { fail(ATAError.aborted) }

  /// Everything under way is forgotten; the host may still do what it was given.
  func cancel() {
    saved.flow.kind = .none
    saved.job = nil
    host = nil
    saved.generation &+= 1
  }

  func reset(isPowerOn: Bool) {
    cancel()
    saved.interruptPending = false
    saved.isStandby = false
    if isPowerOn { saved = Saved(generation: saved.generation, disc: saved.disc) }
    saved.task = TaskFile()
    sign(isPowerOn: isPowerOn)
  }

  // MARK: - The data port

  /// Bytes on offer or wanted before something else must happen.
  var portBytes: Int { saved.flow.kind == .none ? 0 : saved.flow.blockEnd - saved.flow.position }

  /// Moves bytes of the current block; the number moved.
  func readData(_ target: UnsafeMutableRawBufferPointer) -> Int {
    guard saved.flow.kind == .toHost, let base = target.baseAddress else { return 0 }
    let count = min(target.count, saved.flow.blockEnd - saved.flow.position)
    base.copyMemory(from: buffer + saved.flow.position, byteCount: count)
    saved.flow.position += count
    if saved.flow.position == saved.flow.blockEnd { readBlockEnded() }
    return count
  }

  func writeData(_ source: UnsafeRawBufferPointer) -> Int {
    guard saved.flow.kind == .fromHost || saved.flow.kind == .packet, let base = source.baseAddress else { return 0 }
    let count = min(source.count, saved.flow.blockEnd - saved.flow.position)
    (buffer + saved.flow.position).copyMemory(from: base, byteCount: count)
    saved.flow.position += count
    if saved.flow.position == saved.flow.blockEnd { writtenBlockEnded() }
    return count
  }

  private func readBlockEnded() {
    if saved.flow.position == saved.flow.filled {
      guard saved.flow.left > 0 else {
        saved.flow.kind = .none
        saved.task.status = ATAStatus.idle
        flowEnded(.toHost)
        return
      }
      guard fill() else { return }
    }
    offerBlock()
  }

  private func writtenBlockEnded() {
    if saved.flow.position == saved.flow.filled {
      let kind = saved.flow.kind
      if kind == .fromHost, saved.flow.offset != Flow.noOffset {
        guard spill() else { return }
        if saved.flow.left > 0 {
          saved.flow.position = 0
          saved.flow.filled = Int(min(saved.flow.left, UInt64(Self.bufferSize)))
          saved.flow.left -= UInt64(saved.flow.filled)
          return offerBlock()
        }
      }
      saved.flow.kind = .none
      return flowEnded(kind)
    }
    offerBlock()
  }

  /// Puts the next block on offer.
  func offerBlock() {
    saved.flow.blockEnd = min(saved.flow.position + saved.flow.blockSize, saved.flow.filled)
    saved.task.status = ATAStatus.data
    blockOffered()
  }

  /// Begins handing out what the image has.
  func startReading(offset: UInt64, count: UInt64, blockSize: Int) {
    saved.flow = Flow(kind: .toHost, blockSize: blockSize, offset: offset, left: count)
    statistics.readRequests += 1
    statistics.readBytes &+= count
    if fill() { offerBlock() }
  }

  /// Begins handing out what is in the buffer.
  func startSending(count: Int, blockSize: Int) {
    saved.flow = Flow(kind: .toHost, filled: count, blockSize: blockSize)
    offerBlock()
  }

  /// Begins gathering data for the image; no interrupt announces the first block.
  func startWriting(offset: UInt64, count: UInt64, blockSize: Int) {
    let filled = Int(min(count, UInt64(Self.bufferSize)))
    saved.flow = Flow(
      kind: .fromHost, blockEnd: min(blockSize, filled), filled: filled, blockSize: blockSize, offset: offset, left: count - UInt64(filled))
    saved.task.status = ATAStatus.data
    statistics.writeRequests += 1
    statistics.writeBytes &+= count
  }

  /// Reads the next part of a flow into the buffer; false: it failed, which has been said.
  private func fill() -> Bool {
    let count = Int(min(saved.flow.left, UInt64(Self.bufferSize)))
    let outcome = moveNow(.read, offset: saved.flow.offset, [UnsafeMutableRawBufferPointer(start: buffer, count: count)])
    guard outcome == .done else {
      fail(outcome)
      return false
    }
    saved.flow.position = 0
    saved.flow.filled = count
    saved.flow.offset &+= UInt64(count)
    saved.flow.left -= UInt64(count)
    return true
  }

  /// Writes the buffer to the image.
  private func spill() -> Bool {
    let count = saved.flow.filled
    let outcome = moveNow(.write, offset: saved.flow.offset, [UnsafeMutableRawBufferPointer(start: buffer, count: count)])
    guard outcome == .done else {
      fail(outcome)
      return false
    }
    saved.flow.offset &+= UInt64(count)
    return true
  }

  /// Ends a command as its transfer ended.
  func fail(_ outcome: Job.Outcome) { fail(outcome == .outOfRange ? ATAError.notFound : ATAError.uncorrectable) }

  // MARK: - The image

  /// Moves data between the image and memory, waiting for the host if it must.
  func moveNow(_ way: BlockTransfer, offset: UInt64, _ pieces: [UnsafeMutableRawBufferPointer]) -> Job.Outcome {
    guard let image else { return .failed }
    if let result = image.transferNow(way, offset: offset, pieces: pieces) { return outcome(result) }
    switch way {
    case .write: return outcome(HostRequest([.write(offset: offset, data: Self.gather(pieces))], on: image, whenDone: nil).wait())
    case .read:
      let count = pieces.reduce(0) { $0 + $1.count }
      let result = HostRequest([.read(offset: offset, count: count)], on: image, whenDone: nil).wait()
      if case .success(let data) = result { Self.scatter(data, pieces) }
      return outcome(result)
    }
  }

  func outcome(_ result: BlockResult) -> Job.Outcome {
    switch result {
    case .success: return .done
    case .failure(let error):
      statistics.errors += 1
      channel.board.outside.log("\(description.name): \(error)")
      return error == .outOfRange ? .outOfRange : .failed
    }
  }

  static func gather(_ pieces: [UnsafeMutableRawBufferPointer]) -> [UInt8] {
    var data: [UInt8] = []
    data.reserveCapacity(pieces.reduce(0) { $0 + $1.count })
    for piece in pieces { data.append(contentsOf: piece) }
    return data
  }

  static func scatter(_ data: [UInt8], _ pieces: [UnsafeMutableRawBufferPointer]) {
    data.withUnsafeBytes { bytes in
      var done = 0
      for piece in pieces {
        let count = min(piece.count, bytes.count - done)
        guard count > 0 else { return }
        piece.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[done..<done + count]))
        done += count
      }
    }
  }

  // MARK: - The buffer as bytes

  /// Replaces the buffer's start.
  func load(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { source in
      guard let base = source.baseAddress else { return }
      buffer.copyMemory(from: base, byteCount: min(source.count, Self.bufferSize))
    }
  }

  func byte(_ at: Int) -> UInt8 { at >= 0 && at < Self.bufferSize ? buffer.load(fromByteOffset: at, as: UInt8.self) : 0 }

  // MARK: - Saving

  var state: Saved {
    get {
      var state = saved
      let used = max(saved.flow.kind == .none ? 0 : saved.flow.filled, saved.job.map { $0.kind == .send ? $0.count : 0 } ?? 0)
      state.buffer = [UInt8](UnsafeRawBufferPointer(start: buffer, count: min(used, Self.bufferSize)))
      return state
    }
    set {
      saved = newValue
      load(newValue.buffer)
      saved.buffer = []
      host = nil
      if !saved.flow.isSound(Self.bufferSize) { saved.flow = Flow() }
      if let job = saved.job, job.count < 0 || job.kind == .send && job.count > Self.bufferSize { saved.job = nil }
    }
  }
}
