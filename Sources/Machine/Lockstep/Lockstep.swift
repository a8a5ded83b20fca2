import Devices
import Foundation
import HostLinks
import Processor

/// Runs a guest on both engines at once (`--engine lockstep`): two whole machines from the same options, slice by slice on the virtual
/// clock, compared after each. At the first difference both are run again to where they still agreed, and the instruction is
/// looked for (`LockstepSearch`).
public final class Lockstep {
  /// The exit status of a run that found a difference.
  public static let differenceStatus: Int32 = 5
  /// Where the outside reaches the guests.
  public let mailbox = Mailbox()
  private let options: RunOptions
  private let say: @Sendable (String) -> Void
  private let console: any ConsoleLink
  private let journal = LockstepJournal()
  private var pair: LockstepPair!
  private var keeper: ClockKeeper
  /// Cycles between two comparisons of all memory.
  static let memoryInterval: Cycles = 128_000_000
  /// For tests: what the translator does wrong.
  var injectedFault: InjectedFault?

  /// Builds both machines.
  public init(options: RunOptions, say: @escaping @Sendable (String) -> Void) throws {
    for interface in options.interfaces where interface.link != .none {
      throw MachineError(
        status: 64, message: "--engine lockstep cannot give one network to two machines: leave --vif out, or say link=none")
    }
    guard options.clock == .virtual else {
      throw MachineError(status: 64, message: "--engine lockstep wants the same time in both machines: say --clock virtual")
    }
    self.options = options
    self.say = say
    keeper = ClockKeeper(cyclesPerSecond: options.cyclesPerSecond, now: monotonicNanoseconds())
    do {
      console = try makeConsoleLink(options.console, announce: say)
    } catch {
      throw MachineError(status: 64, message: "\(error)")
    }
    pair = try LockstepPair(
      options: options, journal: journal,
      outside: LockstepOutside(take: { [mailbox] in mailbox.takeAll() }, wait: { [unowned self] in wait($0, $1) }),
      isInteractive: console.isInteractive, say: say)
    if !options.quiet { say("engine: lockstep (interpreter and translator, compared); clock: virtual") }
  }

  /// Runs to the guest's end or to the first difference.
  public func run() -> Outcome {
    let mailbox = self.mailbox
    do {
      try console.start(receive: { mailbox.post(.console($0)) }, leave: { mailbox.post(.leave) })
    } catch {
      return Outcome(ending: .crash, status: 66, report: "paravane: \(error)\n")
    }
    if let timeout = options.timeout {
      startThread {
        Thread.sleep(forTimeInterval: timeout)
        mailbox.post(.timeout)
      }
    }
    keeper.tie(cycle: pair.now, to: monotonicNanoseconds())
    pair.translator.injectedFault = injectedFault
    let outcome = compare()
    console.stop()
    return outcome
  }

  private func compare() -> Outcome {
    var verified = 0
    var verifiedAt = pair.now
    while true {
      let (pause, together) = pair.runSlice()
      let written = (pair.consoles.0.take(), pair.consoles.1.take())
      guard together, pair.agree, written.0 == written.1 else { return search(from: verified) }
      if !written.0.isEmpty { console.write(written.0) }
      if pause == .ended || pair.now - verifiedAt >= Self.memoryInterval {
        guard pair.differingFrames(limit: 1).isEmpty else { return search(from: verified) }
        verified = pair.slice
        verifiedAt = pair.now
      }
      if pause == .ended { break }
    }
    let left = pair.interpreter.finish()
    let right = pair.translator.finish()
    let written = (pair.consoles.0.take(), pair.consoles.1.take())
    guard left.status == right.status, left.report == right.report, written.0 == written.1 else { return search(from: verified) }
    if !written.0.isEmpty { console.write(written.0) }
    if options.verbose > 0 {
      say("lockstep: no difference in \(pair.translator.vcpu.instructions) instructions, \(pair.slice) slices")
    }
    return right
  }

  /// Finds out where the engines part, knowing that they agreed in everything before slice `verified`.
  private func search(from verified: Int) -> Outcome {
    let last = pair.slice
    if !options.quiet { say("lockstep: the engines differ at cycle \(pair.now); running again to find the instruction") }
    let search = LockstepSearch(
      pair: pair, from: verified, through: last, say: { [say, options] text in if !options.quiet { say(text) } }, again: again)
    let report: String
    do {
      report = try search.report()
    } catch {
      report = "paravane: lockstep: the engines differ at cycle \(pair.now), and could not be run again: \(error)\n"
    }
    return Outcome(ending: .difference, status: Self.differenceStatus, report: report)
  }

  /// Both machines anew, to be given again what they were given.
  private func again() throws -> LockstepPair {
    var quiet = options
    quiet.statisticsPath = nil
    quiet.hypercallTracePath = nil
    let pair = try LockstepPair(options: quiet, journal: journal, outside: nil, isInteractive: console.isInteractive, say: { _ in })
    pair.translator.injectedFault = injectedFault
    return pair
  }

  /// Both guests wait. With somebody at the console time passes at its real speed, else it is skipped.
  private func wait(_ now: Cycles, _ due: Cycles?) -> (until: Cycles, inputs: [OutsideInput]) {
    let early = mailbox.takeAll()
    if !early.isEmpty { return (now, early) }
    keeper.tie(cycle: now, to: monotonicNanoseconds())
    mailbox.wait(until: due.map { keeper.realTime(of: $0) })
    let real = keeper.cycle(at: monotonicNanoseconds())
    return (max(now, min(real, due ?? .max)), mailbox.takeAll())
  }
}
