import X86

extension Step {
  /// Says what the instruction does with flags, and leaves to the interpreter the forms that the emitters do not have.
  mutating func classify() {
    let o = instruction.operands
    switch native {
    case .arithmetic(let number):
      sets = true
      if number == 2 || number == 3 { flagsRead = FlagSet.carry }
    case .test, .negate, .exchangeAdd, .compareExchange, .wideMultiply: sets = true
    case .increment, .decrement:
      setsSome = FlagSet.all & ~FlagSet.carry
      saveReads = FlagSet.carry
    case .shift: classifyShift()
    case .rotate(let number): classifyRotate(number)
    case .doubleShift:
      if o.2.kind == .immediate {
        let count = Int(instruction.immediate) & (size == 8 ? 63 : 31)
        sets = true
        if count == 0 || count >= size * 8 { native = nil }
      } else {
        mayChange = FlagSet.all
        if size == 2 { native = nil }
      }
    case .multiply:
      sets = true
      if o.1.kind == .none {
        native = .wideMultiply(5)
      } else if o.0.kind != .general || o.1.kind == .immediate {
        native = nil
      }
    case .divide, .systemCall, .readTimeStamp, .readControl, .readBase, .writeBase, .swapGS, .clearInterrupts, .setInterrupts:
      observes = true
    case .push, .pop, .call, .ret, .jump, .leaveFrame, .pushFlags: classifyStack()
    case .conditionalJump(let condition), .conditionalSet(let condition), .conditionalMove(let condition):
      flagsRead = FlagSet.read(by: condition)
    case .byteSwap: if size < 4 { native = nil }
    case .bitTest:
      setsSome = FlagSet.carry
      if size < 2 { native = nil }
    case .compareExchangeWide: setsSome = FlagSet.zero
    case .scan: sets = true
    case .threeOperand(let encoding): sets = encoding.setsFlags
    case .addFlag(let prefix):
      setsSome = prefix == 0x66 ? FlagSet.carry : FlagSet.overflow
      flagsRead = setsSome
    case .carry(let opcode):
      setsSome = FlagSet.carry
      if opcode == 0xF5 { flagsRead = FlagSet.carry }
    case .direction: observes = true
    case .flagsToAH: flagsRead = FlagSet.all & ~FlagSet.overflow
    case .flagsFromAH:
      setsSome = FlagSet.all & ~FlagSet.overflow
      saveReads = FlagSet.overflow
    case .storeString, .loadString, .moveString:
      observes = true
      if o.0.kind != .none || !instruction.prefixes.isDisjoint(with: [.rep, .repne]) { native = nil }
    case .x87(let encoding):
      if encoding.shape == .compareToFlags { sets = true }
      if let condition = encoding.condition { flagsRead = FlagSet.read(by: condition) }
    default: break
    }
  }

  private mutating func classifyShift() {
    guard instruction.operands.1.kind == .immediate else {
      // By CL: a count of 0 keeps all flags. By nothing: 1.
      if instruction.operands.1.kind == .general { mayChange = FlagSet.all } else { native = nil }
      return
    }
    let count = Int(instruction.immediate) & (size == 8 ? 63 : 31)
    if count == 0 || count >= size * 8 { native = nil }
    sets = true
  }

  private mutating func classifyRotate(_ number: Int) {
    let both = FlagSet.carry | FlagSet.overflow
    if number >= 2 { flagsRead = FlagSet.carry }
    guard instruction.operands.1.kind == .immediate else {
      mayChange = both
      if number >= 2 { saveReads = FlagSet.all }
      if instruction.operands.1.kind != .general { native = nil }
      return
    }
    let count = Int(instruction.immediate) & (size == 8 ? 63 : 31)
    if count == 0 || count >= size * 8 { native = nil }
    // ROL and ROR of a register by an immediate other than 1 keep OF.
    setsSome = number < 2 && count != 1 && instruction.operands.0.kind != .memory ? FlagSet.carry : both
  }

  private mutating func classifyStack() {
    let o = instruction.operands
    observes = true
    switch native {
    case .push: if o.0.size == 2 || instruction.operandSize != word || o.0.kind == .generalHigh { native = nil }
    case .pop: if instruction.operandSize != word || o.0.kind == .generalHigh { native = nil }
    case .leaveFrame, .ret: if instruction.operandSize != word { native = nil }
    case .jump: observes = o.0.kind != .relative
    case .pushFlags:
      flagsRead = FlagSet.all
      if instruction.operandSize != word { native = nil }
    default: break
    }
  }
}

/// Finds out backwards who looks at each instruction's flags. At the block's end everybody may.
func markFlagUses(_ steps: inout [Step]) {
  var memory = FlagSet.all
  var host: UInt8 = 0
  for index in steps.indices.reversed() {
    let isNative = steps[index].native != nil
    let set = steps[index].flagsSet
    steps[index].needsSave = isNative && memory & (set | steps[index].mayChange) != 0
    steps[index].hostFlags = host
    if isNative {
      memory &= ~set
      // What perhaps changes nothing saves all flags as they are in the host's register, if it has to keep that right as well.
      let keepsAll = steps[index].needsSave && steps[index].mayChange != 0 && host != 0
      host = keepsAll ? FlagSet.all : host & ~set | steps[index].flagsRead
      if steps[index].needsSave { host |= steps[index].saveReads }
    } else {
      host = 0
    }
    if steps[index].observes { memory = FlagSet.all }
  }
}
