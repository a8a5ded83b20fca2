import HostLinks
import Testing

@testable import Motherboard

@Suite struct EthernetRingTests {
  // MARK: - Receiving

  @Test func aFrameFillsABufferAndInterrupts() throws {
    let m = try EthernetTestMachine()
    m.startReceiving()
    m.write(0xD0, 0x90)
    m.write(0x5000, 0x300)
    let frame = EthernetTestMachine.tcpFrame(payload: 100)
    m.link.receive?(frame)
    #expect(m.edges.count == 1)
    #expect(m.read(0xC0) == 0x80)
    #expect(m.read(0x2810) == 1)
    let got = m.received(0)
    #expect(got.bytes == frame + [0, 0, 0, 0])
    #expect(got.status == 0x63)
    #expect(got.errors == 0)
    var bad = frame
    bad[100] ^= 1
    m.link.receive?(bad)
    #expect(m.received(1).errors == 0x20)
    bad[25] ^= 1
    m.link.receive?(bad)
    #expect(m.received(2).errors == 0x60)
    // A short frame grows to 60 bytes; nothing to check.
    m.link.receive?([UInt8](repeating: 0xFF, count: 6) + EthernetTestMachine.mac + [8, 6, 1])
    #expect(m.received(3).bytes.count == 64)
    #expect(m.received(3).status == 7)
    #expect([m.read(0x4074), m.read(0x4074), m.read(0x4078)] == [4, 0, 1])
    #expect(m.card.statistics.rxPackets == 4)
  }

  @Test func framesForOthersAreLeftOut() throws {
    let m = try EthernetTestMachine()
    m.startReceiving(control: 2)
    func isTaken(_ destination: [UInt8]) -> Bool {
      let before = m.read(0x2810)
      m.link.receive?(EthernetTestMachine.tcpFrame(payload: 10, to: destination))
      let taken = m.read(0x2810) != before
      m.write(0x2810, 0)
      return taken
    }
    let other: [UInt8] = [0x52, 0x54, 0, 0x12, 0x34, 0x57]
    let group: [UInt8] = [1, 0, 0x5E, 0, 0x12, 0x34]
    let all = [UInt8](repeating: 0xFF, count: 6)
    #expect(isTaken(EthernetTestMachine.mac))
    #expect([isTaken(other), isTaken(group), isTaken(all)] == [false, false, false])
    m.write(0x100, 0x8002)
    #expect([isTaken(other), isTaken(group), isTaken(all)] == [false, false, true])
    m.write(0x100, 0x000A)
    #expect([isTaken(other), isTaken(group)] == [true, false])
    m.write(0x100, 0x0012)
    #expect([isTaken(other), isTaken(group)] == [false, true])
    m.write(0x100, 2)
    // 0x3412 without its low four bits.
    m.write(0x5200 + (0x341 >> 5) * 4, 1 << (0x341 & 31))
    #expect(isTaken(group))
    m.write(0x5408, 0x1200_5452)
    m.write(0x540C, 0x8000_5734)
    #expect(isTaken(other))
    m.write(0x540C, 0x5734)
    #expect(!isTaken(other))
  }

  @Test func framesWaitForBuffersUpToALimit() throws {
    let m = try EthernetTestMachine()
    m.startReceiving(posted: 2)
    m.write(0xD0, 0x40)
    for count in 1...(EthernetController82540EM.queueLimit + 3) {
      m.link.receive?(EthernetTestMachine.mac + [UInt8](repeating: UInt8(count & 0xFF), count: 60))
    }
    #expect(m.read(0x2810) == 2)
    #expect(m.read(0x4010) == 1)
    #expect(m.edges.level)
    m.write(0x2818, 6)
    #expect(m.read(0x2810) == 6)
    #expect(m.received(5).bytes[6] == 6)
    let state = try decodedState(of: m.card)
    #expect(state.arrived.count == EthernetController82540EM.queueLimit - 4)
    m.card.state = state
    m.write(0x2818, 1)
    #expect(m.read(0x2810) == 1)
    #expect(m.received(0).bytes[6] == 9)
  }

  @Test func aFrameLongerThanItsBufferTakesSeveral() throws {
    let m = try EthernetTestMachine()
    // Buffers of 512 bytes, no frame check sequence.
    m.startReceiving(control: 0x0402_8002)
    let frame = EthernetTestMachine.tcpFrame(payload: 1000)
    m.link.receive?(frame)
    #expect((0..<3).map { m.received($0).status & 3 } == [1, 1, 3])
    #expect((0..<3).flatMap { m.received($0).bytes } == frame)
    let long = EthernetTestMachine.tcpFrame(payload: 2000)
    m.link.receive?(long)
    #expect(m.read(0x40AC) == 1)
    #expect(m.read(0x2810) == 3)
    m.startReceiving(control: 0x0400_8022)
    m.write(0x2810, 0)
    m.link.receive?(long)
    #expect((0..<2).flatMap { m.received($0).bytes } == long)
  }

  @Test func tagsAreTakenOutAndPutIn() throws {
    let m = try EthernetTestMachine()
    m.startReceiving()
    m.write(0, 0x4014_0240)
    let frame = EthernetTestMachine.tcpFrame(payload: 40)
    let tagged = Array(frame[..<12]) + [0x81, 0, 0x20, 7] + Array(frame[12...])
    m.link.receive?(tagged)
    let got = m.received(0)
    #expect(got.bytes == frame + [0, 0, 0, 0])
    #expect(got.special == 0x2007)
    #expect(got.status & 8 == 8)
    m.write(0x100, 0x4_8002)
    m.link.receive?(tagged)
    #expect(m.read(0x2810) == 1)
    m.write(0x5600, 1 << 7)
    m.link.receive?(tagged)
    #expect(m.read(0x2810) == 2)
    m.startTransmitting()
    m.board.memory.copyIn(frame, at: 0x40000)
    m.queue(0x40000, UInt64(frame.count) | 0x4900_0000 | 0x2007 << 48)
    m.kick()
    #expect(m.link.sent == [tagged])
  }

  @Test func manyFramesInARowInterruptOnce() throws {
    let m = try EthernetTestMachine()
    m.startReceiving()
    m.write(0xD0, 0x80)
    m.card.beginArrivals()
    for _ in 0..<3 { m.link.receive?(EthernetTestMachine.tcpFrame(payload: 4)) }
    #expect(!m.edges.level)
    m.card.endArrivals()
    #expect(m.edges.count == 1)
  }

  // MARK: - Sending

  @Test func aPacketOfSeveralDescriptorsIsSent() throws {
    let m = try EthernetTestMachine()
    m.startTransmitting()
    m.write(0xD0, 1)
    let frame = EthernetTestMachine.tcpFrame(payload: 500)
    m.board.memory.copyIn(frame, at: 0x40000)
    m.queue(0x40000, 100)
    m.queue(0x40000 + 100, UInt64(frame.count - 100) | 0x0B00_0000)
    m.kick()
    #expect(m.link.sent == [frame])
    #expect(m.link.flushes == 1)
    #expect(m.read(0x3810) == 2)
    #expect(m.board.memory.load(0x1101C, as: UInt8.self) == 1)
    #expect(m.board.memory.load(0x1100C, as: UInt8.self) == 0)
    #expect(m.read(0xC0) == 3)
    #expect([m.read(0x4080), m.read(0x4090), m.read(0x4094), m.read(0x4090)] == [1, UInt32(frame.count) + 4, 0, 0])
    // Outside of memory: dropped.
    m.queue(0xFFFF_0000_0000, 100 | 0x0B00_0000)
    m.kick()
    #expect(m.link.sent.count == 1)
    #expect(m.card.statistics.txErrors == 1)
  }

  @Test func aDelayedReportComesWithTheDelayOrTheNextInterrupt() throws {
    let m = try EthernetTestMachine()
    m.startTransmitting()
    m.startReceiving()
    m.write(0xD0, 0x81)
    m.write(0x3820, 8)
    for round in 0..<2 {
      m.queue(0x40000, 60 | 0x8B00_0000)
      m.kick()
      #expect(!m.edges.level)
      if round == 0 {
        m.test.advance(by: 8 * 1024)
        #expect(m.read(0xC0) & 0x81 == 1)
      } else {
        m.link.receive?(EthernetTestMachine.tcpFrame(payload: 1))
        #expect(m.read(0xC0) & 0x81 == 0x81)
        m.test.advance(by: 8 * 1024)
        #expect(m.read(0xC0) == 0)
      }
    }
  }

  /// The frame with sum of the pseudo-header (with or without the length) in place of TCP's checksum, as a driver leaves it.
  private func unfinished(_ frame: [UInt8], withLength: Bool) -> [UInt8] {
    var frame = frame
    let sum = InternetChecksum.fold(InternetChecksum.sum(frame[26..<34], 6 + (withLength ? UInt64(frame.count - 34) : 0)))
    (frame[50], frame[51]) = (UInt8(sum >> 8), UInt8(sum & 0xFF))
    if !withLength { (frame[16], frame[17], frame[24], frame[25]) = (0, 0, 0, 0) }
    return frame
  }

  @Test func checksumsAreInserted() throws {
    let m = try EthernetTestMachine()
    m.startTransmitting()
    let frame = EthernetTestMachine.tcpFrame(payload: 301)
    var blank = unfinished(frame, withLength: true)
    (blank[24], blank[25]) = (0, 0)
    m.board.memory.copyIn(blank, at: 0x40000)
    m.context(ip: 14, transport: 34, isTCP: true)
    m.queue(0x40000, UInt64(blank.count) | 0x2B10_0000 | 0x300 << 32)
    m.kick()
    #expect(m.link.sent == [frame])
    // The context holds for the next packet too; a link that finishes checksums gets it as it is.
    m.link.acceptsUnfinishedChecksums = true
    m.queue(0x40000, UInt64(blank.count) | 0x2B10_0000 | 0x200 << 32)
    m.kick()
    #expect(m.link.sent[1] == blank)
    // Legacy: from byte 34 on, to byte 50.
    m.board.memory.copyIn(unfinished(frame, withLength: true), at: 0x40000)
    m.queue(0x40000, UInt64(blank.count) | 50 << 16 | 0x0F00_0000 | 34 << 40)
    m.kick()
    #expect(m.link.sent[2] == frame)
  }

  @Test func aLargePacketIsCutOrPassedOnWhole() throws {
    let m = try EthernetTestMachine()
    m.startTransmitting()
    let frame = EthernetTestMachine.tcpFrame(payload: 3500)
    let blank = unfinished(frame, withLength: false)
    m.board.memory.copyIn(blank, at: 0x30000)
    func send() {
      m.context(ip: 14, transport: 34, isTCP: true, header: 54, mss: 1460, cuts: true)
      m.queue(0x30000, 54 | 0x2710_0000 & ~0x0100_0000 | 0x300 << 32)
      m.queue(0x30000 + 54, 3500 | 0x2D10_0000 | 0x300 << 32)
      m.kick()
    }
    send()
    #expect(m.link.sent.map(\.count) == [1514, 1514, 634])
    var payload: [UInt8] = []
    for (index, segment) in m.link.sent.enumerated() {
      var right = segment
      EthernetTestMachine.finish(&right)
      #expect(segment == right)
      #expect(Int(segment[16]) << 8 | Int(segment[17]) == segment.count - 14)
      #expect(segment[19] == 0x34 + UInt8(index))
      let sequence = segment[38..<42].reduce(0) { $0 << 8 | Int($1) }
      #expect(sequence == 0x1000 + index * 1460)
      #expect(segment[47] == (index == 2 ? 0x18 : 0x10))
      payload += segment[54...]
    }
    #expect(payload == Array(frame[54...]))
    m.link.sent = []
    m.link.acceptsLargeSegments = true
    send()
    #expect(m.link.sent == [frame])
    m.link.acceptsUnfinishedChecksums = true
    send()
    var whole = unfinished(frame, withLength: true)
    (whole[24], whole[25]) = (frame[24], frame[25])
    #expect(m.link.sent[1] == whole)
  }

  @Test func loopbackTurnsFramesRound() throws {
    let m = try EthernetTestMachine()
    m.startTransmitting()
    m.startReceiving(control: 0x80C2)
    let frame = EthernetTestMachine.tcpFrame(payload: 10)
    m.board.memory.copyIn(frame, at: 0x40000)
    m.queue(0x40000, UInt64(frame.count) | 0x0B00_0000)
    m.kick()
    #expect(m.link.sent.isEmpty)
    #expect(m.received(0).bytes == frame + [0, 0, 0, 0])
  }
}
