import CHost
import GuestMemory
import X86

extension VCPU {
  /// The state after INIT/RESET, as far as every platform shares it: 64-bit user code with paging, as a PV vCPU starts.
  func reset() {
    cpu.pointee.block_table = blocks.table
    cpu.pointee.block_mask = UInt64(BlockCache.tableSize - 1)
    cpu.pointee.rflags = 2
    cpu.rflags = 2
    cpu.pointee.mxcsr = 0x1F80
    cpu.pointee.x87_control_status = 0x37F
    cpu.pointee.dr.6 = 0xFFFF_0FF0
    cpu.pointee.dr.7 = 0x400
    cpu.pointee.xcr0 = 1
    cpu.pointee.page_bits = SetAccess.pageBits
    blocks.frameBecameCode = { [unowned self] frame in translations.dropWriteTags(frame: frame) }
  }

  /// Runs until `deadline`'s cycle or until something happens that neither the processor nor the exit handler can finish alone.
  public func run(until deadline: UInt64) -> Exit {
    let cpu = self.cpu
    let turn = self.turn
    undoStop()
    cpu.pointee.budget &+= Int64(bitPattern: deadline &- cpu.pointee.deadline)
    cpu.pointee.deadline = deadline
    vectorStateEnter(cpu)
    defer { vectorStateLeave(cpu) }
    turn.pointee.counters.runs &+= 1
    // RIP may have been changed since the last run: what is found there is not what a jump wanted to be linked to.
    turn.pointee.pendingLink = 0
    while true {
      // Translated code that left leaves its flags as they are for what is entered next; everybody else wants them settled.
      if cpu.pointee.budget <= 0 {
        cpu.settleFlags()
        undoStop()
        // What a device asked for behind its instruction comes before what its deadline is for.
        return cpu.pointee.interrupt_shadow == 0 && cpu.isArchitectural && interruptIsWanted ? .interruptWindow : .deadline
      }
      var alone = false
      if cpu.attention != 0 {
        cpu.settleFlags()
        let attention = attend()
        switch attention {
        case .none: break
        case .one: alone = true
        case .again, .leave:
          turn.pointee.pendingLink = 0
          if case .leave(let exit) = attention { return exit }
          continue
        }
      }
      let trap = cpu.pointee.rflags & Flag.tf != 0
      let step = trap || alone
      if let enter = turn.pointee.enter, !step, turn.pointee.pendingLink == 0, cpu.isTranslatable, runKnown(enter) {
        if cpu.pointee.exit == UInt32(PV_EXIT_NONE) { continue }
        if let exit = leave() { return exit }
        continue
      }
      if blocks.needsFlush || turn.pointee.flushWanted {
        turn.pointee.flushWanted = false
        withHostModes { blocks.flush() }
      }
      if step { turn.pointee.pendingLink = 0 }
      turn.pointee.counters.lookups &+= 1
      guard let found = currentBlock() else {
        cpu.pointee.fault_op = nil
        cpu.pointee.exit = UInt32(PV_EXIT_EXCEPTION)
        turn.pointee.pendingLink = 0
        if let exit = leave() { return exit }
        continue
      }
      if let enter = turn.pointee.enter, !step, runTranslated(found, enter) {
        if cpu.pointee.exit == UInt32(PV_EXIT_NONE) { continue }
        if let exit = leave() { return exit }
        continue
      }
      turn.pointee.counters.interpreted &+= 1
      cpu.settleFlags()
      var block = found
      let fits = step ? 1 : min(cpu.pointee.budget, Int64(block.pointee.count))
      if fits < Int64(block.pointee.count) { block = blocks.cut(block, to: Int(fits)) }
      cpu.pointee.budget &-= Int64(block.pointee.count)
      cpu.pointee.block_rip = cpu.pointee.rip
      cpu.pointee.block = block
      cpu.pointee.exit = UInt32(PV_EXIT_NONE)
      // A resume flag lasts for one instruction.
      cpu.pointee.rflags &= ~Flag.rf
      var operation = block.pointee.ops
      if step {
        // One operation only: a branch in it must not run on.
        stepLimit(&operation)
        // A debug exception ends HLT as soon as it has begun.
        if trap && cpu.isArchitectural && cpu.pointee.exit == UInt32(PV_EXIT_HALT) { cpu.pointee.exit = UInt32(PV_EXIT_NONE) }
        if cpu.pointee.exit == UInt32(PV_EXIT_NONE) {
          if cpu.isArchitectural {
            if let exit = afterAlone(trap: trap) { return exit }
            continue
          }
          cpu.pointee.dr.6 |= DebugStatus.step
          return .exception(vector: UInt8(Vector.db.rawValue), errorCode: nil)
        }
      } else {
        while let following = operation.pointee.handler(cpu, operation) { operation = following }
        if cpu.pointee.exit == UInt32(PV_EXIT_NONE) { continue }
      }
      if let exit = leave() { return exit }
    }
  }

  /// Runs what the jump table has for RIP; false, with nothing done, if that is nothing or does not fit the budget.
  @inline(__always) private func runKnown(_ enter: NativeRuntime.Enter) -> Bool {
    let rip = cpu.pointee.rip
    let key = cpu.jumpKey
    guard let code = TranslationSets.knownJump(cpu.pointee.tlb, key) else { return false }
    let budget = cpu.pointee.budget
    runCode(code, rip, enter)
    turn.pointee.counters.known &+= 1
    // A translation that does not fit leaves again at once.
    return cpu.pointee.budget != budget || cpu.pointee.exit != UInt32(PV_EXIT_NONE) || cpu.pointee.rip != rip
  }

  /// Runs a block's translation, and what follows it, if it has one or is worth one now; false if the interpreter is to run it.
  @inline(__always) private func runTranslated(_ block: UnsafeMutablePointer<pv_block>, _ enter: NativeRuntime.Enter) -> Bool {
    let turn = self.turn
    guard turn.pointee.pendingLink != UInt32.max, cpu.isTranslatable, cpu.pointee.budget >= Int64(block.pointee.count),
      block != blocks.single
    else {
      turn.pointee.pendingLink = 0
      return false
    }
    if block.pointee.code == nil {
      block.pointee.entries &+= 1
      guard block.pointee.entries == Translator.threshold, translate(block) else {
        if block.pointee.entries < Translator.threshold { turn.pointee.counters.young &+= 1 } else { turn.pointee.counters.refused &+= 1 }
        turn.pointee.pendingLink = 0
        return false
      }
    }
    guard let code = block.pointee.code else { return false }
    if turn.pointee.pendingLink != 0 { link(code) }
    let rip = cpu.pointee.rip
    translations.fillJump(cpu.jumpKey, code)
    turn.pointee.counters.translated &+= 1
    let budget = cpu.pointee.budget
    runCode(code, rip, enter)
    // An instruction that crosses pages may have found other bytes than its own.
    return cpu.pointee.budget != budget || cpu.pointee.rip != rip || cpu.pointee.exit != UInt32(PV_EXIT_NONE)
      || turn.pointee.pendingLink != 0 || BlockCache.crossingBytes(block) == nil
  }

  @inline(never) private func translate(_ block: UnsafeMutablePointer<pv_block>) -> Bool {
    guard let translator else { return false }
    let done = withHostModes { translator.translate(block) }
    turn.pointee.flushWanted = translator.needsFlush
    return done
  }

  /// Makes the jump that left lead to `code` from now on.
  @inline(never) private func link(_ code: UnsafeMutableRawPointer) {
    if let translator { translator.code.patch(Int(turn.pointee.pendingLink), to: translator.offset(of: code)) }
    turn.pointee.pendingLink = 0
  }

  /// Runs translated code until it leaves.
  @inline(__always) private func runCode(_ code: UnsafeMutableRawPointer, _ rip: UInt64, _ enter: NativeRuntime.Enter) {
    cpu.pointee.page_rip = rip & ~4095
    cpu.pointee.exit = UInt32(PV_EXIT_NONE)
    cpu.pointee.rflags &= ~Flag.rf
    cpu.pointee.fault_op = nil
    cpu.pointee.link_slot = 0
    enter(cpu, code)
    turn.pointee.pendingLink = cpu.pointee.link_slot
    if cpu.pointee.link_slot >= Translator.question && cpu.pointee.link_slot != UInt32.max { answerQuestion() }
  }

  /// Translated code asks for a version of itself for what the x87 unit is known to hold.
  @inline(never) private func answerQuestion() {
    guard let translator else { return }
    withHostModes { translator.answer(cpu.pointee.link_slot & ~Translator.question, known: cpu.pointee.x87_known) }
    turn.pointee.flushWanted = translator.needsFlush
    turn.pointee.pendingLink = 0
  }

  /// Has the exit handler serve a SYSCALL of translated code, RIP being the next instruction's. The translation that the guest goes on
  /// with, or nil: then the run loop goes on as after any code, by `exit`.
  func serveSystemCall() -> UnsafeMutableRawPointer? {
    let cpu = self.cpu
    let turn = self.turn
    cpu.pointee.exit = UInt32(PV_EXIT_SYSCALL)
    cpu.pointee.link_slot = 0
    if cpu.isArchitectural {
      systemCall()
      cpu.pointee.exit = UInt32(PV_EXIT_NONE)
    } else {
      guard let handler = turn.pointee.exitHandler else { return nil }
      switch handler(turn.pointee.exitContext, cpu) {
      case ExitService.goOn: cpu.pointee.exit = UInt32(PV_EXIT_NONE)
      case ExitService.stop:
        cpu.pointee.exit = UInt32(PV_EXIT_STOP)
        return nil
      default: return nil
      }
    }
    return following()
  }

  /// Where an operation of translated code left to in the interpreter: its translation, if the run loop has nothing to see to before. An
  /// exit is dealt with first, as the run loop would.
  func goOnElsewhere() -> UnsafeMutableRawPointer? {
    let cpu = self.cpu
    if cpu.pointee.exit != UInt32(PV_EXIT_NONE) {
      undoStop()
      if let exit = serve() {
        turn.pointee.served = exit
        cpu.pointee.exit = UInt32(PV_EXIT_STOP)
        return nil
      }
      cpu.pointee.exit = UInt32(PV_EXIT_NONE)
    }
    return following()
  }

  /// The translation of what is at RIP, nil if there is none or the run loop has something to see to before it.
  @inline(__always) private func following() -> UnsafeMutableRawPointer? {
    let cpu = self.cpu
    let key = cpu.jumpKey
    guard let code = TranslationSets.knownJump(cpu.pointee.tlb, key), cpu.pointee.budget > 0, cpu.attention == 0,
      cpu.pointee.rflags & Flag.tf == 0, cpu.isTranslatable
    else { return nil }
    cpu.pointee.page_rip = cpu.pointee.rip & ~4095
    cpu.pointee.rflags &= ~Flag.rf
    cpu.pointee.fault_op = nil
    turn.pointee.counters.known &+= 1
    return code
  }

  /// Deals with an exit that is not PV_EXIT_NONE: nil if the run goes on.
  @inline(__always) private func leave() -> Exit? {
    let turn = self.turn
    turn.pointee.pendingLink = 0
    if let exit = turn.pointee.served {
      turn.pointee.served = nil
      return exit
    }
    cpu.settleFlags()
    undoStop()
    return serve()
  }

  @inline(never) private func serve() -> Exit? {
    let turn = self.turn
    if cpu.pointee.exit == UInt32(PV_EXIT_EXCEPTION) { settleException() }
    if cpu.isArchitectural {
      switch carryOut() {
      case .goOn: return nil
      case .exit(let exit): return exit
      case .notOwn: break
      }
    }
    if let handler = turn.pointee.exitHandler {
      switch handler(turn.pointee.exitContext, cpu) {
      case ExitService.goOn: return nil
      case ExitService.stop: return .stop
      default: break
      }
    }
    switch cpu.pointee.exit {
    case UInt32(PV_EXIT_EXCEPTION):
      return .exception(
        vector: UInt8(truncatingIfNeeded: cpu.pointee.vector), errorCode: cpu.pointee.has_error_code != 0 ? cpu.pointee.error_code : nil)
    case UInt32(PV_EXIT_SYSCALL): return .syscall
    case UInt32(PV_EXIT_SYSENTER): return .sysenter
    case UInt32(PV_EXIT_INTERRUPT): return .interrupt(vector: UInt8(truncatingIfNeeded: cpu.pointee.vector))
    case UInt32(PV_EXIT_HALT): return .halt
    default: return .stop
    }
  }

  /// Turns the recorded fault into an exit: RIP is the instruction's, and what of the block did not run is given back.
  @inline(__always) private func settleException() {
    guard let op = cpu.pointee.fault_op, let block = cpu.pointee.block else { return }
    cpu.pointee.rip = cpu.rip(of: op)
    cpu.pointee.budget &+= Int64(block.pointee.count) &- Int64(op.pointee.ordinal)
    cpu.pointee.rflags |= Flag.rf
    cpu.pointee.fault_op = nil
  }

  /// Whom to ask first when the guest leaves the processor: the handler may deal with the exit on the spot, so that the run goes
  /// on. It is called under the guest's floating-point modes (`vectorStateLeave` and `vectorStateEnter` change that), with the
  /// state as an `Exit` describes it: the kind in `exit`, an exception in `vector`, `error_code` and `has_error_code`.
  ///
  /// - Parameters:
  ///   - context: handed to it; must live as long as it is set.
  ///   - handler: nil to be left alone with every exit. It answers with one of `ExitService`.
  public func serveExits(context: UnsafeMutableRawPointer?, _ handler: ExitHandler?) {
    turn.pointee.exitContext = context
    turn.pointee.exitHandler = handler
  }

  /// How often the run loop did what.
  public var runCounters: RunCounters { turn.pointee.counters }
  /// How busy the TLB was.
  public var translationCounters: TranslationCounters { translations.hot.pointee.counters }
  /// Blocks decoded, all decoded code forgotten, pages of it dropped, and of these with translations.
  public var codeCounters: (blocks: UInt64, flushes: UInt64, pages: UInt64, translatedPages: UInt64) {
    (blocks.decodedBlocks, blocks.flushes, blocks.droppedPages, blocks.droppedTranslatedPages)
  }

  /// What translated code left to the interpreter most often.
  public func translatorReport(_ count: Int) -> [(name: String, hits: UInt64)] { translator?.fallbackReport(count) ?? [] }

  /// Blocks translated, bytes of host code now, and how often everything was forgotten.
  public var translatorCounts: (blocks: UInt64, bytes: UInt64, flushes: UInt64) {
    guard let translator else { return (0, 0, 0) }
    return (translator.translations, UInt64(translator.code.used), translator.flushes)
  }

  /// Turns the translator on; false where the host has no executable memory or is no x86-64.
  ///
  /// - Parameters:
  ///   - report: keep what `translatorReport` tells.
  ///   - alwaysMindingNaNs: x87 instructions take their paths for NaNs whether there are any or not, to be tried.
  public func enableTranslator(report: Bool = false, alwaysMindingNaNs: Bool = false) -> Bool {
    #if arch(x86_64)
      guard translator == nil else { return true }
      guard let translator = Translator(blocks: blocks, memory: memory) else { return false }
      translator.mindsNaNs = alwaysMindingNaNs || X87Encoding.hostAssistsNaNs
      cpu.pointee.x87_nan_paths = alwaysMindingNaNs ? 2 : X87Encoding.hostAssistsNaNs ? 1 : 0
      self.translator = translator
      translator.keepsReport = report
      blocks.translatedCodeDropped = { [unowned self] frame in translations.dropJumps(frame: frame) }
      blocks.everythingForgotten = { [unowned self] in
        self.translator?.flush()
        turn.pointee.pendingLink = 0
        translations.clearAllJumps()
      }
      blocks.arenaLimit = BlockCache.arenaBytes
      blocks.flush()
      cpu.pointee.native_enabled = 1
      turn.pointee.enter = translator.runtime.enter
      return true
    #else
      return false
    #endif
  }

  /// Runs the one operation of a stepped block.
  @inline(never) private func stepLimit(_ operation: inout Operation) {
    // With no budget beyond this instruction every branch leaves to the run loop. The deadline moves along, so that the
    // current cycle stays what it is.
    let saved = cpu.pointee.budget
    cpu.pointee.budget = 0
    cpu.pointee.deadline &-= UInt64(bitPattern: saved)
    while let following = operation.pointee.handler(cpu, operation) { operation = following }
    cpu.pointee.deadline &+= UInt64(bitPattern: saved)
    cpu.pointee.budget &+= saved
  }

  /// The decoded block at RIP; nil after recording a fault of the fetch.
  @inline(__always) private func currentBlock() -> UnsafeMutablePointer<pv_block>? {
    cpu.pointee.mode & UInt32(PV_MODE_SEGMENTED) != 0 ? segmentedBlock() : blockAtRIP()
  }

  /// As `currentBlock`, in a code segment with a base and a limit: no more of the block than is inside.
  @inline(never) private func segmentedBlock() -> UnsafeMutablePointer<pv_block>? {
    cpu.pointee.rip &= 0xFFFF_FFFF
    let code = cpu.pointee.seg.1
    let offset = (cpu.pointee.rip &- code.base) & 0xFFFF_FFFF
    func outside() -> UnsafeMutablePointer<pv_block>? {
      cpu.pointee.vector = Vector.gp.rawValue
      cpu.pointee.error_code = 0
      cpu.pointee.has_error_code = 1
      return nil
    }
    if offset > UInt64(code.limit) { return outside() }
    guard var block = blockAtRIP() else { return nil }
    if offset &+ UInt64(block.pointee.bytes) &- 1 > UInt64(code.limit) {
      if offset &+ UInt64(block.pointee.ops.pointee.length) &- 1 > UInt64(code.limit) { return outside() }
      block = blocks.cut(block, to: 1)
    }
    return block
  }

  private func blockAtRIP() -> UnsafeMutablePointer<pv_block>? {
    let rip = cpu.pointee.rip
    guard let address = translateFetch(rip) else { return nil }
    let key = address | UInt64(cpu.pointee.mode) << 56
    if address & 4095 > 4096 - 15 && blocks.isCrossing(key) {
      turn.pointee.counters.crossings &+= 1
      return crossingBlock(rip, address)
    }
    if let block = blocks.find(key) { return block }
    return buildBlock(rip, address)
  }

  @inline(never) private func buildBlock(_ rip: UInt64, _ address: UInt64) -> UnsafeMutablePointer<pv_block>? {
    withHostModes {
      if let block = blocks.build(address: address, mode: cpu.pointee.mode) { return block }
      return crossingBlock(rip, address)
    }
  }

  /// One instruction that runs over the page's end: its bytes come from two translations, so they are looked at each time.
  private func crossingBlock(_ rip: UInt64, _ address: UInt64) -> UnsafeMutablePointer<pv_block>? {
    let first = min(4096 - Int(address & 4095), 15)
    var next: UInt64 = 0
    if first < 15 {
      let second = cpu.pointee.mode == 0 ? rip &+ UInt64(first) : (rip &+ UInt64(first)) & 0xFFFF_FFFF
      guard let found = translateFetch(second) else { return nil }
      next = found
    }
    var bytes: (UInt64, UInt64) = (0, 0)
    withUnsafeMutableBytes(of: &bytes) {
      guard let to = $0.baseAddress else { return }
      to.copyMemory(from: memory.base + Int(address), byteCount: first)
      if first < 15 { (to + first).copyMemory(from: memory.base + Int(next), byteCount: 15 - first) }
    }
    return blocks.crossing(bytes, address: address, mode: cpu.pointee.mode)
  }
}

/// Called at an exit: (context, state) to one of `ExitService`.
public typealias ExitHandler = @convention(c) (UnsafeMutableRawPointer?, CPU) -> Int32

/// What an exit handler made of an exit.
public enum ExitService {
  /// Nothing: the run ends with it.
  public static let notMine: Int32 = 0
  /// Dealt with: the run goes on at RIP.
  public static let goOn: Int32 = 1
  /// Dealt with, but the caller of `run` has something to do before the guest goes on: `Exit.stop`.
  public static let stop: Int32 = 2
}

/// How often the run loop did what.
public struct RunCounters: Sendable, Equatable {
  /// Calls of `run`.
  public var runs: UInt64 = 0
  /// Translated code found by the jump table.
  public var known: UInt64 = 0
  /// Blocks looked up; of these, run as translated code; run in the interpreter.
  public var lookups: UInt64 = 0
  public var translated: UInt64 = 0
  public var interpreted: UInt64 = 0
  /// Of the look-ups, instructions that cross pages.
  public var crossings: UInt64 = 0
  /// Of those in the interpreter: blocks too young to be translated, and blocks that could not be.
  public var young: UInt64 = 0
  public var refused: UInt64 = 0
}
