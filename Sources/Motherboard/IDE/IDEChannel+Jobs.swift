import Devices
import GuestMemory
import Storage

/// Jobs: transfers by the bus master, and what the host takes time for.
///
/// Under the virtual clock a job ends at a cycle that is fixed when it begins; what is to be read is read then, straight into the
/// guest's memory, and what is written is taken from memory, and given to the image, at the beginning. Under the host's clock a
/// transfer that the host can carry out at once is over at once, and any other when the host is done. Only the vCPU's thread touches
/// memory.
extension IDEChannel {
  // MARK: - The bus master's ports

  func writeBusMaster(_ offset: Int, _ byte: UInt8) {
    switch offset {
    case 0:
      let changed = busMaster.command ^ byte
      busMaster.command = byte & 9
      guard changed & 1 != 0 else { return }
      if byte & 1 != 0 {
        busMaster.status |= 1
        beginTransfers()
      } else {
        busMaster.status &= ~1
        stopTransfers()
      }
    case 2: busMaster.status = busMaster.status & ~(byte & 6) & 7 | byte & 0x60
    case 4...7: busMaster.writeTable(offset - 4, byte)
    default: break
    }
  }

  /// A drive asks for DMA, or the guest has started the bus master: begins if both are so.
  func beginTransfers() {
    guard busMaster.isStarted, controller.function.isBusMaster else { return }
    for case let drive? in drives {
      guard let job = drive.saved.job, job.kind.isTransfer, !job.hasBegun, job.kind.fillsMemory == busMaster.fillsMemory else { continue }
      return begin(job, drive)
    }
  }

  /// The guest stopped the bus master in the middle: the drive waits as it did before.
  private func stopTransfers() {
    for case let drive? in drives {
      guard let job = drive.saved.job, job.kind.isTransfer, job.hasBegun else { continue }
      drive.cancel()
      drive.saved.job = IDEDrive.Job(kind: job.kind, offset: job.offset, count: job.count)
      drive.saved.task.status = ATAStatus.data
    }
  }

  // MARK: - Beginning

  private func regions(_ job: IDEDrive.Job) -> PhysicalRegions {
    PhysicalRegions(busMaster.table, wanted: job.count, memory: board.memory, forWriting: job.kind.fillsMemory)
  }

  private func begin(_ job: IDEDrive.Job, _ drive: IDEDrive) {
    var job = job
    job.hasBegun = true
    drive.saved.generation &+= 1
    drive.saved.task.status = ATAStatus.working
    drive.saved.job = job
    let cost = self.cost(bytes: job.count)
    switch job.kind {
    case .read:
      guard let tell = whenDone(drive) else { return finish(drive, after: cost) }
      let regions = regions(job)
      guard isUsable(regions, job, drive) else { return }
      if let result = drive.image?.transferNow(.read, offset: job.offset, pieces: regions.pieces) {
        return end(drive, drive.outcome(result), endsTable: regions.isUsedUp)
      }
      submit([.read(offset: job.offset, count: job.count)], drive, tell)
    case .send: finish(drive, after: cost)
    case .take:
      let regions = regions(job)
      guard isUsable(regions, job, drive) else { return }
      drive.load(IDEDrive.gather(regions.pieces))
      finish(drive, after: cost, .done, regions.isUsedUp)
    case .write:
      let regions = regions(job)
      guard isUsable(regions, job, drive) else { return }
      if let result = drive.image?.transferNow(.write, offset: job.offset, pieces: regions.pieces) {
        return finish(drive, after: cost, drive.outcome(result), regions.isUsedUp)
      }
      drive.saved.job?.endsTable = regions.isUsedUp
      submit([.write(offset: job.offset, data: IDEDrive.gather(regions.pieces))], drive, whenDone(drive))
      if board.outside.hostIsDone == nil { finish(drive, after: cost) }
    case .flush, .discard: break
    }
  }

  /// What the host is asked to do while the drive is busy.
  func beginHostWork(_ kind: IDEDrive.Job.Kind, _ requests: [BlockRequest], _ drive: IDEDrive) {
    drive.saved.job = IDEDrive.Job(kind: kind, hasBegun: true)
    drive.saved.generation &+= 1
    drive.saved.task.status = ATAStatus.working
    submit(requests, drive, whenDone(drive))
    if board.outside.hostIsDone == nil { finish(drive, after: cost(bytes: 0, flushes: true)) }
  }

  private func submit(_ requests: [BlockRequest], _ drive: IDEDrive, _ whenDone: (@Sendable () -> Void)?) {
    guard let image = drive.image else { return }
    drive.host = HostRequest(requests, on: image, whenDone: whenDone)
  }

  /// Whether the table has room for all; otherwise the guest has been told.
  private func isUsable(_ regions: PhysicalRegions, _ job: IDEDrive.Job, _ drive: IDEDrive) -> Bool {
    if regions.isFaulty {
      // The bus said no (master abort); the drive gives up instead of waiting for ever.
      busMaster.status = busMaster.status & ~1 | 2
      end(drive, .failed, endsTable: true)
      return false
    }
    if regions.count < job.count {
      // The end of the table before the end of the data: inactive without an interrupt, the drive still wants more.
      busMaster.status &= ~1
      drive.cancel()
      drive.saved.job = IDEDrive.Job(kind: job.kind, offset: job.offset, count: job.count)
      drive.saved.task.status = ATAStatus.data
      return false
    }
    return true
  }

  private func cost(bytes: Int, flushes: Bool = false) -> Cycles {
    let costs = controller.costs
    var nanoseconds = costs.nanosecondsPerRequest &+ UInt64(bytes) &* 1000 / max(costs.bytesPerMicrosecond, 1)
    if flushes { nanoseconds &+= costs.nanosecondsPerFlush }
    return max(board.cycles(ofTicks: nanoseconds, at: 1_000_000_000), 1)
  }

  private func payload(_ drive: IDEDrive) -> UInt64 {
    UInt64(number << 1 | drive.unit) | (drive.saved.generation << 2) & (1 << 48 - 1)
  }

  /// Under the host's clock: tells the machine that the host is done.
  private func whenDone(_ drive: IDEDrive) -> (@Sendable () -> Void)? {
    guard let tell = board.outside.hostIsDone else { return nil }
    let identity = Board.identity(of: controller.eventTarget, payload: payload(drive))
    return { tell(identity) }
  }

  // MARK: - Ending

  /// Nothing has to be waited for any more: the job is over now by the host's clock, later by the virtual one.
  private func finish(_ drive: IDEDrive, after cost: Cycles, _ outcome: IDEDrive.Job.Outcome? = nil, _ endsTable: Bool = false) {
    if let outcome {
      drive.saved.job?.outcome = outcome
      drive.saved.job?.endsTable = endsTable
    }
    guard board.outside.hostIsDone == nil else { return complete(drive) }
    board.schedule(at: board.now &+ cost, target: controller.eventTarget, payload: payload(drive))
  }

  /// A job's time has come.
  func event(_ payload: UInt64) {
    guard let drive = drives[Int(payload & 1)], payload == self.payload(drive), drive.saved.job?.hasBegun == true else { return }
    complete(drive)
  }

  private func complete(_ drive: IDEDrive) {
    guard let job = drive.saved.job else { return }
    if let outcome = job.outcome { return end(drive, outcome, endsTable: job.endsTable) }
    guard job.kind.fillsMemory else {
      // A machine that was restored has no request: what was under way was done when it was saved.
      return end(drive, drive.host.map { drive.outcome($0.wait()) } ?? .done, endsTable: job.endsTable)
    }
    let regions = regions(job)
    guard isUsable(regions, job, drive) else { return }
    var outcome = IDEDrive.Job.Outcome.done
    if job.kind == .send {
      IDEDrive.scatter([UInt8](UnsafeRawBufferPointer(start: drive.buffer, count: min(job.count, IDEDrive.bufferSize))), regions.pieces)
    } else if let host = drive.host {
      let result = host.wait()
      if case .success(let data) = result { IDEDrive.scatter(data, regions.pieces) }
      outcome = drive.outcome(result)
    } else {
      outcome = drive.moveNow(.read, offset: job.offset, regions.pieces)
    }
    end(drive, outcome, endsTable: regions.isUsedUp)
  }

  private func end(_ drive: IDEDrive, _ outcome: IDEDrive.Job.Outcome, endsTable: Bool) {
    guard let job = drive.saved.job else { return }
    drive.saved.job = nil
    drive.host = nil
    // Longer tables leave the bus master active; the interrupt says that the drive is done.
    if job.kind.isTransfer && endsTable { busMaster.status &= ~1 }
    drive.jobEnded(job, outcome)
  }

  /// After a state was put back: requests to the host are made again, since no saved event stands for them.
  func resumeJobs() {
    guard board.outside.hostIsDone != nil else { return }
    for case let drive? in drives where drive.saved.job?.hasBegun == true {
      board.schedule(at: board.now, target: controller.eventTarget, payload: payload(drive))
    }
  }
}
