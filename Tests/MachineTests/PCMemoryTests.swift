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

  @Test func whatIsBehindAWindowShowsAgain() throws {
    var options = RunOptions()
    options.type = .hvm
    options.memory = 16
    let machine = try PCMachine.make(options: options, console: LockstepConsole(isInteractive: false), say: { _ in })
    final class Nothing: MemoryHandler {
      func readMemory(_ offset: UInt64, size: Int) -> UInt64 { 0 }
      func writeMemory(_ offset: UInt64, size: Int, value: UInt64) {}
    }
    let handler = Nothing()
    // A base address register whose size is asked for lies over the flash for a moment.
    let places: [(Range<UInt64>, PageKind)] = [
      (0xFF00_0000..<0x1_0000_0000, .rom), (0xF0000..<0x100000, .rom), (0x10_0000..<0x10_1000, .ram), (0xE000_0000..<0xE000_1000, .absent),
    ]
    for (place, kind) in places {
      let last = Int((place.upperBound - 1) >> 12)
      let bytes = machine.memory.load(place.upperBound - 16, as: UInt64.self)
      machine.board.claimMemory(place, by: handler)
      #expect(machine.memory.kind(ofFrame: last) == .device)
      machine.board.releaseMemory(place, by: handler)
      #expect(machine.memory.kind(ofFrame: last) == kind, "\(place)")
      #expect(machine.memory.load(place.upperBound - 16, as: UInt64.self) == bytes)
    }
    // Below the flash, where the 16 MiB began, there is nothing.
    #expect(machine.memory.kind(ofFrame: 0xFF000) == .absent)
  }
}
