import Testing

@testable import Silicon

/// What older processors do otherwise is told by its reason, and only that: the same result with anything else wrong has none.
@Suite struct VectorReasonTests {
  /// An instruction at 1000:0100 with SS, DS, ES 2000, 3800, 4000, SP 0200 and the vectors 0, 6, 12, 13 to 0:0400 + 16 n.
  private struct Case {
    var vector = ProcessorVector()

    init(_ bytes: [UInt8], _ registers: [String: UInt16] = [:], on processor: RecordedProcessor) {
      vector.bytes = bytes + (processor == .i80286 ? [0xF4] : [])
      vector.before = [0, 0, 0, 0, 0x1000, 0x2000, 0x3800, 0x4000, 0x200, 0, 0, 0, 0x100, 2]
      for (name, value) in registers { vector.before[ProcessorVector.names.firstIndex(of: name) ?? 0] = value }
      vector.after = vector.before
      vector.after[12] &+= UInt16(vector.bytes.count)
      for (index, byte) in vector.bytes.enumerated() { put(byte, 0x1_0100 + UInt32(index)) }
      for number in [0, 6, 12, 13] as [UInt16] {
        put(word: 0x400 + number * 16, UInt32(number) * 4)
        put(word: 0, UInt32(number) * 4 + 2)
      }
    }

    mutating func put(_ value: UInt8, _ address: UInt32) { vector.memory.append(ProcessorVector.Cell(address: address, value: value)) }
    mutating func put(word: UInt16, _ address: UInt32) {
      put(UInt8(word & 0xFF), address)
      put(UInt8(word >> 8), address + 1)
    }
    mutating func change(word: UInt16, _ address: UInt32) {
      vector.changed.append(ProcessorVector.Cell(address: address, value: UInt8(word & 0xFF)))
      vector.changed.append(ProcessorVector.Cell(address: address + 1, value: UInt8(word >> 8)))
    }
    mutating func after(_ name: String, _ value: UInt16) {
      if let index = ProcessorVector.names.firstIndex(of: name) { vector.after[index] = value }
    }
    /// An exception whose frame is at SP, with these flags and this IP in it; on the 80286 the handler's HLT ran.
    mutating func exception(_ number: UInt16, sp: UInt16 = 0x200, flags: UInt16 = 2, ip: UInt16 = 0x100, halts: Bool = true) {
      if halts { vector.exception = UInt8(number) }
      after("sp", sp &- 6)
      after("cs", 0)
      after("ip", 0x400 + number * 16 + (halts ? 1 : 0))
      let at = 0x2_0000 + UInt32(sp)
      change(word: flags, at - 2)
      change(word: 0x1000, at - 4)
      change(word: ip, at - 6)
    }

    func verdict(_ processor: RecordedProcessor) throws -> VectorMachine.Verdict { try VectorMachine(processor).judge(vector) }
  }

  /// The reason is told; with another register wrong, none is.
  private func expect(
    _ reasons: [VectorReason], _ tested: Case, on processor: RecordedProcessor, _ location: SourceLocation = #_sourceLocation
  ) throws {
    #expect(try tested.verdict(processor) == .explained(reasons), sourceLocation: location)
    var wrong = tested
    wrong.vector.after[9] ^= 0x100
    #expect(try tested.vector.after != wrong.vector.after && isUnexplained(wrong.verdict(processor)), sourceLocation: location)
  }

  private func isUnexplained(_ verdict: VectorMachine.Verdict) -> Bool {
    if case .unexplained = verdict { return true }
    return false
  }

  @Test func undefinedFlagsOnly() throws {
    // MUL BL: 2 * 3; SF is open, CF is not.
    var tested = Case([0xF6, 0xE3], ["ax": 2, "bx": 3], on: .i8086)
    tested.after("ax", 6)
    tested.after("flags", 0x82)
    try expect([.undefinedFlags], tested, on: .i8086)
    tested.after("flags", 0x83)
    #expect(try isUnexplained(tested.verdict(.i8086)))
  }

  @Test func stackPointerIsPushedMoved() throws {
    var tested = Case([0x54], on: .i8086)
    tested.after("sp", 0x1FE)
    tested.change(word: 0x1FE, 0x2_01FE)
    try expect([.pushSP], tested, on: .i8086)
    tested.vector.changed[0].value = 0xFC
    #expect(try isUnexplained(tested.verdict(.i8086)))
  }

  @Test func divideErrorReturnsBehind() throws {
    // DIV BL by 0.
    var tested = Case([0xF6, 0xF3], ["ax": 1], on: .i8086)
    tested.exception(0, flags: 0xF002, ip: 0x102, halts: false)
    try expect([.upperFlags, .divideReturn], tested, on: .i8086)
  }

  @Test func countsHaveAllBits() throws {
    // SHL BX, 32 leaves nothing; RCL BL, 40 is one by 40 mod 9, 4.
    var tested = Case([0xD3, 0xE3], ["bx": 0x1234, "cx": 32], on: .i8086)
    tested.after("bx", 0)
    tested.after("flags", 0x46)
    try expect([.shiftCount], tested, on: .i8086)
    var rotated = Case([0xD2, 0xD3], ["bx": 0x81, "cx": 40], on: .i8086)
    rotated.after("bx", 0x14)
    try expect([.shiftCount], rotated, on: .i8086)
  }

  @Test func offsetsWrap() throws {
    // MOV AX, [FFFF]
    var tested = Case([0xA1, 0xFF, 0xFF], on: .i8086)
    tested.put(0x34, 0x4_7FFF)
    tested.put(0x12, 0x3_8000)
    tested.after("ax", 0x1234)
    try expect([.wraps], tested, on: .i8086)
    // MOV [FFFF], AX
    var stored = Case([0xA3, 0xFF, 0xFF], ["ax": 0x5678], on: .i8086)
    stored.vector.changed = [ProcessorVector.Cell(address: 0x4_7FFF, value: 0x78), ProcessorVector.Cell(address: 0x3_8000, value: 0x56)]
    try expect([.wraps], stored, on: .i8086)
  }

  @Test func opcodesAreDecodedWithFewerBits() throws {
    // 65 as 75: JNZ.
    var tested = Case([0x65, 0x10], on: .i8086)
    tested.after("ip", 0x112)
    try expect([.alias], tested, on: .i8086)
    // C9 as CB: RETF. D0 /6 sets all ones. C6 /3 as C6 /0.
    var returned = Case([0xC9], on: .i8086)
    returned.put(word: 0x50, 0x2_0200)
    returned.put(word: 0x5000, 0x2_0202)
    returned.after("ip", 0x50)
    returned.after("cs", 0x5000)
    returned.after("sp", 0x204)
    try expect([.alias], returned, on: .i8086)
    var ones = Case([0xD0, 0xF3], on: .i8086)
    ones.after("bx", 0xFF)
    ones.after("flags", 0x86)
    try expect([.setAllOnes], ones, on: .i8086)
    var moved = Case([0xC6, 0xDB, 0x77], on: .i8086)
    moved.after("bx", 0x77)
    try expect([.regField], moved, on: .i8086)
    // MOV CS, BX
    var code = Case([0x8E, 0xCB], ["bx": 0x5000], on: .i8086)
    code.after("cs", 0x5000)
    try expect([.codeSegment], code, on: .i8086)
  }

  @Test func decimalAdjustments() throws {
    // DAA of 9A with AF set: 9F is the bound. AAA of xxFA: no carry into AH.
    var tested = Case([0x27], ["ax": 0x9A, "flags": 0x12], on: .i8086)
    tested.after("ax", 0xA0)
    tested.after("flags", 0x96)
    try expect([.decimal], tested, on: .i8086)
    var ascii = Case([0x37], ["ax": 0x1FA, "flags": 2], on: .i8086)
    ascii.after("ax", 0x200)
    ascii.after("flags", 0x13)
    try expect([.ascii], ascii, on: .i8086)
  }

  @Test func signedDivision() throws {
    // IDIV BL: -256 / 2 does not fit; with REP 7 / 2 is -3.
    var tested = Case([0xF6, 0xFB], ["ax": 0xFF00, "bx": 2], on: .i8086)
    tested.exception(0, flags: 0xF002, ip: 0x102, halts: false)
    try expect([.upperFlags, .divideReturn, .idivMinimum], tested, on: .i8086)
    var repeated = Case([0xF3, 0xF6, 0xFB], ["ax": 7, "bx": 2], on: .i8086)
    repeated.after("ax", 0x1FD)
    try expect([.idivRepeated], repeated, on: .i8086)
  }

  @Test func stackFaultsWereGeneral() throws {
    // MOV AX, [BP-1] at SS:FFFF
    var tested = Case([0x8B, 0x46, 0xFF], on: .i80286)
    tested.exception(13)
    try expect([.stackFault], tested, on: .i80286)
    // POP [FFFF]: SP has moved.
    var popped = Case([0x8F, 0x06, 0xFF, 0xFF], on: .i80286)
    popped.exception(13, sp: 0x202)
    try expect([.popMoved], popped, on: .i80286)
    // STOSW at FFFF: DI has moved.
    var stored = Case([0xAB], ["di": 0xFFFF], on: .i80286)
    stored.exception(13)
    stored.after("di", 1)
    try expect([.stringMoved], stored, on: .i80286)
  }

  @Test func whatThe80286RefusedOrTook() throws {
    // LOCK MOV AX, BX runs; eleven bytes are too many; MOV FS, AX is no instruction.
    var locked = Case([0xF0, 0x8B, 0xC3], ["bx": 0x1234], on: .i80286)
    locked.after("ax", 0x1234)
    try expect([.lock], locked, on: .i80286)
    var long = Case([0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0xC7, 0x06, 0, 0, 0, 0], on: .i80286)
    long.exception(13)
    try expect([.longInstruction], long, on: .i80286)
    var later = Case([0x8E, 0xE0], on: .i80286)
    later.exception(6)
    try expect([.laterSegments], later, on: .i80286)
  }

  @Test func writesThatWereNotRecorded() throws {
    // PUSH AX, of which nothing is said.
    var tested = Case([0x50], ["ax": 1], on: .i8086)
    tested.after("sp", 0x1FE)
    let machine = try VectorMachine(.i8086)
    #expect(machine.judge(tested.vector) == .same)
    #expect(!machine.isClean())
    #expect(machine.isClean())
  }
}
