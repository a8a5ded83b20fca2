import GuestMemory
import Motherboard
import Testing

@testable import Machine

/// What shows in the ROM area of a PC, by the host bridge's attribute map.
@Suite struct PCMemoryTests {
  @Test func eachOfTheFourAttributesShowsWhatItSays() throws {
    var options = RunOptions()
    options.type = .hvm
    options.memory = 16
    let machine = try PCMachine.make(options: options, console: LockstepConsole(isInteractive: false), say: { _ in })
    let place: Range<UInt64> = 0xF0000..<0xF4000
    let rom: UInt8 = try #require(machine.memory.load(0xF0100))
    machine.attributesChanged(place, [.reads, .writes])
    #expect(machine.memory.store(UInt8(0x5A), at: 0xF0100))
    machine.attributesChanged(place, [])
    #expect(machine.memory.load(0xF0100, as: UInt8.self) == rom)
    // Read from ROM, written to RAM: a device's, as far as the processor knows.
    machine.attributesChanged(place, .writes)
    #expect(machine.memory.kind(ofFrame: 0xF0) == .device)
    #expect(machine.board.readMemory(0xF0100, size: 1) == UInt64(rom))
    machine.board.writeMemory(0xF0101, size: 2, value: 0xBBAA)
    machine.attributesChanged(place, .reads)
    #expect(machine.memory.kind(ofFrame: 0xF0) == .rom)
    #expect(machine.memory.load(0xF0100, as: UInt32.self).map { $0 & 0xFF_FFFF } == 0xBBAA5A)
    #expect(!machine.board.hasMemory(place))
  }
}
