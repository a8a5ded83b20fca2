import Random
import X86

/// A program made by chance: instructions of any form, branches, calls and computed jumps among them, stores to its own code and to its
/// page table.
struct SequenceProgram {
  /// From `start`, without a gap.
  var items: [Item] = []
  /// Linear address of the first byte.
  var start: UInt64 = 0
  /// It is 32-bit code.
  var narrow = false

  struct Item {
    var bytes: [UInt8]
    /// A displacement relative to the item's end that is to lead to another item: where it is, and its size.
    var link: (offset: Int, size: Int, target: Int, distance: Int)?
    /// An absolute address of another item, in the alias: where its 8 or 4 bytes are.
    var aliased: (offset: Int, size: Int, target: Int, distance: Int)?
  }

  var mode: CodeMode { narrow ? .protected32 : .long64 }

  /// Registers that mostly point into memory: RBX, RSI, RDI, R8, R12.
  static let pointers = [3, 6, 7, 8, 12]

  /// Linear address of an item, by number.
  func address(_ item: Int) -> UInt64 { start &+ UInt64(items.prefix(item).reduce(0) { $0 + $1.bytes.count }) }

  /// All bytes, with the links resolved.
  var code: [UInt8] {
    var places: [Int] = []
    var length = 0
    for item in items {
      places.append(length)
      length += item.bytes.count
    }
    var code: [UInt8] = []
    for (index, item) in items.enumerated() {
      var bytes = item.bytes
      func put(_ value: Int, _ offset: Int, _ size: Int) {
        for i in 0..<size where offset + i < bytes.count { bytes[offset + i] = UInt8(truncatingIfNeeded: value >> (i * 8)) }
      }
      if let link = item.link, places.indices.contains(link.target) {
        put(places[link.target] + link.distance - places[index] - bytes.count, link.offset, link.size)
      }
      if let link = item.aliased, places.indices.contains(link.target) {
        let address = Int(start &- SequenceMachine.code &+ SequenceMachine.alias) + places[link.target] + link.distance
        put(address, link.offset, link.size)
      }
      code += bytes
    }
    return code
  }

  /// A pointer to where something interesting is: data mostly, the ends of pages, sometimes code, a page of other rights, the table.
  static func pointer(_ random: inout SeededRandom) -> UInt64 {
    let inPage = random.oneIn(6) ? 0x1000 &- random.below(40) : random.below(0x1000) & (random.oneIn(4) ? 0xFFF : 0xFF8)
    switch random.below(24) {
    case 0: return SequenceMachine.code &+ random.below(0x2000)
    case 1: return SequenceMachine.alias &+ random.below(0x2000)
    case 2: return SequenceMachine.data &+ 0x4000 &+ inPage
    case 3: return SequenceMachine.data &+ 0x5000 &+ inPage
    case 4: return SequenceMachine.data &+ 0x6000 &+ inPage
    case 5: return SequenceMachine.table &+ SequenceMachine.editable[Int(random.below(8))] * 8
    case 6: return random.integer()
    default: return SequenceMachine.data &+ random.below(4) << 12 &+ inPage
    }
  }
}

/// Makes programs of the forms that there are.
struct SequenceMaker {
  private let any: [InstructionForm]
  private let general: [InstructionForm]
  private let vector: [InstructionForm]
  private let x87: [InstructionForm]
  /// What uses the x87 registers in another way.
  private let around: [InstructionForm]
  private let narrow: Bool

  init(narrow: Bool) {
    self.narrow = narrow
    any = InstructionTable.shared.forms.dropFirst().filter { $0.isValid(in: .long64) }
    let families: Set<String> = ["base", "bmi1", "bmi2", "adx", "lzcnt", "popcnt", "movbe", "cx8", "cx16"]
    let usual = any.filter { !$0.isPrivileged && !$0.flags.contains(.ioPrivileged) }
    general = usual.filter { form in
      families.contains(form.feature) && !form.operands.contains { $0.code == .relative || $0.code == .far }
    }
    vector = usual.filter {
      $0.feature.hasPrefix("sse") || $0.feature.hasPrefix("ssse") || $0.feature.hasPrefix("avx") || $0.feature == "fma"
    }
    x87 = usual.filter { $0.feature == "x87" }
    let names = ["fxsave", "fxrstor", "xsave", "xrstor", "xsavec", "fnsave", "frstor", "fnstenv", "fldenv", "xgetbv", "emms", "fninit"]
    around = usual.filter { form in
      form.feature == "mmx" || names.contains { form.mnemonic.name == $0 || form.mnemonic.name == $0 + "64" }
    }
  }

  func make(_ random: inout SeededRandom) -> SequenceProgram {
    var program = SequenceProgram(narrow: narrow)
    let count = Int(3 + random.below(random.oneIn(3) ? 60 : 16))
    // Code that writes to itself is seldom, but then often does.
    let changesItself = random.oneIn(5)
    let flavour = random.below(6)
    for _ in 0..<count {
      program.items.append(narrow ? narrowItem(count, flavour, changesItself, &random) : item(count, flavour, changesItself, &random))
    }
    program.items.append(.init(bytes: [0x0F, 0x05]))
    let length = UInt64(program.items.reduce(0) { $0 + $1.bytes.count })
    let room = 0x2000 &- length
    program.start =
      SequenceMachine.code &+ (random.oneIn(3) ? max(0x1000 &- min(length, 0xFFF), 0) &+ random.below(length) : random.below(room))
    if program.start &+ length > SequenceMachine.code &+ 0x2000 { program.start = SequenceMachine.code &+ 0x2000 &- length }
    return program
  }

  private func item(_ count: Int, _ flavour: UInt64, _ changesItself: Bool, _ random: inout SeededRandom) -> SequenceProgram.Item {
    let target = Int(random.below(UInt64(count + 1)))
    let register = UInt8(random.below(4))
    switch random.below(32) {
    case 0, 1, 2:
      // jcc to anywhere.
      return .init(bytes: [0x0F, 0x80 | UInt8(random.below(16)), 0, 0, 0, 0], link: (2, 4, target, 0))
    case 3: return .init(bytes: [0xE8, 0, 0, 0, 0], link: (1, 4, target, 0))
    case 4: return .init(bytes: random.oneIn(2) ? [0xC3] : [0xE9, 0, 0, 0, 0], link: (1, 4, target, 0))
    case 5:
      // lea reg, [rip + item]; jmp reg, or push reg and ret.
      let tail: [UInt8] = random.oneIn(2) ? [0xFF, 0xE0 | register] : [0x50 | register, 0xC3]
      return .init(bytes: [0x48, 0x8D, 5 | register << 3, 0, 0, 0, 0] + tail, link: (3, 4, target, 2))
    case 6:
      // mov reg, item in the alias; jmp reg.
      return .init(bytes: [0x48, 0xB8 | register, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xE0 | register], aliased: (2, 8, target, 0))
    case 7 where random.oneIn(3): return .init(bytes: [0x0F, 0x05])
    case 8:
      // mov rax, value; mov [entry of the page table], rax.
      let entry = SequenceMachine.table &+ SequenceMachine.editable[Int(random.below(8))] * 8
      return .init(bytes: [0x48, 0xB8] + Self.bytes(random.next(), 8) + [0x48, 0x89, 0x04, 0x25] + Self.bytes(entry, 4))
    case 9, 10:
      guard changesItself else { return instruction(flavour, &random) }
      let value = random.oneIn(2) ? 0x90 : UInt8(truncatingIfNeeded: random.next())
      let distance = Int(random.below(12))
      if random.oneIn(2) { return .init(bytes: [0xC6, 0x04, 0x25, 0, 0, 0, 0, value], aliased: (3, 4, target, distance)) }
      return .init(bytes: [0xC6, 0x05, 0, 0, 0, 0, value], link: (2, 4, target, distance))
    case 11, 12, 13:
      let pointer = SequenceProgram.pointers[Int(random.below(5))]
      let value = SequenceProgram.pointer(&random)
      return .init(bytes: [pointer > 7 ? 0x49 : 0x48, 0xB8 | UInt8(pointer & 7)] + Self.bytes(value, 8))
    case 14, 15, 16:
      guard flavour >= Self.x87Flavour else { return instruction(flavour, &random) }
      return x87Item(&random)
    default: return instruction(flavour, &random)
    }
  }

  /// Programs of this flavour and those above it are of x87 instructions mostly.
  static let x87Flavour: UInt64 = 4

  /// What makes x87 programs go on, and go elsewhere: a control word, an emptied stack, a small number.
  func x87Item(_ random: inout SeededRandom) -> SequenceProgram.Item {
    switch random.below(6) {
    case 0, 1:
      // mov word [rbx], control; fldcw [rbx].
      let masks: UInt64 = random.oneIn(6) ? random.below(64) : 0x3F
      return .init(bytes: [0x66, 0xC7, 0x03] + Self.bytes(random.next() & 0x1F00 | masks, 2) + [0xD9, 0x2B])
    case 2:
      // mov dword [rbx], number; fild dword [rbx].
      return .init(bytes: [0xC7, 0x03] + Self.bytes(random.integer(), 4) + [0xDB, 0x03])
    case 3: return .init(bytes: random.oneIn(3) ? [0xDB, 0xE3] : [0xDF, 0xC0 | UInt8(random.below(8))])
    case 4:
      // mov rax or rdx, number, for the state that XSAVE and XRSTOR want.
      return .init(bytes: [random.oneIn(2) ? 0xB8 : 0xBA] + Self.bytes(random.below(8), 4))
    default: return .init(bytes: [0xD9, 0xE8 | UInt8(random.below(7))])
    }
  }

  static func bytes(_ value: UInt64, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) }
  }

  /// A form that suits the flavour; privileged ones are rare.
  func form(_ flavour: UInt64, _ random: inout SeededRandom) -> InstructionForm {
    while true {
      let pool: [InstructionForm]
      switch random.below(flavour < Self.x87Flavour ? 8 : 24) {
      case 8...22: pool = x87
      case 23: pool = around
      case 0: pool = any
      case 1, 2: pool = flavour == 0 ? any : vector
      case 3, 4, 5: pool = flavour == 1 ? vector : general
      default: pool = flavour == 2 ? vector : general
      }
      let form = pool[Int(random.below(UInt64(pool.count)))]
      if form.isPrivileged && !random.oneIn(8) { continue }
      return form
    }
  }

  private func instruction(_ flavour: UInt64, _ random: inout SeededRandom) -> SequenceProgram.Item {
    for _ in 0..<60 {
      let form = self.form(flavour, &random)
      guard var (code, instruction) = form.randomEncoding(&random) else { continue }
      if instruction.hasMemoryOperand && !random.oneIn(16) {
        let isPointer = SequenceProgram.pointers.contains(Int(instruction.base)) || instruction.base == 4 || instruction.base == 5
        guard instruction.addressSize == 8, isPointer || instruction.base == -2 else { continue }
        if instruction.index >= 0 && !random.oneIn(4) { continue }
        if instruction.base == -2 {
          code.setDisplacement(SequenceMachine.data &- SequenceMachine.code &+ random.below(0x3000) &- 0x800)
        } else if code.displacementSize == 4 {
          code.setDisplacement(random.below(1024) &- 512)
        }
        guard let decoded = try? Decoder.decode(code.bytes, mode: .long64), decoded.form == form.id else { continue }
        instruction = decoded
      }
      if code.relativeSize == 1 { code.setRelative(random.below(64) &- 24) }
      if code.relativeSize == 4 { code.setRelative(random.below(256) &- 96) }
      return .init(bytes: code.bytes)
    }
    return .init(bytes: [0x90])
  }
}
