import GuestMemory
import Testing

@testable import Motherboard

private final class Echo: PortHandler, MemoryHandler {
  func readPort(_ port: UInt16, size: Int) -> UInt32 { 0x5A }
  func writePort(_ port: UInt16, size: Int, value: UInt32) {}
  func readMemory(_ offset: UInt64, size: Int) -> UInt64 { offset &+ 1 }
  func writeMemory(_ offset: UInt64, size: Int, value: UInt64) {}
}

@Suite struct PCIFunctionTests {
  @Test func sizesAreReadFromTheMasksAndWindowsComeAndGo() throws {
    let test = try TestBoard()
    let echo = Echo()
    let function = PCIFunction(board: test.board, identity: (0x8086, 0x100E), classCode: 0x020000, revision: 3, bytes: [0x3D: 1])
    function.setWindow(0, .memory(size: 0x20000, isPrefetchable: false, handler: echo))
    function.setWindow(1, .ports(size: 64, width: 4, handler: echo))
    function.setWindow(6, .rom(bytes: [0x55, 0xAA, 3]))
    #expect(function.read(0, size: 4) == 0x100E_8086)
    #expect(function.read(8, size: 4) == 0x0200_0003)
    function.write(0x10, size: 4, .max)
    function.write(0x14, size: 4, .max)
    function.write(0x30, size: 4, 0xFFFF_FFFE)
    #expect(function.read(0x10, size: 4) == 0xFFFE_0000)
    #expect(function.read(0x14, size: 4) == 0xFFFF_FFC1)
    #expect(function.read(0x30, size: 4) == 0xFFFF_F800)
    function.write(0x10, size: 4, 0xFEB0_0000)
    function.write(0x14, size: 4, 0xC000)
    function.write(0x30, size: 4, 0xFEA0_0001)
    #expect(test.board.readMemory(0xFEB0_0004, size: 4) == .max & 0xFFFF_FFFF)
    function.write(4, size: 2, 0x103)
    #expect(test.board.readMemory(0xFEB0_0004, size: 4) == 5)
    #expect(test.board.readMemory(0xFEA0_0000, size: 2) == 0xAA55)
    #expect(test.board.readMemory(0xFEA0_0002, size: 2) == 0xFF03)
    #expect(test.board.readPort(0xC03F, size: 1) == 0x5A)
    #expect(test.board.readPort(0xC040, size: 1) == 0xFF)
    function.write(4, size: 2, 0x100)
    #expect(test.board.readMemory(0xFEB0_0004, size: 4) == 0xFFFF_FFFF)
    #expect(test.board.readPort(0xC03F, size: 1) == 0xFF)
    function.write(4, size: 2, 0x103)
    function.reset()
    #expect(function.read(4, size: 2) == 0)
    #expect(function.read(0x14, size: 4) == 1)
    #expect(test.board.readPort(0xC03F, size: 1) == 0xFF)
  }

  @Test func readOnlyBitsStayAndTheDeviceHearsOfWrites() throws {
    let test = try TestBoard()
    let function = PCIFunction(board: test.board, identity: (0x8086, 0x1237), classCode: 0x060000, revision: 2)
    var heard: [Int] = []
    function.configWritten = { offset, size in heard += [offset, size] }
    function.write(0, size: 4, 0)
    function.write(0x3D, size: 1, 4)
    function.write(4, size: 2, 0xFFFF)
    #expect(function.read(0, size: 4) == 0x1237_8086)
    #expect(function.read(0x3D, size: 1) == 0)
    #expect(function.read(4, size: 2) == 0x507)
    #expect(heard == [0, 4, 0x3D, 1, 4, 2])
    function.write(255, size: 4, .max)
    #expect(function.read(255, size: 4) == 0)
  }
}
