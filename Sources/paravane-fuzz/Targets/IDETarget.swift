import Devices
import GuestMemory
import Motherboard
import Random
import Silicon
import Storage

/// The IDE controller with a disk and a CD-ROM drive: accesses of any port, size and value, DMA tables at random, packets.
struct IDETarget: FuzzTarget {
  private final class Clock { var now: Cycles = 0 }
  private let memory: MachineMemory
  private var commands: UInt64 = 0

  init() throws { memory = try MachineMemory(frameCount: 32) }

  var summary: String { ", \(commands) commands" }

  mutating func run(_ random: inout SeededRandom) -> String? {
    let clock = Clock()
    let board = Board(memory: memory, cyclesPerSecond: 1_000_000_000, startTime: 0)
    board.outside.now = { clock.now }
    var done: [UInt64] = []
    if random.oneIn(4) { board.outside.hostIsDone = { _ in } }
    let disk = MemoryBlockDevice(bytes: [UInt8](repeating: 7, count: 256 << 10), isReadOnly: random.oneIn(8))
    let disc = MemoryBlockDevice(bytes: [UInt8](repeating: 9, count: 96 << 10))
    let line = InterruptLine { _ in }
    guard
      let ide = try? IDEController(
        board: board, interrupts: (line, line),
        drives: [
          IDEDriveDescription(.disk, image: disk, name: "hda"), IDEDriveDescription(.cdrom, image: disc, name: "hdb"),
          IDEDriveDescription(.cdrom, image: random.oneIn(2) ? disc : nil, name: "hdc"), nil,
        ])
    else { return "refused its drives" }
    ide.function.write(0x40, size: 4, 0x8000_8000)
    ide.function.write(0x20, size: 4, 0xC000)
    ide.function.write(4, size: 2, 5)
    for at in stride(from: UInt64(0), to: memory.byteCount, by: 8) where random.oneIn(4) {
      // Entries of PRD tables that are sometimes sound.
      memory.store(UInt32(truncatingIfNeeded: random.oneIn(16) ? random.next() : random.below(memory.byteCount)), at: at)
      memory.store(UInt32(random.below(0x3000)) | (random.oneIn(2) ? 1 << 31 : 0), at: at + 4)
    }
    for _ in 0..<300 {
      step(board, &random)
      if random.oneIn(3) {
        clock.now += random.below(100_000)
        board.dispatchDue()
      }
      if random.oneIn(200) { ide.function.write(Int(random.below(256)), size: 2, UInt32(random.below(65536))) }
      if random.oneIn(100) { ide.changeDisc(inDriveNamed: "hdb", to: random.oneIn(2) ? disc : nil) }
      if random.oneIn(100) { ide.state = ide.state }
      if random.oneIn(300) { ide.reset() }
      if random.oneIn(20) { done.append(random.below(1 << 12)) }
      for payload in done { ide.event(payload, at: clock.now) }
      done = []
    }
    return ide.encodedState().isEmpty ? "its state cannot be encoded" : nil
  }

  private mutating func step(_ board: Board, _ random: inout SeededRandom) {
    let base: UInt16 = random.oneIn(2) ? 0x1F0 : 0x170
    func out(_ register: UInt16, _ value: UInt64) { board.writePort(base + register, size: 1, value: UInt32(value & 0xFF)) }
    switch random.below(8) {
    case 0:
      // A command that is likely to be one.
      out(6, random.oneIn(4) ? random.next() : 0xE0 | random.below(2) << 4)
      for register in 1...5 where random.oneIn(2) { out(UInt16(register), random.oneIn(2) ? random.below(4) : random.next()) }
      let known: [UInt64] = [
        0x06, 0x08, 0x20, 0x24, 0x25, 0x29, 0x30, 0x34, 0x35, 0x39, 0x40, 0x90, 0x91, 0xA0, 0xA1, 0xC4, 0xC5, 0xC6, 0xC8, 0xCA, 0xE7, 0xEC,
        0xEF,
      ]
      out(7, random.oneIn(8) ? random.next() : known[Int(random.below(UInt64(known.count)))])
      commands += 1
    case 1:
      // A packet.
      let codes: [UInt64] = [
        0, 3, 0x12, 0x1A, 0x1B, 0x1E, 0x15, 0x25, 0x28, 0x42, 0x43, 0x44, 0x46, 0x4A, 0x51, 0x52, 0x55, 0x5A, 0xA8, 0xBB, 0xBD, 0xBE,
      ]
      out(7, 0xA0)
      var bytes = (0..<12).map { _ in UInt8(random.oneIn(2) ? random.below(4) : random.below(256)) }
      bytes[0] = UInt8(random.oneIn(8) ? random.below(256) : codes[Int(random.below(UInt64(codes.count)))])
      bytes.withUnsafeBytes { _ = board.writePort(base, size: 2, from: $0) }
      commands += 1
    case 2:
      var bytes = [UInt8](repeating: 0, count: Int(random.below(3000)))
      let size = 1 << Int(random.below(3))
      bytes.withUnsafeMutableBytes { _ = board.readPort(base, size: size, into: $0) }
    case 3:
      let bytes = [UInt8](repeating: UInt8(random.below(256)), count: Int(random.below(3000)))
      bytes.withUnsafeBytes { _ = board.writePort(base, size: 1 << Int(random.below(3)), from: $0) }
    case 4:
      board.writePort(0xC000 + UInt16(random.below(2) * 8), size: 1, value: UInt32(random.below(2) * 8 + random.below(2)))
      board.writePort(0xC004 + UInt16(random.below(2) * 8), size: 4, value: UInt32(random.below(memory.byteCount)))
    case 5:
      board.writePort(0xC000 + UInt16(random.below(16)), size: 1 << Int(random.below(3)), value: UInt32(truncatingIfNeeded: random.next()))
    case 6:
      _ = board.readPort(base + UInt16(random.below(8)), size: 1 << Int(random.below(3)))
      _ = board.readPort(0xC000 + UInt16(random.below(16)), size: 1 << Int(random.below(3)))
      if random.oneIn(40) { out(0x206, random.next()) } else { _ = board.readPort(base + 0x206, size: 1) }
    default: out(UInt16(random.below(8)), random.next())
    }
  }
}
