import Devices
import GuestMemory
import Hypervisor
import Processor

/// A paravirtualized guest and everything around it: the run loop, the virtual clock, the event queue, the back ends.
///
/// One thread runs it. Other threads reach it through `mailbox` only.
public final class PVMachine {
  public let options: RunOptions
  public let mailbox = Mailbox()
  public let memory: MachineMemory
  public internal(set) var domain: Domain!
  public internal(set) var vcpu: VCPU!
  var queue = EventQueue()
  var keeper: ClockKeeper
  /// Queued event of each vCPU timer, by vCPU and kind.
  var timers: [[UInt64?]] = []
  var idleCycles: UInt64 = 0
  var statistics = Statistics()
  var devices: MachineDevices!
  var trace: HypercallTrace?
  let publishedClock = PublishedClock()
  let startedAt = monotonicNanoseconds()
  let processorTimeAtStart = processorNanoseconds()
  var endedBy: Outcome.Ending?
  /// The engine in use.
  public internal(set) var engine = EngineChoice.interpreter
  /// Why `auto` did not take the translator, for the line at start.
  var engineReason: String {
    options.engine == .auto && engine == .interpreter ? " (no executable memory, or no x86-64 host)" : ""
  }
  /// Set in lockstep: whoever runs the machine decides how long a waiting guest sleeps, and what comes in.
  var isStepped = false
  /// Stretches of guest code run so far.
  var runs: UInt64 = 0
  /// For tests of lockstep alone: an engine that is wrong after so many instructions.
  var injectedFault: InjectedFault?
  var signals = 0
  var signalNumber: Int32 = 0
  /// The cycle at which the mailbox is looked at next.
  var nextSlice: Cycles = 0
  /// Set while something outside can wake the guest: a terminal, a network.
  public var liveOutside = false
  public var consoleOutput: ([UInt8]) -> Void = { _ in }
  public var logger: (String) -> Void = { _ in }

  /// At every multiple of this many cycles the mailbox is looked at: outside input enters at fixed cycles.
  var sliceCycles: UInt64 { max(options.cyclesPerSecond / 1000, 1) }

  enum EventTarget {
    static let timer: EventQueue.Target = 0x100
    static let backEnd: EventQueue.Target = 0x200
  }

  public init(options: RunOptions) throws {
    self.options = options
    keeper = ClockKeeper(cyclesPerSecond: options.cyclesPerSecond, now: monotonicNanoseconds())
    let pages = options.memory * 256
    memory = try MachineMemory(frameCount: FrameTable.machineFramesNeeded(guestPages: pages, order: options.frames))
  }
}

/// A mistake of an engine's, made on purpose: after the first `instruction` instructions, `corrupt` is done to the registers, but only
/// in a run that is to go on for at least `shortestRun` cycles.
struct InjectedFault {
  var instruction: UInt64
  var shortestRun: UInt64 = 0
  var corrupt: (CPU) -> Void
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

  public func eventSent(port: UInt32) { backEndEvent(port) }
}
