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
    blocks.frameBecameCode = { [unowned self] frame in translations.dropWriteTags(frame: frame) }
  }

  /// Runs until `deadline`'s cycle or until something happens that the processor cannot finish alone.
  public func run(until deadline: UInt64) -> Exit {
    let cpu = self.cpu
    cpu.pointee.budget &+= Int64(bitPattern: deadline &- cpu.pointee.deadline)
    cpu.pointee.deadline = deadline
    vectorStateEnter(cpu)
    defer { vectorStateLeave(cpu) }
    // RIP may have been changed since the last run: what is found there is not what a jump wanted to be linked to.
    pendingLink = 0
    while true {
      if cpu.pointee.budget <= 0 { return .deadline }
      if blocks.needsFlush || translator?.needsFlush == true { withHostModes { blocks.flush() } }
      let step = cpu.pointee.rflags & Flag.tf != 0
      if step { pendingLink = 0 }
      guard let found = currentBlock() else {
        cpu.pointee.fault_op = nil
        return exception()
      }
      if let translator, !step, runTranslated(found, translator) {
        if let exit = classify(step: false) { return exit }
        continue
      }
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
      } else {
        while let following = operation.pointee.handler(cpu, operation) { operation = following }
      }
      if let exit = classify(step: step) { return exit }
    }
  }

  /// Runs a block's translation, and what follows it, if it has one or is worth one now; false if the interpreter is to run it.
  @inline(__always) private func runTranslated(_ block: UnsafeMutablePointer<pv_block>, _ translator: Translator) -> Bool {
    guard pendingLink != UInt32.max, cpu.pointee.mode == 0, cpu.pointee.budget >= Int64(block.pointee.count), block != blocks.single else {
      pendingLink = 0
      return false
    }
    if block.pointee.code == nil {
      block.pointee.entries &+= 1
      guard block.pointee.entries == Translator.threshold, withHostModes({ translator.translate(block) }) else {
        pendingLink = 0
        return false
      }
    }
    let code = block.pointee.code!
    let rip = cpu.pointee.rip
    if pendingLink != 0 {
      translator.code.patch(Int(pendingLink), to: translator.offset(of: code))
      pendingLink = 0
    }
    let slot = Int(truncatingIfNeeded: (rip ^ (rip >> 9)) & UInt64(PV_JUMP_SIZE - 1))
    TranslationSets.jumps(cpu.pointee.tlb)[slot] = pv_jump_entry(rip: rip, code: code)
    cpu.pointee.page_rip = rip & ~4095
    cpu.pointee.block = block
    cpu.pointee.exit = UInt32(PV_EXIT_NONE)
    cpu.pointee.rflags &= ~Flag.rf
    cpu.pointee.fault_op = nil
    cpu.pointee.link_slot = 0
    translator.runtime.enter(cpu, code)
    cpu.settleFlags()
    pendingLink = cpu.pointee.link_slot
    return true
  }

  /// What translated code left to the interpreter most often.
  public func translatorReport(_ count: Int) -> [(name: String, hits: UInt64)] { translator?.fallbackReport(count) ?? [] }

  /// Blocks translated, bytes of host code now, and how often everything was forgotten.
  public var translatorCounts: (blocks: UInt64, bytes: UInt64, flushes: UInt64) {
    guard let translator else { return (0, 0, 0) }
    return (translator.translations, UInt64(translator.code.position), translator.flushes)
  }

  /// Turns the translator on; false where the host has no executable memory or is no x86-64.
  ///
  /// - Parameter report: keep what `translatorReport` tells.
  public func enableTranslator(report: Bool = false) -> Bool {
    #if arch(x86_64)
      guard translator == nil else { return true }
      guard let translator = Translator(blocks: blocks, memory: memory) else { return false }
      self.translator = translator
      translator.keepsReport = report
      translations.setMissCode(translator.missCode)
      blocks.translatedCodeDropped = { [unowned self] in translations.clearAllJumps() }
      blocks.everythingForgotten = { [unowned self] in
        self.translator?.flush()
        pendingLink = 0
        translations.clearAllJumps()
      }
      blocks.flush()
      cpu.pointee.native_enabled = 1
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

  @inline(__always) private func classify(step: Bool) -> Exit? {
    switch cpu.pointee.exit {
    case UInt32(PV_EXIT_NONE):
      guard step else { return nil }
      cpu.pointee.dr.6 |= 1 << 14
      return .exception(vector: UInt8(Vector.db.rawValue), errorCode: nil)
    case UInt32(PV_EXIT_EXCEPTION):
      return exception()
    case UInt32(PV_EXIT_SYSCALL): return .syscall
    case UInt32(PV_EXIT_SYSENTER): return .sysenter
    case UInt32(PV_EXIT_INTERRUPT): return .interrupt(vector: UInt8(truncatingIfNeeded: cpu.pointee.vector))
    case UInt32(PV_EXIT_HALT): return .halt
    default: return .stop
    }
  }

  /// Turns the recorded fault into an exit: RIP is the instruction's, and what of the block did not run is given back.
  private func exception() -> Exit {
    if let op = cpu.pointee.fault_op, let block = cpu.pointee.block {
      cpu.pointee.rip = cpu.rip(of: op)
      cpu.pointee.budget &+= Int64(block.pointee.count) &- Int64(op.pointee.ordinal)
      cpu.pointee.rflags |= Flag.rf
      cpu.pointee.fault_op = nil
    }
    return .exception(
      vector: UInt8(truncatingIfNeeded: cpu.pointee.vector), errorCode: cpu.pointee.has_error_code != 0 ? cpu.pointee.error_code : nil)
  }

  /// The decoded block at RIP; nil after recording a fault of the fetch.
  private func currentBlock() -> UnsafeMutablePointer<pv_block>? {
    let rip = cpu.pointee.rip
    guard let address = translateFetch(rip) else { return nil }
    if let block = blocks.find(address | UInt64(cpu.pointee.mode) << 56) { return block }
    return withHostModes {
      if let block = blocks.build(address: address, mode: cpu.pointee.mode) { return block }
      return crossingBlock(rip, address)
    }
  }

  /// One instruction that runs over the page's end: its bytes come from two translations, so it is decoded anew each time.
  private func crossingBlock(_ rip: UInt64, _ address: UInt64) -> UnsafeMutablePointer<pv_block>? {
    let first = 4096 - Int(address & 4095)
    var bytes = [UInt8](UnsafeRawBufferPointer(start: memory.base + Int(address), count: min(first, 15)))
    if first < 15 {
      let second = cpu.pointee.mode == 0 ? rip &+ UInt64(first) : (rip &+ UInt64(first)) & 0xFFFF_FFFF
      guard let next = translateFetch(second) else { return nil }
      bytes += [UInt8](UnsafeRawBufferPointer(start: memory.base + Int(next), count: 15 - first))
    }
    return blocks.buildSingle(bytes, address: address, mode: cpu.pointee.mode)
  }
}
