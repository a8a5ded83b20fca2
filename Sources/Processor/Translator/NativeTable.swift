import X86

/// What the translator makes of an instruction itself; everything else is a fallback.
enum Native: Sendable {
  case move, zeroExtend, signExtend, lea, nop
  /// Group-1 number: 0 add 1 or 2 adc 3 sbb 4 and 5 sub 6 xor 7 cmp.
  case arithmetic(Int)
  case test, increment, decrement, negate, not
  /// Group-2 number: 4 shl 5 shr 7 sar.
  case shift(Int)
  /// 0 rol 1 ror.
  case rotate(Int)
  case multiply
  case push, pop, call, ret, jump
  case conditionalJump(Int)
  case conditionalSet(Int)
  case conditionalMove(Int)
  /// CBW … CQO by opcode and operand size.
  case widen(Int, Int)
  case exchange, byteSwap
  case vector(VectorEncoding)

  /// By mnemonic number.
  static let table: [Native?] = {
    var table = [Native?](repeating: nil, count: 1 << 12)
    func set(_ name: String, _ native: Native) {
      if let mnemonic = Mnemonic(name) { table[Int(mnemonic.rawValue)] = native }
    }
    set("mov", .move)
    set("movzx", .zeroExtend)
    set("movsx", .signExtend)
    set("movsxd", .signExtend)
    set("lea", .lea)
    set("nop", .nop)
    set("endbr64", .nop)
    for (number, name) in ["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"].enumerated() { set(name, .arithmetic(number)) }
    set("test", .test)
    set("inc", .increment)
    set("dec", .decrement)
    set("neg", .negate)
    set("not", .not)
    set("shl", .shift(4))
    set("shr", .shift(5))
    set("sar", .shift(7))
    set("rol", .rotate(0))
    set("ror", .rotate(1))
    set("imul", .multiply)
    set("push", .push)
    set("pop", .pop)
    set("call", .call)
    set("ret", .ret)
    set("jmp", .jump)
    for (code, name) in ["o", "no", "b", "ae", "z", "nz", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"].enumerated() {
      set("j" + name, .conditionalJump(code))
      set("set" + name, .conditionalSet(code))
      set("cmov" + name, .conditionalMove(code))
    }
    set("cbw", .widen(0x98, 2))
    set("cwde", .widen(0x98, 4))
    set("cdqe", .widen(0x98, 8))
    set("cwd", .widen(0x99, 2))
    set("cdq", .widen(0x99, 4))
    set("cqo", .widen(0x99, 8))
    set("xchg", .exchange)
    set("bswap", .byteSwap)
    return table
  }()
}

/// One instruction of a block on its way to host code.
struct Step {
  var instruction: Instruction
  /// From the block's first byte.
  var offset: Int
  var native: Native?
  /// It may fault, or runs in the interpreter: the flags in memory must be right when it begins.
  var observes = false
  var reads = false
  /// It sets all six flags; or some, and then those that it keeps matter.
  var sets = false
  var setsSome = false
  /// Somebody looks at the flags after it: in memory, in the host's register.
  var needsSave = false
  var needsHost = false

  var size: Int { max(Int(instruction.operands.0.size), 1) }
  var hasMemory: Bool {
    let o = instruction.operands
    return o.0.kind == .memory || o.1.kind == .memory || o.2.kind == .memory
  }
  var isFallback: Bool { native == nil }
}

extension Step {
  /// Decides whether the instruction is translated, and what it does with flags.
  init(_ instruction: Instruction, offset: Int, bytes: UnsafeRawBufferPointer) {
    self.instruction = instruction
    self.offset = offset
    native = Native.table[Int(instruction.mnemonic.rawValue)]
    if !isPlain { native = nil }
    if let entry = VectorNative.table[Int(instruction.mnemonic.rawValue)] { classifyVector(entry, bytes) }
    classify()
    observes = observes || native == nil || (hasMemory && !isAddressOnly)
    if native == nil { (reads, sets, setsSome) = (true, false, true) }
  }

  /// An SSE or AVX instruction that the host has too, with operands where the emitter knows them.
  private mutating func classifyVector(_ entry: VectorNative.Entry, _ bytes: UnsafeRawBufferPointer) {
    native = nil
    guard entry.features & ~VectorNative.hostFeatures == 0, hasPlainAddress else { return }
    let o = instruction.operands
    for operand in [o.0, o.1, o.2, o.3, o.4] {
      switch operand.kind {
      case .none, .general, .memory, .immediate, .vector: continue
      default: return
      }
    }
    guard let encoding = VectorEncoding(bytes, instruction, entry: entry) else { return }
    // MOVQ and MOVD share their names with the MMX forms, PEXTRW has two encodings: what is not as expected is left alone.
    guard o.3.kind != .memory, o.4.kind != .memory, !(o.0.kind == .general && o.1.kind == .general) else { return }
    native = .vector(encoding)
    if entry.compares { sets = true }
  }

  /// A vector instruction with a VEX prefix.
  var isAVX: Bool {
    if case .vector(let encoding) = native { return encoding.vex }
    return false
  }

  var isVector: Bool {
    if case .vector = native { return true }
    return false
  }

  private var isAddressOnly: Bool {
    if case .lea = native { return true }
    if case .nop = native { return true }
    return false
  }

  /// Operands that the emitter can handle: general registers without high bytes, 64-bit addresses.
  private var isPlain: Bool {
    let o = instruction.operands
    guard hasPlainAddress else { return false }
    for operand in [o.0, o.1, o.2] {
      switch operand.kind {
      case .none, .general, .memory, .immediate, .relative: continue
      default: return false
      }
    }
    return true
  }

  private var hasPlainAddress: Bool {
    if instruction.addressSize != 8 { return false }
    if instruction.base == -2 {
      let far = Int64(offset) &+ 8192 &+ instruction.displacement
      if far > Int64(Int32.max) - 16384 || far < Int64(Int32.min) + 16384 { return false }
    }
    return instruction.displacement <= Int64(Int32.max) && instruction.displacement >= Int64(Int32.min)
  }

  private mutating func classify() {
    let o = instruction.operands
    switch native {
    case .move:
      // A 64-bit absolute address (moffs) has no base and may not fit; `isPlain` has checked that it does.
      break
    case .arithmetic(let number):
      sets = true
      if number == 2 || number == 3 {
        reads = true
        if o.0.kind == .memory { native = nil }
      }
    case .test: sets = true
    case .increment, .decrement:
      setsSome = true
      if hasMemory { native = nil }
    case .negate:
      sets = true
      if hasMemory { native = nil }
    case .not: if hasMemory { native = nil }
    case .shift:
      if hasMemory {
        native = nil
        return
      }
      guard o.1.kind == .immediate else {
        // By CL: a count of 0 keeps all flags.
        setsSome = true
        return
      }
      let count = Int(instruction.immediate) & (size == 8 ? 63 : 31)
      if count == 0 || count >= size * 8 { native = nil }
      sets = true
    case .rotate:
      // By an immediate other than 1 OF is kept; with 1 both flags are set.
      if hasMemory || o.1.kind != .immediate || size < 4 { native = nil }
      if Int(instruction.immediate) & (size == 8 ? 63 : 31) == 0 { native = nil }
      setsSome = true
    case .multiply:
      sets = true
      if o.1.kind == .none || size < 4 { native = nil }
    case .push:
      observes = true
      if o.0.size == 2 || instruction.operandSize != 8 || o.0.kind == .memory { native = nil }
    case .pop:
      observes = true
      if o.0.kind != .general || instruction.operandSize != 8 || o.0.register == 4 { native = nil }
    case .call:
      observes = true
    case .ret:
      observes = true
      if o.0.kind != .none || instruction.operandSize != 8 { native = nil }
    case .jump: observes = o.0.kind != .relative
    case .conditionalJump: reads = true
    case .conditionalSet: reads = true
    case .conditionalMove:
      reads = true
      if hasMemory || size < 4 { native = nil }
    case .exchange:
      if hasMemory || size < 4 || o.0.kind != .general || o.1.kind != .general || o.0.register >= 12 || o.1.register >= 12 { native = nil }
    case .byteSwap: if size < 4 || o.0.register >= 12 { native = nil }
    default: break
    }
  }
}

/// Finds out backwards who looks at each instruction's flags. At the block's end everybody may.
func markFlagUses(_ steps: inout [Step]) {
  var memoryLooks = true
  var hostLooks = false
  for index in steps.indices.reversed() {
    steps[index].needsSave = memoryLooks
    steps[index].needsHost = hostLooks
    if steps[index].sets {
      memoryLooks = false
      hostLooks = false
    }
    if steps[index].setsSome && steps[index].native != nil && (steps[index].needsSave || steps[index].needsHost) {
      // It keeps some: they must be right before it, in memory; and in the host's register, unless it is a rotate whose carry is
      // kept beside the rest.
      if case .rotate = steps[index].native { hostLooks = steps[index].needsHost } else { hostLooks = true }
      memoryLooks = true
    }
    if steps[index].reads { hostLooks = true }
    if steps[index].native == nil { hostLooks = false }
    if steps[index].observes { memoryLooks = true }
  }
}
