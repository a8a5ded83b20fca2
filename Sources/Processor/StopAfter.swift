import CHost

extension VCPU {
  /// Makes `run` return `deadline` after the instruction that is running, or at once if none is: for a device that the guest has just
  /// touched and that has something to say to the processor, be it an interrupt or an event earlier than the deadline. Both engines
  /// stop at the same place.
  public func stopAfterInstruction() {
    cpu.pointee.stop_asked = 1
    // The current cycle stays what it is.
    guard cpu.pointee.budget > 0 else { return }
    cpu.pointee.deadline &-= UInt64(bitPattern: cpu.pointee.budget)
    cpu.pointee.budget = 0
  }

  /// Does something of the platform's in the middle of an operation: the current cycle is that of its end, and it is the last one to run
  /// if that is wanted, or if the code that is running has changed.
  @inline(__always) func inMidOperation(_ op: Operation, _ body: () -> Void) {
    // What the processor does of itself, as delivering an exception, is no block's operation.
    let rest = cpu.pointee.block.map { max(Int64($0.pointee.count) &- Int64(op.pointee.ordinal) &- 1, 0) } ?? 0
    let dropped = blocks.drops
    cpu.pointee.stop_asked = 0
    cpu.pointee.budget &+= rest
    withHostModes(body)
    // The access itself may have taken the rest of the time.
    let isOver = rest > 0 && cpu.pointee.budget <= 0
    if isOver || blocks.drops != dropped || !runsMappedPage || (cpu.attention != 0 && interruptIsWanted) { stopAfterInstruction() }
    cpu.pointee.budget &-= rest
    if cpu.pointee.stop_asked != 0 { stop(behind: op) }
  }

  /// What else a store did made the page that is running another one.
  func stopIfRemapped(_ op: Operation) {
    if !runsMappedPage { inMidOperation(op) {} }
  }

  /// Whether the page that is running is still where it was: the set then has it.
  private var runsMappedPage: Bool {
    let page = cpu.pointee.block_rip & ~4095
    let slot = Int(truncatingIfNeeded: (page >> 12) & UInt64(TranslationSets.fetchSlots - 1))
    return TranslationSets.fetch(cpu.pointee.tlb)[slot].tag == page
  }

  /// Makes what follows an operation leave to the run loop, which puts it back (`undoStop`).
  private func stop(behind op: Operation) {
    guard cpu.pointee.stop_op == nil else { return }
    let following = op + 1
    cpu.pointee.stop_op = following
    cpu.pointee.stop_handler = following.pointee.handler
    following.pointee.handler = leaveHere
  }

  /// Before any other operation may run.
  @inline(__always) func undoStop() {
    if let op = cpu.pointee.stop_op { undoStop(op) }
  }

  @inline(never) private func undoStop(_ op: Operation) {
    if let handler = cpu.pointee.stop_handler { op.pointee.handler = handler }
    cpu.pointee.stop_op = nil
    cpu.pointee.stop_asked = 0
  }
}
