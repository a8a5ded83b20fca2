import Devices
import GuestMemory
import Hypervisor
import Processor

/// A paravirtualized guest: its domain, the event queue, the back ends.
public final class PVMachine: GuestMachine {
  public internal(set) var domain: Domain!
  var queue = EventQueue()
  /// Queued event of each vCPU timer, by vCPU and kind.
  var timers: [[UInt64?]] = []
  var devices: MachineDevices!
  var trace: HypercallTrace?

  enum EventTarget {
    static let timer: EventQueue.Target = 0x100
    static let backEnd: EventQueue.Target = 0x200
  }

  public init(options: RunOptions) throws {
    let pages = options.memory * 256
    let frames = FrameTable.machineFramesNeeded(guestPages: pages, order: options.frames)
    super.init(options: options, memory: try MachineMemory(frameCount: frames))
  }

  private var v: PVCPU { domain.vcpus[0] }

  override var nextDue: Cycles? { queue.nextDue }
  override var queuedEvents: Int { queue.count }
  override var hasEnded: Bool { domain.ended != nil }
  override var isWaiting: Bool { v.blocked }
  override func deliverPending() { domain.deliverPendingUpcall(v) }
  override func handle(_ exit: Exit) { domain.handle(exit, v) }

  override func dispatchDue() {
    while let event = queue.pop(dueAt: vcpu.now) { dispatch(event) }
  }

  private func dispatch(_ event: EventQueue.Event) {
    switch event.target {
    case EventTarget.timer:
      let vcpu = Int(event.payload >> 8)
      guard timers.indices.contains(vcpu), let kind = TimerKind(rawValue: Int(event.payload & 0xFF)) else { return }
      timers[vcpu][kind.rawValue] = nil
      domain.timerFired(vcpu: vcpu, kind: kind)
    case EventTarget.backEnd: backEndCompletion(event.payload)
    default: break
    }
  }

  override func beginInputs() { for card in devices.cards { card.beginArrivals() } }
  override func endInputs() { for card in devices.cards { card.endArrivals() } }
  override func backEndCompletion(_ token: UInt64) { devices.hub.complete(token) }
  override func feedConsole(_ bytes: [UInt8]) { devices.hub.console?.feed(bytes) }

  override func receivePacket(vif: Int, frame: [UInt8]) {
    guard devices.links.indices.contains(vif) else { return }
    devices.links[vif].receive?(frame)
  }

  override func askForPowerOff() -> Bool {
    devices.hub.toolstack.requestShutdown(.poweroff)
    return true
  }

  override func close() {
    shutDownLinks()
    closeDisks()
    trace?.finish()
  }

  override func collectPlatformStatistics() { collectDomainStatistics() }
  override func digestPlatform(_ digest: inout StateDigest) { digestDomain(&digest) }

  override func platformOutcome() -> Outcome {
    guard case .shutdown(let reason) = domain.ended else {
      return Outcome(ending: .crash, status: 3, report: domain.crashReport(v) + "\n")
    }
    switch reason {
    case 0, 2: return Outcome(ending: .poweroff, status: 0)
    case 1: return Outcome(ending: .reboot, status: 4)
    default: return Outcome(ending: .crash, status: 3, report: domain.crashReport(v) + "\n")
    }
  }
}

extension PVMachine: DomainServices {
  public var now: Cycles { vcpu.now }
  public var cyclesPerSecond: UInt64 { options.cyclesPerSecond }
  public var wallClockAtStart: UInt64 { options.startTime }

  public func setTimer(vcpu: Int, kind: TimerKind, at cycle: Cycles?) {
    guard timers.indices.contains(vcpu) else { return }
    if let old = timers[vcpu][kind.rawValue] { queue.cancel(old) }
    timers[vcpu][kind.rawValue] = cycle.map {
      queue.schedule(at: $0, target: EventTarget.timer, payload: UInt64(vcpu) << 8 | UInt64(kind.rawValue))
    }
  }

  public func consoleWrite(_ bytes: [UInt8]) { consoleOutput(bytes) }

  public func domainEnded(_ reason: DomainEnd) {}

  public func log(_ message: @autoclosure () -> String) { logger(message()) }

  public func eventSent(port: UInt32) { devices?.guest.eventSent(port: port) }
}
