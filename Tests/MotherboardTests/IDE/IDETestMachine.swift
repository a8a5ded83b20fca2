import Devices
import GuestMemory
import Storage
import Testing

@testable import Motherboard

/// An image that has nothing at hand: every transfer goes through `submit`, and completes when the test says.
final class SlowImage: BlockDevice, @unchecked Sendable {
  let inner: MemoryBlockDevice
  var waiting: [() -> Void] = []
  var holds = false
  var requests: [BlockRequest] = []
  var failure: BlockError?
  init(bytes: [UInt8]) { inner = MemoryBlockDevice(bytes: bytes) }
  var sizeInBytes: UInt64 { inner.sizeInBytes }
  let sectorSize = 512
  let isReadOnly = false
  let supportsDiscard = true
  func submit(_ request: BlockRequest, completion: @escaping @Sendable (BlockResult) -> Void) {
    requests.append(request)
    if let failure { return completion(.failure(failure)) }
    guard holds else { return inner.submit(request, completion: completion) }
    waiting.append { [inner] in inner.submit(request, completion: completion) }
  }
  func release() {
    let work = waiting
    waiting = []
    for one in work { one() }
  }
}

/// A board with an IDE controller, decoding on, and the least of a driver.
final class IDETestMachine {
  let test: TestBoard
  let ide: IDEController
  var board: Board { test.board }
  /// Edges of IRQ 14 and 15.
  final class Edges {
    var counts = [0, 0]
    var levels = [false, false]
  }
  let edges = Edges()
  /// Base of the selected channel's ports.
  var base: UInt16 = 0x1F0
  let busMaster: UInt16 = 0xC000

  init(_ drives: [IDEDriveDescription?], decodes: Bool = true) throws {
    test = try TestBoard()
    let edges = edges
    let lines = (0..<2).map { number in
      InterruptLine { level in
        edges.levels[number] = level
        if level { edges.counts[number] += 1 }
      }
    }
    ide = try IDEController(board: test.board, interrupts: (lines[0], lines[1]), drives: drives)
    guard decodes else { return }
    ide.function.write(0x40, size: 4, 0x8000_8000)
    ide.function.write(0x20, size: 4, UInt32(busMaster))
    ide.function.write(4, size: 2, 5)
  }

  static func pattern(_ count: Int, seed: Int = 1) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: ($0 &* 31 &+ $0 >> 9 &* 7) &* seed &+ seed) }
  }

  func read(_ register: UInt16) -> UInt8 { UInt8(board.readPort(base + register, size: 1)) }
  func write(_ register: UInt16, _ value: UInt8) { board.writePort(base + register, size: 1, value: UInt32(value)) }
  var alternateStatus: UInt8 { UInt8(board.readPort(base + 0x206, size: 1)) }
  func control(_ value: UInt8) { board.writePort(base + 0x206, size: 1, value: UInt32(value)) }

  /// A command with 28 bits of address.
  func command(_ code: UInt8, lba: UInt32 = 0, count: UInt8 = 1, features: UInt8 = 0, device: UInt8 = 0xE0) {
    write(6, device | UInt8(lba >> 24 & 15))
    write(1, features)
    write(2, count)
    write(3, UInt8(lba & 0xFF))
    write(4, UInt8(lba >> 8 & 0xFF))
    write(5, UInt8(lba >> 16 & 0xFF))
    write(7, code)
  }

  /// A command with 48 bits of address.
  func commandExt(_ code: UInt8, lba: UInt64, count: UInt16) {
    write(6, 0xE0)
    write(2, UInt8(count >> 8))
    for (register, shift) in [(UInt16(3), 24), (4, 32), (5, 40)] { write(register, UInt8(lba >> UInt64(shift) & 0xFF)) }
    write(2, UInt8(count & 0xFF))
    for (register, shift) in [(UInt16(3), 0), (4, 8), (5, 16)] { write(register, UInt8(lba >> UInt64(shift) & 0xFF)) }
    write(7, code)
  }

  /// REP INSW.
  func readWords(_ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count * 2)
    let done = bytes.withUnsafeMutableBytes { board.readPort(base, size: 2, into: $0) }
    return Array(bytes[..<(done * 2)])
  }

  /// REP OUTSW.
  func writeWords(_ bytes: [UInt8]) -> Int { bytes.withUnsafeBytes { board.writePort(base, size: 2, from: $0) } }

  /// Puts a PRD table at an address.
  func table(at address: UInt64, _ entries: [(UInt32, UInt32)]) {
    for (index, entry) in entries.enumerated() {
      board.memory.store(entry.0, at: address + UInt64(index * 8))
      board.memory.store(entry.1 | (index == entries.count - 1 ? 1 << 31 : 0), at: address + UInt64(index * 8 + 4))
    }
    board.writePort(busMaster + (base == 0x170 ? 12 : 4), size: 4, value: UInt32(address))
  }

  func busMasterCommand(_ value: UInt8) { board.writePort(busMaster + (base == 0x170 ? 8 : 0), size: 1, value: UInt32(value)) }
  var busMasterStatus: UInt8 { UInt8(board.readPort(busMaster + (base == 0x170 ? 10 : 2), size: 1)) }
  func clearBusMasterStatus() { board.writePort(busMaster + (base == 0x170 ? 10 : 2), size: 1, value: 6) }

  func memory(_ address: UInt64, _ count: Int) -> [UInt8] { board.memory.copyOut(address, count: count) ?? [] }

  /// Sends a packet; DMA if `dma`, else with a byte count limit.
  func packet(_ bytes: [UInt8], limit: UInt16 = 0xFFFE, dma: Bool = false, device: UInt8 = 0xA0) {
    write(6, device)
    write(1, dma ? 1 : 0)
    write(4, UInt8(limit & 0xFF))
    write(5, UInt8(limit >> 8))
    write(7, 0xA0)
    _ = writeWords(bytes + [UInt8](repeating: 0, count: 12 - bytes.count))
  }

  /// The bytes of a PIO answer, block by block, until the drive wants no more.
  func packetAnswer() -> [UInt8] {
    var bytes: [UInt8] = []
    while alternateStatus & 8 != 0, read(2) & 2 != 0 {
      let count = Int(read(4)) | Int(read(5)) << 8
      var block: [UInt8] = []
      while block.count < count {
        let word = board.readPort(base, size: 2)
        block += [UInt8(word & 0xFF), UInt8(word >> 8)]
      }
      bytes += block[..<count]
    }
    return bytes
  }
}
