import Testing

@testable import GuestMemory

struct MachineMemoryTests {
  let memory: MachineMemory
  init() throws { memory = try MachineMemory(frameCount: 8) }
  var size: UInt64 { memory.byteCount }

  @Test func integersAreLittleEndianAtAnyAlignment() {
    #expect(size == 32768)
    #expect(memory.store(UInt64(0x1122_3344_5566_7788), at: 4093))
    #expect(memory.load(4093, as: UInt8.self) == 0x88)
    #expect(memory.load(4096, as: UInt16.self) == 0x4455)
    #expect(memory.load(4093) == UInt64(0x1122_3344_5566_7788))
    #expect(memory.load(0, as: UInt64.self) == 0)
  }

  @Test func nothingReachesBeyondTheEnd() {
    for address in [size - 7, size, size + 1, 1 << 40, .max - 8, .max - 7, .max] as [UInt64] {
      #expect(memory.load(address, as: UInt64.self) == nil, "\(address)")
      #expect(!memory.store(UInt64(1), at: address))
      #expect(!memory.contains(address, 8))
      #expect(memory.copyOut(address, count: 8) == nil)
      #expect(!memory.copyIn([UInt8](repeating: 1, count: 8), at: address))
      #expect(!memory.zero(address, count: 8))
      #expect(memory.readable(address, 8) == nil && memory.writable(address, 8) == nil)
      var bytes = [UInt8](repeating: 9, count: 8)
      #expect(!bytes.withUnsafeMutableBytes { memory.copyOut(address, into: $0) })
      #expect(bytes == [UInt8](repeating: 9, count: 8))
    }
    #expect(memory.copyOut(size - 8, count: 8) == [UInt8](repeating: 0, count: 8), "a refused write left bytes behind")
    #expect(memory.load(size - 1, as: UInt8.self) == 0)
    #expect(memory.store(UInt64(5), at: size - 8))
  }

  @Test func countsThatAreNoCounts() {
    #expect(memory.copyOut(0, count: -1) == nil)
    #expect(!memory.zero(0, count: -1))
    #expect(memory.writable(0, -1) == nil && memory.readable(0, -1) == nil)
    #expect(memory.copyOut(0, count: .max) == nil)
  }

  @Test(arguments: [UInt64(0), 1, 4096, 32768])
  func noBytesAreWithinMemoryAtEveryAddressOfIt(address: UInt64) {
    #expect(memory.zero(address, count: 0))
    #expect(memory.copyIn([], at: address))
    #expect(memory.copyOut(address, count: 0) == [])
    #expect(memory.writable(address, 0)?.count == 0)
    #expect(memory.readable(address, 0)?.count == 0)
  }

  @Test func bytesComeBack() throws {
    let bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0 * 7) }
    #expect(memory.copyIn(bytes, at: 4000))
    #expect(memory.copyOut(4000, count: 5000) == bytes)
    #expect(memory.zero(4100, count: 10))
    #expect(memory.copyOut(4099, count: 12) == [bytes[99]] + [UInt8](repeating: 0, count: 10) + [bytes[110]])
    try #require(memory.writable(8191, 2))[1] = 0xEE
    #expect(memory.readable(8191, 2)?[1] == 0xEE)
  }

  @Test func everyWritePathTellsOfCodeAndNoReadDoes() {
    final class Calls { var all: [(UInt64, Int)] = [] }
    let calls = Calls()
    memory.codeWillChange = { calls.all.append(($0, $1)) }
    memory.codeLines[2] = 1
    // Frames without code are written in silence, and reading never tells.
    memory.store(UInt32(1), at: 4096)
    memory.copyIn([1, 2, 3], at: 0x3000)
    _ = memory.load(0x2000, as: UInt64.self)
    _ = memory.copyOut(0x2000, count: 4096)
    _ = memory.readable(0x2000, 16)
    #expect(calls.all.isEmpty)
    memory.store(UInt8(1), at: 0x2FFF)
    memory.copyIn([1, 2], at: 0x1FFF)
    memory.zero(0x2000, count: 1)
    _ = memory.writable(0x1000, 0x3000)
    #expect(calls.all.map(\.0) == [0x2FFF, 0x1FFF, 0x2000, 0x1000])
    #expect(calls.all.map(\.1) == [1, 2, 1, 0x3000])
    // A write that ends right before the frame is not into it; refused writes tell nothing.
    memory.store(UInt64(1), at: 0x1FF8)
    memory.copyIn([1], at: 1 << 50)
    #expect(calls.all.count == 4)
    memory.codeLines[3] = 2
    memory.zero(0x2FFF, count: 2)
    #expect(calls.all.count == 6, "both frames hold code")
  }

  @Test func onlyTouchedFramesAreVisited() throws {
    let large = try MachineMemory(frameCount: 10000)
    func touched() -> [Int] {
      var frames: [Int] = []
      large.forEachTouchedFrame { frame, bytes in
        #expect(bytes.count == 4096)
        frames.append(frame)
      }
      return frames
    }
    #expect(touched() == [])
    for frame in [0, 4095, 4096, 9999] { large.store(UInt8(7), at: UInt64(frame) * 4096 + 5) }
    let frames = touched()
    // The host may give more than one page at a time, but never loses one, and the order is that of the frames.
    #expect(frames == frames.sorted() && Set(frames).isSuperset(of: [0, 4095, 4096, 9999]))
    if frames.count == 4 { #expect(touched() == frames, "visiting touched more") }
    large.forEachTouchedFrame { frame, bytes in
      if [0, 4095, 4096, 9999].contains(frame) { #expect(bytes[5] == 7) }
    }
  }

  @Test func moreThanTheHostCanMapIsAnError() {
    #expect(throws: MachineMemory.Failure.self) { try MachineMemory(frameCount: 1 << 46) }
  }
}
