import Testing

@testable import Motherboard

@Suite struct SystemControlTests {
  final class Host {
    var gates: [Bool] = []
    var resets = 0
    var status: UInt8?
    var text = ""
  }

  private func rig() throws -> (TestBoard, SystemControl, Host) {
    let (test, host) = (try TestBoard(), Host())
    test.board.outside.addressLine20 = { host.gates.append($0) }
    test.board.outside.reset = { host.resets += 1 }
    test.board.outside.exit = { host.status = $0 }
    let control = SystemControl(board: test.board, hasExitPort: true) { host.text += String(decoding: $0, as: UTF8.self) }
    return (test, control, host)
  }

  @Test func port92IsTheGateAndReset() throws {
    let (test, control, host) = try rig()
    #expect(test.board.readPort(0x92, size: 1) == 2)
    test.board.writePort(0x92, size: 1, value: 0)
    test.board.writePort(0x92, size: 1, value: 0)
    #expect(host.gates == [false])
    #expect(test.board.readPort(0x92, size: 1) == 0)
    control.setAddressLine20(true)
    #expect(test.board.readPort(0x92, size: 1) == 2)
    test.board.writePort(0x92, size: 1, value: 3)
    test.board.writePort(0x92, size: 1, value: 3)
    #expect(host.resets == 1)
    #expect(test.board.readPort(0x92, size: 1) == 2)
    control.setAddressLine20(false)
    control.reset()
    #expect(host.gates.last == true)
  }

  @Test func theDebugConsoleAnswersAndCollects() throws {
    let (test, control, host) = try rig()
    #expect(test.board.readPort(0x402, size: 1) == 0xE9)
    for byte in "SeaBIOS".utf8 { test.board.writePort(0x402, size: 1, value: UInt32(byte)) }
    control.flush()
    #expect(host.text == "SeaBIOS")
    let quiet = try TestBoard()
    _ = SystemControl(board: quiet.board)
    #expect(quiet.board.readPort(0x402, size: 1) == 0xFF)
  }

  @Test func theExitPortEndsTheRunWithTheStatus() throws {
    let (test, _, host) = try rig()
    test.board.writePort(0x501, size: 4, value: 0x33)
    #expect(host.status == 0x33)
  }

  @Test func DMARegistersReadBack() throws {
    let (test, _, _) = try rig()
    func out(_ port: UInt16, _ value: UInt32) { test.board.writePort(port, size: 1, value: value) }
    func read(_ port: UInt16) -> UInt32 { test.board.readPort(port, size: 1) }
    out(0x0D, 0)
    out(0x04, 0x34)
    out(0x04, 0x12)
    #expect([read(4), read(4)] == [0x34, 0x12])
    out(0xC6, 0x78)
    out(0xC6, 0x56)
    out(0xD8, 0)
    #expect([read(0xC6), read(0xC6)] == [0x78, 0x56])
    out(0x87, 0x5A)
    #expect(read(0x87) == 0x5A)
    #expect(read(0x08) == 0)
    out(0x0A, 2)
    #expect(read(0x0F) == 0xFB)
    out(0xDA, 0)
    #expect(read(0xDE) == 0xFF)
    #expect(read(0xF0) == 0xFF)
  }
}
