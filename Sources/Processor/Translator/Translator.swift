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
  /// Code that is reached by a forward jump: emitted behind the block.
  var later: [() -> Void] = []
  private(set) var translations: UInt64 = 0
  private(set) var flushes: UInt64 = 0
  static let codeBytes = 24 << 20
  /// How often the run loop finds a block before it is translated.
  static let threshold: UInt32 = 3

  // The block being translated.
  var block: UnsafeMutablePointer<pv_block>!
  var pageOffset = 0
  var steps: [Step] = []
  var hostValid = false
  var entry = 0

  /// Nil where the host gives no executable memory.
  init?(blocks: BlockCache, memory: MachineMemory) {
    guard let code = CodeBuffer(size: Self.codeBytes) else { return nil }
    self.code = code
    self.blocks = blocks
    self.memory = memory
    runtime = NativeRuntime(code)
    code.position = runtime.end
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
    code.position = runtime.end
    flushes += 1
  }

  var needsFlush: Bool { code.position > code.size - (1 << 16) }

  func offset(of pointer: UnsafeMutableRawPointer) -> Int { pointer - code.executable }

  /// Translates a block; false where that cannot be done now.
  func translate(_ block: UnsafeMutablePointer<pv_block>) -> Bool {
    guard !needsFlush, decode(block) else { return false }
    markFlagUses(&steps)
    self.block = block
    hostValid = false
    code.position = (code.position + 15) & ~15
    entry = code.position
    code.groupImmediate(5, Host.budget, Int(block.pointee.count), size: 8)
    let short = code.jump(condition: 8)
    later.append { [unowned self] in
      code.patch(short, to: code.position)
      code.groupImmediate(0, Host.budget, Int(block.pointee.count), size: 8)
      emitExit(to: pageOffset, slot: 0)
    }
    if steps.contains(where: { $0.isVector }) { requireVectors(0) }
    lastSaved = nil
    carryByteValid = false
    var ended = false
    var index = 0
    while index < steps.count {
      if steps[index].isFallback {
        var end = index + 1
        while end < steps.count && steps[end].isFallback { end += 1 }
        guard emitFallback(index..<end) else {
          later.removeAll()
          return false
        }
        index = end
        continue
      }
      ended = emit(index)
      index += 1
    }
    if !ended { emitDirect(to: pageOffset + Int(block.pointee.bytes)) }
    while !later.isEmpty {
      let pieces = later
      later.removeAll()
      for piece in pieces { piece() }
    }
    block.pointee.code = code.executable + entry
    translations += 1
    return true
  }

  private func decode(_ block: UnsafeMutablePointer<pv_block>) -> Bool {
    let address = block.pointee.key & ~(0xFF << 56)
    pageOffset = Int(address & 4095)
    let bytes = memory.base + Int(address)
    steps.removeAll(keepingCapacity: true)
    var offset = 0
    for _ in 0..<Int(block.pointee.count) {
      let window = UnsafeRawBufferPointer(start: bytes + offset, count: min(15, 4096 - pageOffset - offset))
      guard let instruction = try? Decoder.decode(window, mode: .long64) else {
        // It raises #UD; the interpreter's operation knows.
        guard offset < Int(block.pointee.bytes) else { return false }
        return false
      }
      steps.append(Step(instruction, offset: offset, bytes: window))
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
    let window = UnsafeRawBufferPointer(start: memory.base + address, count: min(15, 4096 - address & 4095))
    return (try? Decoder.decode(window, mode: .long64))?.mnemonic
  }

  /// `next`: the step that follows.
  private func callFallback(_ site: UInt64, wantsFlags: Bool, next: Int) {
    code.wideImmediate(Host.a, site)
    code.call(to: runtime.fallback)
    if steps[min(next, steps.count)...].contains(where: { $0.isVector }) { requireVectors(next) }
    if wantsFlags { popFlags() }
  }

  /// push [flags_image]; popfq
  private func popFlags() {
    code.rs(0xFF, 6, At.flagsImage, size: 4)
    code.byte(0x9D)
  }

  private func emitFallback(_ range: Range<Int>) -> Bool {
    let wants = steps[range.upperBound - 1].needsHost
    guard let site = makeSite(range, wantsFlags: wants) else { return false }
    callFallback(UInt64(UInt(bitPattern: site)), wantsFlags: wants, next: range.upperBound)
    hostValid = wants
    lastSaved = nil
    carryByteValid = false
    return true
  }

  /// Where the TLB does not answer: the whole instruction runs in the interpreter, then the code goes on behind it.
  func slowPath(_ index: Int, from slots: [Int], resume: Int) {
    // The interpreter settles the flags on that path, so what is in memory afterwards is known on neither.
    lastSaved = nil
    let wants = steps[index].needsHost
    later.append { [unowned self] in
      for slot in slots { code.patch(slot, to: code.position) }
      callFallback(LazySite(block: block, index: index, wantsFlags: wants).bits, wantsFlags: wants, next: index + 1)
      code.jump(to: resume)
    }
  }

  /// Leaves to the run loop at an offset from the page's start. `slot`: the jump that may be linked to what is found there.
  func emitExit(to offset: Int, slot: Int) {
    code.storeImmediate32(slot, At.linkSlot)
    code.load(Host.a, At.pageRIP)
    code.rm(0x8D, Host.a, base: Host.a, displacement: offset, size: 8)
    code.jump(to: runtime.exitAt)
  }

  /// Goes on at an offset from the page's start.
  private func emitDirect(to offset: Int) {
    if offset >= 0 && offset < 4096 {
      link(code.jump(), to: offset)
    } else {
      code.load(Host.a, At.pageRIP)
      if offset <= Int(Int32.max) && offset >= Int(Int32.min) {
        code.rm(0x8D, Host.a, base: Host.a, displacement: offset, size: 8)
      } else {
        code.immediate(Host.b, UInt64(bitPattern: Int64(offset)))
        code.rr(0x03, Host.a, Host.b, size: 8)
      }
      code.jump(to: runtime.dispatch)
    }
  }

  /// Makes a jump within the page lead to its block, or to an exit that asks for the link.
  private func link(_ slot: Int, to offset: Int) {
    if offset == pageOffset {
      code.patch(slot, to: entry)
      return
    }
    later.append { [unowned self] in
      code.patch(slot, to: code.position)
      emitExit(to: offset, slot: slot)
    }
  }

  // MARK: - Operands

  func guest(_ operand: Instruction.Operand) -> Int { Int(operand.register) & 15 }

  /// The host register that holds a guest register's value: its own, or `scratch` after loading it.
  func value(_ register: Int, _ scratch: Int) -> Int {
    if let host = Host.of(register) { return host }
    code.load(scratch, At.guest(register))
    return scratch
  }

  /// Writes `from` (a host register with a result of `size` bytes) to a guest register that is in memory.
  func writeBack(_ register: Int, _ from: Int, size: Int) {
    switch size {
    case 1: code.rs(0x88, from, At.guest(register), size: 1)
    case 2: code.rs(0x89, from, At.guest(register), size: 2)
    default: code.store(from, At.guest(register))
    }
  }

  /// The linear address of the memory operand, into `a`. May change the host's flags.
  private func address(_ i: Instruction) {
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
  private var currentIndex = 0

  /// Looks an access up in the TLB: afterwards the operand is at [a + b]. Returns the jump of a miss.
  private func lookUp(size: Int, write: Bool, _ address: () -> Void) -> Int {
    address()
    code.dataSlot()
    code.onSlot(0x2B, Host.a, Int(write ? PV_TLB_WRITE_TAG : PV_TLB_READ_TAG))
    code.groupImmediate(7, Host.a, 4096 - size, size: 8)
    let miss = code.jump(condition: 7)
    code.onSlot(0x8B, Host.b, Int(write ? PV_TLB_WRITE_ADDEND : PV_TLB_READ_ADDEND))
    address()
    hostValid = false
    return miss
  }

  func lookUp(_ i: Instruction, size: Int, write: Bool) -> Int { lookUp(size: size, write: write) { self.address(i) } }

  // MARK: - Flags

  /// `carry_byte` holds CF, on every way here.
  private var carryByteValid = false
  /// What the block's last save left in memory, if it is known and simple.
  private var lastSaved: (kind: Int, size: Int)?

  /// Brings the flags into the host's register; changes `a`.
  private func ensureHost() {
    guard !hostValid else { return }
    hostValid = true
    if let (kind, size) = lastSaved {
      switch kind {
      case NativeFlags.subtract, NativeFlags.add:
        code.load(Host.a, At.flagsA)
        let op = kind == NativeFlags.add ? 0x03 : 0x3B
        code.rs(size == 1 ? op - 1 : op, Host.a, At.flagsB, size: size)
        return
      case NativeFlags.logic:
        code.load(Host.a, At.flagsA)
        code.rr(size == 1 ? 0x84 : 0x85, Host.a, Host.a, size: size)
        return
      default: break
      }
    }
    code.call(to: runtime.fetchFlags)
    popFlags()
    lastSaved = nil
  }

  func saveKind(_ kind: Int, size: Int) {
    lastSaved = (kind, size)
    code.storeImmediate32(kind + (size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3), At.flagsKind)
  }

  /// CF and OF, as `NativeFlags.shift` keeps them.
  private func saveCarries() {
    code.rs(0x0F92, 0, At.flagsB, size: 1)
    code.rs(0x0F90, 0, At.flagsB + 1, size: 1)
  }

  // MARK: - Instructions

  /// Emits one instruction; true if it ends the block.
  private func emit(_ index: Int) -> Bool {
    currentIndex = index
    let step = steps[index]
    let i = step.instruction
    if step.sets || step.setsSome {
      if case .arithmetic(let number) = step.native, number == 2 || number == 3 {} else { carryByteValid = false }
    }
    switch step.native! {
    case .nop: break
    case .move: emitMove(index, i)
    case .zeroExtend: emitExtend(index, i, signed: false)
    case .signExtend: emitExtend(index, i, signed: true)
    case .lea: emitLea(i)
    case .arithmetic(let number): emitArithmetic(index, number, i)
    case .test: emitTest(index, i)
    case .increment: emitStep(index, i, NativeFlags.increment)
    case .decrement: emitStep(index, i, NativeFlags.decrement)
    case .negate: emitNegate(index, i)
    case .not:
      let register = guest(i.operands.0)
      let host = value(register, Host.a)
      code.rr(step.size == 1 ? 0xF6 : 0xF7, 2, host, size: step.size)
      if Host.of(register) == nil { writeBack(register, host, size: step.size) }
    case .shift(let number): emitShift(index, number, i)
    case .rotate(let number):
      emitRotate(index, number, i)
    case .multiply: emitMultiply(index, i)
    case .push: emitPush(index, i)
    case .pop: emitPop(index, i)
    case .call:
      emitCall(index, i)
      return true
    case .ret:
      emitReturn(index)
      return true
    case .jump:
      emitJump(index, i)
      return true
    case .conditionalJump(let condition):
      ensureHost()
      let target = pageOffset + step.offset + Int(i.length) + Int(truncatingIfNeeded: i.immediate)
      let taken = code.jump(condition: condition)
      emitDirect(to: pageOffset + step.offset + Int(i.length))
      if target >= 0 && target < 4096 {
        link(taken, to: target)
      } else {
        code.patch(taken, to: code.position)
        emitDirect(to: target)
      }
      return true
    case .conditionalSet(let condition):
      ensureHost()
      if i.operands.0.kind == .memory {
        code.rs(0x0F90 | condition, 0, At.scratch, size: 1)
        let miss = lookUp(i, size: 1, write: true)
        code.rr(0x03, Host.a, Host.b, size: 8)
        code.load(Host.b, At.scratch)
        code.rm(0x88, Host.b, base: Host.a, size: 1)
        slowPath(index, from: [miss], resume: code.position)
        break
      }
      let register = guest(i.operands.0)
      if let host = Host.of(register) {
        code.rr(0x0F90 | condition, 0, host, size: 1)
      } else {
        code.rs(0x0F90 | condition, 0, At.guest(register), size: 1)
      }
    case .conditionalMove(let condition):
      ensureHost()
      let register = guest(i.operands.0)
      let source = guest(i.operands.1)
      let host = value(register, Host.a)
      if let from = Host.of(source) {
        code.rr(0x0F40 | condition, host, from, size: step.size)
      } else {
        code.rs(0x0F40 | condition, host, At.guest(source), size: step.size)
      }
      if Host.of(register) == nil { writeBack(register, host, size: step.size) }
    case .widen(let opcode, let size):
      if size == 2 { code.byte(0x66) }
      if size == 8 { code.byte(0x48) }
      code.byte(opcode)
    case .exchange: code.rr(0x87, Host.of(guest(i.operands.1))!, Host.of(guest(i.operands.0))!, size: step.size)
    case .vector(let encoding): emitVector(index, i, encoding)
    case .byteSwap:
      let host = Host.of(guest(i.operands.0))!
      if step.size == 8 || host >= 8 { code.byte(0x40 | (step.size == 8 ? 8 : 0) | host >> 3) }
      code.byte(0x0F)
      code.byte(0xC8 | host & 7)
    }
    return false
  }

  private func emitMove(_ index: Int, _ i: Instruction) {
    let (d, s) = (i.operands.0, i.operands.1)
    let size = steps[index].size
    if d.kind == .general && s.kind == .general {
      let to = guest(d)
      let from = value(guest(s), Host.b)
      if let host = Host.of(to) {
        code.rr(size == 1 ? 0x8A : 0x8B, host, from, size: size)
      } else if size == 4 {
        code.rr(0x8B, Host.a, from, size: 4)
        writeBack(to, Host.a, size: 4)
      } else {
        writeBack(to, from, size: size)
      }
    } else if d.kind == .general && s.kind == .immediate {
      let to = guest(d)
      let bits = UInt64(bitPattern: i.immediate)
      if size >= 4 {
        let host = Host.of(to) ?? Host.a
        code.immediate(host, size == 4 ? bits & 0xFFFF_FFFF : bits)
        if Host.of(to) == nil { writeBack(to, host, size: 8) }
      } else {
        code.immediate(Host.a, bits & (size == 1 ? 0xFF : 0xFFFF))
        if let host = Host.of(to) {
          code.rr(size == 1 ? 0x8A : 0x8B, host, Host.a, size: size)
        } else {
          writeBack(to, Host.a, size: size)
        }
      }
    } else if d.kind == .general {
      let miss = lookUp(i, size: size, write: false)
      let to = guest(d)
      let host = Host.of(to) ?? Host.a
      code.rm(size == 1 ? 0x8A : 0x8B, host, base: Host.a, index: Host.b, size: size)
      if Host.of(to) == nil { writeBack(to, host, size: size) }
      slowPath(index, from: [miss], resume: code.position)
    } else {
      let miss = lookUp(i, size: size, write: true)
      if s.kind == .immediate {
        code.rm(size == 1 ? 0xC6 : 0xC7, 0, base: Host.a, index: Host.b, size: size)
        switch size {
        case 1: code.byte(Int(truncatingIfNeeded: i.immediate))
        case 2:
          code.byte(Int(truncatingIfNeeded: i.immediate))
          code.byte(Int(truncatingIfNeeded: i.immediate >> 8))
        default: code.int32(Int(truncatingIfNeeded: i.immediate))
        }
      } else if let host = Host.of(guest(s)) {
        code.rm(size == 1 ? 0x88 : 0x89, host, base: Host.a, index: Host.b, size: size)
      } else {
        code.rr(0x03, Host.a, Host.b, size: 8)
        code.load(Host.b, At.guest(guest(s)))
        code.rm(size == 1 ? 0x88 : 0x89, Host.b, base: Host.a, size: size)
      }
      slowPath(index, from: [miss], resume: code.position)
    }
  }

  private func emitExtend(_ index: Int, _ i: Instruction, signed: Bool) {
    let (d, s) = (i.operands.0, i.operands.1)
    let size = steps[index].size
    let opcode: Int
    switch s.size {
    case 1: opcode = signed ? 0x0FBE : 0x0FB6
    case 2: opcode = signed ? 0x0FBF : 0x0FB7
    default: opcode = 0x63
    }
    let to = guest(d)
    let host = Host.of(to) ?? Host.a
    if s.kind == .general {
      code.rr(opcode, host, value(guest(s), Host.b), size: size, byteRegister: s.size == 1)
      if Host.of(to) == nil { writeBack(to, host, size: size) }
    } else {
      let miss = lookUp(i, size: Int(s.size), write: false)
      code.rm(opcode, host, base: Host.a, index: Host.b, size: size)
      if Host.of(to) == nil { writeBack(to, host, size: size) }
      slowPath(index, from: [miss], resume: code.position)
    }
  }

  private func emitLea(_ i: Instruction) {
    let size = Int(i.operands.0.size)
    var plain = i
    plain.segment = 3
    let index = i.index >= 0 ? Int(i.index) : nil
    if let index, i.base >= 0, Host.of(index) == nil, Host.of(Int(i.base)) == nil {
      // Not through `address`, which would add and so change the flags.
      code.load(Host.a, At.guest(Int(i.base)))
      code.load(Host.b, At.guest(index))
      code.rm(0x8D, Host.a, base: Host.a, index: Host.b, scale: Int(i.scale), displacement: Int(i.displacement), size: 8)
    } else {
      address(plain)
    }
    let to = guest(i.operands.0)
    if let host = Host.of(to) {
      code.rr(0x8B, host, Host.a, size: size)
    } else if size == 4 {
      code.rr(0x8B, Host.a, Host.a, size: 4)
      writeBack(to, Host.a, size: 4)
    } else {
      writeBack(to, Host.a, size: size)
    }
  }

  private func emitArithmetic(_ index: Int, _ number: Int, _ i: Instruction) {
    let step = steps[index]
    let size = step.size
    let save = step.needsSave
    let (d, s) = (i.operands.0, i.operands.1)
    if number == 2 || number == 3 { return emitCarrying(index, number, i) }
    let compares = number == 5 || number == 7
    let logic = number == 1 || number == 4 || number == 6
    let kind = compares ? NativeFlags.subtract : logic ? NativeFlags.logic : NativeFlags.add
    let load = size == 1 ? 0x8A : 0x8B
    let op = number << 3 | (size == 1 ? 2 : 3)
    func saveOperands(_ host: Int, _ source: Int?) {
      guard save && !logic else { return }
      code.store(host, At.flagsA)
      if let source {
        code.store(source, At.flagsB)
      } else {
        code.storeImmediate(Int(truncatingIfNeeded: i.immediate), At.flagsB)
      }
    }
    func saveRest(_ host: Int) {
      guard save else { return }
      if logic { code.store(host, At.flagsA) }
      saveKind(kind, size: size)
    }
    if d.kind == .general {
      let register = guest(d)
      var miss: Int?
      var source: Int?
      if s.kind == .memory {
        miss = lookUp(i, size: size, write: false)
        code.rm(load, Host.b, base: Host.a, index: Host.b, size: size)
        source = Host.b
      } else if s.kind == .general {
        source = value(guest(s), Host.b)
      }
      let host = value(register, Host.a)
      saveOperands(host, source)
      if let source {
        code.rr(op, host, source, size: size)
      } else {
        code.groupImmediate(number, host, Int(truncatingIfNeeded: i.immediate), size: size)
      }
      saveRest(host)
      if number != 7 && Host.of(register) == nil { writeBack(register, host, size: size) }
      hostValid = true
      if let miss { slowPath(index, from: [miss], resume: code.position) }
      return
    }
    let miss = lookUp(i, size: size, write: number != 7)
    code.rr(0x03, Host.a, Host.b, size: 8)
    code.rm(load, Host.b, base: Host.a, size: size)
    if save && !logic { code.store(Host.b, At.flagsA) }
    if s.kind == .immediate {
      if save && !logic { code.storeImmediate(Int(truncatingIfNeeded: i.immediate), At.flagsB) }
      code.groupImmediate(number, Host.b, Int(truncatingIfNeeded: i.immediate), size: size)
    } else if let source = Host.of(guest(s)) {
      if save && !logic { code.store(source, At.flagsB) }
      code.rr(op, Host.b, source, size: size)
    } else {
      if save && !logic {
        // Through the result register's sibling there is none free: copy with two moves before the operation.
        code.store(Host.a, At.scratch)
        code.load(Host.a, At.guest(guest(s)))
        code.store(Host.a, At.flagsB)
        code.load(Host.a, At.scratch)
      }
      code.rs(op, Host.b, At.guest(guest(s)), size: size)
    }
    if number != 7 { code.rm(size == 1 ? 0x88 : 0x89, Host.b, base: Host.a, size: size) }
    saveRest(Host.b)
    hostValid = true
    slowPath(index, from: [miss], resume: code.position)
  }

  /// ADC and SBB to a register. The operand is fetched first, since looking an address up changes the flags.
  private func emitCarrying(_ index: Int, _ number: Int, _ i: Instruction) {
    let step = steps[index]
    let size = step.size
    let (d, s) = (i.operands.0, i.operands.1)
    let register = guest(d)
    let carryKnown = carryByteValid
    var miss: Int?
    if s.kind == .memory {
      miss = lookUp(i, size: size, write: false)
      code.rm(size == 1 ? 0x8A : 0x8B, Host.b, base: Host.a, index: Host.b, size: size)
    } else if s.kind == .immediate {
      code.immediate(Host.b, UInt64(bitPattern: i.immediate))
    } else if let from = Host.of(guest(s)) {
      code.rr(0x8B, Host.b, from, size: 8)
    } else {
      code.load(Host.b, At.guest(guest(s)))
    }
    if !hostValid && carryKnown {
      code.load(Host.a, At.carryByte)
      code.groupImmediate(0, Host.a, -1, size: 8)
    } else {
      ensureHost()
    }
    let host = value(register, Host.a)
    if step.needsSave {
      code.store(host, At.flagsA)
      code.store(Host.b, At.flagsB)
    }
    code.rr(number << 3 | (size == 1 ? 2 : 3), host, Host.b, size: size)
    if Host.of(register) == nil { writeBack(register, host, size: size) }
    if step.needsSave {
      code.store(host, At.flagsResult)
      saveKind(number == 2 ? NativeFlags.addWithCarry : NativeFlags.subtractWithBorrow, size: size)
    }
    if step.needsHost { code.rs(0x0F92, 0, At.carryByte, size: 1) }
    hostValid = true
    if let miss { slowPath(index, from: [miss], resume: code.position) }
    carryByteValid = step.needsHost
  }

  private func emitTest(_ index: Int, _ i: Instruction) {
    let step = steps[index]
    let size = step.size
    let (d, s) = (i.operands.0, i.operands.1)
    var miss: Int?
    let first: Int
    if d.kind == .memory {
      miss = lookUp(i, size: size, write: false)
      code.rm(size == 1 ? 0x8A : 0x8B, Host.a, base: Host.a, index: Host.b, size: size)
      first = Host.a
    } else {
      first = value(guest(d), Host.a)
    }
    if step.needsSave {
      if first != Host.a { code.rr(0x8B, Host.a, first, size: 8) }
      if s.kind == .immediate {
        code.groupImmediate(4, Host.a, Int(truncatingIfNeeded: i.immediate), size: size)
      } else {
        code.rr(size == 1 ? 0x22 : 0x23, Host.a, value(guest(s), Host.b), size: size)
      }
      code.store(Host.a, At.flagsA)
      saveKind(NativeFlags.logic, size: size)
    } else if s.kind == .immediate {
      if first != Host.a { code.rr(0x8B, Host.a, first, size: 8) }
      code.groupImmediate(4, Host.a, Int(truncatingIfNeeded: i.immediate), size: size)
    } else {
      code.rr(size == 1 ? 0x84 : 0x85, value(guest(s), Host.b), first, size: size)
    }
    hostValid = true
    if let miss { slowPath(index, from: [miss], resume: code.position) }
  }

  /// INC and DEC: CF is kept, so somebody's need of any flag is a need of the flags before.
  private func emitStep(_ index: Int, _ i: Instruction, _ kind: Int) {
    let step = steps[index]
    let register = guest(i.operands.0)
    if step.needsSave || step.needsHost { ensureHost() }
    let host = value(register, Host.a)
    code.rr(step.size == 1 ? 0xFE : 0xFF, kind == NativeFlags.increment ? 0 : 1, host, size: step.size)
    if Host.of(register) == nil { writeBack(register, host, size: step.size) }
    if step.needsSave {
      saveCarries()
      code.store(host, At.flagsA)
      saveKind(kind, size: step.size)
    }
    // Without a need CF may not have been right before.
    hostValid = step.needsSave || step.needsHost
  }

  private func emitNegate(_ index: Int, _ i: Instruction) {
    let step = steps[index]
    let register = guest(i.operands.0)
    let host = value(register, Host.a)
    if step.needsSave {
      code.storeImmediate(0, At.flagsA)
      code.store(host, At.flagsB)
      saveKind(NativeFlags.subtract, size: step.size)
    }
    code.rr(step.size == 1 ? 0xF6 : 0xF7, 3, host, size: step.size)
    if Host.of(register) == nil { writeBack(register, host, size: step.size) }
    hostValid = true
  }

  private func emitRotate(_ index: Int, _ number: Int, _ i: Instruction) {
    let step = steps[index]
    let register = guest(i.operands.0)
    let count = Int(i.immediate) & (step.size == 8 ? 63 : 31)
    if step.needsHost { ensureHost() }
    if step.needsSave && !step.needsHost {
      code.rs(0x83, 1, At.flagsKind, size: 4)
      code.byte(count == 1 ? NativeFlags.carriesBeside : NativeFlags.carryBeside)
    }
    let host = value(register, Host.a)
    code.shiftImmediate(number, host, count, size: step.size)
    if Host.of(register) == nil { writeBack(register, host, size: step.size) }
    if step.needsSave {
      code.rs(0x0F92, 0, At.flagsCarry, size: 1)
      if count == 1 { code.rs(0x0F90, 0, At.flagsCarry + 1, size: 1) }
      if step.needsHost {
        // Adding the kind changes flags, which somebody reads: by way of the stack.
        code.byte(0x9C)
        code.rs(0x83, 1, At.flagsKind + 8, size: 4)
        code.byte(count == 1 ? NativeFlags.carriesBeside : NativeFlags.carryBeside)
        code.byte(0x9D)
      }
      lastSaved = nil
    }
    hostValid = step.needsHost
  }

  private func emitShift(_ index: Int, _ number: Int, _ i: Instruction) {
    let step = steps[index]
    let register = guest(i.operands.0)
    if i.operands.1.kind != .immediate {
      if step.needsSave || step.needsHost {
        _ = emitFallback(index..<index + 1)
        return
      }
      let host = value(register, Host.a)
      code.rr(step.size == 1 ? 0xD2 : 0xD3, number, host, size: step.size)
      if Host.of(register) == nil { writeBack(register, host, size: step.size) }
      hostValid = false
      return
    }
    let host = value(register, Host.a)
    code.shiftImmediate(number, host, Int(i.immediate) & (step.size == 8 ? 63 : 31), size: step.size)
    if Host.of(register) == nil { writeBack(register, host, size: step.size) }
    if step.needsSave {
      saveCarries()
      code.store(host, At.flagsA)
      saveKind(NativeFlags.shift, size: step.size)
    }
    hostValid = true
  }

  private func emitMultiply(_ index: Int, _ i: Instruction) {
    let step = steps[index]
    let size = step.size
    let register = guest(i.operands.0)
    let source = i.operands.1
    let hasImmediate = i.operands.2.kind == .immediate
    var miss: Int?
    var from: Int
    if source.kind == .memory {
      miss = lookUp(i, size: size, write: false)
      code.rm(0x8B, Host.b, base: Host.a, index: Host.b, size: size)
      from = Host.b
    } else {
      from = value(guest(source), Host.b)
    }
    let host = Host.of(register) ?? Host.a
    if hasImmediate {
      code.rr(0x69, host, from, size: size)
      code.int32(Int(truncatingIfNeeded: i.immediate))
    } else {
      if Host.of(register) == nil { code.load(Host.a, At.guest(register)) }
      code.rr(0x0FAF, host, from, size: size)
    }
    if Host.of(register) == nil { writeBack(register, host, size: size) }
    if step.needsSave {
      saveCarries()
      code.store(host, At.flagsA)
      saveKind(NativeFlags.multiply, size: size)
    }
    hostValid = true
    if let miss { slowPath(index, from: [miss], resume: code.position) }
  }

  private func stackAddress(_ displacement: Int) { code.rm(0x8D, Host.a, base: Host.guestSP, displacement: displacement, size: 8) }
  private func moveStack(_ displacement: Int) {
    code.rm(0x8D, Host.guestSP, base: Host.guestSP, displacement: displacement, size: 8)
  }

  private func emitPush(_ index: Int, _ i: Instruction) {
    let miss = lookUp(size: 8, write: true) { self.stackAddress(-8) }
    let operand = i.operands.0
    if operand.kind == .immediate {
      code.rm(0xC7, 0, base: Host.a, index: Host.b, size: 8)
      code.int32(Int(truncatingIfNeeded: i.immediate))
    } else if let host = Host.of(guest(operand)) {
      code.rm(0x89, host, base: Host.a, index: Host.b, size: 8)
    } else {
      code.rr(0x03, Host.a, Host.b, size: 8)
      code.load(Host.b, At.guest(guest(operand)))
      code.rm(0x89, Host.b, base: Host.a, size: 8)
    }
    moveStack(-8)
    slowPath(index, from: [miss], resume: code.position)
  }

  private func emitPop(_ index: Int, _ i: Instruction) {
    let miss = lookUp(size: 8, write: false) { self.stackAddress(0) }
    let register = guest(i.operands.0)
    let host = Host.of(register) ?? Host.a
    code.rm(0x8B, host, base: Host.a, index: Host.b, size: 8)
    if Host.of(register) == nil { writeBack(register, host, size: 8) }
    moveStack(8)
    slowPath(index, from: [miss], resume: code.position)
  }

  private func emitReturn(_ index: Int) {
    let miss = lookUp(size: 8, write: false) { self.stackAddress(0) }
    code.rm(0x8B, Host.a, base: Host.a, index: Host.b, size: 8)
    let unknown = code.lookUpJump()
    moveStack(8)
    code.groupImmediate(4, Host.a, -4096, size: 8)
    code.store(Host.a, At.pageRIP)
    code.onSet(0xFF, 4, At.jump + 8, size: 4)
    slowPath(index, from: [miss, unknown], resume: runtime.miss)
  }

  private func emitJump(_ index: Int, _ i: Instruction) {
    let operand = i.operands.0
    if operand.kind == .relative {
      emitDirect(to: pageOffset + steps[index].offset + Int(i.length) + Int(truncatingIfNeeded: i.immediate))
      return
    }
    var misses: [Int] = []
    if operand.kind == .memory {
      misses.append(lookUp(i, size: 8, write: false))
      code.rm(0x8B, Host.a, base: Host.a, index: Host.b, size: 8)
    } else {
      let from = value(guest(operand), Host.a)
      if from != Host.a { code.rr(0x8B, Host.a, from, size: 8) }
    }
    misses.append(code.lookUpJump())
    code.groupImmediate(4, Host.a, -4096, size: 8)
    code.store(Host.a, At.pageRIP)
    code.onSet(0xFF, 4, At.jump + 8, size: 4)
    slowPath(index, from: misses, resume: runtime.miss)
  }

  private func emitCall(_ index: Int, _ i: Instruction) {
    let operand = i.operands.0
    let next = pageOffset + steps[index].offset + Int(i.length)
    func pushReturn() -> Int {
      let miss = lookUp(size: 8, write: true) { self.stackAddress(-8) }
      code.rr(0x03, Host.a, Host.b, size: 8)
      code.load(Host.b, At.pageRIP)
      code.rm(0x8D, Host.b, base: Host.b, displacement: next, size: 8)
      code.rm(0x89, Host.b, base: Host.a, size: 8)
      moveStack(-8)
      return miss
    }
    if operand.kind == .relative {
      let miss = pushReturn()
      emitDirect(to: next + Int(truncatingIfNeeded: i.immediate))
      slowPath(index, from: [miss], resume: runtime.miss)
      return
    }
    var misses: [Int] = []
    if operand.kind == .memory {
      misses.append(lookUp(i, size: 8, write: false))
      code.rm(0x8B, Host.a, base: Host.a, index: Host.b, size: 8)
    } else {
      let from = value(guest(operand), Host.a)
      if from != Host.a { code.rr(0x8B, Host.a, from, size: 8) }
    }
    misses.append(code.lookUpJump())
    // The target and its code wait in memory while the return address is pushed, which may still fault.
    code.store(Host.a, At.rip)
    code.onSet(0x8B, Host.b, At.jump + 8, size: 8)
    code.store(Host.b, At.scratch)
    misses.append(pushReturn())
    code.load(Host.a, At.rip)
    code.groupImmediate(4, Host.a, -4096, size: 8)
    code.store(Host.a, At.pageRIP)
    code.rs(0xFF, 4, At.scratch, size: 4)
    slowPath(index, from: misses, resume: runtime.miss)
  }
}
