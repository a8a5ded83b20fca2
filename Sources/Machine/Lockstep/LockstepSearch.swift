import Devices
import Processor

/// Looks for the instruction on which the engines part.
///
/// The machines are deterministic, so they are made anew and run again up to where they still agreed: first slice by slice with all of
/// memory compared, then block by block within the first slice that differs, then over the first prefix of that block whose
/// translation differs. Where single blocks agree (jumps between them are wrong, say), the shortest run that differs is
/// looked for instead.
struct LockstepSearch {
  /// The machines that were found to differ.
  let pair: LockstepPair
  /// They agreed in everything before this slice (counted from 0), and not after the slice before `through`.
  let from: Int
  let through: Int
  let say: (String) -> Void
  let again: () throws -> LockstepPair

  func report() throws -> String {
    let found = LockstepReport(left: StateCapture(pair.interpreter.vcpu), right: StateCapture(pair.translator.vcpu))
    guard let (slice, frames) = try firstSlice() else {
      return found.text(
        "could not be had again: run twice, the machines are not the same", frames: memory(pair, pair.differingFrames()))
    }
    say("lockstep: in slice \(slice) of \(through)")
    if let step = try firstStep(slice, frames) { return try isolate(slice, step) }
    if let run = try firstRun(slice, frames) { return try shorten(slice, run) }
    return found.text("is seen in a whole slice only", frames: memory(pair, frames))
  }

  /// The first slice with a difference in registers or memory, and the frames that then differ.
  private func firstSlice() throws -> (Int, [Int])? {
    let again = try at(slice: from)
    while again.slice < through {
      let (_, together) = again.runSlice()
      let frames = again.differingFrames()
      if !together || !again.agree || !frames.isEmpty { return (again.slice - 1, frames) }
    }
    return nil
  }

  /// Both machines at the beginning of a slice.
  private func at(slice: Int) throws -> LockstepPair {
    let again = try again()
    while again.slice < slice { _ = again.runSlice() }
    return again
  }

  /// Both machines ready to run guest code before the limit's cycle; false if there is no more before it.
  private func prepare(_ pair: LockstepPair, _ limit: Cycles) -> Bool {
    while true {
      let left = pair.interpreter.prepare(limit)
      let right = pair.translator.prepare(limit)
      guard left == right else { return false }
      guard let left else { return true }
      guard case .waiting(let due) = left else { return false }
      pair.sleep(due)
    }
  }

  private func differs(_ pair: LockstepPair, _ frames: [Int]) -> Bool { !pair.agree || frames.contains { !pair.isSame($0) } }

  // MARK: - By blocks

  /// Runs the next block on both.
  private func step(_ pair: LockstepPair, _ limit: Cycles) {
    let end = min(limit, pair.translator.vcpu.now &+ UInt64(pair.translator.vcpu.blockLength()))
    pair.interpreter.execute(end)
    pair.translator.execute(end)
  }

  /// How many blocks of a slice run before the one that differs; nil if the slice then ends without a difference.
  private func firstStep(_ slice: Int, _ frames: [Int]) throws -> Int? {
    let pair = try at(slice: slice)
    let limit = pair.beginSlice()
    var count = 0
    while prepare(pair, limit) {
      step(pair, limit)
      if differs(pair, frames) { return count }
      count += 1
    }
    return nil
  }

  /// Runs ever longer beginnings of the block as translations of their own, until one differs.
  private func isolate(_ slice: Int, _ step: Int) throws -> String {
    let pair = try at(slice: slice)
    let limit = pair.beginSlice()
    var count = 0
    while count < step, prepare(pair, limit) {
      self.step(pair, limit)
      count += 1
    }
    guard prepare(pair, limit) else { return LockstepReport(pair).text("could not be had again", frames: []) }
    let (left, right) = (pair.interpreter, pair.translator)
    let length = right.vcpu.blockLength()
    var report = LockstepReport(pair)
    report.note(block: left.vcpu, length: length)
    let memory = SavedMemory(left.memory)
    let processor = right.vcpu.save()
    let start = right.vcpu.now
    for prefix in 1...length {
      let before = StateCapture(left.vcpu)
      let next = left.vcpu.instructions(count: 1).first
      let exit = left.runGuest(left.vcpu, start + UInt64(prefix))
      memory.restore(right.memory)
      right.vcpu.restore(processor)
      _ = right.vcpu.isolate(prefix)
      let other = right.runGuest(right.vcpu, start + UInt64(prefix))
      let frames = memory.changed(left.memory, right.memory)
      if exit != other || !left.vcpu.agrees(with: right.vcpu) || frames.contains(where: { !pair.isSame($0) }) {
        report.note(instruction: next, before: before, exits: exit == other ? nil : ("\(exit)", "\(other)"))
        report.after(pair)
        return report.text(nil, frames: memory.writes(frames, left.memory, right.memory))
      }
      if exit != .deadline { break }
    }
    // No beginning of it differs: what is wrong shows when it runs as it did.
    memory.restore(right.memory)
    right.vcpu.restore(processor)
    _ = right.runGuest(right.vcpu, start + UInt64(length))
    report.after(pair)
    let frames = memory.changed(left.memory, right.memory)
    return report.text(
      "is made by the block as it was translated there: each of its beginnings, translated alone, agrees",
      frames: memory.writes(frames, left.memory, right.memory))
  }

  // MARK: - By runs

  /// The stretch of guest code after which the machines differ, as the number of those before it.
  private func firstRun(_ slice: Int, _ frames: [Int]) throws -> UInt64? {
    let pair = try at(slice: slice)
    let limit = pair.beginSlice()
    while prepare(pair, limit) {
      let run = pair.interpreter.runs
      pair.interpreter.execute(limit)
      pair.translator.execute(limit)
      if differs(pair, frames) { return run }
    }
    return nil
  }

  /// The shortest beginning of a stretch that makes a difference, found by halving.
  private func shorten(_ slice: Int, _ run: UInt64) throws -> String {
    /// Runs so many cycles of it.
    func attempt(_ cycles: UInt64?, _ look: (LockstepPair) -> Void) throws -> Bool {
      let pair = try at(slice: slice)
      let limit = pair.beginSlice()
      while prepare(pair, limit), pair.interpreter.runs < run {
        pair.interpreter.execute(limit)
        pair.translator.execute(limit)
      }
      look(pair)
      guard let cycles else { return false }
      let end = min(limit, pair.now &+ cycles)
      pair.interpreter.execute(end)
      pair.translator.execute(end)
      if !pair.agree || !pair.differingFrames(limit: 1).isEmpty {
        look(pair)
        return true
      }
      return false
    }
    var (equal, different) = (UInt64(0), UInt64(0))
    _ = try attempt(nil) { different = $0.interpreter.sliceCycles }
    while different - equal > 1 {
      let middle = equal + (different - equal) / 2
      if try attempt(middle, { _ in }) { different = middle } else { equal = middle }
      say("lockstep: the shortest run that differs has \(equal + 1) to \(different) cycles")
    }
    var report: LockstepReport?
    var frames: [Int] = []
    // The interpreter one cycle before says which instruction the last one is.
    let pair = try at(slice: slice)
    let limit = pair.beginSlice()
    while prepare(pair, limit), pair.interpreter.runs < run {
      pair.interpreter.execute(limit)
      pair.translator.execute(limit)
    }
    let end = pair.now &+ different
    _ = pair.interpreter.runGuest(pair.interpreter.vcpu, end - 1)
    report = LockstepReport(pair)
    report?.note(block: pair.interpreter.vcpu, length: 1)
    report?.note(
      instruction: pair.interpreter.vcpu.instructions(count: 1).first, before: StateCapture(pair.interpreter.vcpu), exits: nil)
    _ = pair.interpreter.runGuest(pair.interpreter.vcpu, end)
    _ = pair.translator.runGuest(pair.translator.vcpu, end)
    report?.after(pair)
    frames = pair.differingFrames()
    return report?.text(
      "needs a run of \(different) cycles up to this instruction: block by block they agree", frames: memory(pair, frames))
      ?? ""
  }

  private func memory(_ pair: LockstepPair, _ frames: [Int]) -> [MemoryDifference] {
    SavedMemory.differences(frames, pair.interpreter.memory, pair.translator.memory)
  }
}
