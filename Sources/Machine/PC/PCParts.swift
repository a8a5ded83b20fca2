import Foundation
import Motherboard

/// The chips of a PC.
final class PCParts {
  let interrupts: InterruptSystem
  let timer: IntervalTimer8254
  let clock: RealTimeClock
  let hpet: HPET
  let serial: Serial16550
  let system: SystemControl
  let isa: ISABridge
  let bus: PCIBus
  let hostBridge: PCIHostBridge
  let power: PowerManagement
  let vga: VGA
  let keyboard: Keyboard8042
  let ide: IDEController
  let firmware: FirmwareConfiguration
  /// In slots from 3 up.
  private(set) var cards: [EthernetController82540EM] = []

  /// - Parameters:
  ///   - console: what the serial port sends.
  ///   - debug: what firmware says on its debug console; nil without one.
  init(
    board: Board, clock configuration: RealTimeClock.Configuration, items: FirmwareItems, vgaROM: [UInt8],
    drives: [IDEDriveDescription?], console: @escaping ([UInt8]) -> Void, debug: (([UInt8]) -> Void)?
  ) throws(IDEController.Failure) {
    let interrupts = InterruptSystem(board: board)
    self.interrupts = interrupts
    timer = IntervalTimer8254(board: board, line: interrupts.line(isa: 0))
    clock = RealTimeClock(board: board, line: interrupts.line(isa: 8), configuration: configuration)
    hpet = HPET(board: board, interrupts: interrupts)
    interrupts.isNonMaskableMasked = { [clock] in clock.isNonMaskableMasked }
    serial = Serial16550(board: board, line: interrupts.line(isa: 4), output: console)
    system = SystemControl(board: board, console: debug)
    isa = ISABridge(board: board, interrupts: (0..<16).map { interrupts.line(isa: $0) })
    bus = PCIBus(board: board, links: isa.links)
    hostBridge = PCIHostBridge(board: board)
    power = PowerManagement(board: board, interrupt: interrupts.line(isa: 9))
    vga = VGA(board: board, rom: vgaROM)
    keyboard = Keyboard8042(
      board: board, keyboardLine: interrupts.line(isa: 1), mouseLine: interrupts.line(isa: 12), control: system)
    ide = try IDEController(board: board, interrupts: (interrupts.line(isa: 14), interrupts.line(isa: 15)), drives: drives)
    firmware = FirmwareConfiguration(board: board, items: items)
    bus.attach(hostBridge.function, slot: 0)
    bus.attach(isa.function, slot: 1, number: 0)
    bus.attach(ide.function, slot: 1, number: 1)
    bus.attach(power.function, slot: 1, number: 3)
    bus.attach(vga.function, slot: 2)
  }

  /// Puts a network card into the next slot.
  func add(_ card: EthernetController82540EM) {
    bus.attach(card.function, slot: 3 + cards.count)
    cards.append(card)
  }

  private var devices: [any BoardDevice] {
    let chips: [any BoardDevice] = [
      interrupts.pic, interrupts.localAPIC, interrupts.ioAPIC, timer, clock, hpet, serial, system, bus, hostBridge, isa, power, vga,
      keyboard, ide, firmware,
    ]
    return chips + cards
  }

  /// Every device's state in canonical form, in a fixed order.
  func savedStates() -> [(String, Data)] { devices.map { ($0.name, $0.encodedState()) } }
}
