import CHost
import X86

/// What the translator makes of an instruction itself; everything else is a fallback.
enum Native: Sendable {
  case move, zeroExtend, signExtend, lea, nop
  /// Group-1 number: 0 add 1 or 2 adc 3 sbb 4 and 5 sub 6 xor 7 cmp.
  case arithmetic(Int)
  case test, increment, decrement, negate, not
  /// Group-2 number: 4 shl 5 shr 7 sar.
  case shift(Int)
  /// 0 rol 1 ror 2 rcl 3 rcr.
  case rotate(Int)
  /// SHLD, SHRD: the opcode with an immediate count.
  case doubleShift(Int)
  case multiply
  /// Group-3 number: 4 mul 5 imul; 6 div 7 idiv.
  case wideMultiply(Int)
  case divide(Int)
  case push, pop, call, ret, jump
  case leaveFrame, pushFlags
  case conditionalJump(Int)
  case conditionalSet(Int)
  case conditionalMove(Int)
  /// CBW … CQO by opcode and operand size.
  case widen(Int, Int)
  case exchange, byteSwap, exchangeAdd, compareExchange
  /// CMPXCHG8B, CMPXCHG16B by bytes.
  case compareExchangeWide(Int)
  /// BT BTS BTR BTC: 0…3.
  case bitTest(Int)
  /// BSF … POPCNT: prefix and opcode.
  case scan(Int, Int)
  case threeOperand(ThreeOperandEncoding)
  /// ADCX, ADOX: prefix.
  case addFlag(Int)
  case checksum, bigEndianMove
  /// CLC, STC, CMC: opcode.
  case carry(Int)
  /// CLD, STD.
  case direction(Bool)
  case flagsToAH, flagsFromAH
  /// JRCXZ; LOOP.
  case jumpIfZero, loop
  case systemCall
  case readTimeStamp(withProcessor: Bool)
  /// MOV from a segment or control register by number; RDFSBASE … WRGSBASE by segment.
  case readSegment(Int), readControl(Int), readBase(Int), writeBase(Int)
  case swapGS, clearInterrupts, setInterrupts
  /// STOS, LODS, MOVS once, by element size.
  case storeString(Int), loadString(Int), moveString(Int)
  case vector(VectorEncoding)
  case x87(X87Encoding)

  /// By mnemonic number.
  static let table: [Native?] = {
    var table = [Native?](repeating: nil, count: 1 << 12)
    func set(_ name: String, _ native: Native?) {
      if let mnemonic = Mnemonic(name) { table[Int(mnemonic.rawValue)] = native }
    }
    set("mov", .move)
    set("movzx", .zeroExtend)
    set("movsx", .signExtend)
    set("movsxd", .signExtend)
    set("lea", .lea)
    set("movnti", .move)
    for name in [
      "nop", "endbr64", "endbr32", "pause", "prefetch", "prefetchw", "prefetchwt1", "prefetchnta", "prefetcht0", "prefetcht1", "prefetcht2",
      "lfence",
      "mfence", "sfence",
    ] { set(name, .nop) }
    for (number, name) in ["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"].enumerated() { set(name, .arithmetic(number)) }
    set("test", .test)
    set("inc", .increment)
    set("dec", .decrement)
    set("neg", .negate)
    set("not", .not)
    set("shl", .shift(4))
    set("shr", .shift(5))
    set("sar", .shift(7))
    for (number, name) in ["rol", "ror", "rcl", "rcr"].enumerated() { set(name, .rotate(number)) }
    set("shld", .doubleShift(0xA4))
    set("shrd", .doubleShift(0xAC))
    set("mul", .wideMultiply(4))
    set("div", .divide(6))
    set("idiv", .divide(7))
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
    set("xadd", .exchangeAdd)
    set("cmpxchg", .compareExchange)
    set("cmpxchg8b", .compareExchangeWide(8))
    set("leave", .leaveFrame)
    set("pushfq", .pushFlags)
    set("pushfd", .pushFlags)
    for (number, name) in ["bt", "bts", "btr", "btc"].enumerated() { set(name, .bitTest(number)) }
    set("bsf", .scan(0, 0x0FBC))
    set("bsr", .scan(0, 0x0FBD))
    set("clc", .carry(0xF8))
    set("stc", .carry(0xF9))
    set("cmc", .carry(0xF5))
    set("cld", .direction(false))
    set("std", .direction(true))
    set("lahf", .flagsToAH)
    set("sahf", .flagsFromAH)
    set("syscall", .systemCall)
    set("rdtsc", .readTimeStamp(withProcessor: false))
    set("rdtscp", .readTimeStamp(withProcessor: true))
    set("swapgs", .swapGS)
    set("cli", .clearInterrupts)
    set("sti", .setInterrupts)
    for (name, segment) in [("fs", PV_FS), ("gs", PV_GS)] {
      set("rd" + name + "base", .readBase(Int(segment)))
      set("wr" + name + "base", .writeBase(Int(segment)))
    }
    set("jrcxz", .jumpIfZero)
    set("jecxz", .jumpIfZero)
    set("loop", .loop)
    for (name, size) in [("b", 1), ("w", 2), ("d", 4), ("q", 8)] {
      set("stos" + name, .storeString(size))
      set("lods" + name, .loadString(size))
      set("movs" + name, .moveString(size))
    }
    let host = HostIntegerFeatures.present
    if host.contains(.bmi1) { set("tzcnt", .scan(0xF3, 0x0FBC)) }
    if host.contains(.lzcnt) { set("lzcnt", .scan(0xF3, 0x0FBD)) }
    if host.contains(.popcnt) { set("popcnt", .scan(0xF3, 0x0FB8)) }
    if host.contains(.movbe) { set("movbe", .bigEndianMove) }
    if host.contains(.crc32) { set("crc32", .checksum) }
    if host.contains(.cmpxchg16b) { set("cmpxchg16b", .compareExchangeWide(16)) }
    if host.contains(.adx) {
      set("adcx", .addFlag(0x66))
      set("adox", .addFlag(0xF3))
    }
    for (name, encoding) in ThreeOperandEncoding.all where host.contains(encoding.needs) { set(name, .threeOperand(encoding)) }
    for (group, names) in HostKnownResults.groups where !HostKnownResults.present.contains(group) {
      for name in names { set(name, nil) }
    }
    return table
  }()
}

/// One instruction of a block on its way to host code.
struct Step {
  var instruction: Instruction
  /// It is 32-bit code's.
  var narrow: Bool
  /// From the block's first byte.
  var offset: Int
  var native: Native?
  /// It may fault, or runs in the interpreter: the flags in memory must be right when it begins.
  var observes = false
  /// It sets all six flags; or these; or perhaps these.
  var sets = false
  var setsSome: UInt8 = 0
  var mayChange: UInt8 = 0
  /// What it reads of the host's register; and what besides if it has to save.
  var flagsRead: UInt8 = 0
  var saveReads: UInt8 = 0
  /// Somebody looks at the flags after it: in memory; in the host's register, at these.
  var needsSave = false
  var hostFlags: UInt8 = 0
  var needsHost: Bool { hostFlags != 0 }
  var flagsSet: UInt8 { sets ? FlagSet.all : setsSome }

  var size: Int { max(Int(instruction.operands.0.size), 1) }
  var hasMemory: Bool {
    let o = instruction.operands
    return o.0.kind == .memory || o.1.kind == .memory || o.2.kind == .memory
  }
  var isFallback: Bool { native == nil }
}

extension Step {
  /// Decides whether the instruction is translated, and what it does with flags.
  init(_ instruction: Instruction, offset: Int, bytes: UnsafeRawBufferPointer, narrow: Bool) {
    self.instruction = instruction
    self.narrow = narrow
    self.offset = offset
    native = Native.table[Int(instruction.mnemonic.rawValue)]
    if !isPlain {
      native = nil
      classifySystem()
    }
    if let entry = VectorNative.table[Int(instruction.mnemonic.rawValue)] { classifyVector(entry, bytes) }
    if let shape = X87Encoding.shapes[Int(instruction.mnemonic.rawValue)], hasPlainAddress {
      native = X87Encoding(shape, instruction, bytes).map { .x87($0) }
    }
    if narrow { classifyNarrow() }
    classify()
    observes = observes || native == nil || (hasMemory && !isAddressOnly)
    if native == nil { (sets, setsSome, mayChange, flagsRead) = (false, 0, 0, 0) }
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

  var isX87: Bool {
    if case .x87 = native { return true }
    return false
  }

  var mindsNaNs: Bool {
    if case .x87(let encoding) = native { return encoding.mindsNaNs }
    return false
  }

  private var isAddressOnly: Bool {
    if case .lea = native { return true }
    if case .nop = native { return true }
    return false
  }

  /// Bytes of an address and of what the stack takes.
  var word: UInt8 { narrow ? 4 : 8 }

  /// Operands that the emitter can handle, and a 64-bit address.
  private var isPlain: Bool {
    if isNothing { return true }
    let o = instruction.operands
    guard hasPlainAddress else { return false }
    for operand in [o.0, o.1, o.2] {
      switch operand.kind {
      case .none, .general, .memory, .immediate, .relative: continue
      case .generalHigh: if !HostIntegerFeatures.present.contains(.bmi2) { return false }
      default: return false
      }
    }
    return true
  }

  private var isNothing: Bool {
    if case .nop = native { return true }
    return false
  }

  var hasPlainAddress: Bool {
    if instruction.addressSize != word { return false }
    if narrow { return true }
    if instruction.base == -2 {
      let far = Int64(offset) &+ 8192 &+ instruction.displacement
      if far > Int64(Int32.max) - 16384 || far < Int64(Int32.min) + 16384 { return false }
    }
    return instruction.displacement <= Int64(Int32.max) && instruction.displacement >= Int64(Int32.min)
  }
}
