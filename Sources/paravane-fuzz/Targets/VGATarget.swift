import Devices
import GuestMemory
import Motherboard
import Random
import Silicon

/// The display adapter under random accesses to its ports, windows, configuration and saved state, with a terminal that shows it.
struct VGATarget: FuzzTarget {
  private let vga: VGA
  private let board: Board
  private final class Clock { var now: Cycles = 0 }
  private let clock = Clock()
  private var linear: UInt32 = 0
  private final class Count { var bytes = 0 }
  private let shown = Count()
  private let display: TerminalDisplay

  init() throws {
    let clock = clock
    board = Board(memory: try MachineMemory(frameCount: 2048), cyclesPerSecond: 1_000_000_000, startTime: 0)
    board.outside.now = { clock.now }
    // From 4 MiB on the linear memory may lie in the machine's frames.
    board.outside.hasSpareFrames = { $0.lowerBound >= 4 << 20 && $0.upperBound <= 8 << 20 }
    vga = VGA(board: board, rom: [0x55, 0xAA, 1], memory: VideoMemory(byteCount: 1 << 20))
    let shown = shown
    display = TerminalDisplay(vga: vga) { shown.bytes += $0.count }
    display.start()
  }

  var summary: String { ", \(shown.bytes) bytes to the terminal" }

  mutating func run(_ random: inout SeededRandom) -> String? {
    linear = random.oneIn(2) ? 0xFD00_0000 : 0x50_0000
    vga.function.write(0x10, size: 4, linear)
    vga.function.write(0x18, size: 4, 0xFEB0_0000)
    vga.function.write(4, size: 2, 3)
    for _ in 0..<400 {
      clock.now &+= random.oneIn(50) ? random.next() >> random.below(64) : random.below(100_000)
      board.dispatchDue()
      access(&random)
    }
    _ = vga.screenText()
    if random.oneIn(8) { _ = vga.picture(.at(frame: vga.frameNumber)).png() }
    let saved = vga.encodedState()
    vga.state = vga.state
    return saved == vga.encodedState() ? nil : "the state does not survive being put back"
  }

  private func access(_ random: inout SeededRandom) {
    let size = 1 << Int(random.below(3))
    switch random.below(12) {
    case 0: board.writePort(0x1CE, size: 2, value: UInt32(random.below(12)))
    case 1: board.writePort(0x1CF, size: 2, value: UInt32(truncatingIfNeeded: Mutator.word(&random)))
    case 2: _ = board.readPort(UInt16(0x1CC + random.below(6)), size: size)
    case 3, 4, 5:
      // Index and data at once, for any of the four.
      let port: UInt16 = [0x3C4, 0x3CE, 0x3D4, 0x3B4][Int(random.below(4))]
      board.writePort(port, size: 2, value: UInt32(random.below(26)) | UInt32(random.below(256)) << 8)
    case 6: board.writePort(UInt16(0x3B0 + random.below(0x30)), size: size, value: UInt32(truncatingIfNeeded: random.next()))
    case 7: _ = board.readPort(UInt16(0x3B0 + random.below(0x30)), size: size)
    case 8: memory(0xA0000 + random.below(0x2_0000), 1 << Int(random.below(4)), &random)
    case 9:
      memory(UInt64(linear) + (random.oneIn(4) ? 0xF_FFF0 + random.below(32) : random.below(1 << 20)), 1 << Int(random.below(4)), &random)
    case 10: memory(0xFEB0_0000 + random.below(0x700), 1 << Int(random.below(4)), &random)
    default:
      if random.oneIn(40) { vga.reset() }
      vga.function.write(Int(random.below(64)) & ~3, size: 4, UInt32(truncatingIfNeeded: Mutator.word(&random)))
      if random.oneIn(2) {
        vga.function.write(0x10, size: 4, linear)
        vga.function.write(4, size: 2, 3)
      }
    }
  }

  private func memory(_ address: UInt64, _ size: Int, _ random: inout SeededRandom) {
    if random.oneIn(2) {
      board.writeMemory(address, size: size, value: random.next())
    } else {
      _ = board.readMemory(address, size: size)
    }
  }
}
