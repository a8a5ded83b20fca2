import Devices
import GuestMemory
import HostLinks
import Processor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// What came from outside in a lockstep run, in the order in which it was given to both machines: with it the run can be had again.
final class LockstepJournal {
  /// By slice.
  var inputs: [Int: [OutsideInput]] = [:]
  /// Each time that the guests waited for the outside: until which cycle, and what came in.
  var sleeps: [(until: Cycles, inputs: [OutsideInput])] = []
}

/// Where a lockstep run gets its outside: from the world at first, from the journal when it is run again.
struct LockstepOutside {
  var take: () -> [OutsideInput]
  /// The guests wait at a cycle for an event that is due at another, or for none: how long they sleep, and what came in.
  var wait: (_ now: Cycles, _ due: Cycles?) -> (until: Cycles, inputs: [OutsideInput])
}

/// Two machines from the same options, one on the interpreter, one on the translator, that are given the same input at the same
/// cycles.
final class LockstepPair {
  let interpreter: GuestMachine
  let translator: GuestMachine
  let consoles: (LockstepConsole, LockstepConsole)
  private let outside: LockstepOutside
  private let journal: LockstepJournal
  private let isReplay: Bool
  private var sleeps = 0
  /// Slices begun so far.
  private(set) var slice = 0

  /// - Parameter outside: nil runs again what the journal holds.
  init(
    options: RunOptions, journal: LockstepJournal, outside: LockstepOutside?, isInteractive: Bool,
    say: @escaping @Sendable (String) -> Void
  ) throws {
    var mine = options
    mine.timeout = nil
    consoles = (LockstepConsole(isInteractive: isInteractive), LockstepConsole(isInteractive: isInteractive))
    translator = try makeMachine(options: mine, console: consoles.1, say: say)
    mine.engine = .interpreter
    mine.statisticsPath = nil
    mine.hypercallTracePath = nil
    mine.verbose = 0
    interpreter = try makeMachine(options: mine, console: consoles.0, say: { _ in })
    self.journal = journal
    isReplay = outside == nil
    self.outside = outside ?? LockstepOutside(take: { [] }, wait: { now, due in (due ?? now, []) })
    interpreter.begin()
    translator.begin()
  }

  var now: Cycles { interpreter.vcpu.now }

  private func post(_ inputs: [OutsideInput]) {
    for input in inputs {
      interpreter.mailbox.post(input)
      translator.mailbox.post(input)
    }
  }

  /// Begins a slice: what came from outside is given to both, and taken at the slice's first cycle. Returns its last.
  func beginSlice() -> Cycles {
    if isReplay {
      post(journal.inputs[slice] ?? [])
    } else {
      let inputs = outside.take()
      if !inputs.isEmpty { journal.inputs[slice] = inputs }
      post(inputs)
    }
    slice += 1
    let length = interpreter.sliceCycles
    return (now / length + 1) * length
  }

  /// Runs a slice to its end, as the machines would run it alone. False if they do not stand still for the same reason.
  func runSlice() -> (pause: GuestMachine.Pause, agree: Bool) {
    let limit = beginSlice()
    while true {
      let left = interpreter.advance(to: limit)
      let right = translator.advance(to: limit)
      guard left == right else { return (left, false) }
      guard case .waiting(let due) = left else { return (left, true) }
      guard interpreter.vcpu.now == translator.vcpu.now else { return (left, false) }
      sleep(due)
    }
  }

  /// Lets both guests wait.
  func sleep(_ due: Cycles?) {
    if isReplay {
      // Beyond the journal there is nothing to wait for.
      let entry = sleeps < journal.sleeps.count ? journal.sleeps[sleeps] : (until: due ?? now, inputs: [.leave])
      sleeps += 1
      post(entry.inputs)
      interpreter.sleep(until: entry.until)
      translator.sleep(until: entry.until)
      return
    }
    let (until, inputs) = outside.wait(now, due)
    journal.sleeps.append((until, inputs))
    post(inputs)
    interpreter.sleep(until: until)
    translator.sleep(until: until)
  }

  /// Whether both processors are in the same state, and so is what is queued.
  var agree: Bool {
    interpreter.vcpu.agrees(with: translator.vcpu) && interpreter.nextDue == translator.nextDue
      && interpreter.queuedEvents == translator.queuedEvents && interpreter.idleCycles == translator.idleCycles
  }

  /// Machine frames whose bytes are not the same, at most so many.
  func differingFrames(limit: Int = 64) -> [Int] {
    let (left, right) = (interpreter.memory, translator.memory)
    var touched = [Bool](repeating: false, count: left.frameCount)
    left.forEachTouchedFrame { frame, _ in touched[frame] = true }
    right.forEachTouchedFrame { frame, _ in touched[frame] = true }
    var found: [Int] = []
    for frame in touched.indices where touched[frame] && !isSame(frame) {
      found.append(frame)
      if found.count == limit { break }
    }
    return found
  }

  func isSame(_ frame: Int) -> Bool {
    let address = UInt64(frame) << 12
    guard let left = interpreter.memory.readable(address, 4096), let right = translator.memory.readable(address, 4096) else { return true }
    guard let first = left.baseAddress, let second = right.baseAddress else { return true }
    return memcmp(first, second, 4096) == 0
  }
}
