import Devices
import GuestMemory
import Motherboard
import Random
import Silicon

/// A board with interrupt controllers, timers and the small legacy devices, for random accesses.
final class LegacyBench {
  private final class Clock { var now: Cycles = 0 }
  private let clock = Clock()
  let board: Board
  let system: InterruptSystem
  let pit: IntervalTimer8254
  let rtc: RealTimeClock
  let hpet: HPET
  let keyboard: Keyboard8042
  let uart: Serial16550
  let control: SystemControl
  /// What the board told the outside.
  private(set) var interrupts = 0
  private(set) var bytes = 0

  init() throws {
    let clock = clock
    board = Board(memory: try MachineMemory(frameCount: 16), cyclesPerSecond: 2_100_000_000, startTime: 1_767_225_600_123_456_789)
    board.outside.now = { clock.now }
    system = InterruptSystem(board: board, configuration: .init(frequency: 24_000_000))
    pit = IntervalTimer8254(board: board, line: system.line(isa: 0))
    rtc = RealTimeClock(board: board, line: system.line(isa: 8), configuration: .init(memory: MemoryMap(bytes: 1 << 30)))
    hpet = HPET(board: board, interrupts: system)
    final class Sink { weak var bench: LegacyBench? }
    let sink = Sink()
    control = SystemControl(board: board, hasExitPort: true) { sink.bench?.bytes += $0.count }
    keyboard = Keyboard8042(board: board, keyboardLine: system.line(isa: 1), mouseLine: system.line(isa: 12), control: control)
    uart = Serial16550(board: board, line: system.line(isa: 4)) { sink.bench?.bytes += $0.count }
    sink.bench = self
  }

  /// Lets time pass: a moment, or anything.
  ///
  /// - Returns: what is wrong: events that come for ever.
  func advance(_ random: inout SeededRandom) -> String? {
    var left = 20000
    let end = clock.now &+ (random.oneIn(60) ? random.next() >> (8 + random.below(56)) : random.below(200_000))
    // Far jumps are the host's pauses: what was missed is done at once.
    while !random.oneIn(200), let due = board.queue.nextDue, due <= end, left > 0 {
      clock.now = max(clock.now, due)
      board.dispatchDue()
      left -= 1
      if left < 19000, random.oneIn(4) { break }
    }
    clock.now = max(clock.now, end)
    board.dispatchDue()
    if let due = board.queue.nextDue, due <= clock.now { return "an event is left that is due" }
    return board.queue.count > 32 ? "\(board.queue.count) events are queued" : nil
  }

  func port(_ ports: [ClosedRange<UInt16>], _ random: inout SeededRandom) {
    let range = ports[Int(random.below(UInt64(ports.count)))]
    let port = range.lowerBound &+ UInt16(random.below(UInt64(range.count)))
    let size = random.oneIn(8) ? 1 << Int(random.below(3)) : 1
    if random.oneIn(3) {
      _ = board.readPort(port, size: size)
    } else {
      board.writePort(port, size: size, value: UInt32(truncatingIfNeeded: random.oneIn(2) ? random.next() : Mutator.word(&random)))
    }
  }

  func memory(_ base: UInt64, _ length: UInt64, _ random: inout SeededRandom) {
    let size = random.oneIn(6) ? 1 << Int(random.below(4)) : 4
    let address = base &+ (random.oneIn(8) ? random.below(length) : random.below(length) & ~15)
    if random.oneIn(3) {
      _ = board.readMemory(address, size: size)
    } else {
      board.writeMemory(address, size: size, value: random.oneIn(2) ? random.next() & 0x1FF : Mutator.word(&random))
    }
  }

  /// What the processor does: takes what is pending.
  func take(_ random: inout SeededRandom) -> String? {
    guard system.isPending else { return system.acknowledge() == nil ? nil : "a vector though nothing is pending" }
    interrupts += 1
    return system.acknowledge() == nil ? "pending, but there is no vector" : nil
  }

  func roundTrip<Device: BoardDevice>(_ device: Device) -> String? {
    let saved = device.encodedState()
    device.state = device.state
    return saved.isEmpty || saved != device.encodedState() ? "\(device.name): the state does not survive being put back" : nil
  }
}

/// 8259s, local APIC in memory and as MSRs, I/O APIC, lines and messages.
struct InterruptTarget: FuzzTarget {
  private let bench: LegacyBench
  private var lines: [InterruptLine] = []

  init() throws {
    bench = try LegacyBench()
    for number in 0..<16 { lines.append(bench.system.line(isa: number)) }
    for number in 0..<24 { lines.append(bench.system.gsiLine(number)) }
  }

  var summary: String { ", \(bench.interrupts) interrupts taken" }

  mutating func run(_ random: inout SeededRandom) -> String? {
    let system = bench.system
    for _ in 0..<400 {
      var problem: String?
      switch random.below(16) {
      case 0: problem = bench.advance(&random)
      case 1, 2: bench.port([0x20...0x21, 0xA0...0xA1, 0x4D0...0x4D1], &random)
      case 3: lines[Int(random.below(40))].set(random.oneIn(2))
      case 4: lines[Int(random.below(40))].pulse()
      case 5, 6, 7: bench.memory(0xFEE0_0000, 0x400, &random)
      case 8: bench.board.writeMemory(0xFEE0_00F0, size: 4, value: 0x1FF)
      case 9: bench.memory(0xFEC0_0000, 0x50, &random)
      case 10:
        bench.board.writeMemory(0xFEC0_0000, size: 4, value: random.below(0x42))
        bench.board.writeMemory(0xFEC0_0010, size: 4, value: random.oneIn(2) ? random.next() & 0x8FFF : random.next())
      case 11:
        let number = random.oneIn(8) ? 0x1B : random.oneIn(8) ? 0x6E0 : 0x800 + UInt32(random.below(0x100))
        let base = 0xFEE0_0100 | random.below(4) << 10
        if !system.writeMSR(number, number == 0x1B ? base : Mutator.word(&random)) { _ = system.readMSR(number) }
      case 12: system.message(address: 0xFEE0_0000 | random.below(1 << 20), data: UInt32(truncatingIfNeeded: random.next()))
      case 13: system.setTaskPriority(UInt8(truncatingIfNeeded: random.next()))
      case 14:
        if random.oneIn(50) { system.reset() }
        system.timeStampOffset = random.next()
        system.raiseNonMaskable()
      default: problem = bench.take(&random)
      }
      if let problem { return problem }
    }
    // Back to where memory is found.
    _ = system.writeMSR(0x1B, 0xFEE0_0100)
    _ = system.writeMSR(0x1B, 0xFEE0_0900)
    return bench.roundTrip(system.pic) ?? bench.roundTrip(system.localAPIC) ?? bench.roundTrip(system.ioAPIC)
  }
}

/// 8254 and port 61, real-time clock, HPET.
struct TimerTarget: FuzzTarget {
  private let bench: LegacyBench

  init() throws {
    bench = try LegacyBench()
    // The 8259s as firmware sets them up, with automatic end of interrupt and nothing masked.
    let words: [(UInt16, UInt32)] = [
      (0x20, 0x11), (0xA0, 0x11), (0x21, 8), (0xA1, 0x70), (0x21, 4), (0xA1, 2), (0x21, 3), (0xA1, 3), (0x21, 0), (0xA1, 0),
    ]
    for (port, value) in words { bench.board.writePort(port, size: 1, value: value) }
  }

  var summary: String { ", \(bench.interrupts) interrupts taken" }

  mutating func run(_ random: inout SeededRandom) -> String? {
    for _ in 0..<400 {
      var problem: String?
      switch random.below(8) {
      case 0, 1: problem = bench.advance(&random)
      case 2, 3: bench.port([0x40...0x43, 0x40...0x43, 0x61...0x61, 0x70...0x71], &random)
      case 4:
        bench.board.writePort(0x70, size: 1, value: UInt32(random.below(14)))
        bench.port([0x71...0x71], &random)
      case 5: bench.memory(0xFED0_0000, 0x180, &random)
      case 6:
        bench.board.writeMemory(0xFED0_0000 + 16 * random.below(0x17), size: 8, value: random.next() >> random.below(64))
        bench.board.writeMemory(0xFED0_0010, size: 4, value: random.below(4))
        if random.oneIn(300) {
          bench.pit.reset()
          bench.rtc.reset()
          bench.hpet.reset()
        }
      default: problem = bench.take(&random)
      }
      if let problem { return problem }
    }
    return bench.roundTrip(bench.pit) ?? bench.roundTrip(bench.rtc) ?? bench.roundTrip(bench.hpet)
  }
}

/// Keyboard controller with its devices, UART, port 92, DMA registers, debug console and exit port.
struct LegacyTarget: FuzzTarget {
  private let bench: LegacyBench

  init() throws { bench = try LegacyBench() }

  var summary: String { ", \(bench.bytes) bytes to the host" }

  mutating func run(_ random: inout SeededRandom) -> String? {
    let ports: [ClosedRange<UInt16>] = [
      0x60...0x60, 0x60...0x60, 0x64...0x64, 0x64...0x64, 0x3F8...0x3FF, 0x3F8...0x3FF, 0x00...0x0F, 0x80...0x92, 0xC0...0xDF,
      0x402...0x402, 0x501...0x504,
    ]
    for _ in 0..<400 {
      var problem: String?
      switch random.below(8) {
      case 0: problem = bench.advance(&random)
      case 1: input(&random)
      default: bench.port(ports, &random)
      }
      if let problem { return problem }
    }
    return bench.roundTrip(bench.keyboard) ?? bench.roundTrip(bench.uart) ?? bench.roundTrip(bench.control)
  }

  private func input(_ random: inout SeededRandom) {
    switch random.below(6) {
    case 0: bench.keyboard.receive(scanCodes: (0..<random.below(20)).map { _ in UInt8(truncatingIfNeeded: random.next()) })
    case 1: bench.keyboard.type(Mutator.text(["root", "ls -l", "\n", "#!"], &random))
    case 2:
      let move = Int(truncatingIfNeeded: Mutator.word(&random))
      bench.keyboard.mouse(right: move, down: move, wheel: 0 &- move, buttons: UInt8(truncatingIfNeeded: random.next()))
    case 3 where bench.uart.backlogCount < 1000:
      bench.uart.receive((0..<random.below(40)).map { _ in UInt8(truncatingIfNeeded: random.next()) })
    case 4 where bench.uart.backlogCount < 1000: bench.uart.receiveBreak()
    default:
      if random.oneIn(20) {
        bench.keyboard.reset()
        bench.uart.reset()
        bench.control.reset()
      }
    }
  }
}
