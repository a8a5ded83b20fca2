import GuestMemory
import HostLinks

@testable import Motherboard

final class TestLink: NetworkLink {
  var sent: [[UInt8]] = []
  var flushes = 0
  var receive: (([UInt8]) -> Void)?
  var acceptsUnfinishedChecksums = false
  var acceptsLargeSegments = false
  func send(_ frame: [UInt8]) { sent.append(frame) }
  func flush() { flushes += 1 }
}

/// A board with the controller at FEB00000, and the least of a driver: rings of 8 descriptors at 10000 (receive) and 11000 (transmit),
/// receive buffers from 20000 on, data to send from 40000 on.
final class EthernetTestMachine {
  static let mac: [UInt8] = [0x52, 0x54, 0, 0x12, 0x34, 0x56]
  let test: TestBoard
  let card: EthernetController82540EM
  let link = TestLink()
  var board: Board { test.board }
  final class Edges {
    var count = 0
    var level = false
  }
  let edges = Edges()
  private var transmitTail: UInt32 = 0

  init() throws {
    test = try TestBoard()
    card = EthernetController82540EM(board: test.board, name: "eth0", mac: Self.mac, link: link)
    card.function.interrupt = InterruptLine { [edges] level in
      edges.level = level
      if level { edges.count += 1 }
    }
    card.function.write(0x10, size: 4, 0xFEB0_0000)
    card.function.write(0x14, size: 4, 0xC001)
    card.function.write(4, size: 2, 7)
  }

  func read(_ register: Int) -> UInt32 { UInt32(board.readMemory(0xFEB0_0000 + UInt64(register), size: 4)) }
  func write(_ register: Int, _ value: UInt32) { board.writeMemory(0xFEB0_0000 + UInt64(register), size: 4, value: UInt64(value)) }

  /// - Parameter posted: receive buffers of 2048 bytes.
  func startReceiving(posted: UInt32 = 7, control: UInt32 = 0x8002) {
    for index in 0..<8 { board.memory.store(UInt64(0x20000 + index * 2048), at: UInt64(0x10000 + index * 16)) }
    write(0x2800, 0x10000)
    write(0x2808, 128)
    write(0x2818, posted)
    write(0x100, control)
  }

  func startTransmitting() {
    write(0x3800, 0x11000)
    write(0x3808, 128)
    write(0x400, 0x0103_F0FA)
  }

  /// Queues a descriptor; it is sent when the tail is written.
  func queue(_ low: UInt64, _ high: UInt64) {
    board.memory.store(low, at: UInt64(0x11000 + transmitTail * 16))
    board.memory.store(high, at: UInt64(0x11008 + transmitTail * 16))
    transmitTail = (transmitTail + 1) & 7
  }
  func kick() { write(0x3818, transmitTail) }

  func context(ip: Int, transport: Int, isTCP: Bool, header: Int = 0, mss: Int = 0, cuts: Bool = false) {
    let ipFields = ip | (ip + 10) << 8 | (transport - 1) << 16
    let transportFields = transport | (transport + (isTCP ? 16 : 6)) << 8
    let command: UInt64 = 0x2200_0000 | (isTCP ? 1 << 24 : 0) | (cuts ? 1 << 26 : 0)
    queue(UInt64(ipFields) | UInt64(transportFields) << 32, command | UInt64(header) << 40 | UInt64(mss) << 48)
  }

  /// A received descriptor: bytes, status, errors, special.
  func received(_ index: Int) -> (bytes: [UInt8], status: UInt8, errors: UInt8, special: UInt16) {
    let word = board.memory.load(UInt64(0x10008 + index * 16), as: UInt64.self) ?? 0
    let bytes = board.memory.copyOut(UInt64(0x20000 + index * 2048), count: Int(word & 0xFFFF)) ?? []
    return (bytes, UInt8(word >> 32 & 0xFF), UInt8(word >> 40 & 0xFF), UInt16(word >> 48))
  }

  /// TCP over IPv4 from and to the card's address, checksums right; `flags` ACK and PSH.
  static func tcpFrame(payload: Int, to destination: [UInt8] = mac) -> [UInt8] {
    var frame = destination + [2, 0, 0, 0, 0, 1, 8, 0]
    let total = 40 + payload
    frame += [0x45, 0, UInt8(total >> 8), UInt8(total & 0xFF), 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 2, 2, 10, 0, 2, 15]
    frame += [0, 80, 0x12, 0x34, 0, 0, 0x10, 0, 0, 0, 0, 1, 0x50, 0x18, 0xFF, 0xFF, 0, 0, 0, 0]
    frame += (0..<payload).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    finish(&frame)
    return frame
  }

  /// Fills both checksums in.
  static func finish(_ frame: inout [UInt8]) {
    (frame[24], frame[25], frame[50], frame[51]) = (0, 0, 0, 0)
    let header = ~InternetChecksum.fold(InternetChecksum.sum(frame[14..<34]))
    (frame[24], frame[25]) = (UInt8(header >> 8), UInt8(header & 0xFF))
    let pseudo = InternetChecksum.sum(frame[26..<34], 6 + UInt64(frame.count - 34))
    let sum = ~InternetChecksum.fold(InternetChecksum.sum(frame[34...], pseudo))
    (frame[50], frame[51]) = (UInt8(sum >> 8), UInt8(sum & 0xFF))
  }
}
