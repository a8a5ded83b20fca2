import Testing

@testable import Motherboard

@Suite struct EthernetRegisterTests {
  @Test func resetValuesAreTheManuals() throws {
    let m = try EthernetTestMachine()
    #expect(m.card.function.read(0, size: 4) == 0x100E_8086)
    #expect(m.card.function.read(8, size: 4) == 0x0200_0003)
    #expect(m.read(0) == 0x140240)
    #expect(m.read(8) == 0x8008_0783)
    #expect(m.read(0x10) == 0x188)
    #expect(m.read(0x38) == 0x8100)
    #expect(m.read(0x5400) == 0x1200_5452)
    #expect(m.read(0x5404) == 0x8000_5634)
    #expect(m.read(0x1_F000) == 0)
    #expect(m.read(0x9000) == 0)
    #expect(m.board.readMemory(0xFEB0_0002, size: 2) == 0x14)
  }

  @Test func storageKeepsWhatIsWritten() throws {
    let m = try EthernetTestMachine()
    for register in [0x5200, 0x53FC, 0x5408, 0x547C, 0x5600, 0x57FC, 0x100, 0xC4, 0x2820, 0x3828] {
      m.write(register, 0x0001_5554)
      #expect(m.read(register) == 0x0001_5554)
    }
    m.write(0x2800, 0x1234_567F)
    #expect(m.read(0x2800) == 0x1234_5670)
    m.write(8, .max)
    m.write(0x4000, 5)
    #expect(m.read(8) == 0x8008_0783)
    #expect(m.read(0x4000) == 0)
  }

  @Test func theEEPROMIsReadBitByBitAndByItsRegister() throws {
    let m = try EthernetTestMachine()
    func out(_ value: UInt32, _ count: Int) {
      for bit in (0..<count).reversed() {
        let data: UInt32 = value >> UInt32(bit) & 1 != 0 ? 0x46 : 0x42
        m.write(0x10, data)
        m.write(0x10, data | 1)
        m.write(0x10, data)
      }
    }
    var sum: UInt16 = 0
    for address in 0..<64 {
      m.write(0x10, 0x42)
      #expect(m.read(0x10) & 0xC2 == 0xC2)
      out(0b110, 3)
      out(UInt32(address), 6)
      var word: UInt16 = 0
      for _ in 0..<16 {
        m.write(0x10, 0x43)
        word = word << 1 | UInt16(m.read(0x10) >> 3 & 1)
        m.write(0x10, 0x42)
      }
      m.write(0x10, 0)
      sum &+= word
      m.write(0x14, UInt32(address) << 8 | 1)
      #expect(m.read(0x14) == UInt32(word) << 16 | UInt32(address) << 8 | 0x10)
      if address < 3 { #expect(word == [0x5452, 0x1200, 0x5634][address]) }
    }
    #expect(sum == 0xBABA)
  }

  @Test func theTransceiverNegotiatesAndTheLinkComesBack() throws {
    let m = try EthernetTestMachine()
    func phy(_ register: UInt32) -> UInt32 {
      m.write(0x20, 2 << 26 | 1 << 21 | register << 16)
      #expect(m.read(0x20) >> 28 & 1 == 1)
      return m.read(0x20) & 0xFFFF
    }
    #expect(
      [0, 1, 2, 3, 4, 5, 9, 10, 16, 17, 20].map { phy($0) } == [
        0x1140, 0x796D, 0x0141, 0x0C20, 0x0DE1, 0x01E0, 0x0E00, 0x3C00, 0x0360, 0xAC08 | 0x400, 0x0D60,
      ])
    m.write(0xD0, 4)
    m.write(0x20, 1 << 26 | 1 << 21 | 0x1340)
    #expect(phy(1) == 0x7949)
    #expect(phy(0) == 0x1140)
    #expect(m.read(8) == 0x8008_0781)
    m.test.advance(by: 1_000_000)
    #expect(phy(1) == 0x796D)
    #expect(m.edges.count == 1)
    #expect(m.read(0xC0) == 4)
    #expect(m.read(0xC0) == 0)
    #expect(!m.edges.level)
    // No transceiver at address 2.
    m.write(0x20, 2 << 26 | 2 << 21 | 2 << 16)
    #expect(m.read(0x20) >> 30 == 1)
    m.card.isLinkUp = false
    #expect(m.read(8) == 0x8008_0781)
    #expect(m.read(0xC0) == 4)
    m.card.isLinkUp = true
    m.test.advance(by: 1_000_000)
    #expect(m.read(8) == 0x8008_0783)
  }

  @Test func causesAndMaskDriveThePin() throws {
    let m = try EthernetTestMachine()
    m.write(0xC8, 0x84)
    #expect(!m.edges.level)
    m.write(0xD0, 0x80)
    #expect(m.edges.level)
    #expect(m.read(0xD0) == 0x80)
    m.write(0xD8, 0x80)
    #expect(!m.edges.level)
    m.write(0xD0, 4)
    #expect(m.edges.level)
    m.write(0xC0, 4)
    #expect(!m.edges.level)
    #expect(m.read(0xC0) == 0x80)
    #expect(m.read(0xC0) == 0)
  }

  @Test func theThrottleKeepsInterruptsApart() throws {
    let m = try EthernetTestMachine()
    m.write(0xD0, 0x9D)
    m.write(0xC4, 100)
    m.write(0xC8, 0x80)
    #expect(m.edges.count == 1)
    _ = m.read(0xC0)
    m.test.advance(by: 1000)
    m.write(0xC8, 0x80)
    #expect(!m.edges.level)
    m.test.advance(to: 25_599)
    #expect(m.edges.count == 1)
    m.test.advance(to: 25_600)
    #expect(m.edges.count == 2)
    _ = m.read(0xC0)
    m.test.advance(to: 100_000)
    m.write(0xC8, 0x80)
    #expect(m.edges.count == 3)
  }

  @Test func resetGoesThroughThePortsToo() throws {
    let m = try EthernetTestMachine()
    m.write(0x5400, 0)
    m.write(0xD0, 4)
    m.write(0xC8, 4)
    #expect(m.edges.level)
    m.board.writePort(0xC000, size: 4, value: 0)
    m.board.writePort(0xC004, size: 4, value: 1 << 26 | 0x140240)
    #expect(!m.edges.level)
    #expect(m.board.readPort(0xC004, size: 4) == 0x140240)
    m.board.writePort(0xC000, size: 4, value: 0x5400)
    #expect(m.board.readPort(0xC004, size: 4) == 0x1200_5452)
    #expect(m.read(0xD0) == 0)
    let state = m.card.encodedState()
    m.card.state = m.card.state
    #expect(m.card.encodedState() == state)
  }
}
