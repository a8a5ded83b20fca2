import Devices
import GuestMemory
import HostLinks
import Motherboard
import Random
import Silicon

/// The Ethernet controller: registers at random, rings in a small memory full of descriptors, frames from the link.
struct EthernetTarget: FuzzTarget {
  private final class Clock { var now: Cycles = 0 }
  private final class Link: NetworkLink {
    var receive: (([UInt8]) -> Void)?
    var acceptsLargeSegments = false
    var acceptsUnfinishedChecksums = false
    var sent: UInt64 = 0
    func send(_ frame: [UInt8]) { sent += 1 }
  }
  private let memory: MachineMemory
  private var sent: UInt64 = 0

  init() throws { memory = try MachineMemory(frameCount: 32) }

  var summary: String { ", \(sent) frames sent" }

  mutating func run(_ random: inout SeededRandom) -> String? {
    let clock = Clock()
    let board = Board(memory: memory, cyclesPerSecond: 1_000_000_000, startTime: 0)
    board.outside.now = { clock.now }
    let link = Link()
    link.acceptsLargeSegments = random.oneIn(2)
    link.acceptsUnfinishedChecksums = random.oneIn(2)
    let mac: [UInt8] = [0, 0x16, 0x3E, 1, 2, 3]
    let card = EthernetController82540EM(board: board, name: "eth0", mac: mac, link: link)
    card.function.write(0x10, size: 4, 0xFEB0_0000)
    card.function.write(0x14, size: 4, 0xC001)
    card.function.write(4, size: 2, 7)
    for at in stride(from: UInt64(0), to: memory.byteCount, by: 16) where random.oneIn(4) { descriptor(at, &random) }
    func write(_ register: UInt64, _ value: UInt64) { board.writeMemory(0xFEB0_0000 + register, size: 4, value: value & 0xFFFF_FFFF) }
    for base in [UInt64(0x2800), 0x3800] {
      write(base, random.below(8) * 4096)
      write(base + 8, 128 * (1 + random.below(8)))
    }
    write(0x100, 0x8002 | (random.oneIn(2) ? random.next() : 0))
    write(0x400, 2)
    write(0xD0, random.next())
    for _ in 0..<200 {
      switch random.below(8) {
      case 0: write(0x2818, random.below(64))
      case 1: write(0x3818, random.below(64))
      case 2: board.writeMemory(0xFEB0_0000 + random.below(0x6000) & ~3, size: 4, value: Mutator.word(&random))
      case 3: board.writeMemory(0xFEB0_0000 + random.below(0x20000), size: 1 << Int(random.below(4)), value: random.next())
      case 4: _ = board.readMemory(0xFEB0_0000 + random.below(random.oneIn(2) ? 0x6000 : 0x20000), size: 1 << Int(random.below(4)))
      case 5:
        board.writePort(
          0xC000 + UInt16(random.below(64)), size: 1 << Int(random.below(3)), value: UInt32(truncatingIfNeeded: random.next()))
        _ = board.readPort(0xC000 + UInt16(random.below(64)), size: 1 << Int(random.below(3)))
      case 6:
        var frame = (0..<random.below(random.oneIn(8) ? 17_000 : 200)).map { _ in UInt8(random.below(random.oneIn(2) ? 256 : 4)) }
        if frame.count > 60, random.oneIn(2) {
          frame.replaceSubrange(0..<6, with: mac)
          frame.replaceSubrange(12..<16, with: random.oneIn(4) ? [0x81, 0, 0, 1] : [8, 0, 0x45, 0])
          frame[23] = random.oneIn(2) ? 6 : 17
        }
        link.receive?(frame)
      default:
        clock.now += random.below(2_000_000)
        board.dispatchDue()
        for _ in 0..<8 { descriptor(random.below(memory.byteCount / 16) * 16, &random) }
      }
      if random.oneIn(100) { card.isLinkUp = random.oneIn(4) ? false : true }
      if random.oneIn(50) { card.state = card.state }
      if random.oneIn(200) { card.reset() }
    }
    sent += link.sent
    return card.encodedState().isEmpty ? "its state cannot be encoded" : nil
  }

  /// Something that passes for a descriptor of either ring.
  private func descriptor(_ at: UInt64, _ random: inout SeededRandom) {
    memory.store(random.oneIn(8) ? random.next() : random.below(memory.byteCount), at: at)
    let size = random.oneIn(8) ? random.below(1 << 20) : random.below(2000)
    memory.store(size | random.below(16) << 24 | random.below(16) << 28 | random.below(2) << 20 | random.below(1 << 20) << 32, at: at + 8)
    if random.oneIn(4) { memory.store(UInt16(random.below(1500)), at: at + 14) }
  }
}
