import CHost
import GuestMemory
import X86

/// Translates decoded blocks to host code, the same instruction set to the same.
///
/// A translation does what its block does, instruction by instruction, with guest registers in the host's (`Host`), so what is
/// charged, where it can stop and what a fault leaves behind are the interpreter's. What it does not translate, and every memory
/// access that the TLB does not answer, it hands to the interpreter's own handlers (`FallbackSite`). The arithmetic flags live in the
/// host's register between instructions, and in memory (`NativeFlags`) wherever somebody could look: at every access that may
/// fault, and at the block's end.
///
/// Code is position-independent by pages: a block may run at any linear page that maps its machine page (`page_rip`). Jumps within a page
/// are patched to lead straight to each other; others go through a cache by linear address that belongs to the TLB set.
final class Translator {
  let code: CodeBuffer
  let runtime: NativeRuntime
  private let blocks: BlockCache
  private let memory: MachineMemory
  /// Code that is reached by a forward jump and rarely runs: emitted apart from the block.
  var later: [Later] = []

  /// No closures where it can be helped: there is one of these for nearly every instruction.
  enum Later {
    /// The budget does not hold the block.
    case short(slot: Int)
    /// A jump within the page.
    case link(slot: Int, offset: Int)
    /// A memory access that missed.
    case slow(Slots, index: Int, wantsFlags: Bool, resume: Int)
    /// A jump's target that was not in its first slot. What comes next is for where it is not in the second.
    case lookUpSecond(JumpLookUp)
    /// Leaves to the run loop with RIP in `a`.
    case miss
    case other(() -> Void)
  }

  /// Up to four slots of jumps.
  struct Slots {
    private var slots = (-1, -1, -1, -1)

    /// Nil where there are more.
    init?(_ list: [Int]) {
      guard list.count <= 4 else { return nil }
      if list.count > 0 { slots.0 = list[0] }
      if list.count > 1 { slots.1 = list[1] }
      if list.count > 2 { slots.2 = list[2] }
      if list.count > 3 { slots.3 = list[3] }
    }

    func patch(_ code: CodeBuffer, to target: Int) {
      if slots.0 >= 0 { code.patch(slots.0, to: target) }
      if slots.1 >= 0 { code.patch(slots.1, to: target) }
      if slots.2 >= 0 { code.patch(slots.2, to: target) }
      if slots.3 >= 0 { code.patch(slots.3, to: target) }
    }
  }
  private(set) var translations: UInt64 = 0
  private(set) var flushes: UInt64 = 0
  /// Versions of blocks for what the x87 unit is known to hold.
  var knownVersionsMade: UInt64 = 0
  static let codeBytes = 24 << 20
  /// How often the run loop finds a block before it is translated.
  static let threshold: UInt32 = 3

  // The block being translated.
  var block: UnsafeMutablePointer<pv_block>!
  var pageOffset = 0
  var steps: [Step] = []
  var hostValid = false
  var entry = 0
  /// x87 instructions that the host is slow at with NaNs have another way (Translator+NaN.swift), in a second version of their blocks.
  var mindsNaNs = false
  /// That version is being emitted; where it is jumped to.
  var isNaNPass = false
  var nanEntries: [Int] = []
  /// What the x87 unit holds at this place of a version that was made for it (Translator+X87Known.swift).
  var known: X87Known?
  var questions: [Int: X87Question] = [:]
  /// The block is 32-bit code (Translator+Narrow.swift); FS and GS may be forbidden. Then the size of the access that is looked up, and
  /// the jumps of one that its segment forbids.
  var isNarrow = false
  var checksSegments = false
  var accessSize = 0
  var segmentMisses: [Int] = []

  /// Nil where the host gives no executable memory.
  init?(blocks: BlockCache, memory: MachineMemory) {
    guard let code = CodeBuffer(size: Self.codeBytes) else { return nil }
    self.code = code
    self.blocks = blocks
    self.memory = memory
    runtime = NativeRuntime(code)
    code.position = runtime.end
    fetchHostFlags = writeFlagFetch()
    firstTranslation = code.position
  }

  var missCode: UnsafeMutableRawPointer { code.executable + runtime.miss }

  private var sites: [(site: UnsafeMutablePointer<FallbackSite>, mnemonic: Mnemonic, translated: Bool)] = []
  private var hits: [String: UInt64] = [:]
  /// Whether `fallbackReport` is wanted: it takes memory for every site.
  var keepsReport = false

  private func collectHits() {
    for entry in sites where entry.site.pointee.hits > 0 {
      hits[entry.mnemonic.name + (entry.translated ? " (slow)" : ""), default: 0] += entry.site.pointee.hits
      entry.site.pointee.hits = 0
    }
  }

  /// What ran in the interpreter most often, by the first instruction's name; "(slow)" where a translation's memory access missed.
  func fallbackReport(_ count: Int) -> [(name: String, hits: UInt64)] {
    collectHits()
    return hits.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.prefix(count).map { ($0.key, $0.value) }
  }

  /// Forgets all translations; their blocks are gone.
  func flush() {
    collectHits()
    sites.removeAll(keepingCapacity: true)
    questions.removeAll(keepingCapacity: true)
    code.rewind(to: firstTranslation)
    flushes += 1
  }

  var needsFlush: Bool { code.isFull }
  /// Rarely used code lies apart from the rest; tests that list a block's code want it behind the block.
  var separatesRare = true

  func offset(of pointer: UnsafeMutableRawPointer) -> Int { pointer - code.executable }

  /// Translates a block; false where that cannot be done now.
  func translate(_ block: UnsafeMutablePointer<pv_block>) -> Bool {
    guard !needsFlush, decode(block) else { return false }
    markFlagUses(&steps)
    self.block = block
    hostValid = false
    code.position = (code.position + 15) & ~15
    entry = code.position
    code.forgetHeld()
    if let bytes = BlockCache.crossingBytes(block) { emitCrossingCheck(bytes, length: Int(block.pointee.bytes)) }
    code.groupImmediate(5, Host.budget, Int(block.pointee.count), size: 8)
    let short = code.jump(condition: 8)
    later.append(.short(slot: short))
    isNaNPass = false
    known = nil
    nanEntries.removeAll()
    guard emitSteps() else { return false }
    if !nanEntries.isEmpty {
      // Once more, minding NaNs.
      for slot in nanEntries { code.patch(slot, to: code.position) }
      isNaNPass = true
      hostValid = false
      code.forgetHeld()
      askWhatIsKnown()
      guard emitSteps() else { return false }
    }
    block.pointee.code = code.executable + entry
    translations += 1
    return true
  }

  /// Leaves where the bytes of an instruction that crosses pages are not in the second page any more, or that is not known to the set.
  private func emitCrossingCheck(_ bytes: UnsafeRawBufferPointer, length: Int) {
    var changed: [Int] = []
    let entry = MemoryLayout<pv_fetch_entry>.stride
    code.load(Host.a, At.pageRIP)
    code.rm(0x8D, Host.a, base: Host.a, displacement: 4096, size: word)
    code.rr(0x8B, Host.b, Host.a, size: 8)
    code.shiftImmediate(5, Host.b, 12 - entry.trailingZeroBitCount, size: 8)
    code.groupImmediate(4, Host.b, (Int(PV_FETCH_SIZE) - 1) * entry, size: 4)
    code.addSet()
    code.onSet(0x3B, Host.a, Int(PV_TLB_FETCH), size: 8)
    changed.append(code.jump(condition: 5))
    code.onSet(0x8B, Host.b, Int(PV_TLB_FETCH) + MemoryLayout<pv_fetch_entry>.offset(of: \.frame)!, size: 4)
    code.shiftImmediate(4, Host.b, 12, size: 8)
    code.immediate(Host.a, UInt64(UInt(bitPattern: memory.base)))
    var offset = 4096 - pageOffset
    let first = offset
    while offset < length {
      let left = length - offset
      let size = left >= 4 ? 4 : left >= 2 ? 2 : 1
      code.rm(size == 1 ? 0x80 : 0x81, 7, base: Host.a, index: Host.b, displacement: offset - first, size: size)
      for place in offset..<offset + size { code.byte(Int(bytes[place])) }
      changed.append(code.jump(condition: 5))
      offset += size
    }
    later.append(
      .other { [unowned self] in
        for slot in changed { code.patch(slot, to: code.position) }
        emitExit(to: pageOffset, slot: 0)
      })
  }

  /// Emits the block's instructions and what they reach by forward jumps.
  func emitSteps() -> Bool {
    requireState(0)
    lastSaved = nil
    carryByteValid = false
    var ended = false
    var index = 0
    // Before the last instruction, which may jump: then the block's x87 instructions are done.
    let storesKnown = steps.last.map { !$0.isX87 && !$0.isFallback } ?? false
    while index < steps.count {
      if steps[index].isFallback {
        var end = index + 1
        while end < steps.count && steps[end].isFallback { end += 1 }
        guard emitFallback(index..<end) else {
          later.removeAll()
          return false
        }
        known?.forget()
        index = end
        continue
      }
      if storesKnown && index == steps.count - 1 { storeKnown() }
      if let run = emitStackRun(index) {
        (index, ended) = run
        continue
      }
      ended = emit(index)
      index += 1
    }
    if !storesKnown { storeKnown() }
    if !ended { emitDirect(to: pageOffset + Int(block.pointee.bytes)) }
    emitLater()
    return true
  }

  private func emitLater() {
    if separatesRare { code.beginRare() }
    var next = 0
    while next < later.count {
      emit(later[next])
      next += 1
    }
    later.removeAll(keepingCapacity: true)
    code.endRare()
  }

  private func emit(_ piece: Later) {
    switch piece {
    case .short(let slot):
      code.patch(slot, to: code.position)
      code.groupImmediate(0, Host.budget, Int(block.pointee.count), size: 8)
      emitExit(to: pageOffset, slot: 0)
    case .link(let slot, let offset):
      code.patch(slot, to: code.position)
      emitExit(to: offset, slot: slot)
    case .slow(let slots, let index, let wants, let resume):
      slots.patch(code, to: code.position)
      emitSlow(index, wants, resume)
    case .lookUpSecond(let first): code.lookUpSecond(first)
    case .miss: code.jump(to: isNarrow ? runtime.narrowMiss : runtime.miss)
    case .other(let emit): emit()
    }
  }

  private func emitSlow(_ index: Int, _ wants: Bool, _ resume: Int) {
    callFallback(LazySite(block: block, index: index, wantsFlags: wants).bits, wantsFlags: wants, next: index + 1)
    code.jump(to: resume)
  }

  func decode(_ block: UnsafeMutablePointer<pv_block>) -> Bool {
    let address = block.pointee.key & ~(0xFF << 56)
    let mode = UInt32(truncatingIfNeeded: block.pointee.key >> 56)
    guard mode == 0 || Processor.isNarrow(mode) else { return false }
    isNarrow = mode != 0
    checksSegments = mode & UInt32(PV_MODE_FSGS) != 0
    pageOffset = Int(address & 4095)
    let bytes = memory.base + Int(address)
    steps.removeAll(keepingCapacity: true)
    var offset = 0
    for _ in 0..<Int(block.pointee.count) {
      let window =
        BlockCache.crossingBytes(block)
        ?? UnsafeRawBufferPointer(start: bytes + offset, count: min(15, 4096 - pageOffset - offset))
      guard let instruction = try? Decoder.decode(window, mode: isNarrow ? .protected32 : .long64) else {
        // It raises #UD; the interpreter's operation knows.
        guard offset < Int(block.pointee.bytes) else { return false }
        return false
      }
      steps.append(Step(instruction, offset: offset, bytes: window, narrow: isNarrow))
      offset += Int(instruction.length)
    }
    return true
  }

  // MARK: - Fallbacks and exits

  /// Copies operations for the interpreter.
  private func makeSite(_ range: Range<Int>, wantsFlags: Bool) -> UnsafeMutablePointer<FallbackSite>? {
    guard let site = makeSite(block, range, wantsFlags: wantsFlags) else { return nil }
    let first = steps[range.lowerBound]
    if keepsReport { sites.append((site, first.instruction.mnemonic, first.native != nil)) }
    return site
  }

  /// Makes the site that translated code, which called the fallback routine from before `from`, asks for; nil if there is no room.
  func makeSite(_ lazy: LazySite, from: UnsafeRawPointer) -> UnsafeMutableRawPointer? {
    guard let block = lazy.block, let site = makeSite(block, lazy.index..<lazy.index + 1, wantsFlags: lazy.wantsFlags) else { return nil }
    // Before the call of five bytes there is the immediate.
    code.patch64(from - UnsafeRawPointer(code.executable) - 5 - 8, UInt64(UInt(bitPattern: site)))
    if keepsReport, let mnemonic = mnemonic(block, lazy.index) { sites.append((site, mnemonic, true)) }
    return UnsafeMutableRawPointer(site)
  }

  private func makeSite(_ block: UnsafeMutablePointer<pv_block>, _ range: Range<Int>, wantsFlags: Bool) -> UnsafeMutablePointer<
    FallbackSite
  >? {
    let stride = MemoryLayout<pv_op>.stride
    let header = (MemoryLayout<FallbackSite>.stride + 15) & ~15
    guard let raw = blocks.allocate(bytes: header + (range.count + 1) * stride) else { return nil }
    let operations = (raw + header).bindMemory(to: pv_op.self, capacity: range.count + 1)
    for (place, index) in range.enumerated() {
      (operations + place).initialize(to: block.pointee.ops[index])
      operations[place].unfuse()
    }
    var last = pv_op.blank
    last.handler = returnToTranslation
    last.ordinal = UInt16(truncatingIfNeeded: range.upperBound)
    let ends = range.upperBound >= Int(block.pointee.count)
    last.offset = ends ? UInt16(truncatingIfNeeded: block.pointee.bytes) : block.pointee.ops[range.upperBound].offset
    (operations + range.count).initialize(to: last)
    let site = raw.bindMemory(to: FallbackSite.self, capacity: 1)
    site.initialize(to: FallbackSite(block: block, operations: operations, count: range.count, wantsFlags: wantsFlags))
    return site
  }

  /// What an operation of a block is, for the report: decoded anew.
  private func mnemonic(_ block: UnsafeMutablePointer<pv_block>, _ index: Int) -> Mnemonic? {
    let address = Int(block.pointee.key & ~(0xFF << 56)) + Int(block.pointee.ops[index].offset)
    let window =
      BlockCache.crossingBytes(block) ?? UnsafeRawBufferPointer(start: memory.base + address, count: min(15, 4096 - address & 4095))
    return (try? Decoder.decode(window, mode: block.pointee.key >> 56 == 0 ? .long64 : .protected32))?.mnemonic
  }

  /// `next`: the step that follows.
  private func callFallback(_ site: UInt64, wantsFlags: Bool, next: Int) {
    code.wideImmediate(Host.a, site)
    code.call(to: runtime.fallback)
    requireState(next)
    if wantsFlags { popFlags() }
  }

  /// push [flags_image]; popfq
  func popFlags() {
    code.rs(0xFF, 6, At.flagsImage, size: 4)
    code.byte(0x9D)
  }

  func emitFallback(_ range: Range<Int>) -> Bool {
    let wants = steps[range.upperBound - 1].needsHost
    guard let site = makeSite(range, wantsFlags: wants) else { return false }
    callFallback(UInt64(UInt(bitPattern: site)), wantsFlags: wants, next: range.upperBound)
    hostValid = wants
    lastSaved = nil
    carryByteValid = false
    return true
  }

  /// Where the TLB does not answer, or neither slot has a jump's target: the whole instruction runs in the interpreter, then the code goes
  /// on behind it.
  func slowPath(_ index: Int, from slots: [Int], jump: JumpLookUp? = nil, resume: Int) {
    code.forgetHeld()
    if let jump { later.append(.lookUpSecond(jump)) }
    // The interpreter settles the flags on that path, so what is in memory afterwards is known on neither.
    lastSaved = nil
    let wants = steps[index].needsHost
    let slots = segmentMisses.isEmpty ? slots : slots + segmentMisses
    segmentMisses.removeAll(keepingCapacity: true)
    if let slots = Slots(slots) {
      later.append(.slow(slots, index: index, wantsFlags: wants, resume: resume))
      return
    }
    later.append(
      .other { [unowned self] in
        for slot in slots { code.patch(slot, to: code.position) }
        emitSlow(index, wants, resume)
      })
  }

  /// Leaves to the run loop at an offset from the page's start. `slot`: the jump that may be linked to what is found there.
  func emitExit(to offset: Int, slot: Int) {
    code.storeImmediate32(slot, At.linkSlot)
    code.load(Host.a, At.pageRIP)
    code.rm(0x8D, Host.a, base: Host.a, displacement: offset, size: word)
    code.jump(to: runtime.exitAt)
  }

  /// Goes on at an offset from the page's start.
  func emitDirect(to offset: Int) {
    if offset >= 0 && offset < 4096 {
      link(code.jump(), to: offset)
    } else {
      code.load(Host.a, At.pageRIP)
      if offset <= Int(Int32.max) && offset >= Int(Int32.min) {
        code.rm(0x8D, Host.a, base: Host.a, displacement: offset, size: word)
      } else {
        code.immediate(Host.b, UInt64(bitPattern: Int64(offset)))
        code.rr(0x03, Host.a, Host.b, size: 8)
      }
      // A look-up of its own: the host then predicts each such jump by itself.
      let unknown = code.lookUpJump(narrow: isNarrow)
      code.groupImmediate(4, Host.a, -4096, size: word)
      code.store(Host.a, At.pageRIP)
      code.onSet(0xFF, 4, At.jump + 8, size: 4)
      later.append(.lookUpSecond(unknown))
      later.append(.miss)
    }
  }

  /// Makes a jump within the page lead to its block, or to an exit that asks for the link.
  func link(_ slot: Int, to offset: Int) {
    if offset == pageOffset {
      code.patch(slot, to: entry)
      return
    }
    later.append(.link(slot: slot, offset: offset))
  }

  // MARK: - Operands

  func guest(_ operand: Instruction.Operand) -> Int { Int(operand.register) & 15 }

  /// The host register that holds a guest register's value: its own, or `scratch` after loading it.
  func value(_ register: Int, _ scratch: Int) -> Int {
    if let host = Host.of(register) { return host }
    if let from = code.held(register) {
      // It was stored by what comes just before, whose scratch register still has it: waiting for the store would take longer.
      if from == scratch { return scratch }
      code.rr(0x8B, scratch, from, size: 8)
      return scratch
    }
    code.load(scratch, At.guest(register))
    return scratch
  }

  /// Writes `from` (a host register with a result of `size` bytes) to a guest register that is in memory.
  func writeBack(_ register: Int, _ from: Int, size: Int) {
    switch size {
    case 1: code.rs(0x88, from, At.guest(register), size: 1)
    case 2: code.rs(0x89, from, At.guest(register), size: 2)
    default:
      code.store(from, At.guest(register))
      code.hold(register, in: from)
    }
  }

  /// The linear address of the memory operand, into `a`. May change the host's flags.
  func address(_ i: Instruction) {
    if isNarrow {
      narrowOffset(i)
      return narrowSegment(i.segment)
    }
    let displacement = Int(i.displacement)
    let index = i.index >= 0 ? Int(i.index) : nil
    if i.base == -2 {
      code.load(Host.a, At.pageRIP)
      code.rm(
        0x8D, Host.a, base: Host.a, displacement: pageOffset + Int(current.offset) + Int(i.length) + displacement, size: 8)
    } else if let index {
      let indexHost = Host.of(index)
      if i.base < 0 {
        code.rmNoBase(0x8D, Host.a, index: value(index, Host.a), scale: Int(i.scale), displacement: displacement, size: 8)
      } else if let base = Host.of(Int(i.base)) {
        code.rm(0x8D, Host.a, base: base, index: value(index, Host.a), scale: Int(i.scale), displacement: displacement, size: 8)
      } else if let indexHost {
        code.load(Host.a, At.guest(Int(i.base)))
        code.rm(0x8D, Host.a, base: Host.a, index: indexHost, scale: Int(i.scale), displacement: displacement, size: 8)
      } else {
        code.load(Host.a, At.guest(index))
        code.rmNoBase(0x8D, Host.a, index: Host.a, scale: Int(i.scale), displacement: displacement, size: 8)
        code.rs(0x03, Host.a, At.guest(Int(i.base)), size: 8)
      }
    } else if i.base >= 0 {
      if let base = Host.of(Int(i.base)) {
        code.rm(0x8D, Host.a, base: base, displacement: displacement, size: 8)
      } else {
        code.load(Host.a, At.guest(Int(i.base)))
        if displacement != 0 { code.rm(0x8D, Host.a, base: Host.a, displacement: displacement, size: 8) }
      }
    } else {
      code.immediate(Host.a, UInt64(bitPattern: Int64(displacement)))
    }
    if i.segment >= 4 { code.rs(0x03, Host.a, Int(StateOffset.segmentBase(Int(i.segment))), size: 8) }
  }

  private var current: Step { steps[currentIndex] }
  var currentIndex = 0

  // The flags (Translator+Flags.swift).

  /// `carry_byte` holds CF, on every way here.
  var carryByteValid = false
  /// What the block's last save left in memory, if it is known and simple.
  var lastSaved: (kind: Int, size: Int)?
  /// Offset of the routine that brings the flags from memory into the host's register.
  private(set) var fetchHostFlags = 0
  private var firstTranslation = 0

  /// Where the access that was looked up last is, while `b` and the base are as they were.
  struct HostOperand {
    var base = Host.a
    var index: Int?
    var displacement = 0
  }
  var operand = HostOperand()

  /// op reg, [operand]
  func onOperand(_ op: Int, _ reg: Int, size: Int) {
    code.rm(op, reg, base: operand.base, index: operand.index, displacement: operand.displacement, size: size)
  }

  /// Looks an access up in the TLB: afterwards the operand is at [a], and `b` is free. Returns the jump of a miss.
  func lookUp(size: Int, write: Bool, _ address: () -> Void) -> Int {
    accessSize = size
    address()
    code.dataSlot()
    code.onSlot(0x2B, Host.a, Int(write ? PV_TLB_WRITE_TAG : PV_TLB_READ_TAG))
    code.groupImmediate(7, Host.a, 4096 - size, size: 8)
    let miss = code.jump(condition: 7)
    code.onSlot(0x03, Host.a, Int(write ? PV_TLB_WRITE_HOST : PV_TLB_READ_HOST))
    operand = HostOperand()
    hostValid = false
    return miss
  }

  /// As `lookUp`, for an instruction that touches its operand once, before it changes a register: where the address is that of a host
  /// register, the operand is at that plus `b`, so the access does not wait for the look-up.
  func lookUpOnce(_ i: Instruction, size: Int, write: Bool) -> Int {
    guard !isNarrow, i.index < 0, i.base >= 0, i.segment < 4, let base = Host.of(Int(i.base)) else {
      return lookUp(i, size: size, write: write)
    }
    return lookUpOnce(base: base, displacement: Int(i.displacement), size: size, write: write)
  }

  func lookUpOnce(base: Int, displacement: Int, size: Int, write: Bool) -> Int {
    if displacement == 0 {
      code.rr(0x8B, Host.a, base, size: 8)
    } else {
      code.rm(0x8D, Host.a, base: base, displacement: displacement, size: 8)
    }
    code.dataSlot()
    code.onSlot(0x2B, Host.a, Int(write ? PV_TLB_WRITE_TAG : PV_TLB_READ_TAG))
    code.groupImmediate(7, Host.a, 4096 - size, size: 8)
    let miss = code.jump(condition: 7)
    code.onSlot(0x8B, Host.b, Int(write ? PV_TLB_WRITE_ADDEND : PV_TLB_READ_ADDEND))
    operand = HostOperand(base: base, index: Host.b, displacement: displacement)
    hostValid = false
    return miss
  }

  func lookUp(_ i: Instruction, size: Int, write: Bool) -> Int { lookUp(size: size, write: write) { self.address(i) } }
}
