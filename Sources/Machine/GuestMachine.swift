import Devices
import GuestMemory
import HostLinks
import Processor

/// A guest and everything around it: the run loop, the virtual clock, what the outside brings in. What kind of machine the guest
/// sees is its platform's, a subclass: `PVMachine`, `PCMachine`.
///
/// One thread runs it. Other threads reach it through `mailbox` only.
public class GuestMachine {
  public let options: RunOptions
  public let mailbox = Mailbox()
  public let memory: MachineMemory
  public internal(set) var vcpu: VCPU!
  var keeper: ClockKeeper
  var idleCycles: UInt64 = 0
  var statistics = Statistics()
  let publishedClock = PublishedClock()
  let startedAt = monotonicNanoseconds()
  let processorTimeAtStart = processorNanoseconds()
  var endedBy: Outcome.Ending?
  var monitor: MonitorServer?
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

  init(options: RunOptions, memory: MachineMemory) {
    self.options = options
    self.memory = memory
    keeper = ClockKeeper(cyclesPerSecond: options.cyclesPerSecond, now: monotonicNanoseconds())
  }

  // MARK: - What a platform makes of it

  /// The cycle of the earliest event that is queued, and how many there are.
  var nextDue: Cycles? { nil }
  var queuedEvents: Int { 0 }
  /// Does what is due now.
  func dispatchDue() {}
  /// The platform's guest has ended.
  var hasEnded: Bool { true }
  /// The guest's processor waits for an event or an interrupt.
  var isWaiting: Bool { false }
  /// Delivers what the guest is to take before it runs on.
  func deliverPending() {}
  /// Does what the processor left for.
  func handle(_ exit: Exit) {}
  /// Before and after what the mailbox held is taken.
  func beginInputs() {}
  func endInputs() {}
  func backEndCompletion(_ token: UInt64) {}
  func feedConsole(_ bytes: [UInt8]) {}
  func receivePacket(vif: Int, frame: [UInt8]) {}
  /// Asks the guest to power off; false if there is nobody to ask.
  func askForPowerOff() -> Bool { false }
  /// Writes the screen to a file as PNG, or says why not.
  func dumpScreen(to path: String) -> String? { "a \(options.type.rawValue) guest has no screen" }
  /// Presses keys one after the other and lets them go, or says why not.
  func press(_ keys: [String]) -> String? { "a \(options.type.rawValue) guest has no keyboard" }
  /// The reset button, or why there is none.
  func resetByHand() -> String? { "a \(options.type.rawValue) guest has no reset button" }
  /// Lets go of the host's files and threads.
  func close() {}
  /// How the platform's guest ended.
  func platformOutcome() -> Outcome { Outcome(ending: .crash, status: 70) }
  func collectPlatformStatistics() {}
  /// Everything but memory and processor, in a fixed order.
  func digestPlatform(_ digest: inout StateDigest) {}
}

/// A mistake of an engine's, made on purpose: after the first `instruction` instructions, `corrupt` is done to the registers, but only
/// in a run that is to go on for at least `shortestRun` cycles.
struct InjectedFault {
  var instruction: UInt64
  var shortestRun: UInt64 = 0
  var corrupt: (CPU) -> Void
}

/// The machine that the options ask for, ready to run.
///
/// - Parameter say: Paravane's own words, for standard error.
public func makeMachine(options: RunOptions, say: @escaping @Sendable (String) -> Void) throws -> GuestMachine {
  let machine = try makeMachine(options: options, console: nil, say: say)
  if !options.quiet { say("engine: \(machine.engine.rawValue)\(machine.engineReason); clock: \(options.clock.rawValue)") }
  return machine
}

/// - Parameter console: instead of what the options name. Then the machine is one of lockstep's two: stepped, and with no writable
///   image.
func makeMachine(
  options: RunOptions, console: (any ConsoleLink)?, say: @escaping @Sendable (String) -> Void
) throws -> GuestMachine {
  do {
    switch options.type {
    case .pv: return try PVMachine.make(options: options, console: console, say: say)
    case .hvm: return try PCMachine.make(options: options, console: console, say: say)
    }
  } catch MachineMemory.Failure.cannotMap(let bytes, _) {
    throw MachineError(
      status: 69,
      message: "this host gives no \(bytes >> 20) MiB of address space for memory \(options.memory) MiB: give it more, or ask for less")
  }
}
