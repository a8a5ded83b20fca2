/// Reads instructions from bytes.
///
/// Follows Intel processors (SDM volume 2, chapter 2): REX counts only as the last prefix; the last of F2 and F3 wins; near
/// branches in 64-bit mode ignore the operand-size prefix; VEX after 66, F2, F3, LOCK or REX is undefined. SYSCALL, SYSRET,
/// SYSENTER and SYSEXIT decode in every mode: whether the processor has them there is for the executor to say.
public enum Decoder {
  /// Reads one instruction from `available` bytes at `bytes`.
  ///
  /// Throws `.invalid` where no such instruction exists (#UD), `.tooLong` beyond 15 bytes (#GP), `.truncated` if the bytes
  /// end first. `.invalid` comes as soon as the opcode and ModRM say so, before what follows them is needed.
  public static func decode(
    _ bytes: UnsafePointer<UInt8>, available: Int, mode: CodeMode
  ) throws(DecodeError) -> Instruction {
    var state = DecoderState(bytes: bytes, limit: available, mode: mode)
    try state.decode()
    return state.result
  }

  /// Reads one instruction from the start of `bytes`.
  public static func decode(_ bytes: UnsafeRawBufferPointer, mode: CodeMode) throws(DecodeError) -> Instruction {
    guard let base = bytes.baseAddress else { throw .truncated }
    return try decode(base.assumingMemoryBound(to: UInt8.self), available: bytes.count, mode: mode)
  }

  /// Reads one instruction from the start of `bytes`.
  public static func decode(_ bytes: [UInt8], mode: CodeMode = .long64) throws(DecodeError) -> Instruction {
    var state: DecoderState?
    var failure: DecodeError?
    bytes.withUnsafeBufferPointer { buffer in
      guard let base = buffer.baseAddress else {
        failure = .truncated
        return
      }
      var attempt = DecoderState(bytes: base, limit: buffer.count, mode: mode)
      do throws(DecodeError) { try attempt.decode() } catch { failure = error }
      state = attempt
    }
    if let failure { throw failure }
    guard let state else { throw .truncated }
    return state.result
  }
}

/// One decoding under way. `bytes` is read below `limit` only.
struct DecoderState {
  let bytes: UnsafePointer<UInt8>
  let limit: Int
  let mode: CodeMode
  var position = 0
  var result: Instruction

  // Prefixes.
  var rex: UInt8 = 0
  var hasOperandSize = false
  var hasAddressSize = false
  /// 0, F2 or F3: the last one.
  var repeatPrefix: UInt8 = 0
  var hasLock = false
  /// Segment override in force, or 0xFF.
  var override: UInt8 = 0xFF
  // VEX.
  var isVEX = false
  /// Register number (the field inverted back): 0 where the field is 1111.
  var vvvv: UInt8 = 0
  var l = false
  /// 0 none, 1 66, 2 F3, 3 F2.
  var prefixClass: UInt8 = 0
  // ModRM, with the REX bits added to reg and rm.
  var isRegister = false
  var reg: UInt8 = 0
  var rm: UInt8 = 0
  var modRM: UInt8 = 0

  init(bytes: UnsafePointer<UInt8>, limit: Int, mode: CodeMode) {
    self.bytes = bytes
    self.limit = limit < 15 ? limit : 15
    self.mode = mode
    result = Instruction()
  }

  @inline(__always) var is64: Bool { mode == .long64 }

  @inline(__always) mutating func next() throws(DecodeError) -> UInt8 {
    guard position < limit else { throw limit == 15 ? .tooLong : .truncated }
    let byte = bytes[position]
    position &+= 1
    return byte
  }

  @inline(__always) mutating func next16() throws(DecodeError) -> UInt16 { try next(2, UInt16.self) }
  @inline(__always) mutating func next32() throws(DecodeError) -> UInt32 { try next(4, UInt32.self) }
  @inline(__always) mutating func next64() throws(DecodeError) -> UInt64 { try next(8, UInt64.self) }

  @inline(__always) private mutating func next<T: FixedWidthInteger>(_ count: Int, _: T.Type) throws(DecodeError) -> T {
    guard position &+ count <= limit else { throw limit == 15 ? .tooLong : .truncated }
    let value = UnsafeRawPointer(bytes + position).loadUnaligned(as: T.self)
    position &+= count
    return T(littleEndian: value)
  }

  mutating func decode() throws(DecodeError) {
    var byte = try readPrefixes()
    var space = 0
    if byte == 0x0F {
      byte = try next()
      space = 1
      if byte == 0x38 {
        byte = try next()
        space = 2
      } else if byte == 0x3A {
        byte = try next()
        space = 3
      }
    } else if byte == 0xC5 || byte == 0xC4 || byte == 0x62 {
      var isPrefix = is64
      if !isPrefix { isPrefix = try peek() >= 0xC0 }
      if isPrefix {
        if byte == 0x62 { throw .invalid }
        space = try readVEX(threeBytes: byte == 0xC4)
        byte = try next()
      }
    }
    try decodeOpcode(space, byte)
  }

  @inline(__always) private mutating func peek() throws(DecodeError) -> UInt8 {
    let byte = try next()
    position &-= 1
    return byte
  }

  /// Reads the legacy and REX prefixes and returns the byte after them.
  @inline(__always) private mutating func readPrefixes() throws(DecodeError) -> UInt8 {
    while true {
      let byte = try next()
      switch byte {
      case 0x66: hasOperandSize = true
      case 0x67: hasAddressSize = true
      case 0xF0: hasLock = true
      case 0xF2, 0xF3: repeatPrefix = byte
      case 0x26, 0x2E, 0x36, 0x3E:
        // In 64-bit mode these four do nothing.
        if !is64 { override = (byte >> 3) & 3 }
      case 0x64, 0x65: override = byte & 7
      case 0x40...0x4F:
        guard is64 else { return byte }
        rex = byte
        continue
      default: return byte
      }
      // A REX prefix before another prefix is ignored.
      rex = 0
    }
  }

  /// Reads the rest of a VEX prefix and returns the opcode space.
  @inline(__always) private mutating func readVEX(threeBytes: Bool) throws(DecodeError) -> Int {
    if hasOperandSize || repeatPrefix != 0 || hasLock || rex != 0 { throw .invalid }
    isVEX = true
    let first = try next()
    var space = 4
    var last = first
    // R, X and B are inverted. They are kept as a REX prefix would have them.
    rex = (~first >> 5) & 4
    if threeBytes {
      rex |= (~first >> 5) & 3
      let map = first & 0x1F
      if map == 0 || map > 3 { throw .invalid }
      space = 3 &+ Int(map)
      last = try next()
      rex |= (last >> 4) & 8
    }
    if !is64 { rex &= 8 }
    vvvv = ~(last >> 3) & 0xF
    l = last & 4 != 0
    // pp: 0 none, 1 66, 2 F3, 3 F2, as the prefix classes are numbered.
    prefixClass = last & 3
    return space
  }

  private mutating func decodeOpcode(_ space: Int, _ opcode: UInt8) throws(DecodeError) {
    let layout = InstructionTable.shared.layout
    let entry = layout.opcodes[space << 8 | Int(opcode)]
    if entry & DecoderLayout.exists == 0 { throw .invalid }
    if !isVEX {
      prefixClass = repeatPrefix == 0xF3 ? 2 : repeatPrefix == 0xF2 ? 3 : hasOperandSize ? 1 : 0
    }
    let w = rex & 8 != 0
    let wide = mode == .protected16
    var operandSize: UInt8 = w && is64 ? 8 : hasOperandSize != wide ? 2 : 4
    let addressSize: UInt8 = is64 ? (hasAddressSize ? 4 : 8) : (hasAddressSize != wide ? 2 : 4)
    var key = MatchKey.prefix(prefixClass) | MatchKey.mode(mode) | MatchKey.w(w) | MatchKey.l(l)
    key |= MatchKey.operandSize(operandSize) | MatchKey.addressSize(addressSize)
    key |= vvvv == 0 ? MatchKey.vvvvUnused : MatchKey.vvvvUsed
    key |= hasLock ? MatchKey.locked : MatchKey.unlocked
    var bucket = Int(entry & 0xFFFF)
    if entry & DecoderLayout.hasModRM != 0 {
      modRM = try next()
      isRegister = modRM >= 0xC0
      reg = (modRM >> 3) & 7
      rm = modRM & 7
      key |= MatchKey.rm(rm)
      let index = reg | (isRegister ? 8 : 0)
      bucket &+= Int(index >> UInt8((entry >> 16) & 7))
    } else {
      key |= MatchKey.rm(rex & 1)
    }
    var candidate = Int(layout.buckets[bucket])
    let end = Int(layout.buckets[bucket &+ 1])
    while true {
      if candidate >= end { throw .invalid }
      if key & ~layout.candidates[candidate].accept == 0 { break }
      candidate &+= 1
    }
    let form = layout.candidates[candidate].form
    let row = layout.rows + Int(form)
    let flags = row.pointee.flags
    if hasOperandSize && !isVEX && prefixClass == 1 && flags.contains(.mandatoryPrefix) {
      // 66 is part of the opcode, not an operand size.
      if operandSize != 8 { operandSize = wide ? 2 : 4 }
      hasOperandSize = false
    }
    if is64 {
      if flags.contains(.force64) {
        operandSize = 8
      } else if flags.contains(.default64) && operandSize == 4 {
        operandSize = 8
      }
    }
    if flags.contains(.registerOnly) { isRegister = true }
    result.mnemonic = Mnemonic(rawValue: row.pointee.mnemonic)
    result.form = form
    result.operandSize = operandSize
    result.addressSize = addressSize
    result.w = w
    if isVEX { result.vectorLength = l && !flags.contains(.ignoresL) ? 32 : 16 }
    setPrefixes(mandatory: flags.contains(.mandatoryPrefix))
    if entry & DecoderLayout.hasModRM != 0 && !isRegister {
      try readMemory(addressSize, vsib: flags.contains(.vsib))
    } else {
      result.segment = override != 0xFF ? override : 3
      if flags.contains(.destinationES) {
        // An override does nothing to ES:rDI.
        result.segment = 0
        result.prefixes.remove(.segment)
      }
    }
    try readOperands(row, opcode, operandSize)
    result.length = UInt8(truncatingIfNeeded: position)
  }

  @inline(__always) private mutating func setPrefixes(mandatory: Bool) {
    var prefixes: Instruction.Prefixes = []
    if hasLock { prefixes.insert(.lock) }
    if repeatPrefix != 0 && !mandatory { prefixes.insert(repeatPrefix == 0xF3 ? .rep : .repne) }
    if hasOperandSize { prefixes.insert(.operandSize) }
    if hasAddressSize { prefixes.insert(.addressSize) }
    if override != 0xFF { prefixes.insert(.segment) }
    if isVEX {
      prefixes.insert(.vex)
    } else if rex != 0 {
      prefixes.insert(.rex)
    }
    result.prefixes = prefixes
  }
}
