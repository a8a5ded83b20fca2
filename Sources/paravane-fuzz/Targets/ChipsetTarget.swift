import Devices
import GuestMemory
import Motherboard
import Random
import Silicon

/// The chipset (PCI configuration, the bridges, power management, the firmware configuration interface) under random accesses to its
/// ports and saved states; its PCI functions move about with their base address registers.
struct ChipsetTarget: FuzzTarget {
  private let board: Board
  private let isa: ISABridge
  private let bus: PCIBus
  private let bridge: PCIHostBridge
  private let pm: PowerManagement
  private let firmware: FirmwareConfiguration
  private let card: PCIFunction
  private final class Clock { var now: Cycles = 0 }
  private let clock = Clock()
  private final class Levels {
    var raised = [Bool](repeating: false, count: 16)
    /// Changes that are none.
    var repeated = 0
    var resets = 0
    var offs = 0
  }
  private let levels = Levels()

  private final class Window: PortHandler, MemoryHandler {
    func readPort(_ port: UInt16, size: Int) -> UInt32 { 0x55 }
    func writePort(_ port: UInt16, size: Int, value: UInt32) {}
    func readMemory(_ offset: UInt64, size: Int) -> UInt64 { offset }
    func writeMemory(_ offset: UInt64, size: Int, value: UInt64) {}
  }
  private let window = Window()

  init() throws {
    let (clock, levels) = (clock, levels)
    board = Board(memory: try MachineMemory(frameCount: 16), cyclesPerSecond: 1_000_000_000, startTime: 0)
    board.outside.now = { clock.now }
    board.outside.reset = { levels.resets += 1 }
    board.outside.powerOff = { levels.offs += 1 }
    let requests = (0..<16).map { request in
      WiredInterrupt(
        InterruptLine {
          if levels.raised[request] == $0 { levels.repeated += 1 }
          levels.raised[request] = $0
        })
    }
    isa = ISABridge(board: board, interrupts: requests.map { $0.driver() })
    bus = PCIBus(board: board, links: isa.links)
    bridge = PCIHostBridge(board: board)
    pm = PowerManagement(board: board, interrupt: requests[9].driver())
    card = PCIFunction(board: board, identity: (0x8086, 0x100E), classCode: 0x020000, revision: 3, bytes: [0x3D: 1])
    card.setWindow(0, .memory(size: 0x20000, isPrefetchable: false, handler: window))
    card.setWindow(1, .ports(size: 64, width: 4, handler: window))
    card.setWindow(6, .rom(bytes: [0x55, 0xAA, 1]))
    bus.attach(bridge.function, slot: 0)
    bus.attach(isa.function, slot: 1)
    bus.attach(pm.function, slot: 1, number: 3)
    bus.attach(card, slot: 3)
    let platform = PlatformDescription(memory: MemoryMap(bytes: 512 << 20), processors: 2)
    var items = FirmwareItems(memory: platform.memory, processors: 2)
    ACPITables(platform).offer(in: &items)
    firmware = FirmwareConfiguration(board: board, items: items)
  }

  var summary: String { ", \(levels.resets) resets, \(levels.offs) times off, \(firmware.metrics.transfers) transfers" }

  private func reset() {
    card.interrupt.set(false)
    card.reset()
    isa.reset()
    pm.reset()
    bridge.reset()
    bus.reset()
    firmware.reset()
  }

  mutating func run(_ random: inout SeededRandom) -> String? {
    clock.now = 0
    board.memory.zero(0, count: 16 * MachineMemory.pageSize)
    reset()
    // As firmware leaves it.
    pm.function.write(0x40, size: 4, 0x601)
    pm.function.write(0x80, size: 1, 1)
    isa.function.write(0x60, size: 4, 0x0B0B_0A0A)
    for _ in 0..<400 {
      // Long steps, but not to where cycles end.
      clock.now &+= random.oneIn(100) ? random.next() >> (10 &+ random.below(50)) : random.below(10_000_000)
      board.dispatchDue()
      step(&random)
    }
    if levels.repeated > 0 { return "a wire was told its own level" }
    let saved = [pm.encodedState(), isa.encodedState(), bus.encodedState(), bridge.encodedState(), firmware.encodedState()]
    let raised = levels.raised
    pm.state = pm.state
    isa.state = isa.state
    bus.state = bus.state
    bridge.state = bridge.state
    firmware.state = firmware.state
    card.restore(card.registers)
    if saved != [pm.encodedState(), isa.encodedState(), bus.encodedState(), bridge.encodedState(), firmware.encodedState()] {
      return "a state does not survive being put back"
    }
    if raised != levels.raised { return "putting a state back moved an interrupt" }
    reset()
    return levels.raised.contains(true) ? "an interrupt is up after reset" : nil
  }

  private func step(_ random: inout SeededRandom) {
    let size = 1 << Int(random.below(3))
    switch random.below(16) {
    case 0, 1, 2, 3: configure(&random)
    case 4: access(0xCF4 + UInt16(random.below(16)), size, &random)
    case 5, 6:
      // Wherever power management may be now.
      let base = UInt16(truncatingIfNeeded: pm.function.read(random.oneIn(3) ? 0x90 : 0x40, size: 2) & 0xFFF0)
      access(base &+ UInt16(random.below(72)), size, &random)
    case 7: access([0xB1, 0xB2, 0xB3, 0xAFDF, 0xAFE0, 0xAFE1, 0xAFE2, 0xAFE3][Int(random.below(8))], size, &random)
    case 8: access(0x50E + UInt16(random.below(16)), size, &random)
    case 9:
      board.writePort(0x510, size: 2, value: UInt32(random.below(0x30)))
      var row = [UInt8](repeating: 0, count: Int(random.below(100)))
      _ = row.withUnsafeMutableBytes { board.readPort(0x511, size: 1, into: $0) }
    case 10, 11: transfer(&random)
    case 12: card.interrupt.set(random.oneIn(2))
    case 13: pm.pressPowerButton()
    case 14: access(UInt16(truncatingIfNeeded: random.next()), size, &random)
    default: _ = board.readMemory(Mutator.word(&random), size: 1 << Int(random.below(4)))
    }
  }

  private func configure(_ random: inout SeededRandom) {
    let slots: [UInt32] = [0, 8, 11, 24]
    let function = random.oneIn(16) ? UInt32(random.below(1 << 16)) : slots[Int(random.below(4))]
    board.writePort(0xCF8, size: 4, value: 1 << 31 | function << 8 | UInt32(random.below(64)) << 2)
    access(0xCFC + UInt16(random.below(4)), 1 << Int(random.below(3)), &random)
  }

  private func access(_ port: UInt16, _ size: Int, _ random: inout SeededRandom) {
    if random.oneIn(3) {
      _ = board.readPort(port, size: size)
    } else {
      board.writePort(port, size: size, value: UInt32(truncatingIfNeeded: Mutator.word(&random)))
    }
  }

  private func transfer(_ random: inout SeededRandom) {
    let at = random.oneIn(16) ? Mutator.word(&random) : random.below(0x1_0000)
    let control = UInt32(random.below(0x30)) << 16 | UInt32(random.below(32))
    board.memory.store(control.bigEndian, at: at)
    board.memory.store(UInt32(truncatingIfNeeded: random.oneIn(4) ? Mutator.word(&random) : random.below(5000)).bigEndian, at: at &+ 4)
    board.memory.store((random.oneIn(8) ? Mutator.word(&random) : random.below(0x1_0000)).bigEndian, at: at &+ 8)
    if random.oneIn(8) { board.writePort(0x514, size: 4, value: UInt32(truncatingIfNeeded: at >> 32).bigEndian) }
    board.writePort(0x518, size: 4, value: UInt32(truncatingIfNeeded: at).bigEndian)
  }
}
