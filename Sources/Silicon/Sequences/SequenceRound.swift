import CHost
import GuestMemory
import Processor
import Random
import X86

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Programs made by chance, run on both engines from the same state, in slices of chance length, with interrupts, page-table changes and
/// switches of the address space in between: after every run both must be in the same state, memory included.
public struct EngineSequences {
  private let maker: SequenceMaker
  /// Stretches run, instructions executed and blocks translated so far.
  public private(set) var runs: UInt64 = 0
  public private(set) var instructions: UInt64 = 0
  public private(set) var translations: UInt64 = 0
  /// How often they ended, by kind.
  public private(set) var ends: [String: UInt64] = [:]

  private var machines: (SequenceMachine, SequenceMachine)

  /// Fails where the host has no translator.
  ///
  /// - Parameter narrow: 32-bit code.
  public init(narrow: Bool = false) throws {
    maker = SequenceMaker(narrow: narrow)
    machines = try Self.newMachines()
  }

  private static func newMachines() throws -> (SequenceMachine, SequenceMachine) {
    (try SequenceMachine(translating: false), try SequenceMachine(translating: true))
  }

  /// One round: nil, or the difference with the shortest program that still shows it.
  public mutating func run(_ random: inout SeededRandom) throws -> String? {
    let program = maker.make(&random)
    let seed = random.next()
    guard let late = attempt(program, seed) else { return nil }
    // With machines that have run nothing else, so that the round says it all.
    machines = try Self.newMachines()
    guard let first = attempt(program, seed) else { return "after other rounds only: " + late + Self.listing(program) }
    // Make it shorter: an instruction at a time becomes NOPs.
    var least = program
    var found = first
    var shrank = true
    while shrank {
      shrank = false
      for index in least.items.indices.reversed() where least.items[index].bytes.contains(where: { $0 != 0x90 }) {
        var less = least
        less.items[index] = .init(bytes: [UInt8](repeating: 0x90, count: less.items[index].bytes.count))
        machines = try Self.newMachines()
        if let still = attempt(less, seed) {
          (least, found) = (less, still)
          shrank = true
        }
      }
    }
    return found + Self.listing(least)
  }

  private mutating func attempt(_ program: SequenceProgram, _ seed: UInt64) -> String? {
    let (a, b) = machines
    let translated = b.vcpu.translatorCounts.blocks
    for machine in [a, b] { machine.reset() }
    let code = program.code
    var random = SeededRandom(seed: seed)
    let start = random.next()
    for machine in [a, b] {
      var chance = SeededRandom(seed: start)
      prepare(machine, program, code, &chance)
    }
    var count = 0
    defer {
      instructions &+= a.vcpu.instructions
      translations &+= b.vcpu.translatorCounts.blocks &- translated
    }
    while count < 64 && a.vcpu.now < 6000 {
      count += 1
      let slice = random.oneIn(4) ? 1 + random.below(24) : 200 + random.below(1000)
      let before = StateCapture(a.vcpu)
      let deadline = a.vcpu.now &+ slice
      let left = a.vcpu.run(until: deadline)
      let right = b.vcpu.run(until: deadline)
      runs &+= 1
      if left != right || !a.vcpu.agrees(with: b.vcpu) || !Self.isSame(a.memory, b.memory) {
        return describe(a, b, left, right, before, count, slice)
      }
      let then = random.next()
      for machine in [a, b] {
        var chance = SeededRandom(seed: then)
        goOn(machine, left, program, &chance)
      }
      ends[Self.kind(left), default: 0] &+= 1
    }
    return nil
  }

  private func prepare(_ machine: SequenceMachine, _ program: SequenceProgram, _ code: [UInt8], _ random: inout SeededRandom) {
    for frame in [40, 41, 42, 43, 44, 48, 49] as [UInt64] {
      var pattern = SeededRandom(seed: random.next())
      for word in 0..<512 as Range<UInt64> { machine.memory.store(pattern.element(word >> 3 & 7), at: frame << 12 + word * 8) }
    }
    for frame in [32, 33, 34] as [UInt64] { machine.memory.copyIn([UInt8](repeating: 0x90, count: 4096), at: frame << 12) }
    let offset = Int(program.start &- SequenceMachine.code)
    machine.memory.copyIn(code, at: 32 << 12 + UInt64(offset))
    // What the second page begins with in the other mapping.
    if offset + code.count > 4096 {
      var tail = Array(code[max(0, 4096 - offset)...])
      if random.oneIn(2), !tail.isEmpty { tail[Int(random.below(UInt64(tail.count)))] = 0x90 }
      machine.memory.copyIn(tail, at: 34 << 12 + UInt64(max(0, offset - 4096)))
    }
    for register in 0..<16 { machine.setGeneral(register, random.oneIn(3) ? random.below(6) : random.integer()) }
    if program.narrow { machine.beginNarrow(&random) }
    setPointers(machine, &random)
    let vectors = UnsafeMutableRawPointer(machine.cpu) + MemoryLayout<pv_vcpu>.offset(of: \.ymm)!
    for word in 0..<64 { vectors.storeBytes(of: random.element(UInt64(word) & 7), toByteOffset: word * 8, as: UInt64.self) }
    prepareX87(machine, &random)
    machine.cpu.rflags = random.next() & 0x8D5 | 2
    machine.cpu.pointee.rip = program.start
  }

  private func prepareX87(_ machine: SequenceMachine, _ random: inout SeededRandom) {
    let cpu = machine.cpu
    let registers = UnsafeMutableRawPointer(cpu) + MemoryLayout<pv_vcpu>.offset(of: \.x87)!
    for number in 0..<8 {
      var significand = random.oneIn(4) ? random.next() : random.next() | 1 << 63
      if random.oneIn(3) { significand &= 0xFFFF << random.below(49) }
      var exponent = 0x3FFF &+ random.below(80) &- 40
      switch random.below(12) {
      case 0: exponent = 0
      case 1: exponent = 0x7FFF
      case 2: exponent = random.below(0x8000)
      case 3: significand = 0
      default: significand |= 1 << 63
      }
      registers.storeBytes(of: significand, toByteOffset: number * 16, as: UInt64.self)
      registers.storeBytes(of: exponent & 0x7FFF | random.below(2) << 15, toByteOffset: number * 16 + 8, as: UInt64.self)
    }
    // Translated code has its ways for NaNs always, or where there are some.
    if cpu.pointee.x87_nan_paths != 0 { cpu.pointee.x87_nan_paths = 2 }
    if random.oneIn(3) && cpu.pointee.x87_nan_paths != 0 { cpu.pointee.x87_nan_paths = 1 }
    cpu.pointee.x87_top = UInt32(random.below(8))
    cpu.pointee.x87_tags = UInt32(random.oneIn(3) ? random.below(256) : 0x0F << random.below(5))
    let masks: UInt64 = random.oneIn(8) ? random.below(64) : 0x3F
    let control = random.oneIn(3) ? 0x37F : random.next() & 0x1F00 | 0x40 | masks
    var status = random.next() & 0x477F
    if status & ~control & 0x3F != 0 { status |= 0x8080 }
    cpu.pointee.x87_control_status = UInt32(status) << 16 | UInt32(control)
  }

  private func setPointers(_ machine: SequenceMachine, _ random: inout SeededRandom) {
    for register in SequenceProgram.pointers { machine.setGeneral(register, SequenceProgram.pointer(&random)) }
    machine.setGeneral(4, SequenceMachine.stack &+ 0x800 &+ random.below(0x800) & ~7)
    if random.oneIn(2) { machine.setGeneral(5, SequenceMachine.stack &+ 0x900 &+ random.below(0x600) & ~7) }
    // Repetitions are short mostly.
    if !random.oneIn(8) { machine.setGeneral(1, random.below(20)) }
  }

  /// What the platform does when a run has ended.
  private func goOn(_ machine: SequenceMachine, _ exit: Exit, _ program: SequenceProgram, _ random: inout SeededRandom) {
    let cpu = machine.cpu
    let place = program.address(Int(random.below(UInt64(program.items.count))))
    let entry = random.oneIn(4) ? place &- SequenceMachine.code &+ SequenceMachine.alias : place
    if random.oneIn(8) {
      machine.edit(
        table: random.oneIn(2) ? 4 : 8, index: SequenceMachine.editable[Int(random.below(8))], random.next())
    }
    if random.oneIn(12) { machine.vcpu.setPageTableBase(cpu.pointee.cr3 == 0x1000 ? 0x5000 : 0x1000) }
    switch exit {
    case .deadline:
      // An interrupt.
      if random.oneIn(10) { cpu.pointee.rip = entry }
    case .syscall where random.oneIn(2): break
    default:
      if random.oneIn(3) { setPointers(machine, &random) }
      cpu.rflags = cpu.rflags & 0x8D5 | 2
      if random.oneIn(4) { cpu.pointee.mxcsr = 0x1F80 }
      if random.oneIn(4) { cpu.pointee.cr0 &= ~0xC }
      if random.oneIn(24) { cpu.pointee.cr0 |= random.oneIn(2) ? 8 : 4 }
      if random.oneIn(6) { prepareX87(machine, &random) }
      if random.oneIn(16) { cpu.pointee.mxcsr = UInt32(truncatingIfNeeded: random.next()) & 0xFFC0 }
      cpu.pointee.rip = random.oneIn(2) ? program.start : entry
    }
  }

  private static func kind(_ exit: Exit) -> String {
    switch exit {
    case .deadline: "deadline"
    case .exception(let vector, _): "exception \(vector)"
    case .syscall, .sysenter: "system call"
    case .interrupt: "interrupt"
    case .halt, .stop, .interruptWindow, .tripleFault: "other"
    }
  }

  private static func isSame(_ a: MachineMemory, _ b: MachineMemory) -> Bool {
    memcmp(a.base, b.base, SequenceMachine.frames * 4096) == 0
  }

  // MARK: - Words

  private func describe(
    _ a: SequenceMachine, _ b: SequenceMachine, _ left: Exit, _ right: Exit, _ before: StateCapture, _ count: Int, _ slice: UInt64
  ) -> String {
    var text = "run \(count), of \(slice) cycles: interpreter left by \(left), translator by \(right)\n  before:\n"
    for line in before.general { text += "    \(line)\n" }
    text += "  after: interpreter, translator\n"
    for difference in StateCapture(a.vcpu).differences(from: StateCapture(b.vcpu)) {
      text += "    \(difference.name): \(difference.this), \(difference.other)\n"
    }
    var words = 0
    for address in stride(from: 0, to: UInt64(SequenceMachine.frames) << 12, by: 8) where words < 8 {
      let (x, y) = (a.memory.load(address, as: UInt64.self) ?? 0, b.memory.load(address, as: UInt64.self) ?? 0)
      if x != y {
        text += "    memory \(String(address, radix: 16)): \(String(x, radix: 16)), \(String(y, radix: 16))\n"
        words += 1
      }
    }
    return text
  }

  private static func listing(_ program: SequenceProgram) -> String {
    let code = program.code
    var text = "  program at \(String(program.start, radix: 16)), NOPs left out:\n"
    var at = 0
    while at < code.count {
      let rest = Array(code[at...].prefix(15))
      guard let instruction = try? Decoder.decode(rest, mode: program.mode) else {
        text += "    \(String(program.start &+ UInt64(at), radix: 16))  byte \(String(code[at], radix: 16))\n"
        at += 1
        continue
      }
      let length = Int(instruction.length)
      let bytes = rest.prefix(length).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
      let address = program.start &+ UInt64(at)
      if rest[0] != 0x90 { text += "    \(String(address, radix: 16))  \(instruction.text(at: address))  [\(bytes)]\n" }
      at += length
    }
    return text
  }
}
