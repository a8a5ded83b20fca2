import CHost
import GuestMemory
import Processor
import Random

/// Edits of page tables by chance, on both engines: entries of tables that are used at several levels, that map themselves, that are
/// mapped as data, large pages, tables made data and back, by all kinds of stores and by devices; with loads, stores and calls through
/// them. After each step both machines are in the same state; and what the processors keep is what their tables say.
public struct PagingStorm {
  private var machines: (PagingMachine, PagingMachine)
  /// What happened so far: steps, page faults, calls that came back.
  public private(set) var steps: UInt64 = 0
  public private(set) var faults: UInt64 = 0
  public private(set) var calls: UInt64 = 0
  /// Frames watched as tables, and of those let go of.
  public var watched: (began: UInt64, ended: UInt64) {
    (machines.0.vcpu.translationCounters.watched, machines.0.vcpu.translationCounters.unwatched)
  }

  /// Fails where the host has no translator.
  public init() throws { machines = (try PagingMachine(translating: false), try PagingMachine(translating: true)) }

  /// One round of some hundred steps; what is wrong, or nil.
  public mutating func run(_ random: inout SeededRandom) -> String? {
    let format: PagingMachine.Format = random.oneIn(3) ? (random.oneIn(2) ? .pae : .two) : .long
    let (a, b) = machines
    a.begin(format)
    b.begin(format)
    for table in [1, 2] + Array(PagingMachine.tables) {
      for index in 0..<4 as Range<UInt64> where table > 2 || index < 2 {
        let value = entry(&random, format, of: table)
        for machine in [a, b] {
          if format == .two {
            machine.memory.store(UInt32(truncatingIfNeeded: value), at: table << 12 | index * 4)
          } else {
            machine.memory.store(value, at: table << 12 | index * 8)
          }
        }
      }
    }
    var log: [String] = []
    for step in 0..<Int(60 + random.below(200)) {
      let action = action(&random, format)
      log.append("\(action)")
      let (mine, other) = (perform(action, a), perform(action, b))
      steps += 1
      if mine.hasPrefix("exception(vector: 14") { faults += 1 }
      if case .call = action, mine.hasPrefix("interrupt") { calls += 1 }
      let problem =
        mine != other
        ? "\(mine) in the interpreter, \(other) in the translator"
        : difference() ?? (step & 3 == 0 ? a.vcpu.checkTranslations().first ?? b.vcpu.checkTranslations().first : nil)
      if let problem { return "\(format), step \(step): \(problem)\n  " + log.suffix(40).joined(separator: "\n  ") }
    }
    if let problem = a.vcpu.checkTranslations().first ?? b.vcpu.checkTranslations().first { return "\(format), at the end: \(problem)" }
    return a.hasSameMemory(as: b) ? nil : "\(format): memories differ\n  " + log.suffix(40).joined(separator: "\n  ")
  }

  private func difference() -> String? {
    guard !machines.0.vcpu.agrees(with: machines.1.vcpu) else { return nil }
    let found = StateCapture(machines.0.vcpu).differences(from: StateCapture(machines.1.vcpu))
    return found.map { "\($0.name) \($0.this) \($0.other)" }.joined(separator: ", ")
  }

  // MARK: - Steps

  private enum Action {
    /// An instruction with RBX (RDI, for strings) at a linear address, RAX the value, RCX a count; where the tables map the code's page at
    /// `through`, it runs there.
    case store([UInt8], at: UInt64, UInt64, count: UInt64, through: UInt64 = 0)
    case load(UInt64)
    case call(UInt64)
    case root(UInt64)
    case privilege(UInt32)
    case writeProtect(Bool)
    case line20(Bool)
    case device([UInt8], at: UInt64)
    case kind(PageKind, Int)
  }

  /// An entry for a table, mostly one that leads on: frames 32 to 35 are first of all tables of level 3, 36 to 39 of level 2, 40 to 47 of
  /// level 1; others are roots.
  private func entry(_ random: inout SeededRandom, _ format: PagingMachine.Format, of table: UInt64) -> UInt64 {
    let wide = format != .two
    let pointer = format == .pae && table < 32
    var value: UInt64
    if random.oneIn(4) {
      value = PagingMachine.tables.lowerBound + random.below(32)
    } else if table >= 40 {
      // The page of code too, to be read only.
      if random.oneIn(6) { return PagingMachine.code | 0x65 }
      value = PagingMachine.data.lowerBound + random.below(16)
    } else if table >= 36 || (table < 32 && format == .two) {
      value = 40 + random.below(8)
    } else {
      value = (table >= 32 || format == .pae ? 36 : 32) + random.below(4)
    }
    value = value << 12 | (random.oneIn(8) ? 0 : 1)
    if pointer { return value }
    value |= random.next() & 0xE60
    if !random.oneIn(4) { value |= 2 }
    if !random.oneIn(4) { value |= 4 }
    if random.oneIn(10) {
      let base: UInt64 = random.oneIn(4) ? 0x4000_0000 : random.oneIn(2) || !wide ? 0x80_0000 : 0xA0_0000
      value = value & 0xFFF | base | 0x80
    }
    if wide && random.oneIn(20) { value |= 1 << 63 }
    if wide && random.oneIn(40) { value |= 1 << 45 }
    return value
  }

  /// A linear address that the tables under test may map.
  private func linear(_ random: inout SeededRandom, _ format: PagingMachine.Format, offset: UInt64) -> UInt64 {
    var address = offset | random.below(4) << 12
    switch format {
    case .long: address |= random.below(2) << 39 | random.below(2) << 30 | random.below(3) << 21
    case .pae: address |= random.below(2) << 30 | random.below(3) << 21
    case .two: address |= random.below(3) << 22
    }
    return address
  }

  private func action(_ random: inout SeededRandom, _ format: PagingMachine.Format) -> Action {
    let size: UInt64 = format == .two ? 4 : 8
    let window: UInt64 = format == .long ? 0xFFFF_8000_0000_0000 : 0xC000_0000
    let wide: [UInt8] = format == .long ? [0x48] : []
    let table = (PagingMachine.tables.lowerBound + random.below(16)) << 12
    let place = window + table + random.below(4) * size
    let value = entry(&random, format, of: table >> 12)
    let through = linear(&random, format, offset: 0)
    switch random.below(33) {
    case 0..<5:
      // A root's entry.
      return .store(
        wide + [0x89, 3], at: window + (1 + random.below(2)) << 12 + random.below(2) * size,
        entry(&random, format, of: 1), count: 0)
    case 5..<12: return .store(wide + [0x89, 3], at: place, value, count: 0, through: through)
    case 12: return .store([0x88, 3], at: place + random.below(2), value & 0xFF | 1, count: 0)
    case 13:
      // 16 bits; AND; a bit turned; XCHG; 16 bytes.
      let bit = UInt8(random.below(9))
      let forms: [[UInt8]] = [[0x66, 0x89, 3], [0xF0, 0x20, 3], [0xF0, 0x0F, 0xBA, 0x3B, bit], [0x87, 3], [0x0F, 0x11, 3]]
      return .store(forms[Int(random.below(5))], at: place, value, count: 0, through: through)
    case 32:
      // A root, by a device or a string instruction, or one bit of an entry that was used.
      let root = (1 + random.below(2)) << 12
      switch random.below(3) {
      case 0: return .device([UInt8](repeating: 0, count: 4), at: root)
      case 1: return .store([0xF3, 0xAB], at: window + root, value, count: 1)
      default: return .store([0xF0, 0x0F, 0xBA, 0x3B, UInt8(random.below(9))], at: place, 0, count: 0, through: through)
      }
    case 14:
      // Across two entries.
      return .store(wide + [0x89, 3], at: place + size / 2, value << (format == .long ? 32 : 16), count: 0)
    case 15:
      return random.oneIn(2) ? .store([0xF3, 0xAB], at: window + table, 0, count: 1024) : .store([0xF3, 0xAB], at: place, 0, count: 3)
    case 16: return .device((0..<8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }, at: table + random.below(4) * 8)
    case 17:
      // Many in a row, as a page of data would see them.
      return .store([0xFF, 0xC9, 0x89, 3, 0x85, 0xC9, 0x75, 0xF8], at: window + table + 256, value, count: 60)
    case 18..<23: return .load(linear(&random, format, offset: 8 * random.below(8) + (random.oneIn(8) ? 4092 : 0)))
    case 23..<27: return .store([0x89, 3], at: linear(&random, format, offset: 64 + random.below(500) * 8), random.next(), count: 0)
    case 27: return .store(wide + [0x89, 3], at: linear(&random, format, offset: random.below(4) * size), value, count: 0)
    case 28, 29: return .call(linear(&random, format, offset: 0))
    case 30: return .root((1 + random.below(2)) << 12)
    default:
      switch random.below(12) {
      case 0..<6: return .privilege(random.oneIn(3) ? 3 : 0)
      case 6..<9: return .writeProtect(random.oneIn(2))
      case 9: return .line20(random.oneIn(2))
      default:
        let kinds: [PageKind] = [.ram, .ram, .rom, .absent, .device]
        return .kind(kinds[Int(random.below(5))], Int(PagingMachine.data.lowerBound + random.below(16)))
      }
    }
  }

  private func perform(_ action: Action, _ machine: PagingMachine) -> String {
    let cpu = machine.cpu
    switch action {
    case .store(let code, let address, let value, let count, let through):
      (cpu.pointee.gpr.3, cpu.pointee.gpr.7, cpu.pointee.gpr.0, cpu.pointee.gpr.1) = (address, address, value, count)
      if machine.format != .long { cpu.pointee.gpr.0 &= 0xFFFF_FFFF }
      return run(code, machine, through: through)
    case .load(let address):
      cpu.pointee.gpr.3 = address
      return run([0x8B, 0x0B], machine)
    case .call(let address):
      // Only what is known to come back.
      guard let found = machine.vcpu.translate(address, .execute), PagingMachine.data.contains(found >> 12) else { return "nothing" }
      cpu.pointee.gpr.6 = address
      return run([0xFF, 0xD6], machine)
    case .root(let root): machine.vcpu.setPageTableBase(root)
    case .privilege(let level):
      cpu.pointee.cpl = level
      machine.vcpu.selectTranslations()
    case .writeProtect(let on):
      cpu.pointee.cr0 = on ? cpu.pointee.cr0 | 0x1_0000 : cpu.pointee.cr0 & ~0x1_0000
      machine.vcpu.pagingControlsChanged()
    case .line20(let on): machine.vcpu.a20Enabled = on
    case .device(let bytes, let address): machine.memory.copyIn(bytes, at: address)
    case .kind(let kind, let frame): machine.memory.setKind(kind, frames: frame..<frame + 1)
    }
    return ""
  }

  /// Runs code that ends with INT 30h, where all code of its bytes is.
  private func run(_ code: [UInt8], _ machine: PagingMachine, through: UInt64 = 0) -> String {
    let cpu = machine.cpu
    let offset = Int(code.reduce(UInt32(7)) { ($0 &* 31 &+ UInt32($1)) } % 255) * 16
    // What follows is a block of its own.
    let whole = code + [0xEB, 0, 0xCD, 0x30]
    if machine.memory.copyOut(PagingMachine.code + UInt64(offset), count: whole.count) != whole {
      machine.memory.copyIn(whole, at: PagingMachine.code + UInt64(offset))
    }
    var page = machine.window + PagingMachine.code
    if through != 0, machine.vcpu.translate(through, .execute) == PagingMachine.code { page = through }
    cpu.pointee.rip = page + UInt64(offset)
    cpu.pointee.gpr.4 = machine.window + PagingMachine.stack
    cpu.pointee.rflags &= ~0x1_0000
    let end = machine.vcpu.now + 20_000
    var exit = machine.vcpu.run(until: end)
    // A store may have taken the running page away and stopped behind itself.
    while exit == .deadline && machine.vcpu.now < end { exit = machine.vcpu.run(until: end) }
    return "\(exit)"
  }
}
